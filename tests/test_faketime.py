"""The real command under a clock that jumps: identities stable, none in the future, none lost."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.conftest import environment

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
PATIENCE = 30.0
CONF = """\
[process]
plugins = plugins
clock = trusted
[id]
project = p
serial = 1
[journal]
file = journal.db
[jsonl]
output = true
file = out.jsonl
[counter]
input = true
sample = 1
interval = 1
"""
SENSOR = '''\
"""Counts; it never sleeps, which faketime does not let programs do."""

from mysense.plugin import Field, Sensor, SensorSettings


class Counter(Sensor[SensorSettings]):
    """Gives 1, 2, 3 ..."""

    Settings = SensorSettings
    fields = (Field("count", "n", "counter", 0, 1e9, 0),)
    at = 0

    def read(self):
        self.at += 1
        return {"count": self.at}


PLUGIN = Counter
'''

pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed: sudo apt-get install faketime"
)


class Kit:
    """`mysense run` in a folder, with a wall clock that the test sets while it runs."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        (folder / "MySense.conf").write_text(CONF)
        (folder / "plugins").mkdir()
        (folder / "plugins/MyCOUNTER.py").write_text(SENSOR)

    def set(self, clock):
        """Set the wall clock: an absolute time, or an offset to the real one; at once."""
        new = self.folder / "clock.new"
        new.write_text(f"{clock}\n")
        new.rename(self.folder / "clock")

    @property
    def environment(self):
        more = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }
        return environment(self.folder, **more)

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mysense", "run"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def call(self, *words, code=0):
        """Another verb beside it, under the same clock; returns what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "mysense", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

    def count(self, table):
        if not (self.folder / "journal.db").exists():
            return 0
        with closing(sqlite3.connect(self.folder / "journal.db", timeout=10)) as db:
            try:
                return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            except sqlite3.OperationalError:  # it is being made
                return 0

    def more(self, table, count=1):
        """Wait until the table has so many rows more."""
        aim, until = self.count(table) + count, time.monotonic() + PATIENCE
        while self.count(table) < aim:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    @property
    def kept(self):
        """The times in the journal, in its order; nothing waits, and nothing was refused."""
        assert (self.count("undated"), self.count("aside")) == (0, 0)
        with closing(sqlite3.connect(self.folder / "journal.db")) as db:
            return [time for (time,) in db.execute("SELECT time FROM telegrams ORDER BY seq")]

    @property
    def sent(self):
        """The times in the file of the output."""
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        return [line["data"]["time"] for line in map(json.loads, lines) if "data" in line]


@pytest.fixture
def kit(tmp_path):
    made = Kit(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_a_kit_that_wakes_up_in_1970(kit):
    """Killed and started again before it is synchronised; then all have the time they were made."""
    began = time.time()
    kit.set("@1970-01-01 00:10:00")
    kit.start()
    kit.more("undated")
    kit.end(signal.SIGKILL)
    kit.start()
    kit.more("undated")
    waited = kit.count("undated")
    kit.set("+0")
    kit.more("telegrams", waited + 2)
    kit.end()
    assert kit.kept == sorted(set(kit.kept))
    assert began - 1 <= kit.kept[0] <= kit.kept[-1] <= time.time()
    assert kit.sent == kit.kept[: len(kit.sent)]


def test_a_clock_that_jumps(kit):
    """Two hours back, days ahead, and over a restart: every second once, rising, none lost."""
    kit.set("-3h")
    kit.start()
    kit.more("telegrams")
    kit.set("-5h")
    kit.more("telegrams")
    kit.end(signal.SIGKILL)
    kit.start()
    kit.more("telegrams")
    kit.set("+40d")
    kit.more("undated")
    kit.end(signal.SIGKILL)
    kit.start()
    kit.more("undated")
    kit.set("+0")
    kit.more("telegrams", kit.count("undated") + 2)
    kit.end()
    assert all(before < after for before, after in pairwise(kit.kept))
    assert kit.kept[-1] <= time.time() + 1  # two that end in one second get two
    assert kit.sent == kit.kept[: len(kit.sent)]


def test_a_kit_that_was_in_the_future(kit):
    """It does not go on there for a month: it says so, and goes on when a person decides."""
    began = time.time()
    kit.set("+30d")
    kit.start()
    kit.more("telegrams")
    kit.end()
    sent = kit.kept
    kit.set("+0")
    kit.start()
    kit.more("undated", 2)
    still, told = kit.count("telegrams"), kit.call("status")
    kit.call("clock", "accept")
    kit.more("telegrams", 3)
    kit.end()
    after = kit.kept[len(sent) :]
    assert still == len(sent)
    assert "more than a day ahead of the clock" in told
    assert "`mysense clock accept`" in told
    assert after == sorted(set(after))
    assert began <= after[0] + 1 <= after[-1] <= time.time()


def test_in_1970_every_verb_says_so(kit):
    """Once keeps its telegram and fails, check has it to mend, test shows the wrong time."""
    kit.set("@1970-01-01 00:10:00")
    once = kit.call("run", "--once", code=1)
    assert "telegrams wait for the right time: the clock says 1970-01-01" in once
    assert "1 telegrams wait for the right time" in kit.call("clock")
    assert "FAIL kit: its clock is not trusted" in kit.call("check", code=1)
    assert "the clock is not trusted" in kit.call("run", "--test")
