"""Copies of damaged journals, kept for whoever wants to look for more than a salvage has saved.

They are bounded as the journal is: on a kit that nobody visits they would fill the disk. What a
salvage could not save is noted with each copy, told by `status` and `check` as long as it is
there, and once more when it has to go.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from mysense.errors import JournalError

if TYPE_CHECKING:
    from mysense.journal.accounts import Journal

KEPT = 3  # at most; together they may be as large as the journal, but the newest always stays
_SUFFIX = ".damaged-"
_STAMP = re.compile(r"(\d{8}T\d{6}Z(?:\.\d+)?)(?:-wal)?(?:\.\d+)?")
_KEY = "kept "  # in table meta, before the name of a copy
NOTES = f"SELECT key, value FROM meta WHERE key GLOB '{_KEY}*'"  # noqa: S608  # the constant above
_UNKNOWN = "what it holds is not known"
_log = logging.getLogger("mysense.journal")


@attrs.frozen
class Copy:
    """One copy: its files, and what is noted of it.

    `lost` is how many telegrams only it may still hold, None where that is not known.
    """

    name: str
    files: tuple[Path, ...]
    size: int
    told: str = _UNKNOWN
    lost: int | None = None

    @property
    def line(self) -> str:
        """It in one line, for people."""
        return f"{self.name}, {self.size / 1e6:.1f} MB: {self.told}"


def note(db: sqlite3.Connection, name: str, told: str, lost: int | None) -> None:
    """Enter what `status` is to tell of a copy."""
    entry = (_KEY + name, json.dumps({"told": told, "lost": lost}))
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", entry)


def copies(path: Path, notes: Iterable[Sequence[Any]] = ()) -> list[Copy]:
    """The copies beside a journal, oldest first.

    Args:
        path: the journal.
        notes: what NOTES gives, if it can be read.
    """
    known = {key.removeprefix(_KEY): _read(value) for key, value in notes}
    found: dict[str, list[Path]] = {}
    for file in sorted(path.parent.glob(f"{path.name}{_SUFFIX}*")):
        match = _STAMP.fullmatch(file.name.removeprefix(path.name + _SUFFIX))
        if match:
            found.setdefault(path.name + _SUFFIX + match[1], []).append(file)
    return [
        Copy(name, tuple(files), _size(files), **known.get(name, {}))
        for name, files in sorted(found.items())
    ]


def _read(text: str) -> dict[str, Any]:
    """What `note` wrote; nothing where the journal has lost that, too."""
    try:
        found = json.loads(text)
        return {
            "told": str(found["told"]),
            "lost": None if found["lost"] is None else int(found["lost"]),
        }
    except (ValueError, TypeError, KeyError):
        return {}


def _size(files: Iterable[Path]) -> int:
    sizes = []
    for file in files:
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:  # somebody has just removed it
            continue
    return sum(sizes)


def surplus(found: Sequence[Copy], max_mb: float) -> list[Copy]:
    """Those that have to go: first of which all was saved, then the oldest; never the newest."""
    stay, gone = list(found), []
    while len(stay) > 1 and (len(stay) > KEPT or sum(one.size for one in stay) > max_mb * 1e6):
        older = stay[:-1]
        gone.append(next((one for one in older if one.lost == 0), older[0]))
        stay.remove(gone[-1])
    return gone


def remove(copy: Copy, reason: str) -> str:
    """Remove a copy; returns what to tell.

    Raises:
        OSError: it cannot be removed.
    """
    for file in copy.files:
        file.unlink(missing_ok=True)
    told = f"removed {copy.line} ({reason})"
    _log.error("%s", told)
    return told


def bound(journal: Journal, max_mb: float) -> None:
    """Remove copies that are too many or too large, and forget those that somebody has removed."""
    try:
        _bound(journal, max_mb)
    except OSError as wrong:  # a disk that returns errors: it will be looked at again
        if isinstance(wrong, JournalError):
            raise
        _log.debug("copies of damaged journals: %s", wrong)


def _bound(journal: Journal, max_mb: float) -> None:
    found = copies(journal.path, notes := journal.read(NOTES))
    told = []
    for one in surplus(found, max_mb):
        try:
            told.append(remove(one, f"{KEPT} copies, and {max_mb:g} MB of them, are kept"))
        except OSError as wrong:
            _log.error("cannot remove %s: %s", one.name, wrong)
    there = {one.name for one in copies(journal.path)}
    stale = [(key,) for key, _ in notes if key.removeprefix(_KEY) not in there]
    if not (told or stale):
        return
    with journal.transaction() as db:
        db.executemany("DELETE FROM meta WHERE key = ?", stale)
        for text in told:
            entry = (journal.now(), "journal", "removed", text)
            db.execute("INSERT INTO events (at, who, kind, text) VALUES (?, ?, ?, ?)", entry)
