"""What has to be on the server, whichever version it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from mysense.influx.layouts import Place
from mysense.provision.errors import ProvisionError

HOUR, DAY = 3600, 86_400
_UNITS = {"s": 1, "m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}


@attrs.frozen
class Access:
    """Somebody who may read or write one database."""

    name: str
    read: bool = False
    write: bool = False

    def __str__(self) -> str:
        return " and ".join(filter(None, ("read" * self.read, "write" * self.write)))


@attrs.frozen(kw_only=True)
class Wanted:
    """A database or bucket, and what hangs on it.

    Attributes:
        place: its name, organisation and retention policy.
        retention: seconds its points live, 0 for ever; None leaves an existing one as it is.
        shorten: whether an existing one may get shorter, by which older points are lost.
        shard: seconds of a shard, 0 for the server's own.
        mapping: on 2.x, name of the retention policy to map; empty for none.
        access: who may read and write it.
        rollup: seconds that hourly means look back for late points; None for no roll-ups.
        shared: whether several kits are in it.
        users_of_1x: on 2.x, whether those with access get a user of the 1.x API too.
    """

    place: Place
    retention: int | None = None
    shorten: bool = False
    shard: int = 0
    mapping: str = ""
    access: tuple[Access, ...] = ()
    rollup: int | None = None
    shared: bool = False
    users_of_1x: bool = False

    @property
    def shard_seconds(self) -> int:
        """Of a shard: never longer than points live, as servers want it."""
        return min(self.shard, self.retention) if self.retention and self.shard else self.shard

    def shard_after(self, now: int) -> int:
        """Of a shard, where it was `now` seconds; 0 leaves it, unless points live shorter."""
        if not self.shard and self.retention:
            return self.retention if now > self.retention else 0
        return self.shard_seconds


def everybody(readers: Iterable[str], writers: Iterable[str]) -> tuple[Access, ...]:
    """Who may do what; who is in both may do both.

    Raises:
        ProvisionError: a name that nobody could log in by.
    """
    reading, writing = set(readers), set(writers)
    names = dict.fromkeys([*writers, *readers])
    for name in names:
        checked(name)
    return tuple(Access(name, name in reading, name in writing) for name in names)


def checked(name: str) -> str:
    """The name of a user. Raises ProvisionError where nobody could log in by it."""
    if not name.strip() or not name.isprintable():
        raise ProvisionError(f"{name!r} cannot name a user")
    if ":" in name:
        raise ProvisionError(f"{name!r} cannot name a user: HTTP ends a user's name at the colon")
    return name


def seconds(text: str) -> int:
    """Of a duration as 52w, 30d or INF, which is 0. Raises ValueError."""
    if text.upper() in {"INF", "0"}:
        return 0
    match = re.fullmatch(r"([1-9][0-9]{0,9})([smhdw])", text)
    if match is None:
        raise ValueError("a number with h, d or w, as 52w, or INF")
    return int(match[1]) * _UNITS[match[2]]


def go_seconds(text: str) -> int:
    """Of a duration as servers show it, 8736h0m0s."""
    parts = re.findall(r"(\d+)([hms])", text)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def in_words(number: int) -> str:
    """A duration for people and for InfluxQL, 52w or INF."""
    for unit, size in (("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", 60)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return f"{number}s" if number else "INF"


def check_retention(name: str, now: int, wanted: Wanted) -> bool:
    """Whether the retention of `name`, which is `now` seconds, has to be changed.

    Raises:
        ProvisionError: points would be lost by that, and nobody said they may.
    """
    if wanted.retention is None or wanted.retention == now:
        return False
    shorter = wanted.retention and (not now or wanted.retention < now)
    if shorter and not wanted.shorten:
        raise ProvisionError(
            f"{name} keeps its points {in_words(now)}; with {in_words(wanted.retention)} the "
            "server deletes those that are older. If that is meant, add --shorten"
        )
    return True
