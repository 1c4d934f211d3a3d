"""The ledger: what was made, and where each value of it is now."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from tests.influxd import Influxd

Key = Hashable
"""What identifies a telegram: kit, label and second, unless a row says otherwise."""
Values = Mapping[str, Any]
NAMES = ("injected", "made", "stored", "waiting", "dead", "gap", "lost", "doubled")


@attrs.frozen
class Account:
    """What a journal says of the telegrams that one output does not have."""

    waiting: frozenset[Key] = frozenset()
    dead: frozenset[Key] = frozenset()
    gaps: tuple[tuple[str, int, int, int], ...] = ()  # kit, first and last second, how many


@attrs.frozen
class Ledger:
    """Where all that was made is now; `lost` is what is nowhere, or has other values."""

    injected: int
    made: int
    stored: int
    waiting: int
    dead: int
    gap: int
    lost: tuple[Key, ...]
    doubled: tuple[Key, ...]
    strange: tuple[Key, ...] = ()  # stored and never made

    @property
    def counts(self) -> tuple[int, ...]:
        """By NAMES."""
        values = (getattr(self, name) for name in NAMES)
        return tuple(len(value) if isinstance(value, tuple) else value for value in values)

    @property
    def faults(self) -> list[str]:
        """Why this is not good; empty when it is."""
        return [
            *[f"the fault did not happen: injected {self.injected}"] * (self.injected < 1),
            *["nothing was made"] * (self.made < 1),
            *_tell("lost", self.lost),
            *_tell("doubled", self.doubled),
            *_tell("stored and never made", self.strange),
        ]


def _tell(what: str, keys: tuple[Key, ...]) -> list[str]:
    return [f"{len(keys)} {what}, the first: {keys[:3]}"] if keys else []


def balance(
    made: Mapping[Key, Values],
    stored: Iterable[tuple[Key, Values]],
    account: Account | None = None,
    *,
    injected: int,
    perhaps: Mapping[Key, Values] | None = None,
) -> Ledger:
    """Compare value by value.

    Args:
        made: everything that must be somewhere.
        stored: everything that is at the destination.
        account: of the journal, where that still has some of it.
        injected: how often the fault happened.
        perhaps: what may be stored or not: it was in hand when its process was killed.
    """
    account, perhaps = account or Account(), perhaps or {}
    many = Counter[Key]()
    right = set()
    for key, values in stored:
        many[key] += 1
        if made.get(key, perhaps.get(key)) == values:
            right.add(key)
    left = {key for key in made if key not in right and key not in many}
    waiting, dead = left & account.waiting, left & account.dead - account.waiting
    left -= waiting | dead
    gone = _in_gaps(left, account)
    wrong = {key for key in many if key in made and key not in right}
    return Ledger(
        injected=injected,
        made=len(made),
        stored=len(right & made.keys()),
        waiting=len(waiting),
        dead=len(dead),
        gap=len(gone),
        lost=_sorted(left - gone | wrong),
        doubled=_sorted(key for key, count in many.items() if count > 1),
        strange=_sorted(key for key in many if key not in made and key not in perhaps),
    )


def _sorted(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(sorted(keys, key=repr))


def _in_gaps(left: set[Key], account: Account) -> set[Key]:
    """Of what is left, what the recorded gaps cover; never more of it than they count."""
    found: set[Key] = set()
    for kit, first, last, count in account.gaps:
        covered = [key for key in _sorted(left - found) if _covers(key, kit, first, last)]
        found.update(covered[:count])
    return found


def _covers(key: Key, kit: str, first: int, last: int) -> bool:
    return isinstance(key, tuple) and key[0] == kit and first <= key[2] <= last


def in_journal(path: Path, output: str) -> Account:
    """What the journal says, read without any code of MySense; the file must be whole."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        (state,) = db.execute("PRAGMA integrity_check").fetchone()
        assert state == "ok", f"{path}: {state}"
        waiting = db.execute(
            "SELECT s.kit, s.label, t.time FROM telegrams t JOIN sources s ON s.id = t.source"
            " WHERE t.seq > (SELECT cursor FROM outputs WHERE name = ?)",
            (output,),
        ).fetchall()
        aside = db.execute(
            "SELECT a.state, a.kit, coalesce(s.label, ''), a.time FROM aside a"
            " LEFT JOIN idents i ON i.id = a.ident LEFT JOIN sources s ON s.id = i.source"
            " WHERE a.output IN (?, '')",
            (output,),
        ).fetchall()
        gaps = db.execute(
            "SELECT kit, first, last, count FROM gaps WHERE output IN (?, '')", (output,)
        ).fetchall()
    held = {tuple(key) for state, *key in aside if state != "dead"}
    dead = {tuple(key) for state, *key in aside if state == "dead"}
    return Account(frozenset(held.union(waiting)), frozenset(dead), tuple(gaps))


def in_influx(server: Influxd, project: str) -> list[tuple[Key, Values]]:
    """Every row of the series data in all databases of a project, whatever `new` says."""
    found = []
    for database in server.databases():
        if database.startswith(f"{project}_"):
            for row in server.rows("SELECT * FROM data", database=database):
                label = (row.pop("label", None) or "").strip('"')
                key = (database, label, row.pop("time"))
                found.append((key, _data(row, without=("new", "geolocation"))))
    return found


def in_lines(path: Path) -> list[tuple[Key, Values]]:
    """Every telegram in a file of JSON Lines, and in those that were renamed before it."""
    found = []
    for file in sorted(path.parent.glob(f"{path.name}*")):
        for line in file.read_text().splitlines():
            if line:
                telegram = json.loads(line)
                ident, data = telegram["ident"], dict(telegram["data"])
                kit = f"{ident['project']}_{ident['serial']}"
                found.append(((kit, ident.get("label") or "", data.pop("time")), _data(data)))
    return found


def _data(row: Values, without: tuple[str, ...] = ()) -> Values:
    """Values as they are compared: numbers as floats, nothing that was not measured."""
    return {
        name: float(value) if isinstance(value, int) else value
        for name, value in row.items()
        if value is not None and name not in without
    }
