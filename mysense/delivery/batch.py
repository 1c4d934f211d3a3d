"""A batch under way: its telegrams still to be sent, and what became of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import attrs

from mysense.delivery.search import Search
from mysense.journal import Outcome, Row


@attrs.define
class Batch:
    """Telegrams in parts that are handed over one after the other.

    `count` is how many there are, `receipt` what the output last returned. `aside` names the kit
    where they were set aside before, `last` is the number of the newest.
    """

    cursor: int
    receipt: str | None
    parts: deque[list[Row]] = attrs.Factory(deque)
    aside: str = ""
    last: int = 0
    count: int = 0
    acknowledged: list[Row] = attrs.Factory(list)
    excluded: list[Row] = attrs.Factory(list)
    held: list[tuple[Row, str]] = attrs.Factory(list)
    dead: list[tuple[Row, str]] = attrs.Factory(list)
    search: Search = attrs.Factory(Search)

    def outcome(self) -> Outcome:
        """What to settle; every telegram is in it, once."""
        settled = (self.acknowledged, self.excluded, self.held, self.dead)
        assert sum(len(rows) for rows in settled) == self.count, "a telegram is not accounted for"
        return Outcome(
            self.cursor, self.acknowledged, self.receipt, self.held, self.dead, self.excluded
        )

    def answered(self) -> None:
        """The first part has its answer: it is not to be sent again, and no longer suspected."""
        for row in self.parts.popleft():
            self.search.failed.pop(row.seq, None)

    def accepted(self, rows: list[Row]) -> None:
        """The output has them."""
        self.acknowledged += rows
        self.search.passes(rows)

    def divide(self, part: list[Row]) -> None:
        """Put `part`, of two telegrams at least, back as two halves."""
        middle = len(part) // 2
        self.parts.extendleft([part[middle:], part[:middle]])

    def take(self, kit: str) -> list[Row]:
        """Take what is still to be sent of one kit out of the parts, in order."""
        rows = [row for part in self.parts for row in part if row.telegram.kit == kit]
        others = [[row for row in part if row.telegram.kit != kit] for part in self.parts]
        self.parts.clear()
        self.parts.extend(part for part in others if part)
        return sorted(rows, key=number)


def number(row: Row) -> int:
    """Its place in the journal, or among what was set aside."""
    return row.seq


def by_kit(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each kit, in their order, kits in order of their first row."""
    kits: dict[str, list[Row]] = {}
    for row in rows:
        kits.setdefault(row.telegram.kit, []).append(row)
    return list(kits.values())


def into_parts(rows: Sequence[Row], *, mixed: bool) -> list[list[Row]]:
    """The parts in which `rows` are handed over: by kit, or all at once to a mixed output."""
    if not mixed:
        return by_kit(rows)
    return [list(rows)] if rows else []
