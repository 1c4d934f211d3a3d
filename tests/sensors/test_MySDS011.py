"""The SDS011 driver over a pty: frames, faults, what is left behind."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import pytest

from mysense.hw import ports, sds011
from mysense.hw.faults import Faults
from mysense.hw.sim_sds011 import KINDS, SimSds011
from mysense.plugin import Gone, Misconfigured, Transient
from mysense.settings import Source
from sensors.MySDS011 import PLUGIN, Sds011Settings
from tests.hw.clock import VirtualClock

CAPTURED = Path(__file__).resolve().parents[3] / "shared" / "data" / "pm-bytes"
FRAME = sds011.measurement(12.5, 34.6)
READING = {"pm_25": 12.5, "pm_10": 34.6}


class Bench:
    """A driver on a simulated SDS011, both on one virtual clock."""

    def __init__(self, script="", **settings):
        self.clock = VirtualClock()
        self.masses = (12.5, 34.6)
        self.far = SimSds011(
            lambda: self.masses, Faults.parse(script, KINDS, self.clock), self.clock
        )
        settings = {"port": str(self.far.port)} | settings
        self.sensor = PLUGIN(Sds011Settings(**settings), "sds011", self.clock)

    def open(self):
        """Open it."""
        self.sensor.open()
        return self.sensor

    def send(self, data):
        """Put bytes on the wire."""
        self.far._send(data)

    def wait(self, seconds=1.0):
        """Let time pass."""
        self.clock.now += seconds
        self.far.step()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sensor.close()
        self.far.close()


@pytest.fixture
def bench(request):
    with Bench(**getattr(request, "param", {})) as bench:
        yield bench


def held():
    """How many descriptors and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_reading(bench):
    """A frame is a reading, in ug/m3."""
    sensor = bench.open()
    bench.wait()
    assert sensor.read() == READING


def test_warm_up():
    """What it measures while its fan comes up to speed is flagged."""
    assert PLUGIN.warm_up == 30


def test_fields(bench):
    """It measures two masses, and says of what kind."""
    assert [(f.name, f.unit, f.type) for f in bench.sensor.fields] == [
        ("pm_25", "ug/m3", "SDS011"),
        ("pm_10", "ug/m3", "SDS011"),
    ]


@pytest.mark.skipif(not CAPTURED.exists(), reason="the captured bytes are not here")
def test_captured_bytes(bench):
    """What real sensors sent gives what was published with it."""
    lines = (CAPTURED / "SDS01x.hexdump").read_text().splitlines()
    rows = (CAPTURED / "SDS01x.csv").read_text().splitlines()[1:]
    sensor, readings = bench.open(), []
    for line in lines:
        bench.send(bytes.fromhex(re.split(r":\s+|\s\s", line)[1]))
        readings.append(tuple(sensor.read().values()))
    assert readings == [tuple(map(float, row.split(",")[1:])) for row in rows]


@pytest.mark.skipif(not CAPTURED.exists(), reason="the captured bytes are not here")
@pytest.mark.parametrize("other", ["SDS198", "PMS3003", "PMSx003", "HPMA115C0", "MHZ19B"])
def test_other_sensors(other, bench):
    """The bytes of another sensor at this port never are a reading."""
    sensor = bench.open()
    lines = (CAPTURED / f"{other}.hexdump").read_text().splitlines()
    bench.send(b"".join(bytes.fromhex(re.split(r":\s+|\s\s", line)[1]) for line in lines))
    for _ in range(3):
        bench.clock.now += 40
        with pytest.raises(Transient, match=r"refused|no frame"):
            sensor.read()


@pytest.mark.parametrize(
    "wrong",
    [
        FRAME[:8] + bytes([FRAME[8] ^ 1]) + FRAME[9:],
        FRAME[:9] + b"\xac",
        b"\xaa\xc1" + FRAME[2:],
        b"\xaa" * 10,
        bytes(10),
    ],
)
def test_refused(wrong, bench):
    """What is no frame is told, and the next one is read."""
    sensor = bench.open()
    bench.send(FRAME + wrong + FRAME)
    readings = [sensor.read()]
    with pytest.raises(Transient, match=r"refused .*not a frame"):
        sensor.read()
    assert [*readings, sensor.read()] == [READING, READING]


