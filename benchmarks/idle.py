"""CPU of an idle kit: three simulated sensors at `sample = 10`, a telegram a minute.

    python benchmarks/idle.py [SECONDS]

First the whole kit, twins included, as its process accounts it with all its children; then, in this
process, what a reading of each driver takes, without whatever runs while it waits.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT

from sensors.MyBME280 import Bme280Sensor, Bme280Settings
from sensors.MyDHT import DhtSensor, DhtSettings

WANTED = 1.0  # percent of a core
SETTLED = 10.0  # seconds after the start in which it imports, opens and finds its pace
SENSORS = {"bme280": {}, "dht": {}, "dylos": {"pace": "60"}}
TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    below = [int(child) for file in children for child in file.read_text().split()]
    return [pid, *(one for child in below for one in tree(child))]


def spent(pid: int) -> dict[int, float]:
    """Seconds of CPU that each process has had, itself and its children that have ended."""
    found = {}
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        found[one] = sum(map(int, fields[11:15])) / TICKS
    return found


def kit(seconds: float, folder: Path) -> None:
    """`mysense run` with three simulated sensors and a file as output."""
    options = ["id.project=bench", "id.serial=1", f"journal.file={folder}/journal.db"]
    options += ["jsonl.output=true", f"jsonl.file={folder}/sent.jsonl"]
    for name, more in SENSORS.items():
        settings = {"input": "true", "backend": "sim", "sample": "10", "interval": "60"} | more
        options += [f"{name}.{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "MySense.py", "run", "-c", "/dev/null"]
    command += [word for option in options for word in ("-o", option)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        time.sleep(SETTLED)
        began, before = time.monotonic(), spent(process.pid)
        time.sleep(seconds)
        passed, after = time.monotonic() - began, spent(process.pid)
    finally:
        process.terminate()
        process.wait()
    told("kit with its twins, all processes", sum(after.values()) - sum(before.values()), passed)
    told("of it the kit's own process", after[process.pid] - before[process.pid], passed)


def driver(name: str, sensor: Bme280Sensor | DhtSensor, readings: int) -> None:
    """What readings take in this process, as a share of a core at one in ten seconds."""
    with sensor:
        sensor.open()
        sensor.read()
        began = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(readings):
            sensor.read()
        ended = resource.getrusage(resource.RUSAGE_SELF)
    used = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    told(f"driver {name}, {used / readings * 1000:.1f} ms a reading", used, 10 * readings)


def told(what: str, used: float, passed: float) -> None:
    share = 100 * used / passed
    verdict = "met" if share < WANTED else f"missed by {share - WANTED:.2f} %"
    print(f"{what:42} {share:6.2f} % of a core over {passed:.0f} s (wanted below 1 %: {verdict})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        kit(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0, Path(temporary))
    driver("bme280", Bme280Sensor(Bme280Settings(backend="sim"), "bme280"), 20)
    driver("dht", DhtSensor(DhtSettings(backend="sim"), "dht"), 3)
