"""A BME280 on an I2C bus: which chip it is, its calibration, one conversion at a time.

After Bosch's datasheet BST-BME280-DS002, chapters 3 and 5. All waits are bounded. I2C carries no
checksum, so what a disturbed bus gives is recognised by what a working chip cannot answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mysense.errors import MySenseError
from mysense.hw.advice import Absent, Fixable
from mysense.hw.bme280_formulas import CALIBRATION, CHIP_ID, MEASUREMENT, unpack
from mysense.hw.i2c import Bus, NotAcknowledged, answering, explained, listed
from mysense.plugin import Gone, Misconfigured, Transient

_NO_HUMIDITY = "it measures temperature and pressure but no humidity"
_OTHERS = {
    0x55: ("a BMP180", _NO_HUMIDITY),
    0x56: ("a BMP280 (sample)", _NO_HUMIDITY),
    0x57: ("a BMP280 (sample)", _NO_HUMIDITY),
    0x58: ("a BMP280", _NO_HUMIDITY),
    0x61: ("a BME680 or BME688", "it is read in another way"),
}
_ID, _CONTROL = 0xD0, 0xF2
_CTRL_HUM, _CTRL_MEAS, _CONFIG = 0xF2, 0xF4, 0xF5
_ONCE, _SLEEP, _FORCED = 0x01, 0x00, 0x55  # humidity once; temperature 2x, pressure 16x, forced
_MARK = 0xA0  # of no effect where conversions are forced; lost with the power, so it tells of that
_TYPICAL, _LONGEST = 0.04, 0.25  # seconds of a conversion, and where waiting ends (48 ms at most)


def named(chip_id: int) -> str:
    """What a chip is that has this id; empty for one that is none of this family."""
    if chip_id == CHIP_ID:
        return "BME280"
    return _OTHERS[chip_id][0].removeprefix("a ") if chip_id in _OTHERS else ""


class Chip:
    """One BME280. Every method raises Transient, Gone or Misconfigured.

    Args:
        bus: an open one; it stays open.
        address: 0x77, or 0x76 where SDO is wired to ground.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        bus: Bus,
        address: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._bus = bus
        self._clock = clock
        self._sleep = sleep

    def start(self) -> bytes:
        """Make sure that it is a BME280 and prepare it; returns its calibration, 33 bytes."""
        with explained(self.address):
            self._identify()
            self._wait_while(0x01, "copying its calibration after power on")
            calibration = self._calibration()
            if calibration != self._calibration():  # one flipped bit spoils all that follows
                raise Transient(f"{self._name}: its calibration reads differently each time")
            self._write(_CTRL_MEAS, _SLEEP)  # the other two are ignored while it measures
            self._write(_CTRL_HUM, _ONCE)
            self._write(_CONFIG, _MARK)
        if len(set(calibration[:24])) == 1:
            raise Gone(f"{self._name}: its calibration is 24 times {calibration[0]:#04x}")
        return calibration

    def measure(self) -> bytes:
        """Let it measure once; returns the 8 bytes of pressure, temperature and humidity."""
        with explained(self.address):
            self._still_prepared()
            self._write(_CTRL_MEAS, _FORCED)
            self._sleep(_TYPICAL)
            self._wait_while(0x08, "measuring")
            burst = self._read(*MEASUREMENT)
            self._still_prepared()
        return self._believable(burst)

    @property
    def _name(self) -> str:
        return f"the chip at 0x{self.address:02x}"

    def _identify(self) -> None:
        found = {self._bus.read_byte_data(self.address, _ID) for _ in range(3)}
        if len(found) == 1 and CHIP_ID not in found:  # this may stop the sensor: make sure
            for _ in range(8):
                self._sleep(0.01)
                found.add(self._bus.read_byte_data(self.address, _ID))
        if len(found) > 1:
            raise Transient(f"{self._name}: its id reads differently each time; check the wires")
        chip_id = found.pop()
        self._not_stuck(bytes([chip_id]))
        if chip_id != CHIP_ID:
            raise self._other(chip_id)

    def _other(self, chip_id: int) -> Fixable:
        name, why = _OTHERS.get(chip_id, ("no BME280", "another device is wired there"))
        return Fixable(
            f"{self._name} is {name} (chip id 0x{chip_id:02x}), {why}",
            "wire a BME280, or set `input = false` in this section",
        )

    def _still_prepared(self) -> None:
        """It holds what `start` wrote: it was neither exchanged nor without power since."""
        control = self._read(_CONTROL, 4)
        if (control[0], control[3]) != (_ONCE, _MARK):
            self._not_stuck(self._read(_ID, 1))  # a chip just powered has zeros there, too
            raise Gone(f"{self._name} has lost its settings: it was without power or exchanged")

    def _wait_while(self, bit: int, doing: str) -> None:
        end = self._clock() + _LONGEST
        while True:
            status = self._read(0xF3, 1)
            self._not_stuck(status, low=False)
            if not status[0] & bit:
                return
            if self._clock() >= end:
                raise Transient(f"{self._name} is still {doing} after {_LONGEST} s")
            self._sleep(0.002)

    def _calibration(self) -> bytes:
        return b"".join(self._read(register, length) for register, length in CALIBRATION)

    def _believable(self, burst: bytes) -> bytes:
        self._not_stuck(burst)
        pressure, temperature, humidity = unpack(burst)
        if (pressure, temperature, humidity) == (0x80000, 0x80000, 0x8000):
            raise Transient(f"{self._name} has not measured")
        ends = {pressure, temperature} & {0, 0xFFFFF} or {humidity} & {0, 0xFFFF}
        if ends or burst[2] & 15 or burst[5] & 15:
            raise Transient(f"{self._name} gave {burst.hex()}, which no measurement can be")
        return burst

    def _not_stuck(self, values: bytes, *, low: bool = True) -> None:
        for value, name in ((0xFF, "high (0xff)"), (0x00, "low (0x00)")):
            if set(values) == {value} and (low or value):
                fix = "check SDA, SCL, their pull-ups and the supply"
                raise Absent(f"{self._name}: the bus is stuck {name}", fix)

    def _read(self, register: int, length: int) -> bytes:
        return bytes(self._bus.read_i2c_block_data(self.address, register, length))

    def _write(self, register: int, value: int) -> None:
        self._bus.write_byte_data(self.address, register, value)


def find(bus: Bus, addresses: Sequence[int]) -> tuple[Chip, bytes]:
    """The first of these addresses that a BME280 is at, and that chip's calibration.

    Raises:
        Gone: none answers; the text lists what does. Or what answers is disturbed.
        Misconfigured: another chip is there, or the kernel holds it.
    """
    reasons: list[MySenseError] = []
    for address in addresses:
        chip = Chip(bus, address)
        try:
            return chip, chip.start()
        except NotAcknowledged:
            continue
        except (Transient, Gone, Misconfigured) as wrong:
            reasons.append(wrong)
    for reason in reasons:
        if not isinstance(reason, Misconfigured):  # what may pass goes first: it is tried again
            raise (reason if isinstance(reason, Gone) else Gone(str(reason)))
    if reasons:
        raise reasons[0]
    tried = " or ".join(f"0x{address:02x}" for address in addresses)
    fix = "check the wires and the supply, or set `i2c` to the address that answers"
    raise Absent(f"no BME280 at {tried}; {listed(answering(bus))}", fix)
