"""Forgetting an output that is not wanted any more; what was still to go to it is noted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs

_KEY = "forgotten "  # in table meta, before the name of an output
NOTES = f"SELECT key, value FROM meta WHERE key GLOB '{_KEY}*' ORDER BY key"  # noqa: S608  # the constant above
ACCOUNT = (
    "SELECT acknowledged, (SELECT count(*) FROM telegrams WHERE seq > cursor),"
    " (SELECT count(*) FROM aside WHERE output = name AND state != 'dead'),"
    " (SELECT count(*) FROM aside WHERE output = name AND state = 'dead'),"
    " (SELECT coalesce(sum(count), 0) FROM gaps WHERE output = name)"
    " FROM outputs WHERE name = ?"
)
_TABLES = {"outputs": "name", "aside": "output", "gaps": "output", "requests": "output"}
_KEYS = ("asked", "excluded", "doubt")  # what else is kept of an output, in table meta


@attrs.frozen
class Forgotten:
    """The last account of an output that was forgotten, over all times that it was.

    Attributes:
        name: which.
        at: when, in Unix seconds.
        acknowledged: telegrams that it has accepted.
        waiting, held, dead: telegrams that it never got.
        gaps: those that had been given up before.
    """

    name: str
    at: float
    acknowledged: int
    waiting: int
    held: int
    dead: int
    gaps: int

    @property
    def line(self) -> str:
        """It in one line, for people."""
        parts = [f"{self.acknowledged} acknowledged"]
        names = {"waiting": "waited", "held": "were held", "dead": "dead", "gaps": "in gaps"}
        parts += [f"{n} {told}" for key, told in names.items() if (n := getattr(self, key))]
        return ", ".join(parts)

    def and_before(self, other: Forgotten | None) -> Forgotten:
        """Both together."""
        if other is None:
            return self
        counts = ("acknowledged", "waiting", "held", "dead", "gaps")
        both = {key: getattr(self, key) + getattr(other, key) for key in counts}
        return attrs.evolve(self, **both)


def account(rows: Sequence[Sequence[Any]], name: str, at: float) -> Forgotten | None:
    """What forgetting an output would note, from what ACCOUNT gives; None where there is none."""
    return Forgotten(name, at, *rows[0]) if rows else None


def noted(rows: Sequence[Sequence[Any]]) -> list[Forgotten]:
    """The outputs that were forgotten, from what NOTES gives, as far as it can be read."""
    found = []
    for key, value in rows:
        with suppress(ValueError, TypeError):  # a journal that was damaged keeps such texts
            found.append(Forgotten(key.removeprefix(_KEY), **json.loads(value)))
    return found


def forget(db: sqlite3.Connection, name: str, now: float) -> Forgotten | None:
    """Drop all that the journal keeps of an output but a note; None where there is no such output.

    Args:
        db: the journal, in a transaction.
        name: one that does not run.
        now: Unix seconds.
    """
    found = account(db.execute(ACCOUNT, (name,)).fetchall(), name, now)
    if found is None:
        return None
    before = {one.name: one for one in noted(db.execute(NOTES).fetchall())}
    note = attrs.asdict(found.and_before(before.get(name)), filter=lambda at, _: at.name != "name")
    for table, column in _TABLES.items():
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))  # noqa: S608  # names of our own tables
    db.executemany("DELETE FROM meta WHERE key = ?", [(f"{key} {name}",) for key in _KEYS])
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY + name, json.dumps(note)))
    entry = (now, name, "forgotten", f"forgotten, as asked: {found.line}")
    db.execute("INSERT INTO events (at, who, kind, text) VALUES (?, ?, ?, ?)", entry)
    return found
