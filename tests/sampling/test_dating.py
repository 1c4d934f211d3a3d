"""The times of a kit's own telegrams, whatever happens to its clock: never wrong, twice or back."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

import pytest

from mysense.application import ProcessSettings
from mysense.engine import Engine, Limits
from mysense.journal import Journal, Outcome, undated
from mysense.journal.view import View, request
from mysense.sampling import Sampling
from mysense.telegram import DAY, Ident
from tests.boards import NOW, Board
from tests.pipeline import telegram
from tests.virtual import Scripted

IDENT = Ident(project="p", serial="1")


class Kit(Board):
    """A kit with one sensor and an interval of a minute, run by hand; it begins at 1970."""

    def __init__(self, folder, wall=600.0, mode="auto"):
        super().__init__(folder / "root", wall)
        self.file, self.mode, self.value = folder / "journal.db", mode, 0.0
        self.run()

    def run(self, *, once=False):
        """A new process."""
        self.journal = Journal(self.file, now=self.clock.wall)
        self.sensor = Scripted()
        self.sampling = Sampling(
            IDENT, [self.sensor], ProcessSettings(), self.clock, self.trust(self.mode)
        )
        self.sampling.attach(self.journal, once=once)
        if not once:
            self.sampling.tick()

    def stop(self):
        self.journal.close()

    def measure(self, minutes):
        """One telegram a minute; their values count up."""
        for _ in range(minutes):
            self.value += 1.0
            self.sensor.script.append(self.value)
            self.sampling.samplers[0].read()
            self.clock.now += 60
            self.sampling.tick()

    def tick(self, count=1):
        for _ in range(count):
            self.clock.now += 1
            self.sampling.tick()

    def all(self, query):
        with View(self.file) as view:
            return [tuple(row) for row in view.all(query)]

    @property
    def stored(self):
        """Value -> time, in the order of the journal."""
        query = "SELECT json_extract(data, '$.temp'), time FROM telegrams ORDER BY seq"
        return dict(self.all(query))

    @property
    def waiting(self):
        return [int(row.measured.data["temp"]) for row in undated.oldest(self.journal)]

    def events(self, *kinds):
        found = self.all("SELECT kind, text FROM events WHERE who = 'clock' ORDER BY id")
        return [text for kind, text in found if kind in kinds]


@pytest.fixture
def kit(tmp_path):
    made = Kit(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def right(tmp_path):
    """A kit whose clock is right from the beginning."""
    made = Kit(tmp_path, NOW, "trusted")
    yield made
    made.stop()


def spread(kit):
    """Seconds between the telegrams, in the order of the journal."""
    return [after - before for before, after in pairwise(kit.stored.values())]


# -- before the clock is right ------------------------------------------------------------------


def test_nothing_is_sent_before_the_clock_is_right(kit):
    """It is kept, on disk, without a time."""
    kit.measure(3)
    assert (kit.stored, kit.waiting) == ({}, [1, 2, 3])


def test_it_gets_the_time_at_which_it_was_measured(kit):
    """By the boot-time clock, to the second, and in order; what follows goes on from there."""
    kit.measure(3)
    kit.set(NOW)
    kit.synchronised = True
    kit.measure(2)
    start = int(NOW)
    assert list(kit.stored.items()) == [
        (1.0, start - 120),
        (2.0, start - 60),
        (3.0, start),
        (4.0, start + 60),
        (5.0, start + 120),
    ]
    assert kit.waiting == []


def test_synchronised_without_a_believable_time_is_not_enough(kit):
    """Before MySense was made nobody's word counts."""
    kit.synchronised = True
    kit.measure(2)
    assert (kit.stored, kit.waiting) == ({}, [1, 2])


def test_the_correction_is_an_event(kit):
    """Why it waited, and that it has its time, with by how much the clock was wrong."""
    kit.measure(2)
    kit.set(NOW)
    kit.synchronised = True
    kit.tick(2)
    moved = NOW - 600 - 120
    (held,) = kit.events("held")
    assert "the clock says 1970-01-01" in held
    assert kit.events("trusted", "dated", "jump") == [
        "the clock is trusted now",
        f"2 telegrams that waited have their time, {moved:+.0f} s",
    ]


