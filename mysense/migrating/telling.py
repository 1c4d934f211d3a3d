"""What a migration has to say, for people and as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import attrs

from mysense.comparing.sides import HOUR
from mysense.migrating.checking import Difference, Total
from mysense.migrating.copying import Copied
from mysense.migrating.left import utc
from mysense.migrating.planning import Planned
from mysense.migrating.tally import Sum
from mysense.text import plain, readable

_SHOWN = 200  # differences that people are shown


def planned(one: Planned, width: int, *, as_json: bool) -> str:
    """What would be copied of a kit."""
    if as_json:
        return json.dumps(attrs.asdict(one))
    if one.first is None or one.last is None:
        return f"{one.kit:{width}}  nothing"
    times = f"{utc(one.first)} to {utc(one.last)}"
    return f"{one.kit:{width}}  {one.telegrams:>9} telegrams  {times}  -> {one.to}"


def plan_total(kits: int, telegrams: int, *, as_json: bool) -> str:
    """All of it together."""
    if as_json:
        return json.dumps({"total": {"kits": kits, "telegrams": telegrams}})
    return f"total {_many(kits, 'kit')}, about {_many(telegrams, 'telegram')}"


def copied(one: Copied) -> Iterator[str]:
    """What became of a run."""
    rate = one.acknowledged / max(one.seconds, 0.001)
    yield (
        f"{one.read} telegrams read, {one.acknowledged} written in {one.seconds:.1f} s, "
        f"{rate:.0f} a second; in all {one.line}"
    )
    for kit, reason in one.failed.items():
        yield f"not all was read: {kit + ': ' if kit else ''}{reason}"
    if one.dead:
        yield f"{_many(one.dead, 'row')} cannot be written, now dead letters:"
    for count, reason in one.reasons:
        yield f"  {count} x {plain(reason, 300)}"


class Differences:
    """Lines for what differs; for people the first ones alone, under a heading.

    Args:
        here, there: the places.
        as_json: an object a line, and all of them.
    """

    def __init__(self, here: str, there: str, *, as_json: bool) -> None:
        self._here, self._there = here, there
        self._json = as_json
        self._count = 0

    def lines(self, one: Difference) -> Iterator[str]:
        """What to print for a difference."""
        self._count += 1
        if self._json:
            yield json.dumps(attrs.asdict(one) | {"hour": one.hour * HOUR})
        elif self._count <= _SHOWN:
            if self._count == 1:
                yield f"what differs, as count (sum) in {self._here} and in {self._there}:"
            names = f"{plain(one.label or '-')}  {plain(one.field)}"
            sums = f"{_sum(one.here)}  {_sum(one.there)}"
            yield f"{one.kit}  {utc(one.hour * HOUR)[:16]}  {names}  {sums}"

    def end(self, total: Total, high: int) -> Iterator[str]:
        """What to print at the end."""
        if self._json:
            names = {"here": self._here, "there": self._there}
            yield json.dumps({"total": names | attrs.asdict(total)})
            return
        if self._count > _SHOWN:
            yield f"and {self._count - _SHOWN} more; --json prints all"
        seen = (
            f"{_many(total.kits, 'kit')}, {_many(total.hours, 'hour')}, "
            f"{_many(total.values, 'value')}"
        )
        found = "no difference"
        if total.differing:
            found = f"{total.differing} counts or sums differ"
        yield f"total {self._here} and {self._there}: {seen}: {found}"
        yield f"compared up to {utc(high)} UTC"
        if total.unseen:
            kits = ", ".join(total.unseen[:8]) + (" ..." if len(total.unseen) > 8 else "")
            many = _many(len(total.unseen), "kit")
            yield f"nothing can be seen of {many} in {self._there}: {kits}"
            yield "is it there, and may the user or the token read it?"
        elif total.differing:
            yield f"mysense backfill {self._here} {self._there} copies what is missing there"


def _sum(one: Sum) -> str:
    return f"{one.count} ({readable(one.total)})"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
