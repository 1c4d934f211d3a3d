"""A BME280 that is not there, down to its registers: what the datasheet says it answers."""

from __future__ import annotations

import time
from collections.abc import Callable

from mysense.hw import bme280_formulas as formulas
from mysense.hw.faults import Clock, Faults
from mysense.hw.scenario import Scenario

# the calibration of one real chip
CALIBRATION = bytes.fromhex("106e6c6632005d95b8d5d00b771e9dfff9ffac260ad8bd10004b6e01001305001e")
_CONVERSION = 0.04  # seconds, with 16 samples of the pressure
_NOTHING = bytes.fromhex("8000008000008000")  # what the data registers hold before they measured
_CHIP_ID, _RESET, _CTRL_HUM, _STATUS, _CTRL_MEAS, _CONFIG = 0xD0, 0xE0, 0xF2, 0xF3, 0xF4, 0xF5

Source = Callable[[], bytes]
"""The 8 bytes that a conversion ends with."""


class SimulatedBme280:
    """The chip; a BMP280 with that one's `chip_id`.

    Args:
        source: what its conversions give.
        calibration: the two blocks, 33 bytes.
        chip_id: register 0xD0.
        faults: `slow` makes a conversion take ten seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        calibration: bytes = CALIBRATION,
        chip_id: int = formulas.CHIP_ID,
        faults: Faults | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._source = source
        self._calibration = calibration
        self._chip_id = chip_id
        self._faults = faults or Faults()
        self._clock = clock
        self.power_on()

    def power_on(self) -> None:
        """Forget everything, as after a loss of power."""
        self._registers = bytearray(256)
        self._registers[_CHIP_ID] = self._chip_id
        at = 0
        for register, length in formulas.CALIBRATION:
            self._put(register, self._calibration[at : at + length])
            at += length
        self._put(formulas.MEASUREMENT[0], _NOTHING)
        self._pointer = 0
        self._humid = False
        self._ready: float | None = None

    def write(self, data: bytes) -> None:
        """Registers and their values in turn; a register without one is where reading starts."""
        self._settle()
        for register, value in zip(data[::2], data[1::2], strict=False):
            self._set(register, value)
        if len(data) % 2:
            self._pointer = data[-1]

    def read(self, length: int) -> bytes:
        """The registers from the one on that was written last."""
        self._settle()
        start = self._pointer
        self._pointer = (start + length) % 256
        return bytes(self._registers[(start + at) % 256] for at in range(length))

    def _set(self, register: int, value: int) -> None:
        if register == _RESET and value == 0xB6:
            self.power_on()
        elif register in (_CTRL_HUM, _CTRL_MEAS, _CONFIG):
            self._registers[register] = value
        if register == _CTRL_MEAS:
            self._humid = self._registers[_CTRL_HUM] & 7 != 0  # it counts from this write on
            if value & 3 in (1, 2):
                self._ready = self._clock() + (10.0 if self._faults.active("slow") else _CONVERSION)
                self._registers[_STATUS] |= 8

    def _settle(self) -> None:
        """End a conversion whose time has come."""
        if self._ready is None or self._clock() < self._ready:
            return
        self._ready = None
        burst = self._source()
        self._put(formulas.MEASUREMENT[0], burst if self._humid else burst[:6] + _NOTHING[6:])
        self._registers[_STATUS] &= ~8
        self._registers[_CTRL_MEAS] &= ~3  # it sleeps again

    def _put(self, register: int, values: bytes) -> None:
        self._registers[register : register + len(values)] = values


def dump(registers: str) -> tuple[bytes, bytes]:
    """Calibration (33 bytes) and measurement (8 bytes) of a dump, as people put it into a report.

    Args:
        registers: hexadecimal, 0x88 to 0xa1, 0xe1 to 0xe7 and 0xf7 to 0xfe, joined by `/`.

    Raises:
        ValueError: says what was expected.
    """
    lengths = [*(length for _, length in formulas.CALIBRATION), formulas.MEASUREMENT[1]]
    try:
        blocks = [bytes.fromhex(block) for block in registers.split("/")]
    except ValueError:
        blocks = []
    if [len(block) for block in blocks] != lengths:
        raise ValueError("26, 7 and 8 bytes in hexadecimal, joined by `/`")
    return blocks[0] + blocks[1], blocks[2]


def not_a_dump(registers: str) -> str | None:
    """What was expected instead of `registers`; the check of an option."""
    try:
        dump(registers)
    except ValueError as wrong:
        return str(wrong)
    return None


def weather(scenario: Scenario, clock: Clock = time.time) -> Source:
    """What a chip with CALIBRATION gives in the air of `scenario`.

    Args:
        scenario: the air.
        clock: its seconds, Unix time.
    """
    chip = formulas.Datasheet(CALIBRATION)

    def source() -> bytes:
        air = scenario.at(clock())
        temperature = _raw(lambda raw: chip.fine(raw) / 5120, air.temperature, 20)
        fine = chip.fine(temperature)
        pressure = _raw(lambda raw: -chip.pressure(raw, fine), -air.pressure, 20)
        return formulas.pack(
            pressure, temperature, _raw(lambda raw: chip.humidity(raw, fine), air.humidity, 16)
        )

    return source


def simulated(registers: str, faults: Faults) -> SimulatedBme280:
    """A chip in the weather of a simulated day, or one that holds this dump.

    Args:
        registers: see `dump`; empty for the weather.
        faults: see the class.
    """
    if not registers:
        return SimulatedBme280(weather(Scenario()), faults=faults)
    calibration, burst = dump(registers)
    return SimulatedBme280(lambda: burst, calibration=calibration, faults=faults)


def _raw(formula: Callable[[int], float], wanted: float, bits: int) -> int:
    """The raw value of so many bits at which the rising `formula` gives what is wanted."""
    low, high = 0, 2**bits - 1
    while low < high:
        middle = (low + high) // 2
        if formula(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    return low