def test_a_restart_in_the_same_start_keeps_them(kit):
    """The boot-time clock goes on, and so they can be dated."""
    kit.measure(2)
    kit.stop()
    kit.clock.now += 300
    kit.run()
    kit.measure(1)
    kit.set(NOW)
    kit.synchronised = True
    kit.tick()
    assert [time - int(NOW) for time in kit.stored.values()] == [-420, -360, 0]


def test_an_earlier_start_cannot_be_dated(kit):
    """Its telegrams are dead letters with what the clock claimed; they can be exported."""
    kit.measure(2)
    kit.stop()
    kit.start("boot-2", wall=600.0, elapsed=20.0)
    kit.run()
    kit.measure(1)
    with View(kit.file) as view:
        claimed = [letter["time"] for letter, _ in view.dead()]
    assert (claimed, kit.waiting) == ([660, 720], [3])


def test_a_restart_is_one_event(kit):
    """Not one for every start of a process while the reason is the same."""
    for _ in range(3):
        kit.measure(1)
        kit.stop()
        kit.run()
    assert len(kit.events("held")) == 1


def test_what_waits_is_dated_in_parts(kit, monkeypatch):
    """Weeks of it do not stop sampling; what comes meanwhile waits for its turn."""
    monkeypatch.setattr("mysense.sampling.dating.CHUNK", 4)
    kit.measure(10)
    kit.set(NOW)
    kit.synchronised = True
    kit.tick()
    first = list(kit.stored)
    kit.measure(1)
    kit.tick(3)
    assert first == [1.0, 2.0, 3.0, 4.0]
    assert list(kit.stored) == [float(n) for n in range(1, 12)]
    assert spread(kit) == [60] * 9 + [61]


def test_a_disk_that_fails_changes_no_time(kit, monkeypatch):
    """Tried again, the telegrams get the very same seconds."""
    kit.measure(3)
    kit.set(NOW)
    kit.synchronised = True
    real = kit.journal.append

    def fail(*args, **more):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(kit.journal, "append", fail)
    kit.tick(5)
    none = kit.stored
    monkeypatch.setattr(kit.journal, "append", real)
    kit.tick()
    assert (none, list(kit.stored.values())) == ({}, [int(NOW) - 120, int(NOW) - 60, int(NOW)])


