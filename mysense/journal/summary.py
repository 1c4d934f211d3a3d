"""The ledger of a journal: what became of every telegram, per output."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from mysense.journal.accounts import excluded_key, faded
from mysense.journal.view import View


@attrs.frozen
class HeldKit:
    """A kit whose telegrams wait aside at an output; `lag` is the age of the oldest in seconds."""

    kit: str
    count: int
    lag: float
    reason: str


@attrs.frozen
class OutputSummary:
    """One output's account.

    `connected` is whether its last try went well, as the engine noted it (None: there was none
    yet). `rate` is telegrams a minute, a mean over the last minutes. `excluded` counts what it is
    not to have, which is not among the acknowledged. `lag` is the age in seconds of the oldest
    telegram not acknowledged, `lag_flowing` of the oldest that is not held. `held_kits` says of
    each kit that is held how many wait, how long, and why.
    """

    name: str
    acknowledged: int
    excluded: int
    waiting: int
    held: int
    dead: int
    gaps: int
    lag: float
    lag_flowing: float
    held_kits: tuple[HeldKit, ...]
    retries: int
    paused: bool
    error: str | None
    error_at: float | None
    last_ok: float | None
    connected: bool | None
    rate: float

    @property
    def all_acknowledged(self) -> bool:
        """Whether every telegram arrived."""
        return not (self.waiting or self.held or self.dead or self.gaps)

    def _others(self) -> tuple[tuple[int, str], ...]:
        return ((self.excluded, "excluded"), (self.held, "held"), (self.gaps, "in gaps"))

    def line(self) -> str:
        """The account in one line."""
        parts = [f"{self.acknowledged} acknowledged", f"{self.waiting} waiting"]
        parts += [f"{n} {what}" for n, what in self._others() if n]
        parts.append(f"{self.dead} dead")
        if self.error:
            parts.append(f"last error: {self.error}")
        return ", ".join(parts)


def outputs(view: View, now: Callable[[], float] = time.time) -> list[OutputSummary]:
    """The account of every output that the journal knows."""
    with view.moment():
        rows = view.all("SELECT * FROM outputs ORDER BY name")
        return [_summary(view, row, now()) for row in rows]


def _summary(view: View, row: Any, now: float) -> OutputSummary:
    name, cursor = row["name"], row["cursor"]
    (waits,) = view.all(
        "SELECT count(*) AS count, min(at) AS since FROM telegrams WHERE seq > ?", cursor
    )
    (aside,) = view.all(
        "SELECT coalesce(sum(state != 'dead'), 0) AS held,"
        " coalesce(sum(state = 'dead'), 0) AS dead,"
        " min(iif(state != 'dead', at, NULL)) AS since FROM aside WHERE output = ?",
        name,
    )
    (gaps,) = view.all("SELECT coalesce(sum(count), 0) AS n FROM gaps WHERE output = ?", name)
    excluded = view.all("SELECT value FROM meta WHERE key = ?", excluded_key(name))
    held = view.all(
        "SELECT kit, count(*) AS count, min(at) AS since, reason FROM aside"
        " WHERE output = ? AND state != 'dead' GROUP BY kit ORDER BY kit",
        name,
    )

    def age(*since: float | None) -> float:
        return max([0.0, *(now - at for at in since if at is not None)])

    return OutputSummary(
        name=name,
        acknowledged=row["acknowledged"],
        excluded=excluded[0]["value"] if excluded else 0,
        waiting=waits["count"],
        held=aside["held"],
        dead=aside["dead"],
        gaps=gaps["n"],
        lag=age(waits["since"], aside["since"]),
        lag_flowing=age(waits["since"]),
        held_kits=tuple(
            HeldKit(kit["kit"], kit["count"], age(kit["since"]), kit["reason"]) for kit in held
        ),
        retries=row["retries"],
        paused=bool(row["paused"]),
        error=row["error"],
        error_at=row["error_at"],
        last_ok=row["last_ok"],
        connected=None if row["connected"] is None else bool(row["connected"]),
        rate=faded(row["rate"], row["rate_at"], now),
    )
