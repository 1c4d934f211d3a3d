"""A server as a place to move kits from or to: which kits it has, and where their rows are."""

from __future__ import annotations

import re
from collections import defaultdict

from mysense.comparing.reading import Asking, Database, Source
from mysense.comparing.sides import CompareError
from mysense.errors import TelegramError
from mysense.influx.access import ServerSettings
from mysense.influx.ahead import Ahead
from mysense.influx.databases import Databases
from mysense.influx.idents import split_name
from mysense.influx.layouts import ORG_BUCKET, Place
from mysense.influx.naming import quote_identifier

_ANY = re.compile(".*")
_PROJECT = re.compile(r"(?<!\\),project=([A-Za-z0-9_.-]+)")
_SERIAL = re.compile(r"(?<!\\),serial=([A-Za-z0-9_.-]+)")
_NOT_THERE = ("default retention policy not set", "retention policy not found")  # as 2.x says it


class Server:
    """An InfluxDB server in any layout and dialect, to be read.

    Args:
        settings: of the section; those of influxsub also say which databases are meant.
        name: the section.
    """

    def __init__(self, settings: ServerSettings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.layout = str(getattr(settings, "layout", "kit"))
        self.rp = str(getattr(settings, "rp", ""))
        self._ahead = Ahead(settings)
        self.asking = Asking(self._ahead, name)
        self._tagged: dict[str, list[tuple[str, str]]] | None = None

    def open(self) -> None:
        """Get ready; nothing is asked yet. Raises Misconfigured."""
        self._ahead.open()

    def close(self) -> None:
        """Close the connections; may be called twice."""
        self._ahead.close()

    def interrupt(self) -> None:
        """From another thread: whoever waits for an answer gets RetryLater soon."""
        self._ahead.interrupt()

    @property
    def shared(self) -> str:
        """The one database of all its kits; "" where each has its own."""
        if self.layout == "org":
            return ORG_BUCKET
        return str(getattr(self.settings, "database", "")) if self.layout == "shared" else ""

    def where(self, kit: str) -> str:
        """Where the rows of `kit` are, in words."""
        settings, (project, _) = self.settings, split_name(kit)
        org = project if self.layout == "org" else settings.org
        place = Place(self.shared or kit, org, self.rp)
        if settings.api == "1":
            return f"database {place.database}" + (f", policy {place.rp}" if place.rp else "")
        return f"bucket {place.bucket}" + (f" of {place.org}" if place.org else "")

    def kits(self) -> list[str]:
        """The kits that it has, sorted. Raises CompareError, RetryLater."""
        if self.shared:
            return sorted(self._pairs())
        options = self.settings
        projects, serials = (getattr(options, part, _ANY) for part in ("projects", "serials"))
        named = getattr(options, "databases", ())
        return Databases(self._ahead, projects, serials, named).matching()

    def strangers(self) -> list[str]:
        """Databases whose names are of no kit, sorted; none are told where kits share one."""
        if self.shared:
            return []
        (result,) = self.asking.ask("SHOW DATABASES")
        names = [row[0] for series in result.get("series", ()) for row in series.get("values", ())]
        return sorted(name for name in names if name != "_internal" and not _is_kit(name))

    def databases(self, kit: str) -> list[Database]:
        """What it has of `kit`: in one place as a rule, and in none where there is nothing.

        Raises CompareError, RetryLater.
        """
        try:
            made = [Database(self.asking, kit, source) for source in self._sources(kit)]
        except CompareError as wrong:
            if any(words in str(wrong) for words in _NOT_THERE):
                return []
            raise
        return [database for database in made if not database.is_empty]

    def _sources(self, kit: str) -> list[Source]:
        if not self.shared:
            return [Source(kit, self.rp)]
        return [
            Source(self.shared, self.rp, tuple(zip(("project", "serial"), pair, strict=True)))
            for pair in self._pairs().get(kit, ())
        ]

    def _pairs(self) -> dict[str, list[tuple[str, str]]]:
        """Project and serial by kit: a `_` in a project may stand on either side."""
        if self._tagged is None:
            query = f'SHOW SERIES ON {quote_identifier(self.shared)} FROM "data"'
            (result,) = self.asking.ask(query)
            keys = [row[0] for series in result.get("series", ()) for row in series["values"]]
            found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
            for project, serial in ((_PROJECT.search(key), _SERIAL.search(key)) for key in keys):
                if project and serial:
                    found[f"{project[1]}_{serial[1]}"].add((project[1], serial[1]))
            self._tagged = {kit: sorted(pairs) for kit, pairs in found.items()}
        return self._tagged


def _is_kit(name: str) -> bool:
    try:
        split_name(name)
    except TelegramError:
        return False
    return True


def same_place(one: Server, other: Server) -> bool:
    """Whether both are the same databases of the same server."""
    return _key(one) == _key(other)


def _key(server: Server) -> tuple[object, ...]:
    settings = server.settings
    return settings.hostname, settings.port, server.shared, server.rp, settings.org
