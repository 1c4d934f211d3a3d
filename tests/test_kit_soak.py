"""A kit of three simulated sensors to which one thing after the other happens.

`SOAK_SECONDS` says how long; `make soak` takes ten minutes. Whatever happens, no value is wrong,
no gap is left unexplained, and nothing grows.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from mysense.hw import faults, sim_port, sim_pulses
from mysense.hw.faults import Faults
from mysense.hw.scenario import Scenario
from tests.cli.conftest import environment

SECONDS = float(os.environ.get("SOAK_SECONDS", "26"))
LONG = SECONDS >= 300
INTERVAL = 5 if LONG else 3
PATIENCE = SECONDS + 90  # until all faults are over and all sensors are back
SETTLED = 20 if LONG else 8  # seconds after which threads and descriptors are all there
FAULTS = {  # what is over at the end, and had the time to come back
    "bme280": "5s unplug 9s, 1s nack 2s",
    "dht": "4s checksum 3s, 10s garbage 4s",
    "dylos": "4s garbage 2s, 8s partial 2s, 12s unplug 5s",
}
if LONG:
    FAULTS = {
        "bme280": "every 50s slow 3s, every 64s nack 5s, every 75s stuck-ff 6s, "
        "every 90s garbage 9s, every 113s stuck-00 7s, every 170s unplug 25s",
        "dht": "every 50s checksum 6s, every 70s missing 8s, every 95s garbage 12s, "
        "every 130s unplug 20s, every 210s hang 20s",
        "dylos": "every 45s partial 5s, every 62s garbage 8s, every 80s silence 10s, "
        "every 130s slow 20s, every 175s unplug 25s",
    }
KINDS = {*faults.I2C, *sim_pulses.KINDS, *sim_port.KINDS}
FIELDS = {
    "bme280": {"temp": "temperature", "rh": "humidity", "hpa": "pressure"},
    "dht": {"dtemp": "temperature", "drh": "humidity"},
    "dylos": {"pm_25": "small", "pm_10": "large"},
}
RESOLUTION = {"bme280": 0.02, "dht": 0.06, "dylos": 0.51}
OPTIONS = {"bme280": "sample = 1", "dht": "sample = 2.5", "dylos": "sample = 1\nstale = 4"}


@attrs.frozen
class Look:
    """What the process had at one moment."""

    seconds: float
    threads: int
    descriptors: int
    memory: int  # KiB


@attrs.frozen
class Soak:
    """What came of it."""

    began: float
    ended: float
    code: int
    stopping: float
    looks: list[Look]
    telegrams: list[dict[str, float]]
    events: list[dict[str, object]]
    left: list[str]
    log: str

    def present(self, sensor):
        """The times of the telegrams in which a sensor has a value."""
        return [t["time"] for t in self.telegrams if FIELDS[sensor].keys() & t.keys()]

    def gaps(self, sensor):
        """From when to when a sensor gave nothing, and how many telegrams lack it."""
        times = [self.telegrams[0]["time"] - INTERVAL, *self.present(sensor)]
        times.append(self.telegrams[-1]["time"] + INTERVAL)
        for before, after in pairwise(times):
            missing = round((after - before) / INTERVAL) - 1
            if missing > 0:
                yield before, after, missing

    def told(self, sensor, kind, since, until):
        """Whether the journal has such an event of this sensor in that time."""
        return any(
            e["who"] == sensor and e["kind"] == kind and since <= e["at"] <= until
            for e in self.events
        )


def conf(folder):
    sensors = "".join(
        f"[{name}]\ninput = true\nbackend = sim\ninterval = {INTERVAL}\n{OPTIONS[name]}\n"
        f"faults = {FAULTS[name]}\n"
        for name in FIELDS
    )
    (folder / "MySense.conf").write_text(
        f"[id]\nproject = BdP\nserial = soak\n[journal]\nfile = {folder}/journal.db\n"
        f"[jsonl]\noutput = true\nfile = {folder}/sent.jsonl\n{sensors}"
    )


def look(pid, began):
    status = Path(f"/proc/{pid}/status").read_text()
    numbers = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Look(
        time.monotonic() - began,
        int(numbers["Threads"]),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(numbers["VmRSS"].split()[0]),
    )


def over(folder, started):
    """Whether it ran long enough; on a busy machine a sensor takes longer to come back."""
    seconds = time.monotonic() - started
    if LONG or seconds < SECONDS or seconds > PATIENCE:
        return seconds >= SECONDS
    with sqlite3.connect(f"file:{folder}/journal.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT data FROM telegrams ORDER BY seq DESC LIMIT 3").fetchall()
    db.close()
    newest = set().union(*(json.loads(data) for (data,) in rows))
    return all(fields.keys() & newest for fields in FIELDS.values())


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """The real command, watched from outside, stopped as a service manager does."""
    folder = tmp_path_factory.mktemp("soak")
    conf(folder)
    (folder / "tmp").mkdir()
    began, started, looks = time.time(), time.monotonic(), []
    with (folder / "log").open("w") as log:
        kit = subprocess.Popen(
            [sys.executable, "-m", "mysense", "run", "-c", "MySense.conf"],
            cwd=folder,
            env=environment(folder, TMPDIR=str(folder / "tmp")),
            stdin=subprocess.DEVNULL,
            stderr=log,
            stdout=log,
        )
        try:
            while kit.poll() is None and not over(folder, started):
                time.sleep(0.5)
                looks.append(look(kit.pid, started))
            stopped = time.monotonic()
            kit.send_signal(signal.SIGTERM)
            code = kit.wait(20)
        finally:
            kit.kill()
            kit.wait()
    stopping = time.monotonic() - stopped
    with sqlite3.connect(folder / "journal.db") as db:
        telegrams = [
            json.loads(d) for (d,) in db.execute("SELECT data FROM telegrams ORDER BY seq")
        ]
        times = [t for (t,) in db.execute("SELECT time FROM telegrams ORDER BY seq")]
        rows = db.execute("SELECT at, who, kind, text FROM events ORDER BY id").fetchall()
    db.close()
    return Soak(
        began=began,
        ended=began + stopped - started,
        code=code,
        stopping=stopping,
        looks=looks,
        telegrams=[{**data, "time": at} for data, at in zip(telegrams, times, strict=True)],
        events=[dict(zip(("at", "who", "kind", "text"), row, strict=True)) for row in rows],
        left=[path.name for path in (folder / "tmp").iterdir()],
        log=(folder / "log").read_text(),
    )


@pytest.fixture(autouse=True)
def story(soak, capsys):
    """Where something is wrong: what the kit had to say."""
    yield
    print("\n".join(soak.log.splitlines()[-40:]))


def test_it_measured(soak):
    """Most intervals made a telegram, and each sensor is in the newest, all faults aside."""
    slots = (soak.ended - soak.began) / INTERVAL
    newest = {name for telegram in soak.telegrams[-4:] for name in telegram}
    assert len(soak.telegrams) >= 0.6 * slots
    assert all(fields.keys() & newest for fields in FIELDS.values())


@pytest.mark.skipif(not LONG, reason="a share takes its time; make soak")
def test_no_sensor_was_away_for_long(soak):
    """Each sensor was in many telegrams."""
    slots = (soak.ended - soak.began) / INTERVAL
    assert all(len(soak.present(sensor)) >= 0.25 * slots for sensor in FIELDS)


@pytest.mark.parametrize("sensor", FIELDS)
def test_no_value_is_wrong(sensor, soak):
    """Each value lies between the least and the most that was there in its interval."""
    street, wrong = Scenario(), []
    for telegram in soak.telegrams:
        at = telegram["time"]
        airs = [street.at(at + tenth / 10) for tenth in range(-10 * INTERVAL - 20, 15)]
        for field, quantity in FIELDS[sensor].items():
            real = [getattr(air, quantity) for air in airs]
            low, high = min(real) - RESOLUTION[sensor], max(real) + RESOLUTION[sensor]
            if field in telegram and not low <= telegram[field] <= high:
                wrong.append((at, field, telegram[field], low, high))
    assert wrong == []


@pytest.mark.parametrize("sensor", FIELDS)
def test_every_gap_is_explained(sensor, soak):
    """Three telegrams without a sensor are an event, fewer lie in a fault, and it came back."""
    unexplained = []
    for since, until, missing in soak.gaps(sensor):
        told = soak.told(sensor, "silent", since, until + 2)
        if missing >= 3 and not told:
            unexplained.append((since - soak.began, until - soak.began, missing))
        if missing < 3 and not in_fault(sensor, since - soak.began, until - soak.began):
            unexplained.append((since - soak.began, until - soak.began, missing))
        if told and until <= soak.ended - INTERVAL:
            assert soak.told(sensor, "back", since, until + 2)
    assert unexplained == []


def in_fault(sensor, since, until):
    """Whether a fault of this sensor may be what emptied these seconds after the start.

    A kit takes a moment to start, and after a fault a moment to try again: as long as it lasted.
    """
    now = [0.0]
    script = Faults.parse(FAULTS[sensor], KINDS, lambda: now[0])
    for half in range(int(2 * max(since - 35, 0)), int(2 * until)):
        now[0] = half / 2
        if any(script.active(kind) for kind in KINDS):
            return True
    return False


def test_events_belong_to_gaps(soak):
    """Nothing is reported of a sensor that did not miss anything."""
    for event in soak.events:
        if event["kind"] == "silent":
            gaps = soak.gaps(event["who"])
            assert any(since <= event["at"] <= until + 2 for since, until, _ in gaps)


def test_no_clock_was_lost(soak):
    """No two telegrams of one second, and none that is later than the interval before."""
    times = [telegram["time"] for telegram in soak.telegrams]
    assert times == sorted(set(times))


@pytest.mark.parametrize("what", ["threads", "descriptors"])
def test_nothing_leaks(what, soak):
    """There are never more threads or descriptors than there were at first."""
    first = [getattr(look, what) for look in soak.looks if look.seconds <= SETTLED]
    later = [getattr(look, what) for look in soak.looks if look.seconds > SETTLED]
    assert max(later) <= max(first) + (0 if LONG else 2)


def test_memory_is_flat(soak):
    """What it needs at the end is what it needed after the start, to 2 MB."""
    settled = [look.memory for look in soak.looks if look.seconds > SETTLED]
    quarter = max(1, len(settled) // 4)
    assert max(settled[-quarter:]) - max(settled[:quarter]) < 2048


def test_it_stops(soak):
    """It ends within two seconds and leaves nothing in the folder for passing files."""
    assert (soak.code, soak.left) == (0, [])
    assert soak.stopping < 2
