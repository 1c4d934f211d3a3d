"""A DHT through its public driver: over the real library on simulated pulses, and the kernel."""

import csv
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from mysense.hw import iio, pulses
from mysense.hw.faults import Faults
from mysense.hw.pace import Pace
from mysense.hw.scenario import Air
from mysense.hw.sim_iio import SimulatedIio, texts
from mysense.hw.sim_pulses import pulses as sent
from mysense.loader import home
from mysense.plugin import Gone, Misconfigured, Transient
from mysense.settings import SettingsError, Source
from sensors.MyDHT import DhtSensor, DhtSettings
from tests.conftest import CHECKOUT
from tests.hw.clock import VirtualClock

RECORDINGS = CHECKOUT.parent / "shared/data/dht-edges"
GOOD = sent(bytes.fromhex("028c015fee"))

library = pytest.mark.skipif(not pulses.installed(), reason="needs adafruit-circuitpython-dht")


def rest():
    """A pace on a clock that moves by itself, so that tests need not wait."""
    clock = VirtualClock()

    def wait(seconds):
        clock.now += seconds
        return False

    return Pace(2.5, clock, wait)


class Wire:
    """What comes over the pin, measurement by measurement."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def wired(*answers, pace=None, **options):
    """A driver over the real library; each answer is a list of pulses, None hangs."""
    settings = DhtSettings(**({"backend": "sim"} | options))
    return DhtSensor(settings, "dht", line=Wire(*answers), pace=pace or rest())


def reading(*answers, **options):
    with wired(*answers, **options) as sensor:
        sensor.open()
        return dict(sensor.read())


def framed(text):
    return sent(bytes.fromhex(text))


def checked(data):
    """Four bytes and their sum, as pulses."""
    four = bytes.fromhex(data)
    return sent(four + bytes([sum(four) & 0xFF]))


@library
@pytest.mark.parametrize(
    ("kind", "frame", "temperature", "humidity"),
    [
        ("DHT22", "028c015fee", 35.1, 65.2),
        ("AM2302", "028c015fee", 35.1, 65.2),
        ("DHT22", "028c806573", -10.1, 65.2),
        ("DHT22", "028c80000e", 0.0, 65.2),
        ("DHT11", "3200170049", 23.0, 50),
        ("DHT11", "3200170750", 23.7, 50),
    ],
)
def test_vectors(kind, frame, temperature, humidity):
    """Frames become what they mean."""
    assert reading(framed(frame), type=kind) == {"dtemp": temperature, "drh": humidity}


@library
def test_no_negative_zero():
    """The clones' -0.0 is 0.0."""
    assert math.copysign(1, reading(framed("028c80000e"))["dtemp"]) == 1


@library
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (checked("028cff9b"), "out of range"),
        (framed("0000000000"), "0 C and 0 %"),
        (GOOD[:-1], "0 C and 0 %"),
        ([min(us, 51) for us in GOOD], "0 C and 0 %"),
        (framed("ffffffffff"), "Checksum"),
        (framed("028c015fef"), "Checksum"),
        (framed("320017074b"), "Checksum"),
        (checked("03e9015f"), "unplausible data"),
        (GOOD[:79], "full buffer"),
        (GOOD[:10], "full buffer"),
        (GOOD[:9], "not found, check wiring"),
        ([], "not found, check wiring"),
    ],
    ids=lambda given: given.replace(" ", "-") if isinstance(given, str) else len(given),
)
def test_refused(answer, message):
    """What is no measurement is refused, and the next slot may try again."""
    with pytest.raises(Transient, match=message):
        reading(answer)


@library
def test_eighty_pulses():
    """Eighty pulses are enough: those of forty bits."""
    assert reading(GOOD[2:82]) == {"dtemp": 35.1, "drh": 65.2}


@library
@pytest.mark.parametrize(
    ("kind", "frame", "hint"),
    [("DHT11", "028c015fee", "type = DHT22"), ("DHT22", "3200170049", "type = DHT11")],
)
def test_wrong_type_is_hinted(kind, frame, hint):
    """A chip of another type gives no value, but the option to set."""
    with pytest.raises(Transient, match=hint):
        reading(framed(frame), type=kind)


@library
def test_nothing_stale():
    """After a failed measurement comes the next one, never the one before it."""
    found = []
    with wired(GOOD, GOOD[:79], [], framed("028c806573")) as sensor:
        sensor.open()
        for _ in range(4):
            try:
                found.append(sensor.read()["dtemp"])
            except Transient:
                found.append(None)
    assert found == [35.1, None, None, -10.1]


@library
def test_too_soon_is_refused():
    """What the library keeps for two seconds is not taken for a measurement."""
    with wired(GOOD, GOOD[:79], GOOD, pace=Pace(0, lambda: 1000.0)) as sensor:
        sensor.open()
        sensor.read()
        for _ in range(2):
            with pytest.raises(Transient, match="too soon"):
                sensor.read()


