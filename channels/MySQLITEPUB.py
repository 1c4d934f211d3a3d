"""Telegrams into the embedded store: one SQLite file for exports, pages and other machines.

A telegram that is there already is not stored again, so a crash or a second replay adds nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import attrs

from mysense.files.lines import Lines
from mysense.options import option
from mysense.plugin import OutputSettings, Publisher
from mysense.store import Writer, default_file
from mysense.telegram import Telegram


@attrs.frozen(kw_only=True)
class SqlitePubSettings(OutputSettings):
    """Where the store is."""

    file: Path | None = option(None, "file of the store; empty: store.db in the state folder")


class SqlitePublisher(Publisher[SqlitePubSettings]):
    """Writes batches, each in one transaction that is on the disk when it returns."""

    Settings = SqlitePubSettings
    mixed = True

    def __init__(self, settings: SqlitePubSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._writer: Writer | None = None
        self._lines = Lines()

    def open(self, receipt: str | None) -> None:  # noqa: ARG002  # the store knows what it holds
        """Open the store; make it when it is not there."""
        self._open()

    def publish(self, batch: Sequence[Telegram]) -> None:
        """Store what is not there yet."""
        try:
            self._open().write(batch)
        except OSError:  # after an error of the disk only a new connection is to be trusted
            self.close()
            raise

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The telegrams as JSON Lines: rows of a database have no form outside of it."""
        return iter(self._lines(batch))

    def close(self) -> None:
        """Close the store."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _open(self) -> Writer:
        if self._writer is not None and not self._writer.is_current():
            self.log.warning("%s was removed or replaced; opening it anew", self._writer.path)
            self.close()
        if self._writer is None:
            self._writer = Writer(self.settings.file or default_file())
        return self._writer


PLUGIN = SqlitePublisher

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
