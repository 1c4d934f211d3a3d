"""Which place a word of the command line means."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mysense.application import Application, Configured
from mysense.comparing.file_side import FileSide
from mysense.comparing.influx_side import InfluxSide
from mysense.comparing.journal_side import JournalSide
from mysense.comparing.sides import CompareError, Side, Told
from mysense.comparing.store_side import StoreSide
from mysense.influx.start import parse_start
from mysense.journal import formats
from mysense.journal.view import View
from mysense.store import default_file, layout

JOURNAL = "journal"
SERVERS = ("influxpub", "influxsub")
STORES = ("sqlitepub", "sqlitesub")
_PREFERRED = ("influxpub", "influxsub", "sqlitepub")
_SQLITE = b"SQLite format 3\0"
_KNOWN = "journal, a section influxpub, influxsub, sqlitepub or sqlitesub, or a file"


class Places:
    """The places that the configuration knows.

    Args:
        application: the settings.
        journal: the journal's file, when it is not the configured one.
    """

    def __init__(self, application: Application, journal: Path | None = None) -> None:
        self._application = application
        self.journal = journal or application.journal.path

    def pair(self, words: Sequence[str]) -> tuple[str, str]:
        """The two places that none, one or two words mean: the journal, and the first output."""
        if len(words) == 2:
            return words[0], words[1]
        if words and words[0] != JOURNAL:
            return JOURNAL, words[0]
        on = [one.section for one in self._application.configured if one.on]
        for wanted in _PREFERRED:
            for section in on:
                if _plugin(section) == wanted:
                    return (section, JOURNAL) if wanted == "influxsub" else (JOURNAL, section)
        raise CompareError("nothing that is switched on can be compared; name " + _KNOWN)

    def open(self, word: str, other: str) -> Side:
        """The place that `word` means, to be compared with `other`.

        Raises:
            CompareError, JournalError, PluginError, SettingsError, Misconfigured
        """
        if word == JOURNAL:
            return JournalSide(self.journal, other)
        if is_file(word):
            return _of_file(Path(word), other)
        if _plugin(word) not in (*SERVERS, *STORES):
            raise CompareError(f"{word} cannot be read back; name {_KNOWN}")
        section = self.section(word)
        if _plugin(word) in STORES:
            return StoreSide(section.settings.file or default_file(), Told(section.settings), word)
        return InfluxSide(section.settings, Told(section.settings), word)

    def section(self, word: str) -> Configured:
        """What is configured there."""
        return self._application.section(word)

    def start(self, words: Sequence[str]) -> int:
        """The second at which comparing begins unless somebody says: where influxsub began."""
        starts = [self._start(word) for word in words if _plugin(word) == "influxsub"]
        return max(starts, default=0)

    def _start(self, word: str) -> int:
        if self.journal.exists():
            with View(self.journal) as view:
                query = "SELECT value FROM positions WHERE input = ? AND key = ''"
                for row in view.all(query, word):
                    return int(json.loads(row["value"]))
        start = parse_start(self.section(word).settings.start)
        return start if isinstance(start, int) else 0


def _plugin(word: str) -> str:
    return word.partition(":")[0].lower()


def is_file(word: str) -> bool:
    """Whether a word names a file and no section."""
    return os.sep in word or "." in word or Path(word).is_file()


def kind_of(path: Path) -> str:
    """What a file is, by its first bytes: `journal`, `store` or `telegrams`."""
    try:
        with path.open("rb") as stream:
            head = stream.read(72)
    except OSError as wrong:
        raise CompareError(f"{path}: {wrong.strerror}") from wrong
    if not head.startswith(_SQLITE):
        return "telegrams"
    application = int.from_bytes(head[68:72], "big")
    kinds = {formats.APPLICATION: "journal", layout.APPLICATION: "store"}
    if application not in kinds:
        raise CompareError(f"{path} is a database of something else")
    return kinds[application]


def _of_file(path: Path, other: str) -> Side:
    kind = kind_of(path)
    made: Any
    if kind == "journal":
        made = JournalSide(path, other, str(path))
    elif kind == "store":
        made = StoreSide(path, Told(), str(path))
    else:
        made = FileSide(path)
    side: Side = made
    return side
