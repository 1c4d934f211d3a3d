"""A library in a process of its own: what it does there does not hurt the kit."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mysense.hw.apart import Apart, Hung
from mysense.plugin import Gone
from tests.conftest import CHECKOUT, path_for_processes

LOG = logging.getLogger("mysense.test_apart")


@pytest.fixture
def apart():
    with_stop = threading.Event()
    made = Apart("tests.hw.stubborn", LOG, with_stop, CHECKOUT)
    made.stop = with_stop
    yield made
    made.close()


def gone(pid, seconds=5.0):
    """Whether a process ends within some seconds; a zombie is none that runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_answers(apart):
    """A request is answered, and the next one by the same process."""
    first, second = (apart.call({"act": "pid"}, 20)["pid"] for _ in range(2))
    assert first == second != os.getpid()


def test_text_survives(apart):
    """What JSON can hold goes there and back."""
    assert apart.call({"act": "echo", "text": "a\nb\u20ac"}, 20) == {"echo": "a\nb\u20ac"}


def test_hangs(apart):
    """A call that hangs ends when its time is up."""
    apart.call({"act": "pid"}, 20)
    begin = time.monotonic()
    with pytest.raises(Hung, match=r"no answer within 0\.3 s"):
        apart.call({"act": "hang"}, 0.3)
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("act", ["hang", "deaf"])
def test_hanging_process_is_ended(apart, act):
    """What hangs is killed and reaped, even when it does not listen."""
    pid = apart.call({"act": "pid"}, 20)["pid"]
    with pytest.raises(Hung):
        apart.call({"act": act}, 0.2)
    assert not Path(f"/proc/{pid}").exists()


def test_helpers_are_ended(apart):
    """What the library has started ends with it."""
    pid = apart.call({"act": "helper"}, 20)["helper"]
    with pytest.raises(Hung):
        apart.call({"act": "hang"}, 0.2)
    assert gone(pid)


def test_helpers_are_ended_at_close(apart):
    """What the library has started ends when it is closed, too."""
    pid = apart.call({"act": "helper"}, 20)["helper"]
    apart.close()
    assert gone(pid)


def test_starts_again(apart):
    """After it was ended, the next call is answered by a new process."""
    with pytest.raises(Hung):
        apart.call({"act": "hang"}, 0.2)
    assert apart.call({"act": "echo", "text": "new"}, 20) == {"echo": "new"}


def test_dies(apart):
    """A process that ends is told with its last words."""
    with pytest.raises(Gone, match="ended; it said: cannot go on: no such pin"):
        apart.call({"act": "die"}, 20)


def test_killed_in_between(apart):
    """A process that was killed while nobody asked is noticed at the next call."""
    os.kill(apart.call({"act": "pid"}, 20)["pid"], signal.SIGKILL)
    with pytest.raises(Gone, match="the helper process ended"):
        apart.call({"act": "pid"}, 20)


def test_module_that_is_missing():
    """A process that cannot begin is told, too."""
    made = Apart("mysense.hw.no_such_module", LOG, threading.Event())
    with pytest.raises(Gone, match="No module named"):
        made.call({}, 20)


def test_prints_stay_out(apart, capfd):
    """What the library or its helpers print comes neither to our stdout nor into an answer."""
    pid = apart.call({"act": "chatter"}, 20)["pid"]
    assert (pid > 0, capfd.readouterr()) == (True, ("", ""))


def test_reads_nothing(apart):
    """What the library reads from stdin are not our requests."""
    assert apart.call({"act": "read"}, 20) == {"read": ""}


def test_answer_that_is_none(apart):
    """An answer that cannot be understood ends the process."""
    with pytest.raises(Gone, match="gave b'garbage"):
        apart.call({"act": "garble"}, 20)


def test_ended_from_outside(apart):
    """A call that waits returns soon when another thread says so."""
    threading.Timer(0.2, apart.stop.set).start()
    begin = time.monotonic()
    with pytest.raises(Gone, match="ended from outside"):
        apart.call({"act": "hang"}, 30)
    assert time.monotonic() - begin < 10


def test_nothing_left(apart):
    """Neither descriptors nor processes stay behind, however it ended."""
    before = sorted(Path("/proc/self/fd").iterdir()), children()
    for act in ("echo", "hang", "die", "chatter"):
        try:
            apart.call({"act": act, "text": ""}, 0.5 if act == "hang" else 20)
        except Gone:
            continue
        apart.close()
        apart.close()
    assert (sorted(Path("/proc/self/fd").iterdir()), children()) == before


def test_signals_are_ours(apart):
    """Ctrl-C on our terminal is not for the helper: it has a session of its own."""
    assert os.getsid(apart.call({"act": "pid"}, 20)["pid"]) != os.getsid(0)


def test_kit_is_killed():
    """When the kit is killed, its helper ends, too."""
    program = (
        "import logging, threading, time\n"
        "from mysense.hw.apart import Apart\n"
        "words = 'tests.hw.stubborn', logging.getLogger(), threading.Event()\n"
        f"made = Apart(*words, {str(CHECKOUT)!r})\n"
        "print(made.call({'act': 'pid'}, 20)['pid'], flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": path_for_processes()}
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as kit:
        helper = int(kit.stdout.readline())
        kit.kill()
    assert gone(helper)
