"""Copying: an engine with a journal of its own, kept for as long as something is left to do."""

from __future__ import annotations

import hashlib
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from mysense.engine import Engine, Limits
from mysense.journal import Journal
from mysense.journal.summary import outputs
from mysense.journal.view import View, request
from mysense.migrating.moving import Bounds, Moving
from mysense.migrating.place import Server
from mysense.paths import state_folder
from mysense.plugin import Publisher

_MAX_BACKOFF = 5.0  # seconds: somebody waits for it
_MAX_MB = 256.0  # of the journal; what is delivered is let go
_REASONS = 5  # of dead letters that are told
_DEAD = (  # a row that was read again after a crash is one
    "FROM (SELECT DISTINCT output, kit, time, reason, data FROM aside WHERE state = 'dead')"
)
_MEANT = (  # what says which rows go where and in what form: another journal for each
    "hostname", "port", "org", "layout", "database", "databases", "projects", "serials", "rp",
    "dialect", "omit", "round_location", "exclude",
)  # fmt: skip


@attrs.frozen
class Copied:
    """What became of a run.

    Attributes:
        read: telegrams read in this run.
        acknowledged: telegrams that arrived in this run.
        seconds: how long it took.
        dead: rows and telegrams that cannot be written, of earlier runs too.
        reasons: of the commonest of these.
        line: the account of the output.
        failed: kits that were not, or not completely, read, and why.
        ended: whether all was read and delivered that can be.
        abandoned: whether a thread hangs and still has the journal.
    """

    read: int
    acknowledged: int
    seconds: float
    dead: int
    reasons: list[tuple[int, str]]
    line: str
    failed: dict[str, str]
    ended: bool
    abandoned: bool

    @property
    def complete(self) -> bool:
        """Whether every row of every kit arrived."""
        return self.ended and not self.dead and not self.failed


def journal_path(one: Server, publisher: Publisher[Any], what: Sequence[object]) -> Path:
    """The journal of this very migration: the same command finds it again, from any folder."""
    parts: list[object] = [publisher.section, *what]
    for settings in (one.settings, publisher.settings):
        for name in _MEANT:
            value = getattr(settings, name, None)
            parts.append(value.pattern if isinstance(value, re.Pattern) else value)
    name = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    return state_folder() / "migrate" / f"{name}.db"


class Copying:
    """One run.

    Args:
        path: of the journal; what an earlier run left in it goes on.
        server: where from, not open.
        publisher: where to.
        kits: to be copied.
        bounds: of times.
    """

    def __init__(
        self,
        path: Path,
        server: Server,
        publisher: Publisher[Any],
        kits: Sequence[str],
        bounds: Bounds,
    ) -> None:
        self._path = path
        self._section = publisher.section
        resumed = path.exists()
        self.journal = Journal(path)
        if resumed:
            request(path, "retry", [self._section])
        # who migrates wants it sent, also where an engine would wait
        publisher.settings = attrs.evolve(publisher.settings, state="record")
        self._view = View(path)
        self.moving = Moving(server, kits, bounds, self._waiting, self._is_held)
        self._engine = Engine(
            self.journal,
            subscribers=[self.moving],
            publishers=[publisher],
            limits=Limits(max_mb=_MAX_MB),
            once=True,
            max_backoff=_MAX_BACKOFF,
        )

    def run(self, timeout: float) -> Copied:
        """Copy until all is done, or until nothing could be delivered for `timeout` seconds."""
        before, began = self._acknowledged(), time.monotonic()
        with _signals_as_before():
            self._engine.stop_on_signals()
            self._engine.tick()
            self._engine.run(timeout)
        copied = self._copied(before, time.monotonic() - began)
        if not copied.abandoned:
            self._view.close()
            self.journal.close()
        return copied

    def _copied(self, before: int, seconds: float) -> Copied:
        with View(self._path) as view:
            (summary,) = outputs(view)
            dead = view.all(f"SELECT count(*) AS n {_DEAD}")[0]["n"]
            query = f"SELECT count(*) AS n, reason {_DEAD} GROUP BY reason ORDER BY n DESC LIMIT ?"
            reasons = [(row["n"], str(row["reason"])) for row in view.all(query, _REASONS)]
        intake = self._engine.intakes[0]
        waits = summary.waiting or summary.held or intake.error
        return Copied(
            read=self.moving.count,
            acknowledged=summary.acknowledged - before,
            seconds=seconds,
            dead=dead + summary.gaps,
            reasons=reasons,
            line=summary.line(),
            failed=self.moving.failed | ({"": intake.error} if intake.error else {}),
            ended=self.moving.complete and intake.finished and not waits,
            abandoned=self._engine.abandoned,
        )

    def _acknowledged(self) -> int:
        return sum(summary.acknowledged for summary in outputs(self._view))

    def _waiting(self) -> int:
        query = "SELECT cursor FROM outputs WHERE name = ?"
        return self.journal.head - int(self._view.all(query, self._section)[0]["cursor"])

    def _is_held(self, kit: str) -> bool:
        query = "SELECT 1 FROM aside WHERE output = ? AND kit = ? AND state != 'dead' LIMIT 1"
        return bool(self._view.all(query, self._section, kit))


@contextmanager
def _signals_as_before() -> Iterator[None]:
    """An engine takes over signals; what comes after it is interrupted as ever."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: list[tuple[signal.Signals, Any]] = [(one, signal.getsignal(one)) for one in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
