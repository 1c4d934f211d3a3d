"""Which rows are surely whole at first sight.

The server shows the values of a point one by one while it stores it, seldom even for a while. A
row that has every field there is lacks nothing. Nor does one with the very fields that rows of its
label, and of its kit, are known to have, unless some of them are known to have more.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import is_not, itemgetter

from mysense.influx.columns import TAGS, Columns
from mysense.influx.rows import Row

Shape = tuple[bool, ...]

_is_there = partial(is_not, None)
_MOST = 1000  # infos that are remembered
_MOST_SHAPES = 20_000  # labels; more than there are kits in one database


class Trust:
    """What is known of the rows of one database with one set of columns.

    Args:
        columns: those.
        tags: the column of the first tag in `data`.
    """

    def __init__(self, columns: Columns, tags: int) -> None:
        self._fields = len(columns.numbers) + len(columns.others)
        self._info_from = columns.info_from
        self._tags = tags
        self._label: Callable[[Row], object] = itemgetter(tags)
        if columns.tagged:
            self._label = itemgetter(tags, *(tags + columns.tags.index(tag) for tag in columns.kit))
        self._complete: set[object] = set()  # labels with rows that have all fields
        self._shapes: dict[object, set[Shape]] = {}
        self._infos: set[tuple[object, ...]] = set()

    def doubts(self, data: Sequence[Row], values: array[int], infos: Iterable[Row]) -> bool:
        """Whether some row may have more values than were seen; `values`: how many each has."""
        if values.count(self._fields) == len(data):
            self._complete.update(map(self._label, data))
        else:
            pairs = [*zip(data, values, strict=True)]
            self._complete.update(self._label(row) for row, n in pairs if n == self._fields)
            if any(n < self._fields and not self._is_known(row) for row, n in pairs):
                return True
        return any(tuple(row) not in self._infos for row in infos if self._lacks(row))

    def _lacks(self, info: Row) -> bool:
        return None in info[self._info_from :]

    def _is_known(self, row: Row) -> bool:
        label = self._label(row)
        return label not in self._complete and self._shape(row) in self._shapes.get(label, ())

    def _shape(self, row: Row) -> Shape:
        tags = self._tags
        return tuple(map(_is_there, row[:tags] + row[tags + len(TAGS) :]))

    def learn(self, data: Sequence[Row], infos: Iterable[Row]) -> None:
        """These rows are whole."""
        if len(self._shapes) > _MOST_SHAPES:
            self._shapes.clear()
        if len(self._infos) > _MOST:
            self._infos.clear()
        for label, shape in {(self._label(row), self._shape(row)) for row in data}:
            known = self._shapes.setdefault(label, set())
            if not any(_holds(other, shape) for other in known):
                self._shapes[label] = {o for o in known if not _holds(shape, o)} | {shape}
        self._infos |= {tuple(row) for row in infos if self._lacks(row)}


def _holds(some: Shape, other: Shape) -> bool:
    """Whether there is all in `some` that is in `other`."""
    return all(one or not two for one, two in zip(some, other, strict=True))
