"""`mysense run` where the disk does not let the journal be opened: it stays, and measures."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time

import pytest

from mysense.journal.copies import copies
from mysense.journal.view import View
from tests.cli.conftest import environment, run
from tests.disks import fill_up
from tests.journal.damaging import COUNT, PAGE, make, over
from tests.pipeline import python

PATIENCE = 60.0
OFTEN = (
    "import sys; from mysense.cli import main; from mysense.waiting import Waiting\n"
    "Waiting.every = 0.2\n"
    "sys.exit(main(sys.argv[1:]))"
)
CONF = """
[process]
clock = trusted
[id]
project = p
serial = kit
[journal]
file = {journal}
[bme280]
input = true
backend = sim
sample = 0.2
interval = 1
[jsonl]
output = true
file = out.jsonl
"""


def until(what):
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "this never came"
        time.sleep(0.05)
    return found


class Kit:
    """A kit whose journal is damaged, on a disk without room, as the service manager starts it."""

    def __init__(self, folder, disk):
        self.folder, self.path = folder, disk / "journal.db"
        make(self.path).close()
        with View(self.path) as view:
            (row,) = view.all("SELECT rootpage FROM sqlite_schema WHERE name = 'identity'")
        over(self.path, (row["rootpage"] - 1) * PAGE, bytes(PAGE))
        self.ballast = fill_up(disk)
        (folder / "MySense.conf").write_text(CONF.format(journal=self.path))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.settimeout(PATIENCE)
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*python(OFTEN), "run"],
                cwd=folder,
                env=environment(folder, NOTIFY_SOCKET=str(folder / "notify")),
                stderr=log,
            )

    def hears(self, text):
        """Wait until the service manager is told something."""
        while text not in (told := self.manager.recv(4096).decode()):
            pass
        return told

    def status(self, *words, code=0):
        return run(["-m", "mysense", "status", *words], self.folder, code=code)

    def waiting(self):
        """What `status` says of the engine as long as it waits."""
        done = subprocess.run(
            [*python("from mysense.cli import main; main(['status'])")],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )
        told = done.stdout + done.stderr
        return told if "waiting, process" in told else ""

    def made(self):
        """The kit's telegrams that have arrived, by time."""
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        items = [json.loads(line) for line in lines]
        times, mine = [], False
        for item in items:
            mine = item["ident"]["serial"] == "kit" if "ident" in item else mine
            times += [item["data"]["time"]] if mine and "data" in item else []
        return times

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def kit(tmp_path, disk):
    made = Kit(tmp_path, disk("size=4m"))
    yield made
    made.process.kill()
    made.process.wait()
    made.manager.close()


def test_it_measures_until_there_is_room(kit):
    """No exit, no restart: what is measured meanwhile arrives, and what was in the journal."""
    kit.hears("READY=1")
    kit.hears("STATUS=waiting for the disk: ")
    told = until(kit.waiting)
    time.sleep(3)  # so that something is measured meanwhile; how much does not matter
    freed = time.time()
    kit.ballast.unlink()
    until((kit.folder / "out.jsonl").exists)
    until(kit.made)
    state = kit.status().stdout
    assert "make room there" in told
    assert "running since" in state
    assert f"{kit.path.name}.damaged-" in state
    assert kit.end() == 0
    assert min(kit.made()) < freed - 1
    with View(kit.path) as view:
        (old,) = view.all("SELECT count(*) AS n FROM telegrams WHERE time < ?", COUNT)
    assert (old["n"], len(copies(kit.path))) == (COUNT, 1)


def test_it_can_be_stopped_while_it_waits(kit):
    """As an engine can, and nothing is touched; what only memory had is said."""
    before = kit.path.read_bytes()
    kit.hears("STATUS=waiting for the disk: ")
    time.sleep(3)  # as above
    assert kit.end() == 0
    assert kit.path.read_bytes() == before
    assert "telegrams that the journal could not take are lost" in (kit.folder / "log").read_text()
