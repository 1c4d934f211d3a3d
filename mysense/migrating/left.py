"""What is not copied: everything in a database that is no telegram, told in a line each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mysense.comparing.reading import Database
from mysense.comparing.sides import CompareError
from mysense.influx.columns import TAGS
from mysense.influx.idents import Info, InfoReader
from mysense.influx.naming import quote_identifier
from mysense.influx.station import KIT, PRIVATE
from mysense.migrating.moving import EVER, Bounds
from mysense.migrating.place import Server
from mysense.telegram import IDENT_KEYS, short

SERIES = ("data", "info")
_PAGE = 5000  # rows in one answer
_FAULTS = 3  # infos with a fault that are named
_AHEAD = 120  # seconds: rows of the last minute are on their way, later ones of a wrong clock


class Left:
    """Looks at databases of kits for what a migration leaves behind.

    Args:
        server: where from.
        bounds: of times.
        open_end: whether nobody said where to end: then what lies in the future is told.
    """

    def __init__(self, server: Server, bounds: Bounds, *, open_end: bool) -> None:
        self._server = server
        self._bounds = bounds
        self._open_end = open_end
        self._seen: set[str] = set()

    def strangers(self) -> Iterator[str]:
        """Databases that are of no kit."""
        try:
            names = self._server.strangers()
        except CompareError as wrong:
            yield f"other databases cannot be listed: {wrong}"
            return
        if names:
            yield f"databases that are of no kit (<project>_<serial>): {_listed(names)}"

    def of_kits(self, kits: Iterable[str]) -> Iterator[str]:
        """What is left of these; the same of many in one line. Raises RetryLater."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for kit in kits:
            try:
                for name, text in self._of_kit(kit):
                    found[text].append(name)
            except CompareError as wrong:
                found[str(wrong)].append(kit)
        for text, names in found.items():
            yield f"{_listed(names)}: {text}"

    def _of_kit(self, kit: str) -> Iterator[tuple[str, str]]:
        """Databases and kits, and what is left of each."""
        name = self._server.shared or kit
        if name not in self._seen:  # kits that share a database share the rest of it, too
            self._seen.add(name)
            yield from ((name, text) for text in self._beside(name))
        databases = self._server.databases(kit)
        if not databases:
            yield kit, "no series data, there is nothing to copy"
        for database in databases:
            yield from ((kit, text) for text in self._of_database(database))

    def _beside(self, name: str) -> Iterator[str]:
        try:
            yield from self._measurements(name)
            yield from self._policies(name)
            yield from self._tags(name)
        except CompareError as wrong:
            yield f"what else is in it cannot be told: {wrong}"

    def _measurements(self, name: str) -> Iterator[str]:
        (result,) = self._server.asking.ask(f"SHOW MEASUREMENTS ON {quote_identifier(name)}")
        for row in _rows(result):
            if row[0] not in SERIES:
                policy = quote_identifier(self._server.rp) if self._server.rp else ""
                points = self._points(f"{quote_identifier(name)}.{policy}", row[0])
                if points:
                    yield f"measurement {short(row[0])}, {points} points"

    def _policies(self, name: str) -> Iterator[str]:
        (result,) = self._server.asking.ask(f"SHOW RETENTION POLICIES ON {quote_identifier(name)}")
        for series in result.get("series", ()):
            for row in series.get("values", ()):
                policy = dict(zip(series["columns"], row, strict=True))
                read = self._server.rp == policy["name"] or (
                    not self._server.rp and policy.get("default")
                )
                if not read:
                    yield from self._policy(name, str(policy["name"]))

    def _policy(self, name: str, policy: str) -> Iterator[str]:
        place = f"{quote_identifier(name)}.{quote_identifier(policy)}"
        found = self._first(place)
        if found:
            counts = [f"{one}: {self._points(place, one)} points" for one in sorted(found)]
            yield f"retention policy {policy} ({_listed(counts)})"

    def _first(self, place: str) -> list[str]:
        (result,) = self._server.asking.ask(f"SELECT * FROM {place}./.*/ LIMIT 1")  # noqa: S608  # its names are quoted
        return [series["name"] for series in result.get("series", ())]

    def _points(self, place: str, measurement: str) -> int:
        query = f"SELECT count(*) FROM {place}.{quote_identifier(measurement)}"  # noqa: S608  # its names are quoted
        (result,) = self._server.asking.ask(query)
        return max((count or 0 for row in _rows(result) for count in row[1:]), default=0)

    def _tags(self, name: str) -> Iterator[str]:
        ours = {"data": {*TAGS}, "info": {"label"}}
        extra = set(KIT) if self._server.shared else set()
        query = f'SHOW TAG KEYS ON {quote_identifier(name)} FROM "data", "info"'
        (result,) = self._server.asking.ask(query)
        for series in result.get("series", ()):
            tags = {row[0] for row in series["values"]}
            strange = sorted(tags - ours.get(series["name"], set()) - extra)
            if strange:
                yield f"tags of {series['name']}: {_listed(strange)}"

    def _of_database(self, database: Database) -> Iterator[str]:
        names = {name for name, _ in database.columns.info_fields}
        if private := sorted(names & PRIVATE):
            yield f"of info: {_listed(private)}, which are never sent"
        if strange := sorted(names - set(IDENT_KEYS)):
            yield f"of info: {_listed(strange)}, which no ident has"
        yield from self._infos(database)
        if self._open_end:
            low = self._bounds.now + _AHEAD
            ends = database.ends(low, EVER)
            if ends:
                times = f"from {utc(ends[0])} to {utc(ends[1])}"
                yield f"rows of the future, {times}; --until takes them"

    def _infos(self, database: Database) -> Iterator[str]:
        """Infos that no row of data follows, and what of the others no ident can have."""
        ends, faults, behind = database.ends(-EVER, EVER), 0, 0
        for info in self._all_infos(database):
            faults += bool(info.fault)
            behind += ends is not None and info.time > ends[1]
            if info.fault and faults <= _FAULTS:
                yield f"of the info at {utc(info.time)}: {info.fault}"
        if faults > _FAULTS:
            yield f"and parts of {faults - _FAULTS} more infos"
        if behind:
            yield f"{behind} infos behind the last row of data"

    def _all_infos(self, database: Database) -> Iterator[Info]:
        if not database.columns.info:
            return
        reader = InfoReader(database.kit)
        names = [name for name, _ in database.columns.info_fields]
        source, low = database.source, -EVER
        while True:
            query = (
                f"SELECT {database.columns.select_info} FROM {source.series('info')}"  # noqa: S608  # its names are quoted
                f" WHERE time >= {low}s{source.condition} LIMIT {_PAGE}"
            )
            rows = _rows(self._server.asking.ask(query)[0])
            yield from (reader.read(row, names) for row in rows)
            if len(rows) < _PAGE:
                return
            low = rows[-1][0] + 1  # of this second all are here, but for a page of one second


def _rows(result: Mapping[str, Any]) -> list[list[Any]]:
    return [row for series in result.get("series", ()) for row in series.get("values", ())]


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def utc(second: int) -> str:
    """A moment for people."""
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):  # beyond the year 9999
        return f"second {second}"
