"""What is known of the databases that are written to, as long as this process runs."""

from __future__ import annotations

import attrs

from mysense.influx.layouts import Place
from mysense.influx.lines import Book
from mysense.influx.types import Columns
from mysense.telegram import Ident


@attrs.define
class _Known:
    """Of one database: its columns, which all kits share, and the last `info` of each kit."""

    data: Columns
    info: Columns
    written: dict[str, tuple[Ident | None, int]] = attrs.Factory(dict)


class Shelf:
    """The books of all kits; what one kit finds out about columns holds for the others there."""

    def __init__(self) -> None:
        self._places: dict[Place, _Known] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._places

    def book(self, place: Place, kit: str) -> Book:
        """What `place` is known to hold of `kit`; to be copied before it is changed."""
        known = self._places.get(place)
        if known is None:
            return Book()
        ident, day = known.written.get(kit, (None, -1))
        return Book(ident, day, known.data, known.info)

    def keep(self, place: Place, kit: str, book: Book) -> None:
        """`place` has accepted a batch of `kit`, after which `book` says what it holds."""
        known = self._places.get(place)
        if known is None:
            known = self._places[place] = _Known(book.data, book.info)
        known.data, known.info = book.data, book.info
        known.written[kit] = (book.ident, book.day)

    def forget(self, place: Place) -> None:
        """What was known of `place` holds no longer: every kit writes its `info` there anew."""
        self._places.pop(place, None)
