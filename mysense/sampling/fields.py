"""How a sensor's readings become the fields of a telegram: name, unit, range, calibration."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import attrs

from mysense.errors import TelegramError
from mysense.plugin import Field, Misconfigured, Sensor, SensorSettings
from mysense.sampling.units import UnitError, conversion
from mysense.sampling.window import polynomial
from mysense.telegram import check_field, short

_LEFT_OUT = "-"
_MOST = 1e100  # a sum of larger ones, or of their distances, is no number any more
_TAKEN = {"quality": "the flags", "geolocation": "where the kit stands"}


@attrs.frozen
class Channel:
    """One field: what the sensor calls it, and what a telegram does.

    Attributes:
        source: as the sensor measures it; its range is that of a raw reading.
        name: in the telegram.
        unit: in the telegram.
        coefficients: of the calibration, in the sensor's own unit.
        convert: from the sensor's unit to that of the telegram.
    """

    source: Field
    name: str
    unit: str
    coefficients: tuple[float, ...]
    convert: Callable[[float], float]

    def names(self, *, raw: bool) -> list[str]:
        """What a telegram has of it."""
        return [self.name, f"{self.name}_raw"] if raw else [self.name]

    def believes(self, reading: float) -> bool:
        """Whether a raw reading lies within the range of the sensor, and has a value at all."""
        values = reading, self.value(reading), self.convert(reading)
        within = self.source.low <= reading <= self.source.high
        return within and all(abs(value) <= _MOST for value in values)

    def value(self, reading: float) -> float:
        """The calibrated value of a raw reading, in the unit of the telegram."""
        return self.convert(polynomial(self.coefficients, reading))

    def rounded(self, value: float) -> float:
        """`value` with the digits that its sensor may have."""
        return round(value, self.source.digits)


def channels_of(sensor: Sensor[Any]) -> list[Channel]:
    """The channels of `sensor`. Raises Misconfigured, naming its section."""
    try:
        return channels(sensor.fields, sensor.settings)
    except Misconfigured as wrong:
        raise Misconfigured(f"[{sensor.section}] {wrong}") from wrong


def channels(fields: Sequence[Field], settings: SensorSettings) -> list[Channel]:
    """The channels of a sensor's `fields` as its section has them.

    Raises:
        Misconfigured: naming the option that does not fit the sensor.
    """
    names = _parallel("fields", settings.fields, [field.name for field in fields])
    units = _parallel("units", settings.units, [field.unit for field in fields])
    polynomials = _calibrations(settings.calibrations, len(fields))
    made = [
        _channel(*parts)
        for parts in zip(fields, names, units, polynomials, strict=True)
        if parts[1] != _LEFT_OUT
    ]
    _distinct([name for channel in made for name in channel.names(raw=settings.raw)])
    return made


def _distinct(names: Sequence[str]) -> None:
    if not names:
        raise Misconfigured("fields: every field is left out; set `input = false` instead")
    if double := [name for at, name in enumerate(names) if name in names[:at]]:
        raise Misconfigured(f"fields: {double[0]} stands for two fields; give each a name")
    for taken, what in _TAKEN.items():
        if taken in names:
            raise Misconfigured(f"fields: {taken} is the name of {what}; take another")


def _channel(field: Field, name: str, unit: str, coefficients: tuple[float, ...]) -> Channel:
    try:
        check_field(name, "fields")
        return Channel(field, name, unit, coefficients, conversion(field.unit, unit))
    except UnitError as wrong:
        raise Misconfigured(f"units: {field.name}: {wrong}") from wrong
    except TelegramError as wrong:
        raise Misconfigured(str(wrong)) from wrong


def _parallel(option: str, given: Sequence[str], own: Sequence[str]) -> Sequence[str]:
    if given and len(given) != len(own):
        raise Misconfigured(
            f"{option}: expected {len(own)} entries, for {', '.join(own)}, found {len(given)}"
        )
    return given or own


def _calibrations(text: str, count: int) -> list[tuple[float, ...]]:
    if not text.strip():
        return [(0.0, 1.0)] * count
    try:
        made = [_polynomial(entry) for entry in json.loads(text)]
    except (ValueError, TypeError, OverflowError, RecursionError) as wrong:
        raise Misconfigured(f"calibrations: {_EXPECTED}, found {short(text)}") from wrong
    if len(made) != count:
        raise Misconfigured(f"calibrations: {_EXPECTED}, one for each of {count} fields")
    return made


def _polynomial(entry: object) -> tuple[float, ...]:
    """Its coefficients. Raises ValueError, TypeError or OverflowError."""
    if not isinstance(entry, list) or any(isinstance(number, bool | str) for number in entry):
        raise TypeError
    made = tuple(float(number) for number in entry)
    if not made or not all(map(isfinite, made)):
        raise ValueError
    return made


_EXPECTED = "expected a list of polynomials, lowest order first, such as [[-2.2,1],[0,1],[0,1]]"


def shared(sensors: dict[str, list[Channel]], averaged: Sequence[str]) -> None:
    """Refuse names that two sensors share, unless the configuration averages them.

    Args:
        sensors: channels by section.
        averaged: names whose values are to be averaged over the sensors.

    Raises:
        Misconfigured: naming the field and both sections.
    """
    seen: dict[str, tuple[str, str]] = {}
    for section, some in sensors.items():
        for channel in some:
            other = seen.setdefault(channel.name, (section, channel.unit))
            if other[0] == section:
                continue
            both = f"[{other[0]}] and [{section}] both measure {channel.name}"
            if channel.name not in averaged:
                raise Misconfigured(
                    f"{both}; rename it in `fields` of one of them, "
                    f"or say `average = {channel.name}` in [process]"
                )
            if other[1] != channel.unit:
                raise Misconfigured(f"{both}, in {other[1]} and {channel.unit}; set `units` alike")