def test_opened_in_the_middle(bench):
    """The tail of a frame after opening is nothing to tell."""
    sensor = bench.open()
    bench.send(FRAME[3:] + FRAME)
    assert sensor.read() == READING


def test_silence(bench):
    """Silence is told, with what to do, after `stale` seconds."""
    sensor = bench.open()
    bench.clock.now += 31
    with pytest.raises(Transient, match="no frame for 31 s; see that its fan turns"):
        sensor.read()


def test_interrupt(bench):
    """A wait for a frame ends soon after an interrupt."""
    sensor = bench.open()
    threading.Timer(0.2, sensor.interrupt).start()
    with pytest.raises(Transient, match="ended from outside"):
        sensor.read()


@pytest.mark.parametrize("bench", [{"script": "10s unplug 60s"}], indirect=True)
def test_unplug_and_return(bench):
    """Unplugged it is Gone, and stays so until its link is back; then it reads on."""
    bench.open()
    bench.wait(10)
    with pytest.raises(Gone, match="unplugged"):
        list(iter(bench.sensor.read, None))  # what had come before is read first
    bench.sensor.close()
    with pytest.raises(Gone, match="is not there"):
        bench.sensor.open()
    bench.wait(60)
    sensor = bench.open()
    bench.wait()
    assert sensor.read() == READING


@pytest.mark.parametrize("kind", ["checksum", "garbage", "partial"])
def test_damage(kind):
    """Whatever is damaged is never a reading; what comes afterwards is one."""
    with Bench(f"0s {kind} 10s") as bench:
        sensor = bench.open()
        for _ in range(5):
            bench.wait()
        with pytest.raises(Transient, match="refused"):
            sensor.read()
        bench.wait(5)
        bench.send(FRAME)
        found = [reading for reading in _rest(bench, 20) if reading]
    assert found
    assert all(reading == READING for reading in found)


def _rest(bench, count):
    for _ in range(count):
        bench.wait()
        try:
            yield bench.sensor.read()
        except Transient:
            yield None


@pytest.mark.parametrize("bench", [{"script": "0s slow"}], indirect=True)
def test_slow(bench):
    """A frame that comes byte by byte is one."""
    sensor, read = bench.open(), []
    reader = threading.Thread(target=lambda: read.append(sensor.read()))
    reader.start()
    for _ in range(40):
        bench.wait(0.05)
    reader.join(5)
    assert read == [READING]


def test_random_bytes(bench):
    """Random bytes: no crash, no hang, no reading; then a frame is found."""
    sensor, noise = bench.open(), random.Random(11)
    for _ in range(200):
        bench.send(noise.randbytes(noise.randrange(1, 60)) + noise.choice([b"", FRAME[:7]]))
        bench.clock.now += 40
        with pytest.raises(Transient):
            sensor.read()
    bench.send(FRAME * 2)
    assert READING in list(_rest(bench, 10))


@pytest.mark.parametrize("bench", [{"period": 5}], indirect=True)
def test_period(bench, caplog):
    """Told of a period, it tells the sensor, and waits so much longer."""
    caplog.set_level("INFO")
    sensor = bench.open()
    bench.wait(1)
    readings = [sensor.read()]
    waited = threading.Thread(target=lambda: readings.append(sensor.read()))
    waited.start()
    bench.wait(299)
    time.sleep(0.5)  # in which it looks at the clock
    bench.wait(1)
    waited.join(5)
    assert (readings, bench.far.pace) == ([READING, READING], 300)
    assert "answers that it measures every 5 min" in caplog.text


