"""Telegrams as rows of a table: columns, header and cells, as `;` delimited text."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Sequence

from mysense.telegram import Ident, Telegram
from mysense.text import cell, text_cell, utc

FIRST = ("time(UTC)", "label")


def encode(cells: Sequence[str]) -> str:
    """One row, without the line's end."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="").writerow(cells)
    return text.getvalue()


def decode(line: str) -> tuple[str, ...]:
    """The cells of one row."""
    return tuple(next(csv.reader([line], delimiter=";"), ()))


def header_cell(field: str, unit: str) -> str:
    """What stands above the values of a field."""
    return text_cell(f"{field}({unit})" if unit else field)


def columns(ident: Ident, present: Iterable[str] = ()) -> dict[str, str]:
    """The header cell of each field that `ident` lists, and of those in `present` besides.

    Two fields never share a cell: the second one gets a number.
    """
    named = dict.fromkeys([*ident.fields, *present])
    named.pop("time", None)
    cells: dict[str, str] = {}
    taken = set(FIRST)
    for field in named:
        wanted = name = header_cell(field, ident.unit(field))
        number = 2
        while name in taken:
            name = f"{wanted} {number}"
            number += 1
        cells[field] = name
        taken.add(name)
    return cells


def row(telegram: Telegram, cells: dict[str, str], header: Sequence[str]) -> str:
    """The row of `telegram` under `header`.

    Args:
        telegram: what was measured.
        cells: what `columns` gave for it.
        header: holds all of these cells, and perhaps more.
    """
    by_name = {cells[name]: cell(v) for name, v in telegram.data.items() if name in cells}
    by_name |= {FIRST[0]: utc(telegram.time), FIRST[1]: text_cell(telegram.ident.label or "")}
    return encode([by_name.get(name, "") for name in header])


class Sheets:
    """The tables of one kit and day: which of them takes a telegram, and as what row.

    Args:
        stands: gives the header row of the nth table, counted from 0, or None when there is none.
    """

    def __init__(self, stands: Callable[[int], str | None]) -> None:
        self.headers: list[str] = []
        """The header row of each table that was looked at or begun."""
        self._stands = stands
        self._cells: list[tuple[str, ...]] = []
        self._last: tuple[Ident, frozenset[str], dict[str, str], int] | None = None

    def row(self, telegram: Telegram) -> tuple[int, str]:
        """The number of the table, from 0, and the row in it."""
        present = frozenset(name for name, value in telegram.data.items() if value is not None)
        last = self._last
        if last is None or last[0] is not telegram.ident or last[1] != present:
            cells = columns(telegram.ident, sorted(present))
            last = self._last = (telegram.ident, present, cells, self._table(cells))
        return last[3], row(telegram, last[2], self._cells[last[3]])

    def _table(self, cells: dict[str, str]) -> int:
        """The first table that has all these columns; a new one where none has."""
        needed = {*FIRST, *cells.values()}
        for at in itertools.count():
            if at == len(self.headers):
                header = self._stands(at)
                self.headers.append(header or encode((*FIRST, *cells.values())))
                self._cells.append(decode(self.headers[at]))
            if needed <= set(self._cells[at]):
                return at
        raise AssertionError("counting has no end")
