"""What a migration would copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import attrs

from mysense.comparing.sides import HOUR
from mysense.migrating.moving import Bounds
from mysense.migrating.place import Server
from mysense.migrating.tally import Tally, by_server
from mysense.telegram import DAY

_BLOCK = 28 * DAY  # seconds that are counted at once


@attrs.define
class Planned:
    """Of one kit.

    Attributes:
        kit: which.
        telegrams: about how many: what the commonest field of each hour and label has.
        first, last: point times of the first and the last row; None where there is none.
        to: where it would go.
    """

    kit: str
    telegrams: int
    first: int | None
    last: int | None
    to: str


def plan(here: Server, there: Server, kits: Iterable[str], bounds: Bounds) -> Iterator[Planned]:
    """What would be copied of each kit. Raises CompareError, RetryLater."""
    for kit in kits:
        planned = Planned(kit, 0, None, None, there.where(kit))
        for database in here.databases(kit):
            low, high = bounds.points(database)
            ends = database.ends(low, high)
            if ends is None:
                continue
            planned.first = min(ends[0], ends[0] if planned.first is None else planned.first)
            planned.last = max(ends[1], planned.last or ends[1])
            for block in range(ends[0] // HOUR * HOUR, ends[1] + 1, _BLOCK):
                times = max(block, low), min(block + _BLOCK, high)
                planned.telegrams += _telegrams(by_server(here, database, *times))
        yield planned


def _telegrams(tally: Tally) -> int:
    most: defaultdict[tuple[int, str], int] = defaultdict(int)
    for (hour, label, _), one in tally.items():
        most[hour, label] = max(most[hour, label], one.count)
    return sum(most.values())
