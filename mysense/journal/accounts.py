"""The journal's accounts: how far each output is, and what it has set aside."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from math import exp
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from mysense.journal.forgetting import forget
from mysense.journal.log import ASIDE, Log, storable
from mysense.journal.patience import Wait
from mysense.jsontext import dumps
from mysense.telegram import Telegram, plain

_log = logging.getLogger("mysense.journal")
RATE_OVER = 180.0  # seconds over which the rate of an output is a mean
_REGISTER = (
    "INSERT OR IGNORE INTO outputs (name, cursor)"
    " VALUES (?, (SELECT coalesce(min(seq) - 1, ?) FROM telegrams))"
)
_PAUSE = (  # as somebody has asked; the journal may have lost the row in which it was kept
    "UPDATE outputs SET error = NULL, paused ="
    " coalesce((SELECT value = 'pause' FROM meta WHERE key = ?), ?) WHERE name = ?"
)


class Row(NamedTuple):
    """A telegram in the journal: its number (or that of its entry aside) and when it came in."""

    seq: int
    telegram: Telegram
    at: float


@attrs.frozen
class Outcome:
    """What became of some telegrams at one output; together they are one transaction."""

    cursor: int
    acknowledged: Sequence[Row] = ()
    receipt: str | None = None
    held: Sequence[tuple[Row, str]] = ()
    dead: Sequence[tuple[Row, str]] = ()
    excluded: Sequence[Row] = ()


class Journal(Log):
    """The journal opened for writing, with the account of every output.

    Args:
        path: the file; it and its folder are made when missing.
        now: the wall clock.
        bulk: whether a new one is made for many telegrams at once, not for one a minute.
        wait: how to wait where the disk is in the way, see `Patience`.

    Raises:
        JournalError: another engine has it, it is of a newer format, or it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        bulk: bool = False,
        wait: Wait | None = None,
    ) -> None:
        self._outputs: dict[str, bool] = {}  # those that run, whether idle; others hold up nobody
        super().__init__(path, now=now, bulk=bulk, wait=wait)

    def _remember(self) -> None:
        """See to it that outputs that run are known, too: a damaged journal may have lost them."""
        known = {name for (name,) in self._db.execute("SELECT name FROM outputs")}
        for output in self._outputs.keys() - known:
            self._make_known(output, idle=self._outputs[output])
        super()._remember()

    def _make_known(self, output: str, *, idle: bool) -> None:
        self._db.execute(_REGISTER, (output, self._given()))
        self._db.execute(_PAUSE, (_asked(output), idle, output))

    def register(self, output: str, *, idle: bool = False) -> tuple[int, str | None]:
        """Make `output` known; a new one starts at the oldest telegram kept.

        Args:
            output: its name.
            idle: whether it is paused as long as nobody has asked for `pause` or `resume`.

        Returns:
            its cursor and its receipt.

        Raises:
            JournalError: the journal cannot be written.
        """
        return self.insist(lambda: self._register(output, idle=idle))

    def _register(self, output: str, *, idle: bool) -> tuple[int, str | None]:
        with self.transaction() as db:
            self._make_known(output, idle=idle)
            cursor, receipt = db.execute(
                "SELECT cursor, receipt FROM outputs WHERE name = ?", (output,)
            ).fetchone()
            if not self._outputs:  # what an earlier engine was connected to says nothing about now
                db.execute("UPDATE outputs SET connected = NULL")
            self._outputs[output] = idle
            return int(cursor), receipt

    def delivered(self, db: sqlite3.Connection) -> int:
        """The number up to which every output that runs has settled; 0 where there is none.

        An output that is no longer configured keeps its cursor, but holds up nobody.
        """
        cursors = dict(db.execute("SELECT name, cursor FROM outputs").fetchall())
        running = [cursors[name] for name in self._outputs] or list(cursors.values())
        return min(running, default=0)

    def idle(self, outputs: Iterable[str]) -> set[str]:
        """Those of `outputs` that do not run while others do; "" is the journal itself."""
        return set(outputs) - self._outputs.keys() - {""} if self._outputs else set()

    def settle(self, output: str, outcome: Outcome) -> None:
        """Move an output's cursor, together with all that was set aside on the way.

        Telegrams that were given up while they were under way stay in the gap recorded for them.
        """
        with self.transaction() as db:
            query = "SELECT cursor FROM outputs WHERE name = ?"
            outcome = _beyond(db.execute(query, (output,)).fetchone()[0], outcome)
            self._acknowledge(db, output, outcome, len(outcome.acknowledged))
            _exclude(db, output, len(outcome.excluded))
            for state, rows in (("held", outcome.held), ("dead", outcome.dead)):
                entries = (self._aside_entry(output, state, row, reason) for row, reason in rows)
                db.executemany(ASIDE, entries)

    def settle_aside(self, output: str, outcome: Outcome) -> None:
        """The same for telegrams that were set aside before; what is held stays there."""
        with self.transaction() as db:
            self._acknowledge(db, output, outcome, _remove(db, outcome.acknowledged))
            _exclude(db, output, _remove(db, outcome.excluded))
            for state, rows in (("held", outcome.held), ("dead", outcome.dead)):
                entries = [(state, storable(reason), row.seq) for row, reason in rows]
                db.executemany("UPDATE aside SET state = ?, reason = ? WHERE id = ?", entries)

    def _acknowledge(
        self, db: sqlite3.Connection, output: str, outcome: Outcome, count: int
    ) -> None:
        db.execute(
            "UPDATE outputs SET cursor = max(cursor, ?), receipt = coalesce(?, receipt)"
            " WHERE name = ?",
            (outcome.cursor, outcome.receipt, output),
        )
        if not count:
            return
        now = self.now()
        (rate, since) = db.execute(
            "SELECT rate, rate_at FROM outputs WHERE name = ?", (output,)
        ).fetchone()
        db.execute(
            "UPDATE outputs SET acknowledged = acknowledged + ?, last_ok = ?, error = NULL,"
            " connected = 1, rate = ?, rate_at = ? WHERE name = ?",
            (count, now, faded(rate, since, now) + count * 60 / RATE_OVER, now, output),
        )

    def _aside_entry(self, output: str, state: str, row: Row, reason: str) -> tuple[Any, ...]:
        telegram = row.telegram
        ident, _ = self.ids(telegram.ident)
        data = dumps(plain(telegram.data))
        kit, new = telegram.kit, telegram.new
        return (output, state, kit, telegram.time, ident, new, row.at, storable(reason), data)

    def held_kits(self, output: str) -> dict[str, str]:
        """The kits that are held or to be retried at `output`, and why."""
        query = (
            "SELECT kit, max(reason) FROM aside WHERE output = ? AND state != 'dead' GROUP BY kit"
        )
        return dict(self.insist(lambda: self.read(query, output)))

    def fail(self, output: str, reason: str, retries: int) -> None:
        """Note why an output fails at the moment, and how often it tried since last noted."""
        with self.transaction() as db:
            db.execute(
                "UPDATE outputs SET error = ?, error_at = ?, retries = retries + ?, connected = 0"
                " WHERE name = ?",
                (storable(reason), self.now(), retries, output),
            )

    def recovered(self, output: str, retries: int) -> None:
        """Note that an output works again, and how often it tried since last noted."""
        with self.transaction() as db:
            query = (
                "UPDATE outputs SET error = NULL, retries = retries + ?, connected = 1"
                " WHERE name = ?"
            )
            db.execute(query, (retries, output))

    # -- requests of other processes ------------------------------------------------------------

    def obey(self) -> list[tuple[str, str]]:
        """Carry out the requests that were left in the journal; returns (verb, output) of each."""
        if not self.read("SELECT 1 FROM requests LIMIT 1"):
            return []
        done = []
        with self.transaction() as db:
            requests = db.execute("SELECT id, verb, output, argument FROM requests ORDER BY id")
            for number, verb, output, argument in requests.fetchall():
                db.execute("DELETE FROM requests WHERE id = ?", (number,))
                if verb == "forget" and output in self._outputs:
                    _log.error("%s is not forgotten: it is one of the outputs that run", output)
                    continue
                _obey(db, verb, output, argument, self.now())
                done.append((verb, output))
        self.wake()
        return done

    def paused(self, output: str) -> bool:
        """Whether somebody has paused this output."""
        rows = self.read("SELECT paused FROM outputs WHERE name = ?", output)
        return bool(rows and rows[0][0])


