"""MyINFLUXSUB: reads the telegrams of many kits from an InfluxDB server, 1.x or 2.x.

Every kit has a database of its own, or they share one. Databases are visited in rounds; what each
has since the last visit is given, joined to the ident it belongs to. See
docs/channels/influxsub.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import re
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import attrs

from mysense.influx.ahead import Ahead
from mysense.influx.cursor import Cursor, Reach
from mysense.influx.databases import Databases
from mysense.influx.hints import Hints, address, check_address
from mysense.influx.http import ServerSettings
from mysense.influx.inspecting import Inspection
from mysense.influx.layouts import ORG_BUCKET
from mysense.influx.naming import name_expected
from mysense.influx.rounds import Rounds
from mysense.influx.start import check_start, parse_start
from mysense.influx.sweep import Sweep
from mysense.influx.tasks import ROLL_UPS
from mysense.options import option
from mysense.plugin import Finding, InputSettings, Position, Refusal, RetryLater, Subscriber
from mysense.telegram import Telegram

if TYPE_CHECKING:
    from mysense.influx.push import Listener

_ANY = re.compile(".*", re.IGNORECASE)
_FLOOR = ""  # the key of where reading began, which is no database's name
_HOURS = "#"  # behind a database's name, the key of what a sweep compares with
_KITS = "*"  # the key of which kits are read, where they share a database
_FIRST_SWEEP = 300.0  # seconds after the start, at most: late rows may have come meanwhile
_SWEEPING = 0.1  # seconds of a poll that a sweep may take
_LOOK = 1.0  # seconds after which databases at rest are looked at, however much others have


@attrs.frozen(kw_only=True)
class InfluxSubSettings(ServerSettings, InputSettings):
    """What MyINFLUXSUB can be told."""

    projects: re.Pattern[str] = option(_ANY, "projects to read, a regular expression for all of it")
    serials: re.Pattern[str] = option(_ANY, "serials to read, a regular expression for all of it")
    layout: Literal["kit", "shared", "org"] = option(
        "kit",
        "kit: a database or bucket for each; shared: one for all; org: that of the organisation "
        "that the token belongs to",
    )
    database: str = option(
        "mysense", "the one database or bucket of layout shared", check=name_expected
    )
    databases: tuple[str, ...] = option(
        (), "databases to read with layout kit; empty: those that SHOW DATABASES names"
    )
    start: str = option(
        "beginning",
        "where the very first poll begins: beginning, now or a time",
        check=check_start,
    )
    bufsize: int = option(
        10_000, "rows of one database that one statement may give", low=10, high=100_000
    )
    overlap: int = option(
        120, "seconds behind the newest row that are read again for late ones", low=0, high=86_400
    )
    update: float = option(60.0, "seconds between two looks for new databases", low=1, high=86_400)
    rp: str = option("", "retention policy to read; empty: each database's default")
    sweep: float = option(
        3600.0,
        "seconds between two sweeps for rows that were written late with old times; 0: none",
        low=0,
        high=7 * 86_400,
    )
    sweep_days: int = option(
        7,
        "days that a sweep looks back; must be less than [journal] keep_days, because the journal "
        "tells what is there already",
        low=1,
        high=365,
    )
    push: str = option(
        "",
        "host:port where to listen for an InfluxDB SUBSCRIPTION, which ends the pause between two "
        "polls; a port alone is one of 127.0.0.1; empty: nowhere",
        check=check_address,
    )

    def __attrs_post_init__(self) -> None:
        """Options that are good alone and not together. Raises ValueError."""
        if self.layout == "org" and self.api == "1":
            raise ValueError("api = 2 with layout = org: InfluxDB 1.x has no organisations")
        if self.layout == "org" and self.org:
            raise ValueError("no org with layout = org: what is read is that of the token")
        if self.databases and self.layout != "kit":
            raise ValueError(f"no databases with layout = {self.layout}: there is one for all kits")
        if self.push and self.api == "2":
            raise ValueError("no push with api = 2: InfluxDB 2.x has no SUBSCRIPTION")
        if self.rp == ROLL_UPS:
            raise ValueError(
                f"another rp than {ROLL_UPS}: that has roll-ups, which are no telegrams"
            )

    @property
    def looks_back(self) -> tuple[str, float] | None:
        """What a sweep reads again."""
        return ("sweep_days", self.sweep_days) if self.sweep else None

    @property
    def shared(self) -> str:
        """The one database of all kits, or "" where each has its own."""
        return {"shared": self.database, "org": ORG_BUCKET}.get(self.layout, "")

    def wants(self, project: str, serial: str) -> bool:
        """Whether that kit is to be read."""
        return bool(self.projects.fullmatch(project) and self.serials.fullmatch(serial))


class MyINFLUXSUB(Subscriber[InfluxSubSettings]):
    """Reads the telegrams of many kits from an InfluxDB server, 1.x or 2.x."""

    Settings = InfluxSubSettings

    def __init__(self, settings: InfluxSubSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._ahead = Ahead(settings)
        self._databases = Databases(
            self._ahead, settings.projects, settings.serials, settings.databases, settings.shared
        )
        self._kits = f"{settings.projects.pattern} {settings.serials.pattern}"
        self._rounds = self._new_rounds()
        self._cursors: dict[str, Cursor] = {}
        self._position: dict[str, Any] = {}
        self._given: Position | None = None  # what poll returned last
        self._reach: Reach | None = None
        self._list_at = self._look_at = 0.0
        self._sweep = Sweep(self._ahead, self.log)
        self._sweep_at = self._swept_at = 0.0
        self._hints = Hints()
        self._listener: Listener | None = None

    def _new_rounds(self) -> Rounds:
        options = self.settings
        return Rounds(self._ahead, 2 * options.bufsize, options.update, self.log)

    def open(self) -> None:
        """Get ready; nothing is asked yet. Raises Misconfigured."""
        self._ahead.open()
        self._rounds = self._new_rounds()
        self._cursors, self._given, self._reach = {}, None, None
        self._list_at = 0.0
        self._sweep.stop()
        self._sweep_at = time.monotonic() + min(self.settings.sweep, _FIRST_SWEEP)
        self._listen()

    def _listen(self) -> None:
        where = address(self.settings.push)
        if where is None or self._listener is not None:
            return
        from mysense.influx.push import Listener

        try:
            self._listener = Listener(*where, self._hints.give)
        except OSError as wrong:  # hints only make it quicker
            self.log.warning("push: cannot listen on %s: %s", self.settings.push, wrong)

    def close(self) -> None:
        """Drop the connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self._ahead.close()

    def interrupt(self) -> None:
        """End a poll that waits for the server, and a pause."""
        self._ahead.interrupt()
        self._hints.wake()

    def idle(self, stop: threading.Event, seconds: float) -> None:
        """Wait for the next poll, or for a hint."""
        if self._listener is None:
            stop.wait(seconds)
        elif not stop.is_set():
            self._hints.wait(seconds)

    @property
    def sweeps(self) -> int:
        """How many sweeps came to their end."""
        return self._sweep.ended

    def poll(self, position: Position | None) -> tuple[Sequence[Telegram | Refusal], Position]:
        """Return telegrams of one or several databases; see Subscriber."""
        given, self._given = self._given, None  # until all went well it is not to be trusted
        if position is not given or position is None:
            self._align(position)
        if time.monotonic() >= self._list_at:
            self._list(position)
        if self._reach is not None and self._reach.floor is not None:
            self._position[_FLOOR] = self._reach.floor  # where reading began, it stays
        if self.settings.shared:
            self._position[_KITS] = self._kits
        hinted = self._hints.take()
        self._rounds.look_at(hinted)
        items = self._read(hinted)
        if hinted:
            found = (one.kit for one in items if isinstance(one, Telegram))
            self._hints.looked(hinted, {self.settings.shared or kit for kit in found})
        self._given = dict(self._position)
        return items, self._given

    def _read(self, hinted: Collection[str]) -> list[Telegram | Refusal]:
        due = time.monotonic() >= self._look_at
        if due:
            self._look()
        looked = due or bool(hinted)  # then the others can wait until it is time
        while True:
            if self._rounds.done:
                if looked:
                    return self._swept()
                looked = True
                self._look()
                continue
            items, moved = self._rounds.step()
            self._keep(moved)
            if items:
                with suppress(RetryLater):  # a sweep can wait, what was read cannot
                    items = items + self._swept(now_and_then=True)
                return items

    def _look(self) -> None:
        self._rounds.look()
        self._look_at = time.monotonic() + _LOOK

    def _swept(self, *, now_and_then: bool = False) -> list[Telegram | Refusal]:
        """What a sweep finds while there is nothing else to do, or for once a second."""
        begin = time.monotonic()
        if self.settings.sweep and begin >= self._sweep_at:
            self._sweep_at = begin + self.settings.sweep
            if self._sweep.done:
                self._sweep.begin(self._cursors.values(), self._rounds.now)
        if now_and_then and begin < self._swept_at + _LOOK:
            return []
        items: list[Telegram | Refusal] = []
        while not (items or self._sweep.done) and time.monotonic() < begin + _SWEEPING:
            items, moved = self._sweep.step()
            self._keep(moved)
            if now_and_then or self._sweep.waits or self._hints.take():
                break
        self._swept_at = time.monotonic()
        return items

    def _keep(self, moved: Iterable[Cursor]) -> None:
        """Put into the position where these stand now."""
        for cursor in moved:
            name = cursor.database
            if self._cursors.get(name) is not cursor:
                continue  # it was dropped meanwhile
            for key, value in ((name, cursor.entry), (name + _HOURS, cursor.ledger.entry)):
                if value:
                    self._position[key] = value
                else:
                    self._position.pop(key, None)

    def _new_cursor(self, name: str) -> Cursor:
        assert self._reach is not None, "there are no cursors without it"
        position = self._position
        return Cursor(name, self._reach, position.get(name), position.get(name + _HOURS, ""))

    def _align(self, position: Position | None) -> None:
        """Go back to wherever the journal says that reading stands."""
        self._position = dict(position or {})
        stale = [
            name
            for name, cursor in self._cursors.items()
            if cursor.entry != self._position.get(name)
            or cursor.ledger.entry != self._position.get(name + _HOURS, "")
        ]
        if stale:
            for name in stale:
                self._cursors[name] = self._new_cursor(name)
            self._rounds.visit(self._cursors.values())
            if not self._sweep.done:
                self._sweep.begin(self._cursors.values(), self._rounds.now)

    def _list(self, position: Position | None) -> None:
        found = self._databases.matching()
        if self._reach is None:
            self._reach = self._first_reach(position)
            known = {key.removesuffix(_HOURS) for key in self._position} - {_FLOOR, _KITS}
            self._note_kits()
        else:
            known = set(self._cursors)
        for name in known.difference(found):
            self._forget_gone(name)
        self._list_at = time.monotonic() + self.settings.update
        if set(found) != self._cursors.keys():
            self._cursors = {
                name: self._cursors.get(name) or self._new_cursor(name) for name in found
            }
            self._rounds.visit(self._cursors.values())
            self._hints.expect(found)
        self._rounds.wake()

    def _note_kits(self) -> None:
        """Where kits share a database, its position is that of those that were read so far."""
        if self._position.get(_KITS, self._kits) != self._kits:
            self.log.warning(
                "projects or serials have changed: kits that were left out are read from here on; "
                "to get what they have sent before, read with another journal"
            )

    def _forget_gone(self, name: str) -> None:
        """What comes under the name of a database that was dropped, is another one."""
        if name in self._position and self._databases.is_gone(name):
            self._position.pop(name)
            self._position.pop(name + _HOURS, None)
            self.log.warning("database %s is gone; if it comes again, it is read anew", name)

    def _first_reach(self, position: Position | None) -> Reach:
        options = self.settings
        floor = self._first_floor() if position is None else position.get(_FLOOR)
        days = options.sweep_days if options.sweep else 0
        wanted = options.wants if options.shared else None
        return Reach(options.bufsize, options.overlap, floor, options.rp, days, wanted)

    def _first_floor(self) -> int | None:
        start = parse_start(self.settings.start)
        if start == "now":
            return int(self._databases.now or time.time())
        return None if start == "beginning" else start

    def check(self) -> Iterable[Finding]:
        """Whether the server answers and has databases to read."""
        self._ahead.open()
        try:
            yield from Inspection(
                settings=self.settings,
                ahead=self._ahead,
                databases=self._databases,
                reach=self._first_reach({}),
                shared=self.settings.shared,
                by_org=self.settings.layout == "org",
                push=self.settings.push,
            ).findings()
        finally:
            self._ahead.close()


PLUGIN = MyINFLUXSUB

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
