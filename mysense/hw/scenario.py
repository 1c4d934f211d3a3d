"""What there is to measure where no sensor is: the air of a street, by the second.

A day of weather and traffic with two rush hours, a shower of rain in the afternoon and, in the
evening, a fire next door. The same second always gives the same air, on every machine.
"""

from __future__ import annotations

import math
import random

import attrs

HOUR = 3600.0
DAY = 24 * HOUR


@attrs.frozen
class Air:
    """The air of one moment.

    Args:
        temperature: in C.
        humidity: relative, in %.
        pressure: in hPa.
        small: particles from 0.5 um up in 0.01 cubic foot; the large ones are among them.
        large: particles from 2.5 um up in 0.01 cubic foot.
    """

    temperature: float
    humidity: float
    pressure: float
    small: int
    large: int


@attrs.frozen
class Scenario:
    """The air of a street over the days; two streets differ by their `seed`.

    >>> Scenario().at(0) == Scenario().at(0)
    True
    """

    seed: int = 0

    def at(self, seconds: float) -> Air:
        """The air at this second, counted from a midnight: Unix time will do."""
        hour = seconds % DAY / HOUR
        rain, fire = self._rain(seconds), self._fire(seconds)
        temperature = self._temperature(seconds, hour) - 3 * rain + fire
        small, large = self._particles(seconds, hour, rain, fire)
        return Air(
            temperature=temperature,
            humidity=self._humidity(seconds, temperature, rain),
            pressure=self._pressure(seconds),
            small=small,
            large=large,
        )

    def _temperature(self, seconds: float, hour: float) -> float:
        warmest = 15.0
        daily = 5.5 * math.cos((hour - warmest) / 24 * math.tau)
        return 12 + daily + 2 * self._noise("front", seconds, 2 * DAY) + self._flicker("t", seconds)

    def _humidity(self, seconds: float, temperature: float, rain: float) -> float:
        """From a dew point that hardly changes over the day, near saturation in rain."""
        dew_point = 6 + 1.5 * self._noise("dew", seconds, DAY / 2)
        dry = min(100 * _vapour(dew_point) / _vapour(temperature), 96)
        return dry + rain * (96 - dry) + self._flicker("h", seconds)

    def _pressure(self, seconds: float) -> float:
        tide = 0.5 * math.cos(seconds / (DAY / 2) * math.tau)
        return 1013 + 9 * self._noise("p", seconds, 2 * DAY) + tide + self._flicker("p", seconds)

    def _particles(self, seconds: float, hour: float, rain: float, fire: float) -> tuple[int, int]:
        traffic = _bump(hour, 8.3, 0.9) + 1.2 * _bump(hour, 17.6, 1.2)
        gusts = 1 + 0.15 * self._noise("gusts", seconds, 300)
        left = 1 - 0.6 * rain  # rain washes the air
        coarse = (18 + 45 * traffic + 220 * fire) * gusts * left
        fine = (420 + 950 * traffic + 4800 * fire) * gusts * left
        return round(fine + coarse), round(coarse)

    def _rain(self, seconds: float) -> float:
        """How hard it rains, 0 to 1: an hour and a half after noon, another hour every day."""
        start = 13 + 1.5 * self._knot("rain", math.floor(seconds / DAY))
        return _plateau(seconds % DAY / HOUR, start, start + 1.5)

    def _fire(self, seconds: float) -> float:
        """How much smoke there is, 0 to 1: forty minutes in the evening."""
        start = 20.5 + 0.5 * self._knot("fire", math.floor(seconds / DAY))
        return _plateau(seconds % DAY / HOUR, start, start + 0.7)

    def _flicker(self, name: str, seconds: float) -> float:
        """The small noise of air that moves past a sensor."""
        return 0.05 * self._noise(f"flicker {name}", seconds, 7)

    def _noise(self, name: str, seconds: float, period: float) -> float:
        """From -1 to 1, smooth, another value every `period` seconds."""
        at = seconds / period
        before = math.floor(at)
        share = (1 - math.cos((at - before) * math.pi)) / 2
        return (1 - share) * self._knot(name, before) + share * self._knot(name, before + 1)

    def _knot(self, name: str, at: int) -> float:
        return random.Random(f"{self.seed} {name} {at}").uniform(-1, 1)  # noqa: S311  # weather


def _vapour(temperature: float) -> float:
    """The pressure of saturated vapour in hPa, after Magnus (17.62, 243.12)."""
    return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))


def _bump(hour: float, middle: float, width: float) -> float:
    return math.exp(-(((hour - middle) / width) ** 2))


def _plateau(hour: float, start: float, end: float) -> float:
    """1 from `start` to `end`, with slopes of ten minutes outside."""
    slope = 1 / 6
    return max(0.0, min(1.0, 1 + (hour - start) / slope, 1 + (end - hour) / slope))
