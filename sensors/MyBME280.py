"""Temperature, humidity and air pressure with a BME280 of Bosch, over I2C or the kernel's driver.

All three come from one conversion. What the bus disturbed is refused, never passed on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from typing import Literal

import attrs

from mysense.errors import MySenseError
from mysense.hw import faults, i2c
from mysense.hw.bme280 import Chip
from mysense.hw.bme280_formulas import Datasheet, Formulas, Library, Measurement
from mysense.options import option
from mysense.plugin import Field, Gone, Misconfigured, Sensor, SensorSettings, Transient

_FAULTS = ("unplug", "nack", "stuck-ff", "stuck-00", "garbage", "slow")


def _addresses(texts: Sequence[str]) -> list[int]:
    return [int(text, 0) for text in texts]


def _not_addresses(texts: Sequence[str]) -> str | None:
    try:
        good = bool(texts) and all(at in i2c.EVERY_ADDRESS for at in _addresses(texts))
    except ValueError:
        good = False
    return None if good else "addresses from 0x08 to 0x77, such as `0x77, 0x76`"


@attrs.frozen(kw_only=True)
class Bme280Settings(SensorSettings):
    """How the chip is reached."""

    backend: Literal["i2c", "iio", "sim"] = option(
        "i2c", "i2c: the bus; iio: the kernel's driver; sim: a simulated chip on a simulated bus"
    )
    bus: int = option(1, "number of the I2C bus, 1 is /dev/i2c-1", low=0, high=255)
    i2c: tuple[str, ...] = option(
        ("0x77", "0x76"), "addresses that are tried, in this order", check=_not_addresses
    )
    faults: str = option(
        "",
        "what goes wrong with the simulated chip, such as `60s unplug 30s`",
        check=lambda script: faults.expected(script, _FAULTS),
    )


class Bme280Sensor(Sensor[Bme280Settings]):
    """Prints the readings of a BME280.

    Args:
        settings: how it is reached.
        section: its name in the configuration.
        open_bus: opens the I2C bus; the one that `backend` asks for unless given.
    """

    Settings = Bme280Settings
    fields = (
        Field("temp", "C", "temperature", -40, 85),
        Field("rh", "%", "humidity", 0, 100),
        Field("hpa", "hPa", "pressure", 300, 1100),
    )

    def __init__(
        self,
        settings: Bme280Settings,
        section: str = "",
        open_bus: i2c.Opener | None = None,
    ) -> None:
        super().__init__(settings, section)
        self._open_bus = open_bus
        self._bus: i2c.Bus | None = None
        self._chip: Chip | None = None
        self._formulas: Formulas | None = None

    def open(self) -> None:
        """Find the chip and read its calibration."""
        self.close()
        if self._open_bus is None:
            simulated = self.settings.backend == "sim"
            self._open_bus = self._simulated() if simulated else i2c.open_bus
        self._bus = self._open_bus(self.settings.bus)
        try:
            self._start(self._bus)
        except BaseException:  # whatever it is, the bus must not stay open
            self.close()
            raise

    def read(self) -> Mapping[str, float]:
        """One conversion: `temp` in C, `rh` in %, `hpa` in hPa."""
        if self._chip is None or self._formulas is None:
            raise Gone(f"{self.section} is not open")
        burst = self._chip.measure()
        try:
            return _fields(self._formulas.measurement(burst))
        except ArithmeticError as wrong:
            raise Gone(f"the chip's calibration is not usable: {wrong}") from wrong

    def close(self) -> None:
        """Close the bus."""
        bus, self._bus, self._chip = self._bus, None, None
        if bus is not None:
            bus.close()

    def _start(self, bus: i2c.Bus) -> None:
        """Take the first address where a BME280 is."""
        reasons: list[MySenseError] = []
        for address in _addresses(self.settings.i2c):
            chip = Chip(bus, address)
            try:
                self._formulas = self._made(chip.start())
            except (Transient, Gone, Misconfigured) as wrong:
                reasons.append(wrong)
            else:
                self._chip = chip
                return
        decisive = [wrong for wrong in reasons if not isinstance(wrong, Transient)]
        if decisive:
            raise decisive[0]
        tried = ", ".join(self.settings.i2c)
        raise Gone(f"no BME280 at {tried}; {i2c.listed(i2c.answering(bus))}")

    def _made(self, calibration: bytes) -> Formulas:
        try:
            return Library(calibration)
        except ImportError as wrong:
            if self.settings.backend == "sim":  # so that a demo needs no more than Python
                return Datasheet(calibration)
            raise Misconfigured(
                f"the formulas are not installed ({wrong}): {i2c.INSTALL}"
            ) from wrong

    def _simulated(self) -> i2c.Opener:
        from mysense.hw.scenario import Scenario
        from mysense.hw.sim_bme280 import SimulatedBme280, weather
        from mysense.hw.sim_i2c import SimulatedBus

        script = faults.Faults.parse(self.settings.faults, _FAULTS)
        chip = SimulatedBme280(weather(Scenario()), faults=script)
        return SimulatedBus({_addresses(self.settings.i2c)[0]: chip}, script).open


def _fields(measured: Measurement) -> dict[str, float]:
    return {
        "temp": measured.temperature,
        "rh": measured.humidity,
        "hpa": measured.pressure,
    }


PLUGIN = Bme280Sensor

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
