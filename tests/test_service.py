"""The service manager is told what is true; the watchdog is fed only while there is progress."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from mysense import service
from mysense.application import ProcessSettings
from mysense.engine import Engine
from mysense.journal import Journal
from mysense.sampling import Sampling
from mysense.service import Heart, Service
from mysense.telegram import Ident
from mysense.trials import Trials
from tests.cli.conftest import environment
from tests.pipeline import Clock, Shelf
from tests.virtual import Scripted, VirtualClock

LIMIT = 30.0  # seconds of the watchdog
FED, READY, STOPPING = "WATCHDOG=1", "READY=1", "STOPPING=1"


class Manager:
    """The other end of the line: a real socket, read without waiting."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(LIMIT * 1e6))}

    def heard(self, wait=0.0):
        """What came since it was last asked, and within `wait` seconds."""
        came, until = [], time.monotonic() + wait
        while True:
            try:
                came += self.socket.recv(4096, socket.MSG_DONTWAIT).decode().split("\n")
            except BlockingIOError:
                if time.monotonic() >= until:
                    return came
                time.sleep(0.02)


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


class Kit:
    """The heart of a kit with one sensor, on a clock that is moved by hand."""

    def __init__(self, manager, journal):
        self.clock, self.manager = VirtualClock(), manager
        ident = Ident(project="p", serial="a")
        self.sampling = Sampling(ident, [Scripted()], ProcessSettings(), self.clock)
        parts = Service(manager.environ), journal, self.sampling
        self.heart = Heart(*parts, self.clock.monotonic)

    def live(self, seconds, *, samples=True):
        """Let time pass; returns how often the watchdog was fed."""
        fed = 0
        for _ in range(seconds):
            self.clock.now += 1
            if samples:
                self.sampling.tick()
            self.heart.beat()
            fed += self.manager.heard().count(FED)
        return fed


@pytest.fixture
def kit(manager, journal):
    return Kit(manager, journal)


def test_watchdog_is_fed_three_times_in_its_time(kit):
    """One late message does not matter then."""
    assert kit.live(60) == 60 / LIMIT * 3


def test_clock_that_is_set_back_does_not_matter(kit):
    """Feeding goes by the monotonic clock."""
    kit.clock.offset -= 7200
    assert kit.live(60) == 6


def test_sampling_that_stands_still_starves_it(kit):
    """After half a minute there is no more food, and it is said why."""
    kit.live(10)
    kit.live(40, samples=False)
    kit.heart.beat()
    assert kit.live(60, samples=False) == 0
    assert "sampling has stood still for" in kit.heart.trouble


def test_sampling_that_has_come_to_its_end_does_not_stand_still(kit, journal):
    """A demo whose database is away waits long for its outputs."""
    kit.sampling.limit = 0
    kit.sampling.attach(journal, once=True)
    kit.sampling.run(threading.Event())
    kit.live(60, samples=False)
    assert kit.heart.trouble == ""


def test_sampling_that_goes_on_is_forgiven(kit):
    """It is fed again at once."""
    kit.live(10)
    kit.live(60, samples=False)
    assert kit.live(1) == 1


