"""Comparing two servers by counts and sums of every hour, label and field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import attrs

from mysense.comparing.file_side import SpooledSide
from mysense.comparing.sides import HOUR
from mysense.migrating.moving import Bounds
from mysense.migrating.place import Server
from mysense.migrating.tally import REFUSED, Hidden, Slot, Sum, Tally, by_server, by_telegrams
from mysense.plugin import Refusal
from mysense.telegram import DAY, Telegram

_BLOCK = 28 * DAY  # seconds whose tallies are held at once
_RUN = 24  # hours that are read at once
_DEAD = "SELECT count(*) AS n FROM aside WHERE state = 'dead'"


@attrs.frozen
class Difference:
    """An hour of one kit, label and field; both sums are those of the two places."""

    kit: str
    hour: int
    label: str
    field: str
    here: Sum
    there: Sum


@attrs.define
class Total:
    """What was compared.

    Attributes:
        kits, hours: how many.
        slots: hours times labels times fields.
        values: how many there are in the first place.
        read: hours that had to be read row by row.
        differing: slots that differ.
        unseen: kits of which the second place shows nothing at all.
    """

    kits: int = 0
    hours: int = 0
    slots: int = 0
    values: int = 0
    read: int = 0
    differing: int = 0
    unseen: list[str] = attrs.Factory(list)


class Check:
    """Two servers, compared kit by kit.

    First both servers count and add up. Where that differs the rows are read: rows that differ only
    in `new` are one telegram, and types may have changed on the way.

    Args:
        here, there: open.
        bounds: of times.
        hidden: what the second one is not told.
    """

    def __init__(self, here: Server, there: Server, bounds: Bounds, hidden: Hidden) -> None:
        self.total = Total()
        self._servers = here, there
        self._bounds = bounds
        self._hidden = hidden

    def differences(self, kits: Iterable[str]) -> Iterator[Difference]:
        """All differences, by kit and hour. Raises CompareError, RetryLater."""
        for kit in kits:
            if self._hidden.kit(kit):
                continue
            self.total.kits += 1
            here, there = (_Holding(server, kit, self._bounds) for server in self._servers)
            try:
                yield from self._of_kit(kit, here, there)
            finally:
                here.close()
                there.close()

    def _of_kit(self, kit: str, here: _Holding, there: _Holding) -> Iterator[Difference]:
        spans = [span for one in (here, there) if (span := one.span()) is not None]
        if not spans:
            return
        if there.span() is None:
            self.total.unseen.append(kit)
        end = min(max(last for _, last in spans) + 1, self._bounds.high)
        for low in range(min(first for first, _ in spans) // HOUR * HOUR, end, _BLOCK):
            times = max(low, self._bounds.low), min(low + _BLOCK, end)
            tallies = [self._seen(kit, one.tally(*times)) for one in (here, there)]
            self._count(tallies[0])
            for hours in _runs(tallies[0], tallies[1]):
                yield from self._look(kit, hours, (here, there), tallies)

    def _count(self, tally: Tally) -> None:
        self.total.slots += len(tally)
        self.total.hours += len({hour for hour, _, _ in tally})
        self.total.values += sum(one.count for one in tally.values())

    def _look(
        self, kit: str, hours: Sequence[int], both: tuple[_Holding, _Holding], rough: list[Tally]
    ) -> Iterator[Difference]:
        """Compare these hours by their rows, where both places have some."""
        wanted = set(hours)
        tallies = [_of_hours(tally, wanted) for tally in rough]
        if all(tallies):
            self.total.read += len(hours)
            low = max(hours[0] * HOUR, self._bounds.low)
            high = min((hours[-1] + 1) * HOUR, self._bounds.high)
            read = (self._seen(kit, one.exact(low, high)) for one in both)
            tallies = [_of_hours(tally, wanted) for tally in read]
        for slot in _differing(*tallies):
            self.total.differing += 1
            yield Difference(kit, *slot, *(tally.get(slot) or Sum() for tally in tallies))

    def _seen(self, kit: str, tally: Tally) -> Tally:
        """What of it both places are told."""
        seen: Tally = {}
        for (hour, label, field), one in tally.items():
            if not self._hidden.field(kit, field):
                slot = hour, self._hidden.label(label), field
                seen.setdefault(slot, Sum()).add(one.count, one.total)
        return seen


class _Holding:
    """What one server has of one kit."""

    def __init__(self, server: Server, kit: str, bounds: Bounds) -> None:
        self._server = server
        self._databases = server.databases(kit)
        self._bounds = bounds
        self._refused = 0
        self._spool: SpooledSide | None = None
        self._kit = kit
        if any(database.arrival_is_kept for database in self._databases):
            self._spool = SpooledSide(self._telegrams(), server.name)
            self._refused += int(self._spool.view.all(_DEAD)[0]["n"])

    def close(self) -> None:
        """Remove what was put aside."""
        if self._spool is not None:
            self._spool.close()

    def _telegrams(self) -> Iterator[Telegram]:
        """All of it, whose order by point time is not that of the telegrams."""
        for database in self._databases:
            for item in database.items(*self._bounds.points(database)):
                if isinstance(item, Refusal):
                    self._refused += 1
                elif self._bounds.low <= item.time < self._bounds.high:
                    yield item

    def span(self) -> tuple[int, int] | None:
        """The first and the last second."""
        low, high = self._bounds.low, self._bounds.high
        if self._spool is not None:
            return self._spool.span(self._kit, low, high)
        ends = [one for database in self._databases if (one := database.ends(low, high))]
        return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None

    def tally(self, low: int, high: int) -> Tally:
        """As the server sees it, where that can be asked."""
        if self._spool is None:
            return _together(by_server(self._server, one, low, high) for one in self._databases)
        return _together(self.exact(at, min(at + DAY, high)) for at in range(low, high, DAY))

    def exact(self, low: int, high: int) -> Tally:
        """The same by its rows."""
        if self._spool is None:
            items = chain.from_iterable(one.items(low, high) for one in self._databases)
            return by_telegrams(items, low // HOUR)
        found = self._spool.telegrams(self._kit, low, high)
        alive = (one.telegram for one in found if one.state != "dead")
        tally = by_telegrams(alive, low // HOUR)
        span = self.span()
        if self._refused and span and low <= span[0] < high:  # nobody knows of which hour they are
            tally[span[0] // HOUR, "", REFUSED] = Sum(self._refused)
        return tally


def _together(tallies: Iterable[Tally]) -> Tally:
    found: Tally = {}
    for tally in tallies:
        for slot, one in tally.items():
            found.setdefault(slot, Sum()).add(one.count, one.total)
    return found


def _of_hours(tally: Tally, hours: set[int]) -> Tally:
    return {slot: one for slot, one in tally.items() if slot[0] in hours}


def _differing(here: Tally, there: Tally) -> list[Slot]:
    nothing = Sum()
    return sorted(
        slot
        for slot in here.keys() | there.keys()
        if not here.get(slot, nothing).is_about(there.get(slot, nothing))
    )


def _runs(here: Tally, there: Tally) -> Iterator[list[int]]:
    """Hours in which something differs; neighbours together, unless a place has nothing."""
    filled = [{hour for hour, _, _ in tally} for tally in (here, there)]
    run: list[int] = []
    for hour in sorted({hour for hour, _, _ in _differing(here, there)}):
        both = all(hour in one for one in filled)
        if run and not (both and hour == run[-1] + 1 and len(run) < _RUN):
            yield run
            run = []
        run.append(hour)
        if not both:
            yield run
            run = []
    if run:
        yield run
