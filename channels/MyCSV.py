"""Telegrams into tables for spreadsheets: a file per kit and day, beside it who measured.

What stands in a file is read when it is first touched: nothing is written twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import logging
import os
from collections import OrderedDict

import attrs

from mysense.files import identtext, table
from mysense.files.durable import disk_faults, make_folder
from mysense.files.knownfile import KnownFile
from mysense.options import option
from mysense.plugin import Finding, OutputSettings, Publisher
from mysense.telegram import Telegram
from mysense.text import utc

_DAYS = 64  # days of kits that are remembered,
_ROWS = 100_000  # and rows of them


@attrs.frozen(kw_only=True)
class CsvSettings(OutputSettings):
    """Where the files go."""

    folder: Path = option(Path("csv"), "folder for the files; made when it is missing")


class Day:
    """One day of one kit: a table for every set of columns, and who measured.

    Args:
        stem: the path of the first table, without its suffix.
        log: where to say what was mended.
    """

    def __init__(self, stem: Path, log: logging.Logger) -> None:
        self._stem = stem
        self._log = log
        self._tables: list[KnownFile] = []
        self._idents = KnownFile(Path(f"{stem}.txt"), log, end="\n\n")

    @property
    def rows(self) -> int:
        """How many rows are remembered."""
        return sum(len(each.pieces) for each in self._tables)

    def add(self, telegrams: Sequence[Telegram]) -> None:
        """Write what is missing of `telegrams`. Raises OSError or RetryLater."""
        sheets = table.Sheets(self._header)
        rows: dict[int, list[str]] = {}
        for telegram in telegrams:
            at, row = sheets.row(telegram)
            rows.setdefault(at, []).append(row)
        for at, some in rows.items():
            self._tables[at].add(some, first=sheets.headers[at])
        self._idents.refresh()
        self._idents.add(identtext.changes(self._idents.pieces, telegrams))

    def _header(self, at: int) -> str | None:
        """The header of the nth table as it stands in its file."""
        if at == len(self._tables):
            number = f"_{at + 1}" if at else ""
            self._tables.append(KnownFile(Path(f"{self._stem}{number}.csv"), self._log))
        self._tables[at].refresh()
        return next(iter(self._tables[at].pieces), None)


class CsvPublisher(Publisher[CsvSettings]):
    """Appends to the files what does not stand there yet."""

    Settings = CsvSettings
    mixed = True

    def __init__(self, settings: CsvSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._days: OrderedDict[tuple[str, str], Day] = OrderedDict()

    def open(self, receipt: str | None) -> None:  # noqa: ARG002  # the files are the truth
        """Make the folder."""
        folder = self.settings.folder
        with disk_faults(folder):
            make_folder(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied", str(folder))

    def publish(self, batch: Sequence[Telegram]) -> None:
        """Append, one kit and day after the other; what stands there when one fails is kept."""
        with disk_faults(self.settings.folder):
            for (kit, date), telegrams in _by_day(batch).items():
                self._day(kit, date).add(telegrams)

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """Headers and rows as they would stand in empty files, without the texts beside them."""
        for telegrams in _by_day(batch).values():
            sheets = table.Sheets(lambda _: None)
            for telegram in telegrams:
                known = len(sheets.headers)
                at, row = sheets.row(telegram)
                if at >= known:
                    yield sheets.headers[at]
                yield row

    def close(self) -> None:
        """Forget the files."""
        self._days.clear()

    def check(self) -> Iterator[Finding]:
        """Whether the folder can be written to."""
        folder = self.settings.folder
        nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        good = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
        yield Finding(good, f"folder {folder} for tables", f"make {nearest} a folder you may write")

    def _day(self, kit: str, date: str) -> Day:
        day = self._days.pop((kit, date), None)
        if day is None:
            day = Day(self.settings.folder / f"{kit}_{date}", self.log)
        self._days[kit, date] = day
        remembered = sum(each.rows for each in self._days.values())
        while len(self._days) > 1 and (len(self._days) > _DAYS or remembered > _ROWS):
            remembered -= self._days.popitem(last=False)[1].rows
        return day


def _by_day(batch: Sequence[Telegram]) -> dict[tuple[str, str], list[Telegram]]:
    """The telegrams of each kit and day (UTC), in their order."""
    days: dict[tuple[str, str], list[Telegram]] = {}
    for telegram in batch:
        days.setdefault((telegram.kit, utc(telegram.time)[:10]), []).append(telegram)
    return days


PLUGIN = CsvPublisher

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
