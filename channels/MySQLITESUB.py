"""Telegrams out of the embedded store, in the order in which they were stored.

A telegram that comes late, or replaces another one, is found like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import re

import attrs

from mysense.options import option
from mysense.plugin import InputSettings, Position, RetryLater, Subscriber
from mysense.store import Reader, default_file
from mysense.telegram import Telegram
from mysense.text import moment

_ALL = re.compile(".*", re.IGNORECASE)


def _check_start(text: str) -> str | None:
    if text in ("beginning", "now"):
        return None
    try:
        moment(text)
    except ValueError:
        return "beginning, now, or a time: Unix seconds or 2017-05-14T16:02:52Z"
    return None


@attrs.frozen(kw_only=True)
class SqliteSubSettings(InputSettings):
    """Which store, and what of it."""

    file: Path | None = option(None, "file of the store; empty: store.db in the state folder")
    projects: re.Pattern[str] = option(_ALL, "regular expression: projects that are wanted")
    serials: re.Pattern[str] = option(_ALL, "regular expression: serials that are wanted")
    bufsize: int = option(1000, "telegrams read at once, at most", low=1, high=100_000)
    start: str = option(
        "beginning",
        "where to begin the first time: beginning, now, or a time (ISO 8601 or Unix seconds); "
        "what was measured before that time is left out",
        check=_check_start,
    )


class SqliteSubscriber(Subscriber[SqliteSubSettings]):
    """Polls by the number of the change; the position is that number and the store's name."""

    Settings = SqliteSubSettings

    def __init__(self, settings: SqliteSubSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._reader: Reader | None = None
        self._waited = False  # whether there was no store when we came: then all of it is news
        self._seen = 0  # number of the last ident looked at
        self._wanted: list[int] = []
        self._start = 0 if settings.start in ("beginning", "now") else moment(settings.start)

    def open(self) -> None:
        """Open the store; one that is not there yet is waited for."""
        self._open()

    def poll(self, position: Position | None) -> tuple[Sequence[Telegram], Position]:
        """Read on after `position`."""
        reader = self._open()
        try:
            after = self._after(reader, position)
            newest = reader.newest()  # before the idents: what comes meanwhile is for later
            wanted = self._idents(reader)
            most = self.settings.bufsize
            stored = reader.changes(after, newest, most, start=self._start, idents=wanted)
        except OSError:  # after an error of the disk only a new connection is to be trusted
            self.close()
            raise
        reached = stored[-1].seq if len(stored) == most else max(after, newest)
        return [each.telegram for each in stored], {"seq": reached, "store": reader.identity}

    def close(self) -> None:
        """Close the store."""
        if self._reader is not None:
            self._reader.close()
        self._reader, self._seen, self._wanted = None, 0, []

    def _open(self) -> Reader:
        if self._reader is not None and not self._reader.is_current():
            self.close()
        if self._reader is None:
            try:
                self._reader = Reader(self.settings.file or default_file())
            except RetryLater:
                self._waited = True
                raise
        return self._reader

    def _after(self, reader: Reader, position: Position | None) -> int:
        if position is None:
            return reader.newest() if self.settings.start == "now" and not self._waited else 0
        seq = int(position.get("seq", 0))
        if position.get("store") != reader.identity:
            self.log.warning("%s is another store than before; reading all of it", reader.path)
            return 0
        if seq > reader.newest():
            self.log.warning("%s is older than before; reading all of it", reader.path)
            return 0
        return seq

    def _idents(self, reader: Reader) -> list[int] | None:
        """The numbers of the idents that are wanted; None for all."""
        projects, serials = self.settings.projects, self.settings.serials
        if projects.pattern == serials.pattern == ".*":
            return None
        for number, ident in reader.idents(self._seen):
            self._seen = number
            if projects.fullmatch(ident.project) and serials.fullmatch(ident.serial):
                self._wanted.append(number)
        return self._wanted


PLUGIN = SqliteSubscriber

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