def test_period_is_left_alone(bench):
    """Without a period nothing is written to the sensor."""
    heard = []
    bench.far.heard = lambda data: heard.append(data) or b""
    bench.open()
    bench.wait()
    assert heard == []


def test_found_by_usbid(bench, monkeypatch):
    """Without a port it is found by a part of the name of its adapter."""
    monkeypatch.setattr(ports.find, "__defaults__", (bench.far.links,))
    with PLUGIN(Sds011Settings(), "sds011") as sensor:
        sensor.open()
        assert sensor._device.port == str(bench.far.port)


@pytest.mark.parametrize(
    ("port", "error"),
    [("/dev/no-such-port", Gone), ("nonsense://here", Misconfigured), (__file__, Misconfigured)],
)
def test_wrong_ports(port, error):
    """A port that cannot be opened is told by its name, and leaves nothing open."""
    sensor, before = PLUGIN(Sds011Settings(port=port)), held()
    with pytest.raises(error, match=r"port|/dev"):
        sensor.open()
    assert held() == before


def test_nothing_is_left(bench):
    """Opened and closed, in any order and often, it holds no descriptor and no thread."""
    bench.sensor.close()
    before = held()
    for _ in range(20):
        bench.sensor.open()
        bench.sensor.open()
        bench.sensor.close()
        bench.sensor.close()
    assert held() == before


def test_read_without_open(bench):
    """Reading what is not open is Gone, so that the core opens it."""
    with pytest.raises(Gone, match="not open"):
        bench.sensor.read()


def test_sim():
    """The simulated SDS011 needs one line of configuration, gives readings, and leaves nothing."""
    source = Source(overrides=["sds011.backend=sim"])
    before, sensor = held(), PLUGIN(source.structure("sds011", Sds011Settings), "sds011")
    with sensor:
        sensor.open()
        reading = sensor.read()
    assert (list(reading), held()) == (["pm_25", "pm_10"], before)


def test_sim_with_faults():
    """A simulated SDS011 that is unplugged stays so while it is opened again, and comes back."""
    clock = VirtualClock()
    sensor = PLUGIN(Sds011Settings(backend="sim", faults="30s unplug 30s"), "sds011", clock)
    sensor.open()
    clock.now += 40
    with pytest.raises(Gone, match="unplugged"):
        list(iter(sensor.read, None))
    sensor.close()
    with pytest.raises(Gone):
        sensor.open()
    clock.now += 30
    sensor.open()
    sensor.close()


def test_check_good():
    """A check of one that speaks is good, and shows units."""
    findings = list(PLUGIN(Sds011Settings(backend="sim"), "sds011").check())
    assert [f.good for f in findings] == [True]
    assert "ug/m3" in findings[-1].what


def test_check_silent(bench):
    """A check names the port, its rights, and a silence with what to do."""
    findings = list(PLUGIN(Sds011Settings(port=str(bench.far.port), stale=1), "sds011").check())
    assert [f.good for f in findings] == [True, True, False]
    assert "fan" in findings[2].fix


@pytest.mark.parametrize(
    "override",
    ["period=31", "period=-1", "stale=0", "faults=60s explode", "backend=bus", "usbid= "],
)
def test_bad_settings(override):
    """A value that makes no sense is a fault of the settings."""
    source = Source(overrides=[f"sds011.{override}"])
    source.structure("sds011", Sds011Settings)
    assert len(source.faults) == 1


@pytest.mark.parametrize("started", [["-m", "sensors.MySDS011"], ["sensors/MySDS011.py"]])
def test_standalone(started):
    """Started alone it prints readings, one JSON object a line."""
    out = subprocess.run(
        [sys.executable, *started, "-o", "sds011.backend=sim", "-n", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).resolve().parents[2],
    ).stdout
    assert [line.count('"pm_25"') for line in out.splitlines()] == [1, 1]


def test_every_option_has_a_text():
    """Each option says what it does."""
    assert all(field.metadata.get("help") for field in attrs.fields(Sds011Settings))