def test_a_locked_journal_loses_nothing(kit):
    """What waits in memory goes the same way, before or after the clock is right."""
    kit.measure(1)
    lock = sqlite3.connect(kit.file, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    kit.measure(1)
    kit.set(NOW)
    kit.synchronised = True
    kit.measure(1)
    lock.execute("ROLLBACK")
    lock.close()
    kit.measure(1)
    assert list(kit.stored.values()) == [int(NOW) + at for at in (-60, 0, 60, 120)]


def test_too_many_are_a_recorded_gap(tmp_path, monkeypatch):
    """A kit that never hears a time server does not fill its card."""
    monkeypatch.setattr(undated, "MOST", 5)
    monkeypatch.setattr("mysense.sampling.dating._TRIM_EVERY", 1)
    kit = Kit(tmp_path)
    kit.measure(8)
    assert kit.waiting == [4, 5, 6, 7, 8]
    assert kit.all("SELECT output, kit, count FROM gaps") == [("", "p_1", 3)]
    kit.stop()


def test_readings_as_intervals_keep_a_second_between_them(tmp_path):
    """`interval = reading`, before the clock is right: each has its own second afterwards."""
    kit = Kit(tmp_path)
    kit.sensor = Scripted(1.0, 2.0, 3.0, interval=0.0)
    kit.sampling = Sampling(IDENT, [kit.sensor], ProcessSettings(), kit.clock, kit.trust())
    kit.sampling.attach(kit.journal, once=False)
    kit.sampling.tick()
    for _ in range(3):
        kit.sampling.samplers[0].read()
    kit.set(NOW)
    kit.synchronised = True
    kit.tick()
    assert spread(kit) == [1, 1]
    assert max(kit.stored.values()) <= kit.clock.wall()
    kit.stop()


# -- once ---------------------------------------------------------------------------------------


def test_once_takes_the_clock_as_it_is(kit):
    """Somebody wants a telegram now; the next `run` asks for a time server all the same."""
    kit.stop()
    kit.set(NOW)
    kit.run(once=True)
    kit.sampling.run(None)
    kit.stop()
    kit.run()
    kit.measure(1)
    assert (list(kit.stored.values()), kit.waiting) == ([int(NOW)], [1])


def test_once_with_an_impossible_time_keeps_it(kit):
    """It is not lost, and not sent with a time in 1970."""
    kit.stop()
    kit.run(once=True)
    kit.sampling.run(None)
    assert (kit.stored, kit.sampling.waiting) == ({}, True)


def test_a_test_telegram_shows_the_clock(kit):
    """`run --test` prints what the kit would say, and changes nothing."""
    assert kit.sampling.once().time == int(kit.clock.wall())
    assert (kit.stored, kit.waiting) == ({}, [])


# -- a clock that was right ---------------------------------------------------------------------


@pytest.mark.parametrize("back", [90, 7200, DAY - 600])
def test_set_back_over_a_restart_never_repeats_a_time(right, back):
    """Times go on from the newest in the journal, an interval apart."""
    right.measure(3)
    right.stop()
    right.clock.offset -= back
    right.run()
    right.measure(3)
    assert spread(right) == [60, 60, 60, 60, 60]


def test_set_back_far_over_a_restart_is_held(right):
    """Not a month of telegrams a second apart: they wait, and it is said why."""
    right.measure(2)
    right.stop()
    right.start("boot-2", wall=NOW - 30 * DAY)
    right.run()
    right.measure(2)
    assert (len(right.stored), right.waiting) == (2, [3, 4])
    assert "more than a day ahead of the clock" in right.events("held")[0]


def test_held_telegrams_get_the_right_time(right):
    """When the clock is set right, nothing is lost and nothing runs back."""
    right.measure(2)
    right.clock.offset -= 30 * DAY
    right.measure(2)
    right.clock.offset += 30 * DAY
    right.measure(1)
    assert spread(right) == [60] * 4


def test_set_forward_far_is_held_until_it_is_right(right):
    """None is in the future."""
    right.measure(1)
    right.clock.offset += 400 * DAY
    right.measure(3)
    held = right.waiting
    right.clock.offset -= 400 * DAY
    right.tick(2)
    assert (held, spread(right)) == ([2, 3, 4], [60] * 3)


def test_held_and_switched_off(right):
    """What an earlier start had trusted dates what it had to hold."""
    right.measure(1)
    right.clock.offset += 400 * DAY
    right.measure(2)
    right.stop()
    right.start("boot-2", wall=NOW + 3600, elapsed=30.0)
    right.run()
    right.measure(2)
    assert list(right.stored.values()) == [int(NOW) + at for at in (60, 120, 180, 3660, 3720)]


def test_held_switched_off_and_an_hour_behind(right):
    """The new start goes on after what the old one had to hold, an interval apart."""
    right.measure(1)
    right.clock.offset += 400 * DAY
    right.measure(2)
    right.stop()
    right.start("boot-2", wall=NOW - 3600, elapsed=30.0)
    right.run()
    right.measure(3)
    assert spread(right)[-2:] == [60, 60]


def test_once_after_once_is_not_in_the_future(right):
    """A kit that is called every now and then remembers what its clock showed."""
    for step in (0, 400 * DAY):
        right.stop()
        right.clock.offset += step
        right.run(once=True)
        right.sampling.run(None)
    assert (list(right.stored.values()), right.waiting) == ([int(NOW)], [20])


def test_the_first_synchronisation_may_move_it_far(tmp_path):
    """`trusted` after months in a drawer: telegrams follow the time server at once."""
    kit = Kit(tmp_path, NOW, "trusted")
    kit.measure(1)
    kit.clock.offset += 90 * DAY
    kit.synchronised = True
    kit.measure(1)
    assert spread(kit) == [90 * DAY + 60]
    kit.stop()


def test_other_kits_in_the_journal_do_not_matter(right):
    """Their times are theirs."""
    right.journal.append([telegram(int(NOW) + 20 * DAY, "other")])
    right.stop()
    right.run()
    right.measure(1)
    assert right.waiting == []


# -- a person's word ----------------------------------------------------------------------------


def accept(kit, boot="boot-1"):
    return kit.sampling.accept(boot)


def test_a_clock_set_by_hand_is_accepted(kit):
    """A kit without a network: what waited gets its time, and a restart does not ask again."""
    kit.measure(2)
    kit.set(NOW)
    assert accept(kit)
    kit.tick()
    kit.stop()
    kit.run()
    kit.measure(1)
    assert spread(kit) == [60, 61]


def test_telegrams_of_a_wrong_future_can_be_left_behind(right):
    """Once, because a person says so; then it is as before, also after the next power cut."""
    right.measure(1)
    right.stop()
    right.start("boot-2", wall=NOW - 30 * DAY)
    right.run()
    right.measure(1)
    assert accept(right, "boot-2")
    right.measure(1)
    right.stop()
    right.start("boot-3", wall=NOW - 30 * DAY + 600)
    right.run()
    right.measure(1)
    start = int(NOW) - 30 * DAY
    assert list(right.stored.values())[1:] == [start + 60, start + 120, start + 660]


@pytest.mark.parametrize(("wall", "boot"), [(700.0, "boot-1"), (NOW, "boot-0")])
def test_what_is_not_accepted(kit, wall, boot):
    """A time that cannot be right, and a word that was given in an earlier start."""
    kit.measure(1)
    kit.set(wall)
    assert not accept(kit, boot)
    kit.tick()
    assert kit.waiting == [1]


def test_where_nothing_is_in_doubt_nothing_is_accepted(right):
    """It says so."""
    right.measure(1)
    assert not accept(right)


# -- who is told --------------------------------------------------------------------------------


def test_the_service_manager_is_told(kit):
    """The line of status says that telegrams wait, and why; sampling goes on, and so the heart."""
    engine = Engine(kit.journal, sampling=kit.sampling)
    kit.measure(1)
    assert "telegrams wait for the right time: the clock says 1970-01-01" in engine._state()
    assert engine._heart.trouble == ""


def test_a_request_in_the_journal_is_obeyed(kit):
    """`mysense clock accept` leaves one for the engine."""
    engine = Engine(kit.journal, sampling=kit.sampling)
    kit.measure(1)
    kit.set(NOW)
    request(kit.file, "accept", ["boot-1"])
    engine.tick()
    kit.tick()
    assert list(kit.stored.values()) == [int(NOW)]


def test_age_means_nothing_by_a_wrong_clock(right):
    """A clock that is decades ahead does not empty the journal."""
    engine = Engine(right.journal, sampling=right.sampling, limits=Limits(keep_days=1.0))
    right.measure(1)
    right.journal.register("x")
    right.journal.settle("x", Outcome(cursor=1))
    right.clock.offset += 40 * 366 * DAY
    right.measure(1)
    engine.tick()
    assert len(right.stored) == 1


def test_the_log_reminds_once_an_hour(kit, caplog):
    """Who looks only there finds it, too."""
    kit.measure(125)
    assert caplog.text.count("telegrams wait for the right time") == 2  # it began before


def test_a_start_in_the_future_leaves_no_trace(right):
    """Set back by hours, then started weeks ahead, then right: no time is from those weeks."""
    right.measure(2)
    right.set(NOW - 6 * 3600)
    right.measure(2)
    right.stop()
    right.set(NOW + 40 * DAY)
    right.run()
    right.measure(2)
    right.set(NOW - 6 * 3600)
    right.measure(1)
    right.tick(3)
    assert (right.waiting, max(right.stored.values()) < NOW + DAY) == ([], True), right.stored