@library
def test_rests_between_measurements():
    """Two measurements begin two and a half seconds apart, also when it was opened anew."""
    pace = rest()
    with wired(GOOD, pace=pace) as sensor:
        for _ in range(3):
            sensor.open()
            sensor.read()
    assert pace.next() == 1007.5


def recorded(name):
    """The answers of a chip in a recording, from the first low pulse on, in us."""
    with (RECORDINGS / name).open() as file:
        edges = [row for row in csv.reader(file) if row[0][0].isdigit()]
    levels = [(level, float(end[0]) - float(at)) for (at, level), end in pairwise(edges)]
    answers, answer = [], None
    for level, us in levels:
        if level == "0" and us > 900:  # the host's start signal
            answer = []
            answers.append(answer)
        elif us > 900:  # nobody speaks
            answer = None
        elif answer is not None:
            answer.append(round(us))
    return [answer[1:] for answer in answers]  # the first high one is the host's


@library
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs the recordings")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("am2302_1mhz_200s.csv", "AM2302"),
        ("am2302_1mhz_200s.csv", "DHT22"),
        ("dht11_1mhz.csv", "DHT11"),
        ("am2301_1mhz.csv", "AM2301"),
    ],
)
def test_recordings(name, kind):
    """Every frame that a logic analyser has seen gives its value."""
    recordings = {
        entry["file"]: entry for entry in json.loads((RECORDINGS / "decoded.json").read_text())
    }
    wanted = [(each["temperature"], each["humidity"]) for each in recordings[name]["decoded"]]
    answers = recorded(name)
    with wired(*answers, type=kind) as sensor:
        sensor.open()
        found = [tuple(sensor.read().values()) for _ in answers]
    assert found == wanted


@library
def test_random_pulses():
    """Whatever comes over the pin is refused, or within what the chip can measure."""
    noise = random.Random(7)
    answers = [
        [noise.choice((noise.randrange(65536), 26, 70)) for _ in range(noise.choice((80, 83, 131)))]
        for _ in range(2000)
    ]
    found = []
    with wired(*answers, pace=rest()) as sensor:
        sensor.open()
        for _ in answers:
            try:
                found.append(sensor.read())
            except Transient:
                continue
    assert all(-40 <= each["dtemp"] <= 80 and 0 <= each["drh"] <= 100 for each in found)


@library
def test_hanging_library(monkeypatch):
    """A library that hangs is ended in bounded time; opened again, it measures."""
    monkeypatch.setattr(pulses, "_MEASURING", 1.5)
    with wired(None, GOOD) as sensor:
        sensor.open()
        begin = time.monotonic()
        with pytest.raises(Gone, match="no answer"):
            sensor.read()
        took = time.monotonic() - begin
        sensor.close()
        sensor.open()
        assert (took < 8, sensor.read()["dtemp"]) == (True, 35.1)


@library
def test_interrupt_ends_a_hang():
    """A measurement that hangs ends when the engine stops."""
    with wired(None) as sensor:
        sensor.open()
        threading.Timer(0.2, sensor.interrupt).start()
        begin = time.monotonic()
        with pytest.raises(Gone, match="ended from outside"):
            sensor.read()
        assert time.monotonic() - begin < 5


@library
def test_nothing_left():
    """Opening and closing leaves no descriptor, process or signal handler behind."""

    def state():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return sorted(Path("/proc/self/fd").iterdir()), children, signal.getsignal(signal.SIGTERM)

    before = state()
    sensor = wired(GOOD)
    for _ in range(5):
        sensor.open()
        sensor.open()
        sensor.read()
        sensor.close()
        sensor.close()
    assert state() == before


def test_closed():
    """Reading what is not open is told."""
    with pytest.raises(Gone, match="not open"):
        wired(GOOD).read()


@library
def test_this_machine_has_no_pins():
    """Where the library does not know the machine, this is explained."""
    with DhtSensor(DhtSettings()) as sensor, pytest.raises(Misconfigured, match="backend = sim"):
        sensor.open()


def kernel(tmp_path, **files):
    """A driver over the kernel's files."""
    air = Air(temperature=-3.25, humidity=65.3, pressure=0, small=0, large=0)
    source = texts(air, pressure=False) | files
    tree = SimulatedIio("dht11@4", lambda: source, folder=tmp_path).tree()
    return DhtSensor(DhtSettings(backend="iio"), "dht", tree=tree, pace=rest())


def test_kernel(tmp_path):
    """The kernel's thousandths become C and %."""
    with kernel(tmp_path) as sensor:
        sensor.open()
        assert sensor.read() == {"dtemp": -3.25, "drh": 65.3}


