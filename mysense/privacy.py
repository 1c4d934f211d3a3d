"""What an output is told about a kit: parts left out, and its place only roughly.

Addresses and the exact place of a kit are personal data of whoever lives there.
"""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs

from mysense.telegram import IDENT_KEYS, Ident, Telegram

_NEEDED = ("project", "serial")
_PARTS = tuple(name for name in IDENT_KEYS if name not in _NEEDED)
_LISTS = ("fields", "units", "types")
_IDENTS_KNOWN = 1000
_log = logging.getLogger("mysense.privacy")


def not_omittable(names: tuple[str, ...]) -> str | None:
    """For the option `omit`: what was expected, where a name can never be left out."""
    needed = [name for name in names if name in (*_NEEDED, "time", *_LISTS)]
    if needed:
        return f"parts of the ident or fields; {needed[0]} is needed to understand the rest"
    return None


def without_fields(ident: Ident, names: AbstractSet[str]) -> Ident:
    """`ident` without what it says of these fields."""
    if not names & set(ident.fields):
        return ident
    kept = [at for at, name in enumerate(ident.fields) if name not in names]
    lists: dict[str, Any] = {name: getattr(ident, name) for name in _LISTS}
    for name, entries in lists.items():
        lists[name] = tuple(entries[at] for at in kept if at < len(entries))
    return attrs.evolve(ident, **lists)


class Privacy:
    """Tells an output less.

    Args:
        omit: parts of the ident, and fields, to leave out.
        round_location: decimals of latitude and longitude to keep, None for all. Two are about
            a kilometre, three about a hundred metres.
    """

    def __init__(self, omit: tuple[str, ...], round_location: int | None) -> None:
        parts = [name for name in omit if name in _PARTS]
        self._parts: dict[str, Any] = {n: () if n.endswith("_ip") else None for n in parts}
        self._fields = frozenset(omit)
        self._decimals = round_location
        self._ident = lru_cache(_IDENTS_KNOWN)(self._make_ident)

    def __bool__(self) -> bool:
        return bool(self._fields) or self._decimals is not None

    def __call__(self, telegram: Telegram) -> Telegram:
        """`telegram` as the output may see it."""
        data = {name: v for name, v in telegram.data.items() if name not in self._fields}
        place = data.get("geolocation")
        if isinstance(place, str):
            data["geolocation"] = self._rounded(place)
        return Telegram(self._ident(telegram.ident), MappingProxyType(data), telegram.new)

    def _make_ident(self, ident: Ident) -> Ident:
        for name in sorted(self._fields - set(_PARTS) - set(ident.fields) - {"geolocation"}):
            _log.warning(
                "omit: %s has no part and no field called %r; is it a typo?", ident.kit, name
            )
        less = attrs.evolve(ident, **self._parts)
        if less.geolocation:
            less = attrs.evolve(less, geolocation=self._rounded(less.geolocation))
        return without_fields(less, self._fields)

    def _rounded(self, place: str) -> str:
        """Latitude and longitude rounded; the altitude, which tells floors apart, to metres."""
        if self._decimals is None:
            return place
        try:
            numbers = [float(part) for part in place.split(",")]
        except ValueError:  # not what a geolocation looks like: then nothing of it is told
            return ""
        parts = [f"{number:.{self._decimals}f}" for number in numbers[:2]]
        return ",".join([*parts, *(f"{number:.0f}" for number in numbers[2:])])
