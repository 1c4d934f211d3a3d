"""Units that a sensor measures in, and those that a user wants to see."""

from __future__ import annotations

from collections.abc import Callable

from mysense.errors import MySenseError

# by unit: the quantity, and how its value follows from one in the quantity's own unit
_SCALES: dict[str, tuple[str, float, float]] = {
    "C": ("temperature", 1.0, 0.0),
    "K": ("temperature", 1.0, 273.15),
    "F": ("temperature", 1.8, 32.0),
    "hPa": ("pressure", 1.0, 0.0),
    "Pa": ("pressure", 100.0, 0.0),
    "kPa": ("pressure", 0.1, 0.0),
    "mbar": ("pressure", 1.0, 0.0),
    "%": ("humidity", 1.0, 0.0),
}


class UnitError(MySenseError, ValueError):
    """A unit that is not known, or that measures something else."""


def conversion(source: str, target: str) -> Callable[[float], float]:
    """What turns a value in `source` into one in `target`.

    >>> conversion("C", "F")(23.5)
    74.3

    Raises:
        UnitError: there is no way from one to the other.
    """
    if source == target:
        return float
    kind = _SCALES.get(source, (source, 1.0, 0.0))[0]
    if target not in _SCALES or _SCALES[target][0] != kind:
        known = [unit for unit, scale in _SCALES.items() if scale[0] == kind]
        raise UnitError(f"{source} cannot become {target}; known: {', '.join(known or [source])}")
    (_, factor, zero), (_, wanted_factor, wanted_zero) = _SCALES[source], _SCALES[target]
    return lambda value: round((value - zero) / factor * wanted_factor + wanted_zero, 10)