@pytest.mark.parametrize(
    "files",
    [
        {iio.TEMPERATURE: "0", iio.HUMIDITY: "0"},
        {iio.TEMPERATURE: "-3266700"},
        {iio.HUMIDITY: "100100"},
        {iio.HUMIDITY: "65"},
        {iio.TEMPERATURE: ""},
        {iio.TEMPERATURE: "nan"},
    ],
    ids=str,
)
def test_kernel_refused(tmp_path, files):
    """What is no measurement is refused, however it was read."""
    with kernel(tmp_path, **files) as sensor:
        sensor.open()
        with pytest.raises(Transient):
            sensor.read()


def test_kernel_fails_now_and_then():
    """An error of input and output is one of this reading only."""
    settings = DhtSettings(backend="sim-iio", faults="0s checksum")
    with DhtSensor(settings, pace=rest()) as sensor:
        sensor.open()
        with pytest.raises(Transient, match="Input/output error"):
            sensor.read()


def test_kernel_without_overlay(tmp_path):
    """A driver that is not loaded is told, with the line that loads it."""
    settings = DhtSettings(backend="iio", pin=17)
    with pytest.raises(Gone, match="dtoverlay=dht11,gpiopin=17"):
        DhtSensor(settings, tree=iio.Tree(tmp_path)).open()


@library
@pytest.mark.parametrize("backend", ["sim", "sim-iio"])
@pytest.mark.parametrize("kind", ["DHT11", "DHT22", "AM2302", "AM2301"])
def test_simulated(backend, kind):
    """Each simulated chip is read either way."""
    frame = "3200170049" if kind == "DHT11" else "028c015fee"
    with DhtSensor(DhtSettings(backend=backend, type=kind, frame=frame), pace=rest()) as sensor:
        sensor.open()
        values = (23.0, 50) if kind == "DHT11" else (35.1, 65.2)
        assert tuple(sensor.read().values()) == values


def test_without_the_library(monkeypatch, caplog):
    """`sim` measures where the library is not installed, and says what it does."""
    monkeypatch.setattr(pulses, "installed", lambda: False)
    caplog.set_level(logging.INFO)
    with DhtSensor(DhtSettings(backend="sim", frame="028c015fee"), pace=rest()) as sensor:
        sensor.open()
        values = sensor.read()
    assert (values["dtemp"], "simulates the kernel" in caplog.text) == (35.1, True)


@library
def test_faults_go_on_when_opened_again():
    """A script of faults begins once, not at every opening."""
    clock = VirtualClock()
    with DhtSensor(DhtSettings(backend="sim", frame="028c015fee"), pace=rest()) as sensor:
        chip = sensor._simulated()
        chip._faults = Faults.parse("10s unplug", ["unplug"], clock)
        sensor.open()
        sensor.read()
        clock.now += 11
        sensor.open()
        with pytest.raises(Transient, match="not found"):
            sensor.read()


@pytest.mark.parametrize(
    "override",
    ["sample=2.4", "type=DHT21", "pin=28", "pin=-1", "faults=5s boo", "frame=02", "backend=x"],
)
def test_settings_refused(tmp_path, override):
    """Options that cannot be are refused before anything starts."""
    path = tmp_path / "MySense.conf"
    path.write_text("[dht]\n")
    source = Source(path, [f"dht.{override}"])
    source.structure("dht", DhtSettings)
    with pytest.raises(SettingsError):
        source.finish()


@library
def test_check_is_good():
    """A check shows one reading with its units."""
    found = list(DhtSensor(DhtSettings(backend="sim", frame="028c015fee"), pace=rest()).check())
    texts = "; ".join(finding.what for finding in found if finding.good)
    assert (len(found), "dtemp 35.1 C, drh 65.2 %" in texts) == (2, True)


def test_check_of_a_bad_one():
    """A check that fails has a fix for each failure."""
    settings = DhtSettings(backend="sim-iio", faults="0s unplug")
    bad = [each for each in DhtSensor(settings, pace=rest()).check() if not each.good]
    assert (len(bad), all(each.fix for each in bad)) == (1, True)


def test_check_without_pins(tmp_path):
    """A machine without pins is told so, with a fix."""
    finding = pulses.access(tmp_path)
    assert (finding.good, bool(finding.fix)) == (False, True)


def test_check_of_pins(tmp_path):
    """Pins that can be opened are named."""
    (tmp_path / "gpiochip0").touch()
    assert pulses.access(tmp_path).good


@library
def test_alone_prints_readings():
    """Started as a file it prints a JSON object a reading and nothing else."""
    words = [sys.executable, home() / "sensors/MyDHT.py", "-c", os.devnull, "-n", "1"]
    words += ["-o", "dht.backend=sim", "-o", "dht.frame=028c015fee"]
    done = subprocess.run(words, capture_output=True, check=True, cwd=home(), timeout=60)
    values = json.loads(done.stdout)
    assert (values["dtemp"], values["drh"]) == (35.1, 65.2)
