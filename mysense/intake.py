"""Intake: one worker an input carries what a SUB channel reads into the journal."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mysense.backoff import Backoff, Jitter, full_jitter
from mysense.journal import Journal
from mysense.plugin import (
    InputSettings,
    Item,
    Misconfigured,
    Position,
    Refusal,
    RetryLater,
    Subscriber,
)

_MAX_BACKOFF = 60.0


class Intake:
    """One input's worker; `step` does one piece of work and says when to come back.

    Args:
        subscriber: the input; used by this worker alone.
        journal: where telegrams and position are committed together.
        once: be finished as soon as the input has nothing more to give.
        clock: monotonic seconds.
        jitter: see `mysense.backoff`.
    """

    def __init__(
        self,
        subscriber: Subscriber[InputSettings],
        journal: Journal,
        *,
        once: bool = False,
        clock: Callable[[], float] = time.monotonic,
        jitter: Jitter = full_jitter,
    ) -> None:
        self.subscriber = subscriber
        self.name = subscriber.section
        self.finished = False
        self.read = self.repeats = self.refused = 0
        """Telegrams stored, telegrams that the journal held already, and what was refused."""
        self.error: str | None = None
        """What is wrong at the moment, or None."""
        self._journal = journal
        self._once = once
        self._log = logging.getLogger(f"mysense.{self.name}")
        self._position = journal.position(self.name)
        self._uncommitted: tuple[Sequence[Item], Position] | None = None
        self._open = False
        self._backoff = Backoff(self._log, _MAX_BACKOFF, clock, jitter)
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Work until finished, or until `stop` is set."""
        self._stop = stop
        try:
            while not (stop.is_set() or self.finished):
                pause = self.step()
                if pause > 0:
                    self._rest(stop, pause)
        finally:
            try:
                self.subscriber.close()
            except Exception:  # noqa: BLE001  # a plugin's fault; what it read is committed already
                self._log.exception("a fault in this plugin while it closed")

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        if self.error is None:
            try:
                self.subscriber.idle(stop, seconds)
            except Exception:  # noqa: BLE001  # a plugin's fault may not end the input
                self._log.debug("in this plugin, while it waited", exc_info=True)
            else:
                return
        stop.wait(seconds)

    def step(self) -> float:
        """Read once; returns seconds until there may be more, 0 for at once."""
        try:
            pause = self._work()
        except RetryLater as wrong:
            if self._stop.is_set():  # it was interrupted: that says nothing of the source
                return 0.0
            return self._failed(str(wrong), wrong.after)
        except Misconfigured as wrong:
            self._log.error("%s; this input is stopped", wrong)
            self.error, self.finished = str(wrong), True
            return 0.0
        except sqlite3.Error as wrong:
            return self._failed(f"journal: {wrong}")
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # a plugin's fault, sys.exit() too, may not end the input
            self._log.debug("in this plugin", exc_info=True)
            return self._failed(f"a fault in this plugin, {type(wrong).__name__}: {wrong}")
        self._backoff.recovered()
        self.error = None
        return pause

    def _work(self) -> float:
        if self._journal.full:  # the source keeps what it has: better wait than give up telegrams
            raise RetryLater("the journal is nearly full of unsent telegrams; reading waits")
        if not self._open:
            self.subscriber.open()
            self._open = True
        if self._uncommitted is None:  # else the journal failed: the source may not give it twice
            self._uncommitted = self.subscriber.poll(self._position)
        items, position = self._uncommitted
        self._commit(items, position)
        self._uncommitted = None
        if items:
            return 0.0
        self.finished = self._once
        return self.subscriber.settings.interval

    def _commit(self, items: Sequence[Item], position: Position) -> None:
        if not items and position == self._position:
            return
        kept = self._journal.append(items, source=self.name, position=position)
        self._position = position
        self.read += kept.stored
        self.repeats += kept.repeats
        self.refused += kept.refused
        for item in items:
            if isinstance(item, Refusal):
                self._log.error("%s: refused, now a dead letter: %s", item.where, item.reason)

    def _failed(self, reason: str, after: float | None = None) -> float:
        self.error = reason
        return self._backoff.failed(reason, after)

    @property
    def counts(self) -> dict[str, Any]:
        """What this input has read, for the ledger."""
        return {"read": self.read, "repeats": self.repeats, "refused": self.refused}