def test_sensor_that_hangs_does_not_starve_it(manager, journal, monkeypatch):
    """With one sensor in a read that never returns, the real engine goes on feeding."""
    for name, value in (manager.environ | {"WATCHDOG_USEC": "600000"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(service, "SAMPLING_PATIENCE", 1.5)  # the sampling loop ticks once a second
    hangs, release = Scripted(sample=1), threading.Event()
    hangs.read = lambda: release.wait(30) and {"temp": 1.0}
    sampling = Sampling(Ident(project="p", serial="a"), [hangs], ProcessSettings())
    engine = Engine(journal, sampling=sampling)
    thread = threading.Thread(target=engine.run)
    thread.start()
    manager.heard(2.5)
    fed = manager.heard(1.0).count(FED)
    release.set()
    engine.stopping.set()
    thread.join(5)
    assert fed >= 3


def failing(kit, seconds, wrong):
    """Every write of the journal fails, once a second."""
    fed = 0
    kit.heart._journal.writing._clock = kit.clock.monotonic
    for _ in range(seconds):
        with pytest.raises(sqlite3.Error), kit.heart._journal.writing.trial():
            raise wrong
        fed += kit.live(1)
    return fed


def error(code):
    wrong = sqlite3.OperationalError("as SQLite says")
    wrong.sqlite_errorcode = code
    return wrong


def test_journal_that_cannot_be_written_for_long_starves_it(kit):
    """For five minutes it may fail, then a new start may help."""
    assert failing(kit, 290, error(sqlite3.SQLITE_IOERR)) > 0
    failing(kit, 20, error(sqlite3.SQLITE_IOERR))
    assert kit.live(60) == 0


def test_journal_that_was_written_is_forgiven(kit, journal):
    """One commit is enough."""
    failing(kit, 400, error(sqlite3.SQLITE_IOERR))
    journal.note("test", "kind", "text")
    assert kit.live(1) == 1


def test_full_disk_does_not_starve_it(kit):
    """A new start makes no room, and loses what waits in memory."""
    assert failing(kit, 600, error(sqlite3.SQLITE_FULL)) == 60


def test_one_failure_long_ago_is_not_failing_for_long():
    """Where nobody has tried again nothing is known."""
    clock = Clock()
    trials = Trials(clock)
    with pytest.raises(sqlite3.Error), trials.trial():
        raise error(sqlite3.SQLITE_IOERR)
    clock.now += 10_000
    assert trials.failing_for == 0


def test_journal_counts_its_failures(journal):
    """A real error of SQLite is one."""
    with pytest.raises(sqlite3.Error), journal.transaction() as db:
        db.execute("no statement")
    time.sleep(0.02)
    with pytest.raises(sqlite3.Error), journal.transaction() as db:
        db.execute("no statement")
    assert journal.writing.failing_for > 0


def test_status_is_one_short_line(manager, journal):
    """What it is told cannot carry another assignment."""
    heart = Heart(Service(manager.environ), journal, None)
    heart.beat(lambda: "fine\nMAINPID=1 " + "x" * 1000)
    (line,) = [line for line in manager.heard() if line != FED]
    assert line.startswith("STATUS=fine MAINPID=1 xxx")
    assert len(line) < 520


def test_status_is_told_when_it_changes(manager, journal):
    """The same again is not sent again."""
    clock = Clock()
    heart = Heart(Service(manager.environ), journal, None, clock)
    for text in ("a", "a", "b"):
        heart.beat(lambda text=text: text)
        clock.now += 6
    assert [line for line in manager.heard() if "STATUS" in line] == ["STATUS=a", "STATUS=b"]


def test_engine_says_when_it_begins_and_ends(manager, journal, tmp_path, monkeypatch):
    """Readiness comes first, and what runs is told."""
    for name, value in manager.environ.items():
        monkeypatch.setenv(name, value)
    engine = Engine(journal, publishers=[Shelf(tmp_path / "shelf.db")], once=True)
    engine.run(5)
    told = manager.heard()
    assert (told[0], told[-1]) == (READY, STOPPING)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog(environ, manager):
    """Where nobody watches this process there is nothing to feed."""
    address = {"NOTIFY_SOCKET": manager.environ["NOTIFY_SOCKET"]}
    assert Service(address | environ).feed_every is None


def test_watchdog_of_this_process(manager):
    """The number of this process may stand beside the limit."""
    assert Service(manager.environ | {"WATCHDOG_PID": str(os.getpid())}).feed_every == LIMIT / 3


def test_without_a_service_manager_nothing_is_sent(journal):
    """Started by hand, everything works all the same."""
    heart = Heart(Service({}), journal, None)
    heart.begin()
    heart.beat(lambda: "text")
    heart.end()


def test_service_manager_that_has_gone(tmp_path, journal):
    """A line that is dead stops nothing."""
    heart = Heart(Service({"NOTIFY_SOCKET": str(tmp_path / "gone")}), journal, None)
    heart.begin()


def test_socket_without_a_file(journal):
    """Service managers may use names that begin with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        name = f"mysense-test-{os.getpid()}"
        line.bind(f"\0{name}")
        Service({"NOTIFY_SOCKET": f"@{name}"}).tell(READY)
        assert line.recv(100) == READY.encode()


def test_run_notifies(manager, tmp_path):
    """`mysense run` is ready, fed, and says when it stops."""
    options = {"id.project": "p", "id.serial": "1", "bme280.input": "true"}
    options |= {"bme280.backend": "sim", "jsonl.output": "true", "jsonl.file": "out.jsonl"}
    words = [word for pair in options.items() for word in ("-o", "=".join(pair))]
    running = subprocess.Popen(
        [sys.executable, "-m", "mysense", "run", *words],
        cwd=tmp_path,
        env=environment(tmp_path, **manager.environ),
        stderr=subprocess.DEVNULL,
    )
    told = []
    while not {READY, FED} <= set(told):
        assert running.poll() is None
        told += manager.heard(0.1)
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0
    assert (told + manager.heard())[-1] == STOPPING
