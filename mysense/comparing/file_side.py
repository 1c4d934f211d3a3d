"""Telegrams in any order as a place to compare: put into a journal of their own, for a while."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from mysense.comparing.journal_side import JournalSide
from mysense.comparing.sides import CompareError
from mysense.journal import Journal
from mysense.jsonlines import BadLine, Reader
from mysense.telegram import Telegram

_CHUNK = 2000
_log = logging.getLogger("mysense.compare")


class SpooledSide(JournalSide):
    """Telegrams, as a journal would take them: repeats fall out, second contents are set aside.

    Args:
        telegrams: in any order; they go to a file in the folder for temporary files.
        name: as the user calls them.
    """

    def __init__(self, telegrams: Iterable[Telegram], name: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mysense-compare-")
        path = Path(self._folder.name, "journal.db")
        try:
            journal = Journal(path)
            try:
                _fill(journal, telegrams)
            finally:
                journal.close()
            super().__init__(path, name=name)
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        """Remove the file."""
        super().close()
        self._folder.cleanup()


def _fill(journal: Journal, telegrams: Iterable[Telegram]) -> None:
    every = iter(telegrams)
    while chunk := list(islice(every, _CHUNK)):
        journal.append(chunk)


class FileSide(SpooledSide):
    """A telegram file, JSON Lines; lines that are none are told and left out."""

    def __init__(self, path: Path) -> None:
        super().__init__(_read(path), str(path))


def _read(path: Path) -> Iterator[Telegram]:
    try:
        stream = path.open("rb")
    except OSError as wrong:
        raise CompareError(f"{path}: {wrong.strerror}") from wrong
    with stream:
        for item in Reader(stream, str(path)):
            if isinstance(item, BadLine):
                _log.warning("left out %s", item)
            else:
                yield item
