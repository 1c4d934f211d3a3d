"""Temperature and humidity with a DHT11, DHT22, AM2302 or AM2301 on one pin.

Cheap, and often disturbed: what is stale, impossible or the sign of a bad line is refused, never
passed on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from typing import Literal

import attrs

from mysense.errors import MySenseError
from mysense.hw import faults, iio, pulses, sim_pulses
from mysense.hw.advice import finding
from mysense.hw.pace import Pace
from mysense.hw.pulses import Dht, Line
from mysense.hw.sim_iio import SimulatedIio
from mysense.options import option
from mysense.plugin import Field, Finding, Gone, Sensor, SensorSettings, Transient

_PAUSE = 2.5  # seconds; sooner, the chip does not answer and library and kernel give old values
_OVERLAY = (
    "add `dtoverlay=dht11,gpiopin={pin}` to /boot/firmware/config.txt and reboot, "
    "or set `backend = adafruit`"
)
_WIRING = "check its wires, supply and the resistor of 10 kOhm from data to 3.3 V, then try again"
_TRIES = 3  # a DHT misses one now and then
_DRIEST_DHT11 = 3  # %; more than a DHT22 read as a DHT11 can show, less than a DHT11 can measure


@attrs.frozen(kw_only=True)
class DhtSettings(SensorSettings):
    """Which one it is, and how it is reached."""

    sample: float = option(10.0, "seconds from one reading to the next", low=_PAUSE, high=86_400)
    backend: Literal["adafruit", "iio", "sim", "sim-iio"] = option(
        "adafruit",
        "adafruit: the library; iio: the kernel's driver; sim: the library over a simulated chip "
        "(without the library: as sim-iio); sim-iio: a simulated driver of the kernel",
    )
    type: Literal["DHT11", "DHT22", "AM2302", "AM2301"] = option("DHT22", "which chip it is")
    pin: int = option(4, "the pin it is wired to, by BCM number: GPIO4 is 4", low=0, high=27)
    faults: str = option(
        "",
        "with sim: what goes wrong and when, such as `60s unplug 30s`",
        check=lambda script: faults.expected(script, sim_pulses.KINDS),
    )
    frame: str = option(
        "",
        "with sim: five bytes that the chip sends instead of the weather of a simulated day",
        check=sim_pulses.not_a_frame,
    )


class DhtSensor(Sensor[DhtSettings]):
    """Prints the readings of a DHT.

    Args:
        settings: which one it is, and how it is reached.
        section: its name in the configuration.
        line: what comes over its pin; what `backend` asks for unless given.
        tree: the devices of the kernel; those of this machine unless given.
        pace: how long it rests between two measurements.
    """

    Settings = DhtSettings

    def __init__(
        self,
        settings: DhtSettings,
        section: str = "",
        line: Line | None = None,
        tree: iio.Tree | None = None,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(settings, section)
        self.fields = _fields(settings.type)
        self._line = line
        self._tree = tree or iio.Tree()
        self._pace = pace or Pace(_PAUSE)
        self._chip: sim_pulses.SimulatedDht | None = None
        self._kernel: SimulatedIio | None = None
        self._dht: Dht | None = None
        self._device: iio.Device | None = None

    def open(self) -> None:
        """Start the library in its process, or find the kernel's device."""
        self.close()
        try:
            if self._by_kernel():
                self._device = self._of_the_kernel()
            else:
                self._start()
        except BaseException:  # whatever it is, nothing may stay behind
            self.close()
            raise

    def read(self) -> Mapping[str, float]:
        """One measurement: `dtemp` in C, `drh` in %; it waits until the chip is ready for it.

        Raises:
            Transient: the chip did not answer, or not with what can be believed.
            Gone: the library hung or ended, the kernel's device went away.
        """
        if self._dht is None and self._device is None:
            raise Gone(f"{self.section} is not open")
        now = self._pace.next()
        if self._dht is not None:
            temperature, humidity = self._dht.measure(now)
        else:
            assert self._device is not None  # see above
            temperature, humidity = self._device.temperature(), self._device.humidity()
        return self._believed(temperature, humidity)

    def interrupt(self) -> None:
        """End a wait, from another thread."""
        self._pace.stop.set()

    def close(self) -> None:
        """End the library's process."""
        opened, self._dht, self._device = (self._dht, self._kernel), None, None
        self._kernel = None
        for each in opened:
            if each is not None:
                each.close()
        self._pace.stop.clear()

    def check(self) -> Iterator[Finding]:
        """Whether library or driver are there and the pins open to this user, one reading."""
        try:
            if self.settings.backend == "adafruit":
                access = pulses.access()
                yield access
                if not access.good:
                    return
            self.open()  # says what is wrong with the library
            yield Finding(good=True, what=self._found())
            yield self._sample()
        except MySenseError as wrong:
            yield finding(wrong, _WIRING)
        finally:
            self.close()

    def _by_kernel(self) -> bool:
        """Whether it is the kernel that reads it, or its twin."""
        if self.settings.backend == "sim" and self._line is None and not pulses.installed():
            self.log.info("simulates the kernel's driver: %s is not there", pulses.LIBRARY)
            return True
        return self.settings.backend in ("iio", "sim-iio")

    def _of_the_kernel(self) -> iio.Device:
        tree = self._tree
        if self.settings.backend != "iio":
            self._kernel = sim_pulses.by_kernel(self._simulated())
            tree = self._kernel.tree()
        return tree.find("dht11", _OVERLAY.format(pin=self.settings.pin))

    def _start(self) -> None:
        line = self._line
        if line is None and self.settings.backend == "sim":
            line = self._simulated().pulses
        settings, stop = self.settings, self._pace.stop
        self._dht = Dht(settings.type, settings.pin, self.log, stop, line)
        self._dht.open()

    def _simulated(self) -> sim_pulses.SimulatedDht:
        """The chip, which stays the same when it is opened again."""
        if self._chip is None:
            script = faults.Faults.parse(self.settings.faults, sim_pulses.KINDS)
            self._chip = sim_pulses.simulated(self.settings.type, self.settings.frame, script)
        return self._chip

    def _believed(self, temperature: float, humidity: float) -> dict[str, float]:
        """The values, unless they are the sign of something else. Raises Transient."""
        if temperature == humidity == 0:
            raise Transient("0 C and 0 %: this is what a disturbed line looks like")
        if self.settings.type == "DHT11" and humidity <= _DRIEST_DHT11:
            raise Transient(
                f"{humidity:g} %: no DHT11 measures this; "
                "is it a DHT22 or AM2302? Then set `type = DHT22`"
            )
        values = {"dtemp": temperature + 0.0, "drh": humidity + 0.0}  # -0.0 becomes 0.0
        for field in self.fields:
            if not field.low <= values[field.name] <= field.high:
                raise Transient(f"{field.name} {values[field.name]:g} {field.unit}: out of range")
        return values

    def _found(self) -> str:
        if self._device is not None:
            return f"the kernel reads a DHT for us: {self._device.path}"
        return f"{pulses.LIBRARY} is installed, and holds pin {self.settings.pin}"

    def _sample(self) -> Finding:
        for left in reversed(range(_TRIES)):
            try:
                values = self.read()
                break
            except Transient:
                if not left:
                    raise
        texts = (f"{each.name} {values[each.name]:.1f} {each.unit}" for each in self.fields)
        return Finding(good=True, what=f"one reading: {', '.join(texts)}")


def _fields(kind: str) -> tuple[Field, ...]:
    coldest, hottest = (-20, 60) if kind == "DHT11" else (-40, 80)  # C, by the data sheets
    return (Field("dtemp", "C", kind, coldest, hottest, 2), Field("drh", "%", kind, 0, 100, 2))


PLUGIN = DhtSensor

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
