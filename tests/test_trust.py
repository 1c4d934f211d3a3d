"""When the wall clock is trusted, and why not."""

from __future__ import annotations

import ctypes
import gc
import time

import pytest

from mysense import RELEASED
from mysense.telegram import DAY
from mysense.trust import BEGIN, END, Anchor, Machine, kernel_synchronised
from tests.boards import NOW, Board


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


def kind(trust, last=0):
    hold = trust.look(last)
    return hold and hold.kind


def test_a_board_without_a_clock_waits(board):
    """A Raspberry Pi that has not heard a time server."""
    assert kind(board.trust()) == "unsynchronised"


def test_the_kernel_knows_a_time_server(board):
    """Then the clock is right."""
    board.synchronised = True
    assert kind(board.trust("synchronised")) is None


def test_the_service_manager_knows_a_time_server(board):
    """Its file appears while MySense runs."""
    trust = board.trust("synchronised")
    before = kind(trust)
    board.write("run/systemd/timesync/synchronized", "")
    assert (before, kind(trust)) == ("unsynchronised", None)


@pytest.mark.parametrize(("off", "expected"), [(1, None), (3600, "unsynchronised")])
def test_a_clock_module_that_agrees(board, off, expected):
    """Else it has no battery, or somebody has set the clock since."""
    board.write("sys/class/rtc/rtc0/since_epoch", f"{NOW + off:.0f}\n")
    assert kind(board.trust()) == expected


def test_a_module_is_read_seldom(board):
    """It is behind a slow bus; it counts from the next look ten seconds later."""
    trust = board.trust()
    trust.look(0)
    board.write("sys/class/rtc/rtc0/since_epoch", f"{NOW:.0f}\n")
    board.clock.now += 9
    early = kind(trust)
    board.clock.now += 1
    assert (early, kind(trust)) == ("unsynchronised", None)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("proc/cpuinfo", "model\t: 1\nflags\t\t: fpu hypervisor lahf_lm\nbugs\t: x\n"),
        ("sys/hypervisor/type", "xen"),
    ],
)
def test_a_virtual_machine_has_the_clock_of_its_host(board, path, text):
    """It may never be synchronised by itself."""
    board.write(path, text)
    assert kind(board.trust()) is None


def test_what_only_auto_accepts(board):
    """`synchronised` is strict: no module, no virtual machine, no simulation."""
    board.write("sys/class/rtc/rtc0/since_epoch", f"{NOW:.0f}\n")
    board.write("sys/hypervisor/type", "xen")
    assert kind(board.trust("synchronised", simulated=True)) == "unsynchronised"


def test_simulated_sensors_need_no_clock(board):
    """They measure nothing, so nothing can have a wrong time."""
    assert kind(board.trust(simulated=True)) is None


@pytest.mark.parametrize("wall", [0.0, 600.0, BEGIN - 1, END])
def test_a_clock_that_cannot_be_right(board, wall):
    """Before MySense was made, or decades after: whatever anybody says."""
    board.synchronised = True
    board.clock.offset = wall - board.clock.now
    assert kind(board.trust("trusted")) == "unbelievable"


def test_trusted_believes_the_rest(board):
    """For a kit that never hears a time server, and whose owner sets it."""
    assert kind(board.trust("trusted")) is None


def test_trust_stays_when_the_network_goes(board):
    """After some hours the kernel forgets that it was synchronised; the clock is right still."""
    board.synchronised = True
    trust = board.trust()
    trust.look(0)
    board.synchronised = False
    assert kind(trust) is None


def test_trust_stays_when_the_module_is_left_behind(board):
    """Somebody sets the wall clock by an hour, and not the module."""
    board.write("sys/class/rtc/rtc0/since_epoch", f"{NOW:.0f}\n")
    trust = board.trust()
    trust.look(0)
    board.clock.offset += 3600
    board.clock.now += 60
    assert kind(trust) is None


def test_trust_stays_in_the_same_start(board):
    """A new process goes on from what the journal kept."""
    trust = board.trust()
    trust.resume(Anchor("boot-1", NOW - board.clock.now, sure=True))
    assert kind(trust) is None


def test_trust_ends_with_the_start(board):
    """After a power cut the clock is a guess again."""
    trust = board.trust()
    trust.resume(Anchor("boot-0", NOW - board.clock.now, sure=True))
    assert kind(trust) == "unsynchronised"


@pytest.mark.parametrize(("step", "expected"), [(DAY - 1, None), (DAY + 1, "ahead")])
def test_more_than_a_day_ahead_is_held(board, step, expected):
    """Also while it counts as synchronised; a new process does not forget it."""
    board.synchronised = True
    trust = board.trust()
    trust.look(0)
    anchor = trust.anchor
    board.clock.offset += step
    again = board.trust()
    again.resume(anchor)
    assert (kind(trust), kind(again)) == (expected, expected)


def test_back_from_the_future(board):
    """It goes on by itself when the clock is set right."""
    trust = board.trust("trusted")
    trust.look(0)
    board.clock.offset += 2 * DAY
    trust.look(0)
    board.clock.offset -= 2 * DAY
    assert kind(trust) is None


def test_the_first_time_server_may_move_the_clock_far(board):
    """What was trusted before was a guess: weeks after the last shutdown, say."""
    trust = board.trust("trusted")
    trust.look(0)
    board.clock.offset += 100 * DAY
    board.synchronised = True
    assert kind(trust) is None


@pytest.mark.parametrize(("back", "expected"), [(DAY - 1, None), (DAY + 1, "behind")])
def test_telegrams_far_ahead_hold(board, back, expected):
    """Up to a day times go on from the newest; not for a month, a second at a time."""
    assert kind(board.trust("trusted"), int(NOW + back)) == expected


@pytest.mark.parametrize("step", [2 * DAY, -50 * DAY, 0])
def test_a_person_may_say_that_it_is_right(board, step):
    """Also without a time server, and where it was moved far."""
    trust = board.trust()
    board.clock.offset += step
    trust.accept()
    assert kind(trust) is None


def test_every_hold_says_what_to_do(board):
    """So that status and check can."""
    hold = board.trust().look(0)
    assert "`mysense clock accept`" in hold.fix
    assert "`clock = trusted`" in hold.fix


def test_a_machine_that_has_no_name_for_its_start(tmp_path):
    """Two processes do not take themselves for the same start."""
    assert Machine(tmp_path).boot != Machine(tmp_path).boot


def test_this_kernel_is_asked():
    """The state it is in is that of adjtimex(2) in full."""

    class Timex(ctypes.Structure):
        _fields_ = [("modes", ctypes.c_uint)]
        _fields_ += [(name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")]
        _fields_ += [("status", ctypes.c_int), ("rest", ctypes.c_byte * 900)]

    timex = Timex()
    answer = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    assert kernel_synchronised() is (answer >= 0 and not timex.status & 0x40)


def test_the_release_is_not_in_the_future():
    """Else no kit would ever send anything."""
    assert time.strptime(RELEASED, "%Y-%m-%d") < time.gmtime()


def test_asking_the_kernel_leaves_nothing_behind():
    """It is asked twice a telegram, for years."""
    kernel_synchronised()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(300):
        kernel_synchronised()
    assert len(gc.get_objects()) - before < 100
