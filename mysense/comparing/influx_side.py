"""An InfluxDB server as a place to compare."""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterator

from mysense.comparing.file_side import SpooledSide
from mysense.comparing.reading import Asking, Database, Place, Source
from mysense.comparing.sides import CompareError, Counted, Found, Identity, Told
from mysense.influx.ahead import Ahead
from mysense.influx.answers import Answer
from mysense.influx.databases import Databases
from mysense.influx.http import Server, ServerSettings
from mysense.influx.idents import split_name
from mysense.influx.layouts import ORG_BUCKET
from mysense.influx.naming import quote_identifier, quote_string
from mysense.plugin import Refusal
from mysense.telegram import DAY, Telegram

_ANY = re.compile(".*")
_PROJECT = re.compile(r"(?<!\\),project=([A-Za-z0-9_.-]+)")
_SERIAL = re.compile(r"(?<!\\),serial=([A-Za-z0-9_.-]+)")
_END = 2**33  # seconds; whatever arrived, arrived before
_log = logging.getLogger("mysense.compare")


class InfluxSide:
    """An InfluxDB server, in whatever dialect it was written.

    Args:
        settings: of the section; those of influxsub also say which databases are meant.
        told: what its output is told.
        name: the section.

    Raises:
        Misconfigured: a file of certificates that is not there.
    """

    def __init__(self, settings: ServerSettings, told: Told, name: str) -> None:
        self.name = name
        self.told = told
        self.knows_kits = hasattr(settings, "databases")
        self._rp: str = getattr(settings, "rp", "")
        self._shared = _shared(settings)
        self._by_org = getattr(settings, "layout", "kit") == "org"
        self._projects: set[str] | None = None  # of which there are rows, where that was asked
        self._settings = settings
        self._ahead = Ahead(settings)
        self._ahead.open()
        self._asking = Asking(self._ahead, name)
        self._last: Database | None = None
        self._spool: SpooledSide | None = None

    def close(self) -> None:
        """Close the connections."""
        self._drop_spool()
        self._ahead.close()

    def kits(self) -> list[str]:
        """Databases that may be of kits; those of others too, when only an output is configured."""
        options = self._settings
        projects, serials = (getattr(options, part, _ANY) for part in ("projects", "serials"))
        if self._shared:
            pairs = self._pairs(self._shared)
            return sorted(
                {f"{p}_{s}" for p, s in pairs if projects.fullmatch(p) and serials.fullmatch(s)}
            )
        named = getattr(options, "databases", ())
        return Databases(self._ahead, projects, serials, named).matching()

    def _pairs(self, database: str) -> set[tuple[str, str]]:
        """Project and serial of all kits that share a database."""
        (result,) = self._asking.ask(f'SHOW SERIES ON {quote_identifier(database)} FROM "data"')
        keys = [row[0] for series in result.get("series", ()) for row in series["values"]]
        found = ((_PROJECT.search(key), _SERIAL.search(key)) for key in keys)
        return {(project[1], serial[1]) for project, serial in found if project and serial}

    def span(self, kit: str, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last second."""
        database = self._database(kit)
        if database.is_empty:
            return None
        if database.arrival_is_kept:
            return self._spooled(database).span(kit, low, high)
        return database.ends(low, high)

    def hours(self, kit: str, low: int, high: int) -> dict[int, Counted]:
        """What it has in each hour: counts of values only, unless points are at arrival."""
        database = self._database(kit)
        if database.is_empty:
            return {}
        if database.arrival_is_kept:
            return self._spooled(database).hours(kit, low, high)
        return database.hours(low, high)

    def telegrams(self, kit: str, low: int, high: int) -> Iterator[Found]:
        """What its rows hold; rows that hold no telegram are told and left out."""
        database = self._database(kit)
        if database.arrival_is_kept:
            return self._spooled(database).telegrams(kit, low, high)
        return map(Found, _good(database.items(low, high)))

    def given_up(self, kit: str, low: int, high: int) -> int:  # noqa: ARG002  # it keeps all
        """Nothing."""
        return 0

    def forget(self, kit: str, identities: Collection[Identity], low: int, high: int) -> None:
        """Delete all rows with one of these identities, so that others can take their places.

        InfluxDB merges the fields of a point that is written again, and tells points apart by
        their tags: writing alone would leave parts of the old ones.

        Raises:
            CompareError: the server said no.
        """
        if self._rp:
            raise CompareError(
                f"{self.name}: InfluxDB deletes in all retention policies at once; with rp = "
                f"{self._rp} what differs has to be settled by hand"
            )
        database = self._database(kit)
        bounds = (low - DAY, _END) if database.arrival_is_kept else (low, high)
        gone: defaultdict[Identity, list[Place]] = defaultdict(list)
        for place, telegram in database.places(*bounds):
            identity = Found(telegram).identity
            if identity in identities:
                gone[identity].append(place)
        self._delete(database.source, [place for places in gone.values() for place in places])

    def _delete(self, source: Source, places: list[Place]) -> None:
        server = Server(self._settings)
        server.open()
        try:
            for place in places:
                answer = server.query(
                    _deletion(place) + source.condition, database=source.database, post=True
                )
                for result in json.loads(answer).get("results", ()):  # 2.x has none to tell
                    if "error" in result:
                        raise CompareError(f"{self.name}: {result['error']}")
        except Answer as answer:
            raise CompareError(f"{self.name}: the server answered {answer}") from answer
        finally:
            server.close()

    def _database(self, kit: str) -> Database:
        if self._last is None or self._last.kit != kit:
            self._drop_spool()
            self._last = Database(self._asking, kit, self._source(kit))
        return self._last

    def _source(self, kit: str) -> Source:
        if not self._shared:
            return Source(kit, self._rp)
        pair = split_name(kit)
        if self._by_org:
            self._check_org(pair[0])
        tags = zip(("project", "serial"), pair, strict=True)
        return Source(self._shared, self._rp, tuple(tags))

    def _check_org(self, project: str) -> None:
        """Without a row of a project it may be that another organisation answers."""
        if self._projects is None:
            self._projects = {one for one, _ in self._pairs(self._shared)}
        if project not in self._projects:
            raise CompareError(
                f"{self.name}: nothing of project {project} can be read; with layout = org a token "
                f"reads its own organisation alone: compare with one of organisation {project}"
            )

    def _spooled(self, database: Database) -> SpooledSide:
        if self._spool is None:
            everything = _good(database.items(-_END, _END))
            self._spool = SpooledSide(everything, self.name)
        return self._spool

    def _drop_spool(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()


def _shared(settings: ServerSettings) -> str:
    """The one database of all kits; "" where each has its own."""
    layout = getattr(settings, "layout", "kit")
    if layout == "org":
        return ORG_BUCKET
    return str(getattr(settings, "database", "")) if layout == "shared" else ""


def _good(items: Iterator[Telegram | Refusal]) -> Iterator[Telegram]:
    for item in items:
        if isinstance(item, Refusal):
            _log.warning("left out %s: %s", item.where, item.reason)
        else:
            yield item


def _deletion(place: Place) -> str:
    tags = (("label", place.label), ("geolocation", place.geolocation), ("new", place.new))
    where = "".join(f' AND "{name}" = {quote_string(text or "")}' for name, text in tags)
    return f'DELETE FROM "data" WHERE time = {place.time}s{where}'  # noqa: S608  # its texts are quoted