def _obey(db: sqlite3.Connection, verb: str, output: str, argument: str, now: float) -> None:
    if verb == "retry":
        db.execute(
            "UPDATE aside SET state = 'retry' WHERE state = 'dead' AND ident IS NOT NULL"
            " AND output = ? AND (? = '' OR id = ?)",
            (output, argument, argument),
        )
    elif verb in ("pause", "resume"):
        db.execute("UPDATE outputs SET paused = ? WHERE name = ?", (verb == "pause", output))
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_asked(output), verb))
    elif verb == "forget":
        forget(db, output, now)


def _asked(output: str) -> str:
    """Where the journal keeps what was last asked of an output."""
    return f"asked {output}"


def excluded_key(output: str) -> str:
    """Where the journal counts telegrams that an output is not to have."""
    return f"excluded {output}"


def _exclude(db: sqlite3.Connection, output: str, count: int) -> None:
    if count:
        db.execute(
            "INSERT INTO meta VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = value + excluded.value",
            (excluded_key(output), count),
        )


def _remove(db: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Let go of entries aside; returns how many there were."""
    if not rows:
        return 0
    return db.executemany("DELETE FROM aside WHERE id = ?", [(row.seq,) for row in rows]).rowcount


def faded(rate: float | None, since: float | None, now: float) -> float:
    """A rate as it is now, when nothing has come since it was noted.

    It is a mean over the last minutes that weighs what is long ago less: it needs one number, and
    no note while nothing happens.
    """
    if rate is None or since is None:
        return 0.0
    return rate * exp(-max(0.0, now - since) / RATE_OVER)


def _beyond(cursor: int, outcome: Outcome) -> Outcome:
    return attrs.evolve(
        outcome,
        acknowledged=[row for row in outcome.acknowledged if row.seq > cursor],
        held=[entry for entry in outcome.held if entry[0].seq > cursor],
        dead=[entry for entry in outcome.dead if entry[0].seq > cursor],
        excluded=[row for row in outcome.excluded if row.seq > cursor],
    )
