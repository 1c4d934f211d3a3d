"""From the raw values of a BME280 to C, % and hPa, with the calibration that each chip carries.

Two ways that agree: the formulas of Adafruit's library, fed from memory, and those of Bosch's
datasheet (BST-BME280-DS002, 4.2.3 and 8.1) as floating point. Measurements of real chips go
through the library; the simulated chip needs the datasheet's to know what to answer.
"""

from __future__ import annotations

import struct
from typing import Any, Protocol

import attrs

CHIP_ID = 0x60
CALIBRATION = ((0x88, 26), (0xE1, 7))  # register and length of the two blocks
MEASUREMENT = (0xF7, 8)  # pressure, temperature, humidity: most significant byte first


@attrs.frozen
class Measurement:
    """Temperature in C, relative humidity in %, pressure in hPa."""

    temperature: float
    humidity: float
    pressure: float


class Formulas(Protocol):
    """The formulas with the calibration of one chip."""

    def measurement(self, burst: bytes) -> Measurement:
        """What the 8 bytes from register 0xF7 on mean.

        Raises:
            ArithmeticError: the calibration cannot be that of a chip.
        """


class Library:
    """The formulas of adafruit-circuitpython-bme280, which here never sees a bus.

    Every property of the library starts a conversion of its own and may wait for ever; so it is
    given the registers of one conversion as an image and does the arithmetic only.

    Args:
        calibration: the two blocks, 33 bytes.

    Raises:
        ImportError: it is not installed, or not all that it needs.
    """

    def __init__(self, calibration: bytes) -> None:
        try:
            from adafruit_bme280.advanced import (  # type: ignore[import-untyped]  # it has none
                Adafruit_BME280_Advanced,
            )
        except Exception as wrong:  # Blinka below it looks for a board and may raise anything
            raise ImportError(f"{type(wrong).__name__}: {wrong}") from wrong

        self._image = _Image(calibration)
        self._library: Any = Adafruit_BME280_Advanced(self._image)

    def measurement(self, burst: bytes) -> Measurement:
        """See `Formulas`."""
        self._image.put(MEASUREMENT[0], burst)
        humidity = float(self._library.humidity)
        return Measurement(
            temperature=float(self._library.temperature),
            humidity=min(100.0, max(0.0, humidity)),  # as Bosch does; older libraries do not
            pressure=float(self._library.pressure),
        )


class _Image:
    """The registers of a chip that has just measured, in memory."""

    def __init__(self, calibration: bytes) -> None:
        self._registers = bytearray(256)
        self._registers[0xD0] = CHIP_ID
        first, second = CALIBRATION
        self.put(first[0], calibration[: first[1]])
        self.put(second[0], calibration[first[1] :])

    def put(self, register: int, values: bytes) -> None:
        self._registers[register : register + len(values)] = values

    def read_register(self, register: int, length: int) -> bytearray:
        """As the library asks for it."""
        return self._registers[register : register + length]

    def write_register_byte(self, register: int, value: int) -> None:
        """Nothing to do: the conversion is done already."""


class Datasheet:
    """The formulas of the datasheet.

    Args:
        calibration: the two blocks, 33 bytes.
    """

    def __init__(self, calibration: bytes) -> None:
        self._temperature: tuple[int, ...] = struct.unpack_from("<Hhh", calibration, 0)
        self._pressure: tuple[int, ...] = struct.unpack_from("<Hhhhhhhhh", calibration, 6)
        h1, h2, h3, h4, mixed, h5, h6 = struct.unpack_from("<BhBbBbb", calibration, 25)
        self._humidity: tuple[int, ...] = (
            h1,
            h2,
            h3,
            h4 * 16 + (mixed & 15),
            h5 * 16 + (mixed >> 4),
            h6,
        )

    def measurement(self, burst: bytes) -> Measurement:
        """See `Formulas`."""
        pressure, temperature, humidity = unpack(burst)
        fine = self.fine(temperature)
        return Measurement(
            temperature=fine / 5120,
            humidity=self.humidity(humidity, fine),
            pressure=self.pressure(pressure, fine),
        )

    def fine(self, raw: float) -> int:
        """The temperature in whole 1/5120 C, as which the other two formulas want it."""
        t1, t2, t3 = self._temperature
        above = raw / 2**14 - t1 / 2**10
        return int(above * t2 + (above / 8) ** 2 * t3)

    def pressure(self, raw: float, fine: float) -> float:
        """In hPa; not clamped, what is out of range is refused later."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self._pressure
        warm = fine / 2 - 64_000
        offset = (warm * warm * p6 / 2**15 + 2 * warm * p5) / 4 + p4 * 2**16
        gain = p1 * (1 + (p3 * warm * warm / 2**19 + p2 * warm) / 2**34)
        pascal = (2**20 - raw - offset / 2**12) * 6250 / gain
        return (pascal + (p9 * pascal * pascal / 2**31 + p8 * pascal / 2**15 + p7) / 16) / 100

    def humidity(self, raw: float, fine: float) -> float:
        """In %, clamped to 0 and 100."""
        h1, h2, h3, h4, h5, h6 = self._humidity
        warm = fine - 76_800
        above = raw - (h4 * 64 + h5 / 2**14 * warm)
        linear = above * h2 / 2**16 * (1 + h6 * warm / 2**26 * (1 + h3 * warm / 2**26))
        return min(100.0, max(0.0, linear * (1 - h1 * linear / 2**19)))


def unpack(burst: bytes) -> tuple[int, int, int]:
    """Raw pressure (20 bits), temperature (20 bits) and humidity (16 bits) of a burst."""
    pressure = int.from_bytes(burst[0:3], "big") >> 4
    temperature = int.from_bytes(burst[3:6], "big") >> 4
    return pressure, temperature, int.from_bytes(burst[6:8], "big")


def pack(pressure: int, temperature: int, humidity: int) -> bytes:
    """The burst of these raw values."""
    triple = (pressure << 4).to_bytes(3, "big") + (temperature << 4).to_bytes(3, "big")
    return triple + humidity.to_bytes(2, "big")
