"""A BME280 on a bench: the driver over simulated chips, and what real registers mean."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mysense.hw import faults
from mysense.hw.sim_bme280 import SimulatedBme280
from mysense.hw.sim_i2c import SimulatedBus
from sensors.MyBME280 import Bme280Sensor, Bme280Settings

A = "106e6c6632005d95b8d5d00b771e9dfff9ffac260ad8bd10004b/6e01001305001e"
VECTORS = [  # checked against Bosch's own code; C, hPa, %
    (f"{A}/4a52c08096c07a76", 23.722070, 1009.429624, 65.306116),
    (f"{A}/557300664b806590", -9.943945, 882.771914, 32.621131),
    (f"{A}/4a52c08096c0ea60", 23.722070, 1009.429624, 100),
    (f"{A[:52]}/6e01001325031e/4a52c08096c07a76", 23.722070, 1009.429624, 64.544380),
    (
        "706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c67017004b/6e01001305001e/655ac07eed00790b",
        25.082422,
        1006.532581,
        63.468160,
    ),
    (
        "c96c63653200779398d5d00b6723ba00f9ffac260ad8bd10004b/5c0100150f001e/519fc09e3a505e5b",
        62.683594,
        995.761953,
        9.945114,
    ),
]
BURST = bytes.fromhex("4a52c08096c07a76")


class Hands:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self):
        return self.now


def settings(**options):
    return Bme280Settings(**({"backend": "sim"} | options))


def wired(chips, script="", clock=time.monotonic, **options):
    """A driver over a bus with these chips; faults on their own clock."""
    bus = SimulatedBus(chips, faults.Faults.parse(script, faults.I2C, clock))
    return Bme280Sensor(settings(**options), "bme280", open_bus=bus.open)


def chip(burst=BURST, **options):
    return SimulatedBme280(lambda: burst, **options)


def approximately(temperature, pressure, humidity):
    return {
        "temp": pytest.approx(temperature, abs=3e-4),
        "hpa": pytest.approx(pressure, abs=2e-3),
        "rh": pytest.approx(humidity, abs=1e-5),
    }


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))
