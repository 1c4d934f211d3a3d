"""A BME280 with everything that goes wrong on a bus: recognised, and never a wrong value."""

import itertools
import random
import time

import pytest

from mysense.errors import MySenseError
from mysense.hw import faults
from mysense.hw.sim_bme280 import CALIBRATION
from mysense.hw.sim_i2c import SimulatedBus
from mysense.plugin import Gone, Misconfigured, Transient
from sensors.MyBME280 import Bme280Sensor
from tests.sensors.bench import BURST, VECTORS, Hands, approximately, chip, settings, wired


@pytest.mark.parametrize(
    ("kind", "wrong", "reason"),
    [
        ("nack", Transient, "NACK"),
        ("unplug", Transient, "NACK"),
        ("stuck-ff", Gone, "stuck high"),
        ("stuck-00", Gone, "stuck low"),
        ("garbage", Gone, "lost its settings"),
        ("slow", Transient, "still measuring"),
    ],
)
def test_fault_while_open(kind, wrong, reason):
    """Every fault is recognised for what it is, soon, and gives no value."""
    hands = Hands()
    script = faults.Faults.parse(f"10s {kind} 10s", faults.I2C, hands)
    bus = SimulatedBus({0x77: chip(faults=script)}, script)
    with Bme280Sensor(settings(), open_bus=bus.open) as sensor:
        sensor.open()
        hands.now = 15
        start = time.monotonic()
        with pytest.raises(wrong, match=reason):
            sensor.read()
        assert time.monotonic() - start < 10


@pytest.mark.parametrize("kind", ["nack", "unplug", "stuck-ff", "stuck-00", "garbage"])
def test_fault_while_opening(kind):
    """With a fault from the start it cannot be opened, which may pass."""
    with wired({0x77: chip()}, f"0s {kind}") as sensor, pytest.raises(Gone):
        sensor.open()


@pytest.mark.parametrize("kind", ["nack", "unplug", "stuck-ff", "stuck-00", "garbage"])
def test_back_after_a_fault(kind):
    """Closed and opened again after the fault, it measures as before."""
    hands = Hands()
    with wired({0x77: chip()}, f"10s {kind} 10s", hands) as sensor:
        sensor.open()
        hands.now = 15
        with pytest.raises((Gone, Transient)):
            sensor.read()
        hands.now = 25
        sensor.close()
        sensor.open()
        assert sensor.read()["temp"] == pytest.approx(23.722, abs=1e-3)


def test_exchanged_between_two_readings():
    """Another chip has another calibration: it is not read with that of the one before."""
    hands = Hands()
    with wired({0x77: chip()}, "10s unplug 1s", hands) as sensor:
        sensor.open()
        hands.now = 60
        with pytest.raises(Gone, match="lost its settings"):
            sensor.read()


@pytest.mark.parametrize("transfers", range(12))
@pytest.mark.parametrize("kind", ["stuck-ff", "stuck-00"])
def test_stuck_in_mid_reading(kind, transfers):
    """Wherever in a reading the bus gets stuck: no value that is not the chip's."""
    left = itertools.count(transfers, -1)
    reading = False
    with wired({0x77: chip()}, f"1s {kind}", lambda: float(reading and next(left) < 0)) as sensor:
        sensor.open()
        reading = True
        try:
            found = sensor.read()
        except (Gone, Transient):
            return
        assert found == approximately(*VECTORS[0][1:])


@pytest.mark.parametrize("last", range(1, 7))
@pytest.mark.parametrize("value", [0x00, 0xFF])
def test_stuck_in_mid_burst(last, value):
    """A burst whose end is what a stuck line gives is refused."""
    torn = BURST[:last] + bytes([value]) * (8 - last)
    with wired({0x77: chip(torn)}) as sensor:
        sensor.open()
        with pytest.raises((Gone, Transient)):
            sensor.read()


class Dithering:
    """Whoever asks gets the same wrong byte for a while, then another."""

    def __init__(self):
        self._left = 6

    def power_on(self):
        pass

    def write(self, data):
        pass

    def read(self, length):
        self._left -= 1
        return bytes([0x58 if self._left > 0 else 0x60]) * length


def test_disturbed_id_does_not_stop_it():
    """What looks like a BMP280 for an instant is tried again, not given up."""
    with wired({0x77: Dithering()}) as sensor, pytest.raises(Gone, match="reads differently"):
        sensor.open()


class Tearing:
    """A chip whose bus gets stuck before the last byte of a measurement, and stays so."""

    def __init__(self, value):
        self._chip, self._value, self._stuck = chip(), bytes([value]), False
        self.power_on, self.write = self._chip.power_on, self._chip.write

    def read(self, length):
        if self._stuck:
            return self._value * length
        values = self._chip.read(length)
        self._stuck = length == 8
        return values[:-1] + self._value if self._stuck else values


@pytest.mark.parametrize("value", [0x00, 0xFF])
def test_stuck_from_the_last_byte_on(value):
    """A burst that could be the chip's does not count when the bus is stuck after it."""
    with wired({0x77: Tearing(value)}) as sensor:
        sensor.open()
        with pytest.raises(Gone, match="stuck"):
            sensor.read()


@pytest.mark.parametrize(("value", "reason"), [(0x00, "stuck low"), (0xFF, "stuck high")])
def test_stuck_for_one_burst(value, reason):
    """A burst of nothing but what a stuck line gives is told as that."""
    with wired({0x77: chip(bytes([value]) * 8)}) as sensor:
        sensor.open()
        with pytest.raises(Gone, match=reason):
            sensor.read()


def test_nothing_measured():
    """What the registers hold after a reset is no measurement."""
    with wired({0x77: chip(bytes.fromhex("8000008000008000"))}) as sensor:
        sensor.open()
        with pytest.raises(Transient, match="has not measured"):
            sensor.read()


@pytest.mark.parametrize("seed", range(40))
def test_random_calibration(seed):
    """A chip of random bytes gives a number or one of the sensor's errors, never anything else."""
    noise = random.Random(seed)
    burst = bytearray(noise.randbytes(8))
    burst[2] &= 0xF0
    burst[5] &= 0xF0
    sensor = wired({0x77: chip(bytes(burst), calibration=noise.randbytes(33))})
    try:
        with sensor:
            sensor.open()
            values = sensor.read()
    except (Gone, Transient):
        return
    assert 0 <= values["rh"] <= 100


def test_calibration_without_sense():
    """A calibration that divides by zero is Gone, to be read again, not a crash."""
    zeros = bytearray(CALIBRATION)
    zeros[6:8] = b"\0\0"
    with wired({0x77: chip(calibration=bytes(zeros))}) as sensor:
        sensor.open()
        with pytest.raises(Gone, match="calibration"):
            sensor.read()


class Hostile:
    """Whatever is read from it is noise."""

    def __init__(self, seed):
        self._noise = random.Random(seed)

    def power_on(self):
        pass

    def write(self, data):
        pass

    def read(self, length):
        return bytes(
            self._noise.choice((0, 0x60, 0xFF, self._noise.randrange(256))) for _ in range(length)
        )


def test_hostile_device():
    """A device that answers noise neither crashes nor hangs the driver, and gives no value."""
    outcomes = set()
    start = time.monotonic()
    for seed in range(300):
        sensor = wired({0x77: Hostile(seed)})
        try:
            with sensor:
                sensor.open()
                sensor.read()
        except MySenseError as wrong:
            outcomes.add(isinstance(wrong, Gone | Misconfigured | Transient))
        else:
            pytest.fail(f"seed {seed} gave a value")
    assert (outcomes, time.monotonic() - start < 30) == ({True}, True)
