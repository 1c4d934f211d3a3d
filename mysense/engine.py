"""The engine: inputs, journal and outputs wired together, each input and output in its thread."""

from __future__ import annotations

import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import attrs

from mysense.backoff import Backoff
from mysense.delivery import PROBE_EVERY, Delivery
from mysense.intake import Intake
from mysense.journal import Journal, copies
from mysense.journal.retention import trim
from mysense.plugin import Plugin, Publisher, Subscriber
from mysense.sampling import Sampling, Worker, start
from mysense.service import Heart, Service
from mysense.trust import Hold

STOP_WITHIN = 1.5  # seconds; what still hangs then is left to the end of the process
_TICK = 0.25
_TICK_ONCE = 0.05  # somebody waits for the end
_TRIM_EVERY = 60.0  # seconds, and sooner when the journal has grown beyond a part of its limit:
_PRESSED = 0.6
_log = logging.getLogger("mysense.engine")


@attrs.frozen
class Limits:
    """What the journal may hold: megabytes, and days that delivered telegrams are kept."""

    max_mb: float = float("inf")
    keep_days: float = float("inf")


class Engine:
    """Runs inputs and outputs over one journal until stopped.

    Args:
        journal: open for writing.
        subscribers: inputs.
        sampling: the sensors of this kit.
        publishers: outputs.
        limits: of the journal.
        stopping: ends it when it is set.
        once: end when all inputs have nothing more to give and all outputs have delivered.
        max_backoff: longest wait between two tries of an output, in seconds.
    """

    def __init__(  # noqa: PLR0913  # the parts of an engine, all keywords
        self,
        journal: Journal,
        *,
        subscribers: Iterable[Subscriber[Any]] = (),
        sampling: Sampling | None = None,
        publishers: Iterable[Publisher[Any]] = (),
        limits: Limits | None = None,
        stopping: threading.Event | None = None,
        once: bool = False,
        max_backoff: float = PROBE_EVERY,
    ) -> None:
        self.journal = journal
        self.abandoned = False
        """Whether some thread did not stop in time and was left behind."""
        self.stopping = stopping or threading.Event()
        self.intakes = [Intake(subscriber, journal, once=once) for subscriber in subscribers]
        self.deliveries = [
            Delivery(publisher, journal, max_backoff=max_backoff) for publisher in publishers
        ]
        self.sampling = sampling
        if sampling is not None:
            sampling.attach(journal, once=once, max_mb=(limits or Limits()).max_mb)
        self._heart = Heart(Service(), journal, sampling)
        self._limits = limits or Limits()
        self._once = once
        self._threads: list[threading.Thread] = []
        self._trimmed = float("-inf"), 0  # when, and the journal's head then
        self._failing = Backoff(_log, 5.0)

    def start(self) -> None:
        """Start a thread for each input and each output."""
        workers: list[Worker] = [*self.deliveries, *self.intakes]
        self._threads += [start(worker, self.stopping) for worker in workers]
        if self.sampling is not None:
            self._threads += self.sampling.start(self.stopping)

    def run(self, timeout: float | None = None) -> bool:
        """Start, work until stopped or done, and stop.

        Args:
            timeout: with `once`: give up after so many seconds in which nothing was delivered.

        Returns:
            whether everything that was to be done was done.
        """
        with suppress(sqlite3.Error):  # then the first tick does it
            self._obey()  # who is paused shall not begin
        self.start()
        self._heart.begin()
        try:
            return self._watch(timeout)
        finally:
            self.stop()

    def _watch(self, timeout: float | None) -> bool:
        seen = time.monotonic(), -1
        while not self.stopping.wait(_TICK_ONCE if self._once else _TICK):
            self.tick()
            self._heart.beat(self._state)
            if self._once and self._ended:
                return self.done
            settled = sum(delivery.progress for delivery in self.deliveries)
            if settled != seen[1] or not self._stuck:
                seen = (time.monotonic(), settled)
            if self._once and timeout is not None and time.monotonic() - seen[0] > timeout:
                _log.warning("given up: nothing was delivered for %g s", timeout)
                return False
        return not self._once

    @property
    def _stuck(self) -> bool:
        """Whether something waits for an output or fails; an input may be slow as it likes."""
        return not self.drained or any(intake.error for intake in self.intakes)

    @property
    def done(self) -> bool:
        """Whether all inputs are finished, a kit has measured, and every output has it all."""
        kit = self.sampling
        given = kit is None or (kit.measured and not kit.waiting)
        return self._read_out and self.drained and given

    @property
    def _read_out(self) -> bool:
        """Whether all inputs are finished."""
        if not all(intake.finished for intake in self.intakes):
            return False
        return self.sampling is None or self.sampling.finished

    @property
    def _ended(self) -> bool:
        """Whether there is nothing more to come: for an output that is stopped nobody waits."""
        head = self.journal.head
        return self._read_out and all(one.stopped or one.drained(head) for one in self.deliveries)

    @property
    def drained(self) -> bool:
        """Whether every output has settled all that is in the journal."""
        head = self.journal.head
        return all(delivery.drained(head) for delivery in self.deliveries)

    def describe(self) -> Iterator[str]:
        """What runs here, a line each."""
        for intake in self.intakes:
            yield f"input  {intake.name}"
        for sampler in self.sampling.samplers if self.sampling else ():
            yield f"input  {sampler.name}"
        for delivery in self.deliveries:
            yield f"output {delivery.name}"

    def _state(self) -> str:
        """What the service manager shows: what runs, and what does not."""
        samplers = self.sampling.samplers if self.sampling else []
        stopped = [one.name for one in samplers if one.stopped]
        stopped += [one.name for one in self.deliveries if one.stopped]
        failing = [one.name for one in self.intakes if one.error]
        failing += [one.name for one in self.deliveries if not one.settled and not one.stopped]
        parts = [
            f"{len(samplers) + len(self.intakes)} inputs, {len(self.deliveries)} outputs",
            f"journal at {self.journal.head}",
            failing and f"busy or failing: {', '.join(failing)}",
            stopped and f"stopped: {', '.join(stopped)}",
            self._hold and f"telegrams wait for the right time: {self._hold.text}",
        ]
        return "; ".join(part for part in parts if part)

    @property
    def _hold(self) -> Hold | None:
        """Why the clock is not to be trusted."""
        return self.sampling.hold if self.sampling else None

    def tick(self) -> None:
        """What is to be done now and then: obey requests, keep the journal within its limits."""
        if self._failing.left > 0:
            return
        try:
            self._obey()
            self._trim()
        except (sqlite3.Error, OSError) as wrong:  # it cannot be opened for reading is the latter
            self._failing.failed(f"journal {self.journal.path}: {wrong}")
        else:
            self._failing.recovered()

    def _obey(self) -> None:
        for verb, output in self.journal.obey():
            _log.info("%s %s, as asked", verb, output)
            if verb == "accept" and not (self.sampling and self.sampling.accept(output)):
                _log.warning("the clock is not in doubt, or cannot be right")
            for delivery in self.deliveries:
                if delivery.name == output and verb != "pause":
                    delivery.look_aside()

    def _trim(self) -> None:
        limits, now, (then, head) = self._limits, time.monotonic(), self._trimmed
        every = 1.0 if self.journal.full else _TRIM_EVERY
        if self.journal.head != head and self.journal.megabytes > _PRESSED * limits.max_mb:
            every = 0.0
        if now - then >= every:
            self._trimmed = now, self.journal.head
            days = limits.keep_days
            if self._hold:  # by such a clock nothing is old
                days = float("inf")
            trim(self.journal, limits.max_mb, days, stop=self._interrupted)
            copies.bound(self.journal, limits.max_mb)

    def _interrupted(self) -> bool:
        """Asked between the parts of a long work, which are progress too."""
        self._heart.beat()
        return self.stopping.is_set()

    def stop(self) -> None:
        """Stop all threads; returns within two seconds, also when one of them hangs."""
        until = time.monotonic() + STOP_WITHIN
        self.stopping.set()
        self._heart.end()
        self.journal.wake()
        for plugin in self._plugins():
            try:
                plugin.interrupt()
            except Exception:  # noqa: BLE001  # a plugin's fault may not keep the others from stopping
                _log.exception(
                    "%s: a fault in this plugin while it was interrupted", plugin.section
                )
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for thread in self._threads:
            if thread.is_alive():
                self.abandoned = True
                _log.warning("%s hangs and is left behind; its telegrams are safe", thread.name)

    def _plugins(self) -> Iterator[Plugin[Any]]:
        yield from (intake.subscriber for intake in self.intakes)
        yield from (delivery.publisher for delivery in self.deliveries)
        if self.sampling is not None:
            yield from (sampler.sensor for sampler in self.sampling.samplers)

    def stop_on_signals(self) -> None:
        """SIGTERM and Ctrl-C stop the engine."""
        stop_on_signals(self.stopping)


def stop_on_signals(stopping: threading.Event) -> None:
    """SIGTERM and Ctrl-C set `stopping`."""

    def stop(number: int, _frame: FrameType | None) -> None:
        _log.info("stopping on %s", signal.Signals(number).name)
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
