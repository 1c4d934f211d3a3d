"""Rows of `data` and the idents they belong to -> telegrams, each once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from mysense.errors import TelegramError
from mysense.influx.columns import TAGS
from mysense.influx.idents import Walk, clean_tag
from mysense.influx.rows import Group, Plan, Row
from mysense.plugin import Refusal
from mysense.telegram import Telegram, check_text, check_time

Tags = tuple[str | None, str | None, str | None]

_NEW = {"1": True, "0": False}
_second = itemgetter(0)


class Joiner:
    """Joins rows of one database to idents.

    Args:
        database: its name, for messages.
        plan: how columns become telegrams.
        walk: the idents, from before the first row on.
        latest: the last acceptable second of a field `timestamp`.
    """

    def __init__(self, database: str, plan: Plan, walk: Walk, latest: float) -> None:
        self._database = database
        self._plan = plan
        self._walk = walk
        self._latest = latest

    def join(
        self, rows: Sequence[Row], newest: int, seen: Container[str]
    ) -> Iterator[Telegram | Refusal]:
        """What `rows` hold.

        Args:
            rows: in the order of their times.
            newest: up to this point time, rows may have been given before.
            seen: the digests of those that were.
        """
        rows = unseen(self._plan, rows, newest, seen)
        first = self._plan.tags_from
        tags = itemgetter(*range(first, first + len(TAGS)))
        start = 0
        while start < len(rows):  # from one info to the next
            self._walk.to(rows[start][0])
            end = bisect_left(rows, self._walk.next, start, key=_second)
            for key, run in groupby(rows[start:end], key=tags):
                yield from self._run(list(run), key)
            start = end

    def _run(self, rows: list[Row], tags: Tags) -> list[Telegram | Refusal]:
        try:
            if rows[0][0] < 0:
                check_time(rows[0][0])
            return [*self._plan.telegrams(rows, self._group(*tags), self._latest)]
        except TelegramError as wrong:
            if len(rows) == 1:
                return [refusal(self._database, rows[0], str(wrong), self._plan.text(rows[0]))]
        return [item for row in rows for item in self._run([row], tags)]

    def _group(self, label_tag: str | None, place_tag: str | None, new_tag: str | None) -> Group:
        label, geolocation = clean_tag(label_tag) or None, clean_tag(place_tag) or None
        for name, text in (("label", label), ("geolocation", geolocation)):
            if text is not None:
                check_text(text, f"tag {name}")
        ident = self._walk.ident(label)
        elsewhere = None if geolocation == ident.geolocation else geolocation
        return Group(ident, elsewhere, _NEW.get(clean_tag(new_tag) or ""))


def unseen(plan: Plan, rows: Sequence[Row], newest: int, seen: Container[str]) -> list[Row]:
    """`rows` without those given before, and each content of a second only once."""
    fresh = bisect_right(rows, newest, key=_second)
    found = [row for row in rows[:fresh] if plan.digest(row) not in seen]
    found += rows[fresh:]
    if len(set(map(_second, found))) == len(found):
        return found
    once: list[Row] = []
    for _, each in groupby(found, key=_second):
        twins = list(each)
        if len(twins) > 1:  # the same may have been written again with another `new`
            contents: dict[str, Row] = {}
            for row in twins:
                contents.setdefault(plan.digest(row), row)
            twins = list(contents.values())
        once += twins
    return once


def refusal(database: str, row: Row, reason: str, text: str) -> Refusal:
    """What to say of a row that nothing can be made of."""
    return Refusal(f"database {database} time {row[0]}", reason, text)
