"""Telegrams of one kit -> line protocol: series `info` (ident) and `data`, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, takewhile
from operator import attrgetter

import attrs

from mysense.influx.dialects import CLASSIC, Dialect, Unsendable
from mysense.influx.shapes import BLOCK, Block, load_dumps
from mysense.influx.station import Station
from mysense.influx.types import Columns, Misfit
from mysense.telegram import DAY, Ident, Telegram, Value

MANY = 2000  # idents of which something is kept
FEW = 4  # telegrams for which looking for a shape does not pay

_WHO = attrgetter("ident", "new")
_DATA = attrgetter("data")


@attrs.define
class Book:
    """What one database is known to hold; changes only when a batch was accepted.

    Attributes:
        ident: of the last `info` written by this process, or None.
        day: since 1970, UTC, of that `info`.
        data: types of the fields of `data`.
        info: types of the fields of `info`.
    """

    ident: Ident | None = None
    day: int = -1
    data: Columns = attrs.field(factory=Columns)
    info: Columns = attrs.field(factory=Columns)

    def columns(self, measurement: str) -> Columns | None:
        """The columns of `data` or `info`; None for what is not ours."""
        return {"data": self.data, "info": self.info}.get(measurement)

    def copy(self) -> Book:
        """A copy to try a batch with."""
        return Book(self.ident, self.day, self.data.copy(), self.info.copy())


@attrs.frozen
class Encoded:
    """A batch as line protocol.

    Attributes:
        body: lines, the last one without a line end; empty when all were refused.
        refused: why, by index into the batch.
        misfits: whether some were refused only because their columns have another type.
        book: what the database will hold once it has accepted the body.
        infos: times of the lines that are `info`.
    """

    body: bytes
    refused: Mapping[int, str]
    misfits: bool
    book: Book
    infos: Sequence[int] = ()


class Encoder:
    """Encodes batches; what depends on the ident alone is made once.

    Args:
        dialect: `CLASSIC` or `CLEAN`.
        fast: use orjson where it is installed.
        tagged: kits share a database: project and serial are tags, and no fields of `info`.
    """

    def __init__(
        self, dialect: Dialect = CLASSIC, *, fast: bool = True, tagged: bool = False
    ) -> None:
        self._dialect = dialect
        self._tagged = tagged
        self._dumps = load_dumps() if fast else None
        self._stations: dict[Ident, Station] = {}

    def encode(self, batch: Sequence[Telegram], book: Book) -> Encoded:
        """`batch`, of one kit, on top of what `book` says; `book` is left as it is.

        Raises:
            InfoMisfit: the kit's ident cannot be written at all.
        """
        run = _Run(book.copy())
        at = 0
        for (ident, new), group in groupby(batch, _WHO):
            block = list(map(_DATA, group))
            station = self._stations.get(ident) or self._new_station(ident)
            if station.kit != batch[0].kit:
                raise ValueError("a batch holds the telegrams of one kit")
            run.take(station, block, at, new=bool(new))
            at += len(block)
        return Encoded(b"\n".join(run.lines), run.refused, run.misfits, run.book, run.infos)

    def _new_station(self, ident: Ident) -> Station:
        if len(self._stations) >= MANY:
            self._stations.clear()
        station = Station(ident, self._dialect, self._dumps, tagged=self._tagged)
        self._stations[ident] = station
        return station


class _Run:
    """One batch on its way into lines."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.lines: list[bytes] = []
        self.refused: dict[int, str] = {}
        self.misfits = False
        self.infos: list[int] = []  # times of lines of `info`

    def take(self, station: Station, block: Block, at: int, *, new: bool) -> None:
        """Encode telegrams of one ident, the first of them at index `at` of the batch."""
        if station.refusal:
            self.refused |= dict.fromkeys(range(at, at + len(block)), station.refusal)
        elif new:
            for index, data in enumerate(block, at):
                self._one(station, data, index, new=True, info=True)
        else:
            self._take_old(station, block, at)

    def _take_old(self, station: Station, block: Block, at: int) -> None:
        """Telegrams whose ident is not new: `info` once a day, else as many at once as can be."""
        done = 0
        while done < len(block):
            day = _day(block[done])
            if self.book.day != day or self.book.ident != station.ident:
                self._one(station, block[done], at + done, info=True)
                done += 1
                continue
            part = block[done : done + BLOCK]
            if not self._at_once(station, part, day):
                part = _same_day(part, day)
                self._by_forms(station, part, at + done, day)
            done += len(part)

    def _at_once(self, station: Station, block: Block, day: int) -> bool:
        shape = station.shape(tuple(block[0]))
        if shape is None or not self.book.data.takes_floats(shape.fields):
            return False
        lines = shape.encode(block, day * DAY, day * DAY + DAY)
        if lines is None:
            return False
        self.book.data.set_floats(shape.fields)
        self.lines.append(lines)
        return True

    def _by_forms(self, station: Station, block: Block, at: int, day: int) -> None:
        """Those at once that look the same; the others one by one."""
        for _, group in groupby(block, _form):
            run = list(group)
            if len(run) < FEW or not self._at_once(station, run, day):
                for index, data in enumerate(run, at):
                    self._one(station, data, index)
            at += len(run)

    def _one(
        self,
        station: Station,
        data: Mapping[str, Value],
        index: int,
        *,
        new: bool = False,
        info: bool = False,
    ) -> None:
        try:
            line = station.line(data, self.book.data, new=new)
        except (Unsendable, Misfit) as wrong:
            self.refused[index] = str(wrong)
            self.misfits = self.misfits or isinstance(wrong, Misfit)
            return
        if info:
            self.lines.append(station.info(data, self.book.info).encode())
            self.book.ident, self.book.day = station.ident, _day(data)
            self.infos.append(_time(data))
        self.lines.append(line.encode())


def _time(data: Mapping[str, Value]) -> int:
    time: int = data["time"]  # type: ignore[assignment]  # the one entry that is an int
    return time


def _day(data: Mapping[str, Value]) -> int:
    """Days since 1970, UTC."""
    return _time(data) // DAY


def _same_day(block: Block, day: int) -> Block:
    """What comes before the first telegram of another day."""
    return list(takewhile(lambda data: _day(data) == day, block))


def _form(data: Mapping[str, Value]) -> tuple[object, ...]:
    """What telegrams that can be encoded together have in common."""
    return tuple(data), tuple(map(type, data.values()))
