"""What goes wrong with a simulated device, and when: a script such as `60s unplug 30s`.

    60s unplug 30s      a minute after the start it is unplugged, for half a minute
    2m nack             from the second minute on, for ever
    every 5m slow 10s   every five minutes, for ten seconds; the first time after five minutes

Entries are separated by commas or line ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from math import inf
from typing import Self

import attrs

from mysense.errors import MySenseError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME = r"(\d+(?:\.\d+)?)(ms|[smhd])"
_ENTRY = re.compile(rf"(every\s+)?{_TIME}\s+([a-z][a-z0-9-]*)(?:\s+{_TIME})?")

I2C = ("unplug", "nack", "stuck-ff", "stuck-00", "garbage", "slow")
IIO = ("unplug", "eio", "garbage")

Clock = Callable[[], float]
"""Monotonic seconds."""


class FaultError(MySenseError, ValueError):
    """A script of faults that cannot be read.

    Args:
        expected: what can be read.
        found: what was there.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found!r}")
        self.expected = expected


@attrs.frozen
class Fault:
    """One entry: what happens, from when and how long in seconds, and how often."""

    kind: str
    start: float
    lasts: float = inf
    repeats: bool = False

    def active(self, elapsed: float) -> bool:
        """Whether it is so `elapsed` seconds after the start."""
        if elapsed < self.start:
            return False
        since = elapsed % self.start if self.repeats else elapsed - self.start
        return since < self.lasts

    def begun(self, elapsed: float) -> int:
        """How often it has begun `elapsed` seconds after the start."""
        return int(elapsed // self.start) if self.repeats else int(elapsed >= self.start)


class Faults:
    """A script of faults on a clock that starts with it.

    >>> faults = Faults.parse("60s unplug 30s", ["unplug"], clock=lambda: 0)
    >>> faults.active("unplug")
    False

    Args:
        entries: what happens.
        clock: monotonic seconds.
    """

    def __init__(self, entries: Collection[Fault] = (), clock: Clock = time.monotonic) -> None:
        self._entries = tuple(entries)
        self._clock = clock
        self._start = clock()

    @classmethod
    def parse(cls, script: str, kinds: Collection[str], clock: Clock = time.monotonic) -> Self:
        """Read a script.

        Args:
            script: see the top of this module; an empty one has no faults.
            kinds: what this device knows.
            clock: monotonic seconds.

        Raises:
            FaultError: says which entry is not understood, and what would be.
        """
        entries = (entry.strip() for entry in re.split(r"[,\n]", script))
        return cls([_fault(entry, kinds) for entry in entries if entry], clock)

    def active(self, kind: str) -> bool:
        """Whether this goes wrong now."""
        elapsed = self._clock() - self._start
        return any(fault.kind == kind and fault.active(elapsed) for fault in self._entries)

    def begun(self, kind: str) -> int:
        """How often this has begun so far, also where nobody looked at that time."""
        elapsed = self._clock() - self._start
        return sum(fault.begun(elapsed) for fault in self._entries if fault.kind == kind)


def expected(script: str, kinds: Collection[str]) -> str | None:
    """What was expected instead where `script` cannot be read; the check of an option."""
    try:
        Faults.parse(script, kinds)
    except FaultError as wrong:
        return wrong.expected
    return None


def _fault(entry: str, kinds: Collection[str]) -> Fault:
    match = _ENTRY.fullmatch(entry)
    if match is None or match[4] not in kinds:
        raise FaultError(
            f"entries such as `60s {next(iter(kinds), 'unplug')} 30s` or `every 5m ...`, "
            f"with one of {', '.join(kinds)}",
            entry,
        )
    every, start, unit, kind, lasts, lasts_unit = match.groups()
    seconds = float(start) * _SECONDS[unit]
    if every and seconds == 0:
        raise FaultError("a time longer than nothing after `every`", entry)
    return Fault(kind, seconds, float(lasts) * _SECONDS[lasts_unit] if lasts else inf, bool(every))
