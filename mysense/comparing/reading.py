"""Reading one kit's database on an InfluxDB server, page by page, and counting in it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from mysense.comparing.sides import NO_VALUES, CompareError, Counted
from mysense.influx.ahead import Ahead
from mysense.influx.answers import Answer
from mysense.influx.columns import TRUE_TIME, Columns
from mysense.influx.idents import Idents, InfoReader, clean_tag
from mysense.influx.joining import Joiner
from mysense.influx.naming import quote_identifier, quote_string
from mysense.influx.rows import Plan, Row
from mysense.plugin import Refusal
from mysense.telegram import DAY, Telegram

_PAGE = 5000  # rows in one answer
_EVER = 2**33  # seconds; a time before and after all times
_NEW = {"0": 0, "1": 1}


class Asking:
    """Asks a server; what it refuses becomes an error in words."""

    def __init__(self, ahead: Ahead, name: str) -> None:
        self._ahead = ahead
        self._name = name

    def ask(self, *statements: str) -> list[Mapping[str, Any]]:
        """The results, one for each statement; those of a database that is not there are empty.

        Raises:
            CompareError: the server said no.
            RetryLater: it said nothing.
        """
        try:
            results = self._ahead.ask(statements).results
        except Answer as answer:
            hint = "; comparing needs READ" if answer.status in (401, 403) else ""
            raise CompareError(f"{self._name}: the server answered {answer}{hint}") from answer
        for result in results:
            error = str(result.get("error", ""))
            if error.startswith("database not found"):
                return [{} for _ in statements]
            if error:
                raise CompareError(f"{self._name}: the server answered: {error}")
        return list(results)


@attrs.frozen
class Source:
    """Where the rows of one kit are.

    Attributes:
        database: its name.
        rp: retention policy; "" for the default.
        tags: what tells the kit from others in the same database.
    """

    database: str
    rp: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def condition(self) -> str:
        """What a WHERE needs besides the time."""
        return "".join(f' AND "{name}"::tag = {quote_string(text)}' for name, text in self.tags)

    @property
    def keys(self) -> str:
        """The statement for fields and their types."""
        name = quote_identifier(self.database)
        return f"SHOW FIELD KEYS ON {name} FROM {self.series('data')}, {self.series('info')}"

    def series(self, name: str) -> str:
        """A series as FROM takes it."""
        rp = quote_identifier(self.rp) if self.rp else ""
        return f"{quote_identifier(self.database)}.{rp}.{quote_identifier(name)}"


class Database:
    """What the server has of one kit.

    Args:
        asking: the server.
        kit: the kit.
        source: where its rows are.
    """

    def __init__(self, asking: Asking, kit: str, source: Source) -> None:
        self.kit = kit
        self.source = source
        self._asking = asking
        self._infos = InfoReader(kit)
        self.columns = Columns.read(asking.ask(source.keys)[0])
        self.plan = Plan(self.columns)

    @property
    def is_empty(self) -> bool:
        """Whether there are no data in it, or no such database."""
        return not self.columns.data

    @property
    def arrival_is_kept(self) -> bool:
        """Whether points may be at the time of arrival, and the telegram's time in a field."""
        return any(name == TRUE_TIME for name, _ in self.columns.data)

    def ends(self, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last point time."""
        query = self._select("data", self.columns.select_data, low, high)
        results = self._asking.ask(f"{query} LIMIT 1", f"{query} ORDER BY time DESC LIMIT 1")
        found = [row[0] for result in results for row in _rows(result)]
        return (found[0], found[-1]) if found else None

    def hours(self, low: int, high: int) -> dict[int, Counted]:
        """How many values there are in each hour."""
        query = self._select("data", self.columns.count_data, low, high)
        grouped = f'{query} GROUP BY time(1h), "label", "new" fill(none)'
        names = (*self.columns.numbers, *(name for name, _ in self.columns.others))
        found: defaultdict[int, Counted] = defaultdict(Counted)
        for series in self._asking.ask(grouped)[0].get("series", ()):
            label = clean_tag(series["tags"]["label"]) or ""
            new = _NEW.get(clean_tag(series["tags"]["new"]) or "")
            for second, *counts in series["values"]:
                hour = found[second // 3600]
                for name, count in zip(names, counts, strict=True):
                    if count and name not in NO_VALUES:
                        hour.values[label, name, new] += count
        return dict(found)

    def items(self, low: int, high: int) -> Iterator[Telegram | Refusal]:
        """What the rows of these point times hold; rows that differ only in `new` are one."""
        for page in self._pages(low, high):
            yield from page.join(page.rows)

    def places(self, low: int, high: int) -> Iterator[tuple[Place, Telegram]]:
        """Every row that holds a telegram: where it is, and the telegram."""
        for page in self._pages(low, high):
            first = self.plan.tags_from
            for row in page.rows:
                tags = page.tags.get(id(row), tuple(row[first : first + 3]))
                for item in page.join([row]):
                    if isinstance(item, Telegram):
                        yield Place(row[0], *tags), item

    def _pages(self, low: int, high: int) -> Iterator[_Page]:
        if self.is_empty:
            return
        idents = Idents(self._infos.plain)
        idents.add(self._newest_infos(low))
        while low < high:
            rows, end = self._page(low, high)
            infos = self._select("info", self.columns.select_info, low, end)
            if self.columns.info:
                idents.add(map(self._info, _rows(self._asking.ask(infos)[0])))
            yield _Page.of(self, rows, idents)
            idents.forget(end)
            low = end

    def _page(self, low: int, high: int) -> tuple[list[Row], int]:
        """Rows from `low` on, and the second before which they are all; never part of a second."""
        query = self._select("data", self.columns.select_data, low, high)
        rows = _rows(self._asking.ask(f"{query} LIMIT {_PAGE + 1}")[0])
        if len(rows) <= _PAGE:
            return rows, high
        cut = rows[-1][0]
        if cut > low:
            return [row for row in rows if row[0] < cut], cut
        query = self._select("data", self.columns.select_data, low, low + 1)
        return _rows(self._asking.ask(query)[0]), low + 1

    def _newest_infos(self, low: int) -> Iterator[Any]:
        if not self.columns.info:
            return iter(())
        query = self._select("info", self.columns.select_info, -_EVER, low) + ' GROUP BY "label"'
        return map(self._info, _rows(self._asking.ask(f"{query} ORDER BY time DESC LIMIT 1")[0]))

    def _info(self, row: Row) -> Any:
        return self._infos.read(row, [name for name, _ in self.columns.info_fields])

    def _select(self, series: str, columns: str, low: int, high: int) -> str:
        where = f"time >= {low}s AND time < {high}s{self.source.condition}"
        return f"SELECT {columns} FROM {self.source.series(series)} WHERE {where}"  # noqa: S608  # every name in it is quoted


@attrs.frozen
class Place:
    """Where a row of `data` is: its point time and its tags, as they are stored."""

    time: int
    label: str | None
    geolocation: str | None
    new: str | None


@attrs.frozen
class _Page:
    """Rows of one database and the idents that they belong to."""

    database: Database
    rows: list[Row]
    tags: dict[int, tuple[Any, Any, Any]]
    idents: Idents

    @classmethod
    def of(cls, database: Database, rows: list[Row], idents: Idents) -> _Page:
        """A page; notes the tags before fields of the same names take their places."""
        first = database.plan.tags_from
        tags = {id(row): (row[first], row[first + 1], row[first + 2]) for row in rows}
        database.plan.settle_tags(rows)
        return cls(database, rows, tags, idents)

    def join(self, rows: Sequence[Row]) -> Iterator[Telegram | Refusal]:
        """What these rows hold."""
        walk, latest = self.idents.walk(), time.time() + DAY
        joiner = Joiner(self.database.kit, self.database.plan, walk, latest)
        return joiner.join(rows, -(2**62), ())


def _rows(result: Mapping[str, Any]) -> list[Row]:
    return [row for series in result.get("series", ()) for row in series["values"]]
