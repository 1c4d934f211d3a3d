"""Delivery: one worker an output carries telegrams from the journal to its publisher.

The worker is a machine of steps: `step` does one piece of work and says when to come back, so
that a test can drive it without threads and without waiting. What it must remember across a
restart is in the journal; what it holds in memory is the batch under way, so that a retry sends
the very same telegrams.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from mysense.backoff import Backoff, Jitter, full_jitter
from mysense.batch import Batch, by_kit, into_parts, number
from mysense.doubt import Doubt
from mysense.excluding import Exclude
from mysense.journal import Journal, Row
from mysense.journal.view import View
from mysense.plugin import (
    Hold,
    Misconfigured,
    OutputSettings,
    Publisher,
    Refused,
    RetryLater,
    TooLarge,
    Unacceptable,
)
from mysense.privacy import Privacy
from mysense.search import AT_ONCE, PluginFault
from mysense.telegram import Telegram

PROBE_EVERY = 300.0  # seconds between two tries of a kit that is held
_NOTE_EVERY = 10.0  # seconds between two notes in the journal that an output still fails
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
        settings = publisher.settings
        self._exclude = Exclude(settings.exclude)
        self._privacy = Privacy(settings.omit, settings.round_location)
        self._journal = journal
        self._view = View(journal.path, journal.mend)
        self._clock = clock
        self._log = logging.getLogger(f"mysense.{self.name}")
        idle = settings.state == "idle"
        self._cursor, self._receipt = journal.register(self.name, idle=idle)
        self._seen = self._cursor
        self._held = {kit: clock() for kit in journal.held_kits(self.name)}  # kit -> probe when
        self._batch: Batch | None = None
        self._turn_aside = True  # what is set aside and what is new take turns
        self._full_at = 0.0  # when to send a batch that is not full
        self._asked = self._looked = 0  # requests to look aside, and those that were obeyed
        self._hurried = 0  # those for which a pause was cut short
        self._doubt = Doubt(publisher, journal, clock, self._log)
        self._open = False
        self._paused = False
        self._backoff = Backoff(self._log, max_backoff, clock, jitter)
        self._noted = 0.0
        self._noted_failures = 0
        self.progress = 0
        """Grows whenever a part of a batch is done, or a batch settled: a large one takes long."""
        self.stopped: str | None = None
        """Why this output has given up until the configuration is mended."""

    # -- running --------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        try:
            while not stop.is_set():
                pause = min(self.step(), _LOOK_UP)
                if pause > 0 and self.settled:
                    self._journal.wait(self._seen, pause)
                elif pause > 0:
                    stop.wait(pause)
        finally:
            self._view.close()
            try:
                self.publisher.close()
            except Exception:  # noqa: BLE001  # a plugin's fault; what it accepted is settled already
                self._log.exception("a fault in this plugin while it closed")

    @property
    def settled(self) -> bool:
        """Whether nothing is under way and nothing goes wrong."""
        waiting = self._batch is not None or self._backoff.failures > 0
        return not (waiting or self._paused or self.stopped)

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
            if self.stopped:
                return _LOOK_UP
            if (left := self._backoff.left) > 0 and not hurry:
                return left
            pause = self._work()
            self._recovered()
        except RetryLater as wrong:
            return self._later(wrong)
        except PluginFault as wrong:
            self._log.debug("in this plugin", exc_info=True)
            return self._failed(str(wrong), None, alarm=wrong.alarm)
        except Misconfigured as wrong:
            return self._give_up(str(wrong))
        except sqlite3.Error as wrong:
            return self._failed(f"journal: {wrong}", None)
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # a plugin's fault, sys.exit() too, may not cost telegrams
            self._log.debug("in this plugin", exc_info=True)
            return self._failed(_fault(wrong), None)
        return pause

    def _work(self) -> float:
        if not self._open:
            self.publisher.open(self._receipt)
            self._open = True
        pause = 0.0 if self._batch else self._begin()
        if (batch := self._batch) is None:
            return pause
        self._send(batch)
        settle = self._journal.settle_aside if batch.aside else self._journal.settle
        settle(self.name, batch.outcome())
        self._cursor, self._batch = batch.cursor, None
        self._doubt.sent()
        self.progress += 1
        self._tell_dead(batch.dead)
        return 0.0

    # -- batches --------------------------------------------------------------------------------

    def _begin(self) -> float:
        """Begin a batch if there is one; else say how long to wait."""
        self._obey()
        if (back := self._doubt.look(idle=self._journal.head <= self._cursor)) is not None:
            self._cursor = self._seen = back
        self._turn_aside = not self._turn_aside
        if self._turn_aside:
            self._fetch_aside()
        pause = _LOOK_UP if self._batch else self._fetch()
        if self._batch is None and not self._turn_aside:
            self._fetch_aside()
        return min([pause, *(when - self._clock() for when in self._held.values())])

    def _fetch(self) -> float:
        settings, head = self.publisher.settings, self._journal.head
        if self._clock() < self._full_at and head - self._cursor < settings.bufsize:
            return self._full_at - self._clock()
        rows = self._view.rows(self._cursor, settings.bufsize, settings.max_bytes)
        if not rows:
            self._seen = self._cursor = max(self._cursor, head)  # what was there was given up
            return _LOOK_UP
        if rows[-1].seq >= head and len(rows) < settings.bufsize:  # nothing cut it short
            age = time.time() - rows[0].at
            if 0 <= age < settings.flush:
                self._full_at = self._clock() + settings.flush - age
                self._seen = self._cursor + settings.bufsize - 1
                return settings.flush - age
        self._full_at = 0.0
        self._batch = Batch(self._cursor)
        self._add(self._batch, rows)
        return 0.0

    def _add(self, batch: Batch, rows: list[Row]) -> None:
        """Add rows behind those of a batch: what waits behind a held kit is held, too."""
        batch.count += len(rows)
        if rows:
            batch.last = rows[-1].seq
        if not batch.aside:
            batch.cursor = self._seen = batch.last
        if not {row.telegram.kind for row in rows} <= self.publisher.accepts:
            accepts = self.publisher.accepts
            batch.excluded += [row for row in rows if row.telegram.kind not in accepts]
            rows = [row for row in rows if row.telegram.kind in accepts]
        if self._exclude:
            batch.excluded += [row for row in rows if self._exclude.whole(row.telegram)]
            rows = [row for row in rows if not self._exclude.whole(row.telegram)]
        held = () if batch.aside else self._held
        waits = [row for row in rows if row.telegram.kit in held] if held else []
        rows = [row for row in rows if row.telegram.kit not in held] if waits else rows
        batch.parts.extend(into_parts(rows, mixed=self.publisher.mixed and not batch.aside))
        batch.held += [(row, "held behind older telegrams of this kit") for row in waits]

    def _send(self, batch: Batch) -> None:
        """Send all parts; what is sent leaves `batch.parts`, so that a retry goes on there."""
        while batch.parts or self._conclude(batch):
            part = batch.parts[0]
            try:
                self._send_part(batch, part)
                self.progress += 1
            except (RetryLater, Misconfigured, KeyboardInterrupt):
                raise
            except BaseException as wrong:  # noqa: BLE001  # a plugin's fault, sys.exit() too, may not cost telegrams
                self._faulty(batch, part, wrong)

    def _send_part(self, batch: Batch, part: list[Row]) -> None:
        try:
            receipt = self.publisher.publish(self._told(part))
        except Refused as wrong:
            self._refuse(batch, part, wrong.reasons)
            batch.parts.popleft()
        except (Unacceptable, TooLarge) as wrong:
            batch.parts.popleft()
            self._divide(batch, part, str(wrong))
        except Hold as wrong:
            batch.parts.popleft()
            self._hold(batch, part, str(wrong))
        else:
            batch.parts.popleft()
            batch.acknowledged += part
            batch.search.passes(part)
            batch.receipt = receipt if receipt is not None else batch.receipt

    def _told(self, part: list[Row]) -> list[Telegram]:
        """The telegrams of `part` as this output may see them."""
        telegrams = [row.telegram for row in part]
        if self._exclude:
            telegrams = list(map(self._exclude, telegrams))
        if not self._privacy or telegrams[0].kind != Telegram.kind:  # points have no ident
            return telegrams
        return list(map(self._privacy, telegrams))

    def _refuse(self, batch: Batch, part: list[Row], reasons: Mapping[int, str]) -> None:
        if not reasons.keys() <= set(range(len(part))):
            raise IndexError(f"refused {sorted(reasons)} of a batch of {len(part)}")
        batch.dead += [(part[at], reason) for at, reason in sorted(reasons.items())]
        batch.acknowledged += [row for at, row in enumerate(part) if at not in reasons]

    def _divide(self, batch: Batch, part: list[Row], reason: str) -> None:
        if len(part) == 1:
            batch.dead.append((part[0], reason))
        else:
            batch.divide(part)

    def _hold(self, batch: Batch, part: list[Row], reason: str) -> None:
        kits = by_kit(part)
        if len(kits) > 1:
            batch.parts.extendleft(reversed(kits))
            return
        kit = part[0].telegram.kit
        if kit not in self._held:
            self._log.warning("%s is held: %s; its telegrams wait, in order", kit, reason)
        self._held[kit] = self._clock() + PROBE_EVERY
        behind = [p for p in batch.parts if p[0].telegram.kit == kit]
        for rows in [part, *behind]:
            batch.held += [(row, reason) for row in rows]
        for rows in behind:
            batch.parts.remove(rows)

    def _tell_dead(self, dead: Sequence[tuple[Row, str]]) -> None:
        for row, reason in dead[:3]:
            telegram = row.telegram
            self._log.error("dead letter: %s at %d: %s", telegram.kit, telegram.time, reason)
        if len(dead) > 3:
            verb = f"mysense dead list --journal {self._journal.path}"  # it may be a replay's
            self._log.error("and %d more dead letters; see `%s`", len(dead) - 3, verb)

    # -- faults of the plugin ---------------------------------------------------------------------

    def _faulty(self, batch: Batch, part: list[Row], wrong: BaseException) -> None:
        """Look for the telegrams that a fault hangs on. Raises PluginFault to pause."""
        search, fault = batch.search, PluginFault(_fault(wrong))
        if not search.meets(wrong):
            raise fault from wrong
        batch.parts.popleft()
        if len(part) > 1:
            batch.divide(part)
        elif not search.fails(part[0], str(fault)):
            batch.parts.appendleft(part)
            raise fault from wrong
        else:
            self._spare(batch, part[0].telegram.kit)
        if search.faults % AT_ONCE == 0:
            if batch.aside and not search.passed:
                self._hold_failed(batch, batch.aside)
            raise fault from wrong

    def _spare(self, batch: Batch, kit: str) -> None:
        """Do not try all of a kit of which nothing passes, unless no other kit passes either."""
        search = batch.search
        if not search.hopeless(kit):
            return
        if search.passed:
            self._hold_failed(batch, kit)
        elif kit not in search.deferred:
            search.deferred.add(kit)
            batch.parts.extend(by_kit(batch.take(kit)))

    def _conclude(self, batch: Batch) -> bool:
        """Decide about telegrams that failed alone; returns whether there is more to send.

        One that was the last of all is judged without a witness: a plugin that breaks for good
        costs one dead letter at most, and `dead retry` brings that back.
        """
        search = batch.search
        if not search.failed:
            return False
        if search.passed and (unsure := search.unsure()):
            batch.parts.extend([row] for row in unsure)
            return True
        unseen = search.unwitnessed()
        if unseen and self._look_past(batch):
            return True
        if unseen and (len(unseen) > 1 or not search.passed):
            return self._stop_flow(batch, unseen)
        for rows in by_kit(row for row, _ in search.failed.values()):
            self._judge(batch, rows[0].telegram.kit, len(rows))
        return False

    def _judge(self, batch: Batch, kit: str, count: int) -> None:
        """The telegrams of a kit are dead letters where most of it passes; else it is held."""
        if batch.search.passed[kit] >= count:
            batch.dead += batch.search.take(kit)
        else:
            self._hold_failed(batch, kit)

    def _stop_flow(self, batch: Batch, rows: list[Row]) -> bool:
        """Nothing passes any more: all waits, but kits of which nothing did are only held."""
        reason = batch.search.failed[rows[0].seq][1]
        batch.search.try_again(rows)
        passed = {row.telegram.kit for row in batch.acknowledged}
        for part in by_kit(rows):
            if batch.aside or (passed and part[0].telegram.kit not in passed):
                self._hold(batch, part, reason)
            else:
                batch.parts.append(part)
        if batch.parts:
            raise PluginFault(f"nothing passes any more: {reason}", alarm=True)
        return False

    def _hold_failed(self, batch: Batch, kit: str) -> None:
        failed = batch.search.take(kit)
        rows = [row for row, _ in failed] + batch.take(kit)
        self._hold(batch, sorted(rows, key=number), failed[0][1])

    def _look_past(self, batch: Batch) -> bool:
        """Add telegrams behind a batch, to see whether they pass; returns whether there are."""
        settings, (at_once, most) = self.publisher.settings, _PAST
        limit = min(at_once, settings.bufsize, most - batch.past)
        if limit <= 0:
            return False
        if batch.aside:
            rows = self._view.aside(
                self.name, batch.aside, limit, settings.max_bytes, after=batch.last
            )
        else:
            rows = self._view.rows(batch.last, limit, settings.max_bytes)
        self._add(batch, rows)
        batch.past += len(rows)
        return bool(batch.parts)

    # -- set aside ------------------------------------------------------------------------------

    def _fetch_aside(self) -> None:
        """Begin a batch of the oldest telegrams of a kit that is to be probed now."""
        settings, now = self.publisher.settings, self._clock()
        for kit in [kit for kit, when in self._held.items() if when <= now]:
            rows = self._view.aside(self.name, kit, settings.bufsize, settings.max_bytes)
            if rows:
                self._batch = Batch(self._cursor, aside=kit)
                self._add(self._batch, rows)
                return
            del self._held[kit]
            self._log.info("%s is no longer held", kit)

    def look_aside(self) -> None:
        """Try all that waits at the next step, whatever the pause; for another thread to call."""
        self._asked += 1

    def _hurry(self) -> bool:
        """Whether somebody asked for a try now: it cuts a pause short, and ends having given up."""
        asked = self._asked
        if asked == self._hurried:
            return False
        if self.stopped:
            self.publisher.close()
            self._open, self.stopped = False, None
        self._hurried = asked
        return True

    def _obey(self) -> None:
        asked = self._asked
        if asked != self._looked:
            kits = [*self._held, *self._journal.held_kits(self.name)]
            self._held.update((kit, self._clock()) for kit in kits)
            self._looked = asked

    # -- failing and recovering -----------------------------------------------------------------

    def _later(self, wrong: RetryLater) -> float:
        if wrong.doubt:
            with suppress(sqlite3.Error):  # it will say so again
                self._doubt.arise(self._cursor)
        return self._failed(str(wrong), wrong.after, alarm=wrong.alarm)

    def _failed(self, reason: str, after: float | None, *, alarm: bool = False) -> float:
        pause = self._backoff.failed(reason, after, alarm=alarm)
        failures, now = self._backoff.failures, self._clock()
        if failures == 1 or now - self._noted >= _NOTE_EVERY:
            with suppress(sqlite3.Error):  # it is perhaps the journal that fails: later then
                self._journal.fail(self.name, reason, failures - self._noted_failures)
                self._noted, self._noted_failures = now, failures
        return pause

    def _recovered(self) -> None:
        if self._backoff.failures:
            left = self._backoff.failures - self._noted_failures
            self._journal.recovered(self.name, left)
            self._backoff.recovered()
            self._noted_failures = 0

    def _give_up(self, reason: str) -> float:
        self.stopped = reason
        with suppress(sqlite3.Error):  # the journal fails too: the log line is left
            self._journal.fail(self.name, f"stopped: {reason}", 1)
        self._log.error("%s; this output is stopped, its telegrams wait in the journal", reason)
        return _LOOK_UP


def _fault(wrong: BaseException) -> str:
    return f"a fault in this plugin, {type(wrong).__name__}: {wrong}"
