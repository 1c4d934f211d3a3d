"""The worker of one output: takes telegrams from the journal, and settles what became of them.

It is a machine of steps: `step` does one piece of work and says when to come back, so
that a test can drive it without threads and without waiting. What it must remember across a
restart is in the journal; what it holds in memory is the batch under way, so that a retry sends
the very same telegrams.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from mysense.backoff import Backoff, Jitter, full_jitter
from mysense.delivery.batch import Batch, into_parts
from mysense.delivery.blame import Blame
from mysense.delivery.doubt import Doubt
from mysense.delivery.health import Health
from mysense.delivery.held import PROBE_EVERY, Held
from mysense.delivery.search import PluginFault
from mysense.delivery.sending import Sender
from mysense.errors import JournalError
from mysense.excluding import Exclude
from mysense.journal import Journal, Row
from mysense.journal.view import View
from mysense.plugin import Misconfigured, OutputSettings, Publisher, RetryLater

_LOOK_UP = 0.5  # seconds after which a worker with nothing to do looks up
_PAST = 50, 2000  # telegrams looked at beyond a batch that does not pass: at a time, and in all


class Delivery:
    """One output's worker.

    Args:
        publisher: the output; used by this worker alone.
        journal: where to settle what became of the telegrams.
        max_backoff: longest wait between two tries, in seconds.
        clock: monotonic seconds.
        jitter: see `mysense.backoff`.
    """

    def __init__(
        self,
        publisher: Publisher[OutputSettings],
        journal: Journal,
        *,
        max_backoff: float = PROBE_EVERY,
        clock: Callable[[], float] = time.monotonic,
        jitter: Jitter = full_jitter,
    ) -> None:
        self.publisher = publisher
        self.name = publisher.section
        self._exclude = Exclude(publisher.settings.exclude)
        self._journal = journal
        self._view = View(journal.path, journal.mend)
        self._clock = clock
        self._log = logging.getLogger(f"mysense.{self.name}")
        idle = publisher.settings.state == "idle"
        self._cursor, self._receipt = journal.register(self.name, idle=idle)
        self._seen = self._cursor
        self._held = Held(self.name, journal, clock, self._log)
        self._sender = Sender(
            publisher, self._exclude, self._held, Blame(self._held, self._look_past)
        )
        backoff = Backoff(self._log, max_backoff, clock, jitter)
        self._health = Health(self.name, journal, self._log, backoff, clock)
        self._batch: Batch | None = None
        self._turn_aside = True  # what is set aside and what is new take turns
        self._full_at = 0.0  # when to send a batch that is not full
        self._asked = self._looked = 0  # requests to look aside, and those that were obeyed
        self._hurried = 0  # those for which a pause was cut short
        self._doubt = Doubt(publisher, journal, clock, self._log)
        self._open = False
        self._paused = False
        self._settled = 0  # batches
        self._stop = threading.Event()

    # -- running --------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        self._stop = stop
        try:
            while not stop.is_set():
                pause = min(self.step(), _LOOK_UP)
                if self.settled:
                    self._journal.wait(self._seen, pause)
                else:
                    stop.wait(pause)
        finally:
            self._view.close()
            self._close()

    def _close(self) -> None:
        self._open = False
        try:
            self.publisher.close()
        except Exception:  # noqa: BLE001  # a plugin's fault; what it accepted is settled already
            self._log.exception("a fault in this plugin while it closed")

    @property
    def progress(self) -> int:
        """Grows whenever a part of a batch is done, or a batch settled: a large one takes long."""
        return self._sender.parts_sent + self._settled

    @property
    def stopped(self) -> str | None:
        """Why this output has given up until the configuration is mended."""
        return self._health.stopped

    @property
    def settled(self) -> bool:
        """Whether nothing is under way and nothing goes wrong."""
        return self._batch is None and self._health.good and not self._paused

    def drained(self, head: int) -> bool:
        """Whether all telegrams up to number `head` are settled and none waits aside.

        For one that is paused nobody waits.
        """
        if self._paused:
            return True
        looked = self._looked == self._asked
        sure = not self._doubt.pending
        return self.settled and looked and sure and self._cursor >= head and not self._held

    def step(self) -> float:  # noqa: PLR0911  # one return a kind of failure
        """Do one piece of work.

        Returns:
            seconds until there may be more to do; 0 for at once.
        """
        try:
            self._paused = self._journal.paused(self.name)
            if self._paused:
                return _LOOK_UP
            hurry = self._hurry()
            if self._health.stopped:
                return _LOOK_UP
            if (left := self._health.left) > 0 and not hurry:
                return left
            pause = self._work()
            self._health.recovered()
        except RetryLater as wrong:
            return self._later(wrong)
        except PluginFault as wrong:
            self._log.debug("in this plugin", exc_info=True)
            return self._health.failed(str(wrong), alarm=wrong.alarm)
        except Misconfigured as wrong:
            self._health.give_up(str(wrong))
            return _LOOK_UP
        except (sqlite3.Error, JournalError) as wrong:
            return self._health.failed(f"journal: {wrong}")
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # a plugin's fault, sys.exit() too, may not cost telegrams
            self._log.debug("in this plugin", exc_info=True)
            return self._health.failed(str(PluginFault.of(wrong)))
        return pause

    def _work(self) -> float:
        if not self._open:
            self.publisher.open(self._batch.receipt if self._batch else self._receipt)
            self._open = True
        pause = 0.0 if self._batch else self._begin()
        if (batch := self._batch) is None:
            return pause
        self._sender.send(batch)
        if batch.aside and batch.acknowledged:
            self._doubt.released(batch.aside, min(row.at for row in batch.acknowledged))
        settle = self._journal.settle_aside if batch.aside else self._journal.settle
        settle(self.name, batch.outcome())
        self._cursor, self._receipt, self._batch = batch.cursor, batch.receipt, None
        self._doubt.sent()
        self._settled += 1
        self._tell_dead(batch.dead)
        return 0.0

    # -- batches --------------------------------------------------------------------------------

    def _begin(self) -> float:
        """Begin a batch if there is one; else say how long to wait."""
        self._obey()
        if (back := self._doubt.look(idle=self._journal.head <= self._cursor)) is not None:
            self._cursor = self._seen = back
            self._held.try_now()  # some of it may wait aside
        self._turn_aside = not self._turn_aside
        if self._turn_aside:
            self._fetch_aside()
        pause = _LOOK_UP if self._batch else self._fetch()
        if self._batch is None and not self._turn_aside:
            self._fetch_aside()
        return pause

    def _fetch(self) -> float:
        settings, head = self.publisher.settings, self._journal.head
        if self._clock() < self._full_at and head - self._cursor < settings.bufsize:
            return self._full_at - self._clock()
        rows = self._view.rows(self._cursor, settings.bufsize, settings.max_bytes)
        if not rows:
            self._seen = self._cursor = max(self._cursor, head)  # what was there was given up
            return _LOOK_UP
        if (pause := self._filling(rows, head)) > 0:
            return pause
        self._batch = Batch(self._cursor, self._receipt)
        self._add(self._batch, rows)
        return 0.0

    def _filling(self, rows: list[Row], head: int) -> float:
        """Seconds to wait for more than `rows`; 0 where they are all there can be, or old."""
        settings, age = self.publisher.settings, self._journal.now() - rows[0].at
        full = len(rows) >= settings.bufsize or rows[-1].seq < head  # its bytes cut it short
        if full or not 0 <= age < settings.flush:  # below 0: the clock was set back
            return 0.0
        self._full_at = self._clock() + settings.flush - age
        self._seen = self._cursor + settings.bufsize - 1
        return settings.flush - age

    def _add(self, batch: Batch, rows: list[Row]) -> None:
        """Add rows behind those of a batch: what waits behind a held kit is held, too."""
        batch.count += len(rows)
        batch.last = rows[-1].seq
        rows = self._wanted(batch, rows)
        if not batch.aside:
            batch.cursor = self._seen = batch.last
            rows = self._held.behind(batch, rows)
        batch.parts.extend(into_parts(rows, mixed=self.publisher.mixed and not batch.aside))

    def _wanted(self, batch: Batch, rows: list[Row]) -> list[Row]:
        """Those of `rows` that this output is to have; the others are counted."""
        accepts, exclude = self.publisher.accepts, self._exclude
        unwanted = {
            row.seq
            for row in rows
            if row.telegram.kind not in accepts or (exclude and exclude.whole(row.telegram))
        }
        batch.excluded += [row for row in rows if row.seq in unwanted]
        return [row for row in rows if row.seq not in unwanted] if unwanted else rows

    def _look_past(self, batch: Batch) -> bool:
        """Add telegrams behind a batch, to see whether they pass; returns whether there are."""
        settings, (at_once, most) = self.publisher.settings, _PAST
        limit = min(at_once, settings.bufsize, settings.bufsize + most - batch.count)
        if batch.aside:
            rows = self._view.aside(
                self.name, batch.aside, limit, settings.max_bytes, after=batch.last
            )
        else:
            rows = self._view.rows(batch.last, limit, settings.max_bytes)
        if rows:
            self._add(batch, rows)
        return bool(batch.parts)

    def _tell_dead(self, dead: Sequence[tuple[Row, str]]) -> None:
        for row, reason in dead[:3]:
            telegram = row.telegram
            self._log.error("dead letter: %s at %d: %s", telegram.kit, telegram.time, reason)
        if len(dead) > 3:
            verb = f"mysense dead list --journal {self._journal.path}"  # it may be a replay's
            self._log.error("and %d more dead letters; see `%s`", len(dead) - 3, verb)

    # -- set aside ------------------------------------------------------------------------------

    def _fetch_aside(self) -> None:
        """Begin a batch of the oldest telegrams of a kit that is to be probed now."""
        settings = self.publisher.settings
        for kit in self._held.due():
            rows = self._view.aside(self.name, kit, settings.bufsize, settings.max_bytes)
            if rows:
                self._batch = Batch(self._cursor, self._receipt, aside=kit)
                self._add(self._batch, rows)
                return
            self._held.free(kit)

    def look_aside(self) -> None:
        """Try all that waits at the next step, whatever the pause; for another thread to call."""
        self._asked += 1

    def _hurry(self) -> bool:
        """Whether somebody asked for a try now: it cuts a pause short, and ends having given up."""
        asked = self._asked
        if asked == self._hurried:
            return False
        if self._health.stopped:
            self._close()
            self._health.stopped = None
        self._hurried = asked
        return True

    def _obey(self) -> None:
        asked = self._asked
        if asked != self._looked:
            self._held.try_now()
            self._looked = asked

    # -- failing and recovering -----------------------------------------------------------------

    def _later(self, wrong: RetryLater) -> float:
        if wrong.doubt:
            with suppress(sqlite3.Error, OSError):  # it will say so again
                self._doubt.arise(self._cursor)
        if self._stop.is_set():  # it was interrupted: that says nothing of the other side
            return 0.0
        return self._health.failed(str(wrong), wrong.after, alarm=wrong.alarm)
