"""Temperature, humidity and air pressure with a BME280 of Bosch, over I2C or the kernel's driver.

All three come from one conversion. What the bus disturbed is refused, never passed on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from typing import Literal

import attrs

from mysense.errors import MySenseError
from mysense.hw import faults, i2c, iio
from mysense.hw.advice import Fixable, finding
from mysense.hw.bme280 import Chip, find
from mysense.hw.bme280_formulas import Datasheet, Formulas, Library
from mysense.options import option
from mysense.plugin import Field, Finding, Gone, Sensor, SensorSettings

_OVERLAY = (
    "add `dtoverlay=i2c-sensor,bme280,addr=0x77` to /boot/firmware/config.txt and reboot, "
    "or set `backend = i2c`"
)
_DIGITS = 6  # as many as Bosch's formulas agree in; the mean of an interval is the better for it


def _addresses(texts: Sequence[str]) -> list[int]:
    return [int(text, 0) for text in texts]


def _not_addresses(texts: Sequence[str]) -> str | None:
    try:
        good = bool(texts) and all(at in i2c.EVERY_ADDRESS for at in _addresses(texts))
    except ValueError:
        good = False
    return None if good else "addresses from 0x08 to 0x77, such as `0x77, 0x76`"


def _not_registers(text: str) -> str | None:
    if not text:
        return None
    from mysense.hw.sim_bme280 import not_a_dump

    return not_a_dump(text)


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
        "with sim: what goes wrong and when, such as `60s unplug 30s`",
        check=lambda script: faults.expected(script, faults.I2C),
    )
    registers: str = option(
        "",
        "with sim: a dump that the chip holds instead of the weather of a simulated day",
        check=_not_registers,
    )


class Bme280Sensor(Sensor[Bme280Settings]):
    """Prints the readings of a BME280.

    Args:
        settings: how it is reached.
        section: its name in the configuration.
        open_bus: opens the I2C bus; the one that `backend` asks for unless given.
        tree: the devices of the kernel; those of this machine unless given.
    """

    Settings = Bme280Settings
    fields = (
        Field("temp", "C", "BME280", -40, 85, _DIGITS),
        Field("rh", "%", "BME280", 0, 100, _DIGITS),
        Field("hpa", "hPa", "BME280", 300, 1100, _DIGITS),
    )

    def __init__(
        self,
        settings: Bme280Settings,
        section: str = "",
        open_bus: i2c.Opener | None = None,
        tree: iio.Tree | None = None,
    ) -> None:
        super().__init__(settings, section)
        self._open_bus = open_bus
        self._tree = tree or iio.Tree()
        self._device: iio.Device | None = None
        self._bus: i2c.Bus | None = None
        self._chip: tuple[Chip, Formulas] | None = None

    def open(self) -> None:
        """Find the chip; over the bus its calibration is read, too."""
        self.close()
        if self.settings.backend == "iio":
            self._device = self._of_the_kernel()
            return
        self._bus = self._opener()(self.settings.bus)
        try:
            chip, calibration = find(self._bus, _addresses(self.settings.i2c))
            self._chip = chip, self._formulas(calibration)
        except BaseException:  # whatever it is, the bus must not stay open
            self.close()
            raise

    def read(self) -> Mapping[str, float]:
        """One measurement: `temp` in C, `rh` in %, `hpa` in hPa."""
        if (device := self._device) is not None:
            rh, hpa = device.humidity(), device.pressure()
            return {"temp": device.temperature(), "rh": rh, "hpa": hpa}
        if self._chip is None:
            raise Gone(f"{self.section} is not open")
        chip, formulas = self._chip
        burst = chip.measure()
        try:
            found = formulas.measurement(burst)
        except ArithmeticError as wrong:
            raise Gone(f"the chip's calibration cannot be: {wrong}") from wrong
        return {"temp": found.temperature, "rh": found.humidity, "hpa": found.pressure}

    def close(self) -> None:
        """Close the bus."""
        bus, self._bus, self._chip, self._device = self._bus, None, None, None
        if bus is not None:
            bus.close()

    def check(self) -> Iterator[Finding]:
        """Whether the bus is there and open to this user, which chip answers, one reading."""
        try:
            if self.settings.backend != "iio":
                self._opener()(self.settings.bus).close()
                yield Finding(good=True, what=f"bus {self._bus_name} can be opened")
            self.open()
            yield Finding(good=True, what=self._found())
            yield self._sample(self.read())
        except MySenseError as wrong:
            yield finding(wrong, "check its wires and supply, then try again")
        finally:
            self.close()

    @property
    def _bus_name(self) -> str:
        return "sim" if self.settings.backend == "sim" else f"/dev/i2c-{self.settings.bus}"

    def _found(self) -> str:
        if self._chip is not None:
            return f"a BME280 answers at 0x{self._chip[0].address:02x} of bus {self._bus_name}"
        return "the kernel has found a BME280"

    def _sample(self, values: Mapping[str, float]) -> Finding:
        texts = (f"{each.name} {values[each.name]:.2f} {each.unit}" for each in self.fields)
        good = all(each.low <= values[each.name] <= each.high for each in self.fields)
        fix = "this is out of range: check the wires; if it stays, the chip is broken"
        return Finding(good, f"one reading: {', '.join(texts)}", fix)

    def _of_the_kernel(self) -> iio.Device:
        names = self._tree.names().values()
        if "bmp280" in names and "bme280" not in names:
            raise Fixable("the kernel found a BMP280, which has no humidity", "wire a BME280")
        return self._tree.find("bme280", _OVERLAY)

    def _opener(self) -> i2c.Opener:
        if self._open_bus is None:
            self._open_bus = self._simulated() if self.settings.backend == "sim" else i2c.open_bus
        return self._open_bus

    def _simulated(self) -> i2c.Opener:
        from mysense.hw.sim_bme280 import simulated
        from mysense.hw.sim_i2c import SimulatedBus

        script = faults.Faults.parse(self.settings.faults, faults.I2C)
        chip = simulated(self.settings.registers, script)
        return SimulatedBus({_addresses(self.settings.i2c)[0]: chip}, script).open

    def _formulas(self, calibration: bytes) -> Formulas:
        try:
            return Library(calibration)
        except ImportError as wrong:
            if self.settings.backend == "sim":  # so that a demo needs no more than Python
                return Datasheet(calibration)
            raise i2c.NotInstalled("adafruit-circuitpython-bme280", wrong) from wrong


PLUGIN = Bme280Sensor

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
