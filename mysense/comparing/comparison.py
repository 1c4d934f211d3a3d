"""Walking through two places, hour by hour: first the counts, then what differs in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from mysense.comparing.hours import Part, Total
from mysense.comparing.judging import Finds, Held, Judge, differing
from mysense.comparing.sides import HOUR, Counted, Side, Values
from mysense.telegram import DAY, Telegram

_BLOCK = 28 * DAY  # seconds whose counts are held at once
_AT_ONCE = 5000  # telegrams of both places together, about, that are held at once

Counts = Mapping[int, Counted]


class Comparison:
    """Two places, compared.

    Counts of values by hour, label, field and `new` come first. Telegram by telegram it compares
    the hours where they differ, each kit's last day, and with `full` all hours. What differs is
    looked at twice: it may just have been on its way.

    Args:
        here: read before the other; where telegrams come from, as a rule.
        there: the other place.
        low: the first second.
        high: the second after the last one.
        full: compare everything telegram by telegram.
    """

    def __init__(self, here: Side, there: Side, *, low: int, high: int, full: bool = False) -> None:
        self.here = here
        self.there = there
        self.total = Total()
        self.low, self.high = low, high
        self._full = full

    def kits(self, patterns: Sequence[str] = ()) -> list[str]:
        """The kits to compare, sorted: without patterns those that are known to be meant."""
        sides = [self.here, self.there]
        known = [side for side in sides if side.knows_kits]
        every = {kit for side in (sides if patterns else known or sides) for kit in side.kits()}
        if patterns:
            every = {kit for kit in every if any(fnmatchcase(kit, one) for one in patterns)}
        return sorted(every)

    def parts(self, kits: Iterable[str]) -> Iterator[Part]:
        """Compare these kits; gives what was looked at in full, and adds up the total."""
        for kit in kits:
            self.total.kits += 1
            for part in self._of_kit(kit):
                for hour in part.hours:
                    self.total.add(hour)
                yield part

    def _of_kit(self, kit: str) -> Iterator[Part]:
        spans = [side.span(kit, self.low, self.high) for side in (self.here, self.there)]
        some = [span for span in spans if span is not None]
        if not some:
            return
        end = min(max(last for _, last in some) + 1, self.high)
        closely = end - DAY
        for low in range(min(first for first, _ in some) // HOUR * HOUR, end, _BLOCK):
            bounds = max(low, self.low), min(low + _BLOCK, end)
            here, there = (side.hours(kit, *bounds) for side in (self.here, self.there))
            for hours in self._runs(here, there, closely):
                yield self._compare(kit, hours, here, there)

    def _runs(self, here: Counts, there: Counts, closely: int) -> Iterator[list[int]]:
        """Hours to look at in full, together those that are neighbours and not too many."""
        run: list[int] = []
        weight = 0
        for hour in sorted(here.keys() | there.keys()):
            self.total.hours += 1
            pair = here.get(hour) or Counted(), there.get(hour) or Counted()
            alike = (hour + 1) * HOUR <= closely and not self._full and self._alike(*pair)
            size = sum(sum(counted.least().values()) for counted in pair)
            if run and (alike or weight + size > _AT_ONCE):
                yield run
                run, weight = [], 0
            if alike:
                self.total.by_counts += 1
            else:
                run.append(hour)
                weight += size
        if run:
            yield run

    def _alike(self, here: Counted, there: Counted) -> bool:
        """Whether the counts are those of the same telegrams."""
        if here.let_go or there.let_go:
            own, other = (here, there) if here.let_go else (there, here)
            return not own.values and not other.let_go and own.let_go == other.least()
        return self._seen(here) == self._seen(there)

    def _seen(self, counted: Counted) -> Values:
        """The values that both places are told of."""
        seen: Values = Counter()
        for (label, field, new), count in counted.values.items():
            if not self._hides(field):
                seen["" if self._hides("label") else label, field, new] += count
        return seen

    def _hides(self, what: str) -> bool:
        return self.here.told.hides(what) or self.there.told.hides(what)

    def _compare(self, kit: str, hours: Sequence[int], here: Counts, there: Counts) -> Part:
        low = max(hours[0] * HOUR, self.low)
        high = min((hours[-1] + 1) * HOUR, self.high)
        finds = self._look(kit, low, high)
        suspects = differing(*finds, self._told)
        if suspects:
            finds = self._look(kit, low, high)
            suspects &= differing(*finds, self._told)
        part = Part(kit, low, high)
        sides = [
            _held(side, kit, found, counts, hours)
            for side, found, counts in zip(
                (self.here, self.there), finds, (here, there), strict=True
            )
        ]
        Judge(part, sides[0], sides[1], self._told).judge(suspects)
        return part

    def _look(self, kit: str, low: int, high: int) -> tuple[Finds, Finds]:
        return self._finds(self.here, kit, low, high), self._finds(self.there, kit, low, high)

    def _finds(self, side: Side, kit: str, low: int, high: int) -> Finds:
        finds: Finds = {}
        for found in side.telegrams(kit, low, high):
            label, second = found.identity
            finds.setdefault(("" if self._hides("label") else label, second), []).append(found)
        return finds

    def _told(self, telegram: Telegram) -> Telegram:
        return self.there.told(self.here.told(telegram))


def _held(side: Side, kit: str, finds: Finds, counts: Counts, hours: Sequence[int]) -> Held:
    let_go = {
        (label, hour): count
        for hour in hours
        if hour in counts
        for label, count in counts[hour].let_go.items()
    }
    return Held(finds, let_go, lambda hour: side.given_up(kit, hour * HOUR, (hour + 1) * HOUR))
