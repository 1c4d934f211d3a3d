"""Sampling: the sensors of this kit, each read in its thread, joined to a telegram an interval.

A telegram's time is the end of its interval; a field is in it only when an accepted reading fell
into that very interval. Interval lengths follow the monotonic clock.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from statistics import fmean
from types import MappingProxyType
from typing import Protocol, Self, cast

from mysense.application import Application, ProcessSettings
from mysense.backoff import Backoff
from mysense.clock import Clock, Seconds
from mysense.identity import kit_ident
from mysense.journal import Journal
from mysense.plugin import READING, Sensor
from mysense.sampling import quality
from mysense.sampling.fields import channels_of, shared
from mysense.sampling.sampler import Sampler
from mysense.telegram import Ident, Telegram, Value

_KEPT = 10_000  # telegrams in memory while the journal cannot be written; a week of minutes
_TRIES = 3  # readings that `once` takes of a sensor which does not answer at first
_LOOK = 1.0  # seconds between two looks whether a sensor hangs
_log = logging.getLogger("mysense.sampling")


class Worker(Protocol):
    """What runs in a thread of its own until it is told to stop."""

    name: str

    def run(self, stop: threading.Event, /) -> None:
        """Work until `stop` is set."""


class Sampling:
    """The sensors of this kit and the telegrams that they make together.

    Args:
        ident: who this kit is.
        sensors: what it measures with; nothing is opened yet.
        process: `quality` and `average` of section [process].
        clock: what to go by.
    """

    name = "sampling"

    def __init__(
        self,
        ident: Ident,
        sensors: Iterable[Sensor],  # type: ignore[type-arg]  # any settings will do
        process: ProcessSettings,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self.samplers = [
            Sampler(sensor, channels_of(sensor), self._report, self._clock) for sensor in sensors
        ]
        shared({each.name: each.channels for each in self.samplers}, process.average)
        for sampler in self.samplers:
            if sampler.interval == READING:
                sampler.on_reading = self._on_reading
        self.ident = kit_ident(ident, self.samplers)
        self.finished = False
        self.limit: int | None = None
        """How many telegrams to make; None for no end."""
        self._units = dict(zip(self.ident.fields, self.ident.units, strict=True))
        self._quality = process.quality
        self._made = 0
        self._seconds = Seconds(self._clock)
        self._start: float | None = None
        self._ticked: float | None = None
        self._ends: dict[float, float] = {}  # interval -> when the one under way ends, monotonic
        self._heard: dict[str, float] = {}  # `interval = reading` -> when it last gave one
        self._damp = quality.Damp()
        self._once = False
        self._stop = threading.Event()
        self._journal: Journal | None = None
        self._unsaved: deque[Telegram] = deque()
        self._lock = threading.Lock()
        self._failing = Backoff(_log, 60.0)

    @classmethod
    def of(cls, application: Application) -> Self | None:
        """The sensors that are switched on; None without any, or where a SUB channel reads.

        Raises:
            SettingsError, Misconfigured: they cannot make telegrams with these settings.
        """
        on = [c for c in application.configured if c.on and issubclass(c.plugin, Sensor)]
        if not on:
            return None
        if subscribers := [s.section for s in application.subscribers()]:
            names = ", ".join(configured.section for configured in on)
            _log.info("%s reads telegrams, so local sensors are off: %s", subscribers[0], names)
            return None
        sensors = [cast("Sensor", configured.make()) for configured in on]  # type: ignore[type-arg]  # as above
        return cls(application.ident(), sensors, application.process)

    def attach(self, journal: Journal, *, once: bool) -> None:
        """Say where telegrams go, and whether one is enough."""
        self._journal, self._once = journal, once and self.limit is None

    # -- the threads of the engine ---------------------------------------------------------------

    def workers(self) -> list[Worker]:
        """What the engine runs, a thread each."""
        return [self] if self._once else [*self.samplers, self]

    def run(self, stop: threading.Event) -> None:
        """Close one interval after the other until `stop` is set; with `once` make one telegram."""
        self._stop = stop
        if self._once:
            self._run_once()
            return
        while not self._clock.wait(stop, self.tick()):
            if self.limit is not None and self._made >= self.limit:
                break
        self.finished = self.save()

    @property
    def idle(self) -> float:
        """Seconds since the last `tick` began, which takes place once a second; 0 before all."""
        return 0.0 if self._ticked is None else self._clock.monotonic() - self._ticked

    def tick(self) -> float:
        """Do what is due now; returns seconds until there may be more. The first call begins."""
        now = self._ticked = self._clock.monotonic()
        if self._start is None:
            self._start = now
            for sampler in self.samplers:
                if sampler.interval == READING:
                    self._heard[sampler.name] = now
                else:
                    self._ends[sampler.interval] = now + sampler.interval
        for sampler in self.samplers:
            sampler.watch()
        due = [interval for interval, end in self._ends.items() if end <= now]
        if due:
            self._close([s for s in self.samplers if s.interval in due])
        for interval in due:  # an end that was missed is skipped
            passed = (now - self._start) // interval
            self._ends[interval] = self._start + (passed + 1) * interval
        self._miss(now)
        self.save()
        return min([_LOOK, *(end - now for end in self._ends.values())])

    def _miss(self, now: float) -> None:
        """`interval = reading`: where none comes for long, that is an interval without any."""
        for sampler in self.samplers:
            late = now - self._heard.get(sampler.name, now) > sampler.sensor.patience
            if late and not sampler.stopped:
                self._heard[sampler.name] = now
                self._close([sampler])

    def _run_once(self) -> None:
        telegram = self.once()
        if telegram is not None:
            self._unsaved.append(telegram)
        self.finished = self.save()

    def once(self) -> Telegram | None:
        """Read every sensor until it has given something, in this thread."""
        self._once = True
        for sampler in self.samplers:
            for _ in range(_TRIES):
                sampler.read()
                if sampler.has_readings or sampler.stopped:
                    break
            sampler.sensor.close()
        return self._telegram(self.samplers)

    def _on_reading(self, sampler: Sampler) -> None:
        """`interval = reading`: each reading is an interval. Waits where a second has one."""
        self._heard[sampler.name] = self._clock.monotonic()
        if self._once or not sampler.has_readings:
            return
        while self._seconds.ahead > 0 and not self._clock.wait(self._stop, self._seconds.ahead):
            pass
        self._close([sampler])
        self.save()

    # -- telegrams -------------------------------------------------------------------------------

    def _close(self, samplers: list[Sampler]) -> None:
        telegram = self._telegram(samplers)
        if telegram is not None:
            with self._lock:
                self._unsaved.append(telegram)
                self._made += 1

    def _telegram(self, samplers: list[Sampler]) -> Telegram | None:
        """What these have measured, as one telegram that ends now; None where nothing was."""
        with self._lock:
            time, jump = self._seconds.next()
        if jump:
            self._report("clock", "jump", f"the clock was set by {jump:+.0f} s")
        found: dict[str, list[float]] = {}
        raw: dict[str, list[float]] = {}
        flags: dict[str, set[str]] = {}
        for sampler in samplers:
            taken = sampler.take()
            sampler.close_interval(empty=not taken.values)
            for name, value in taken.values.items():
                found.setdefault(name, []).append(value)
                if sampler.raw:
                    raw.setdefault(f"{name}_raw", []).append(taken.raw[name])
            for name, some in taken.flags.items():
                flags.setdefault(name, set()).update(some)
        values = {name: fmean(some) for name, some in found.items()}
        return self._joined(time, values, {name: fmean(some) for name, some in raw.items()}, flags)

    def _joined(
        self,
        time: int,
        values: dict[str, float],
        raw: dict[str, float],
        flags: dict[str, set[str]],
    ) -> Telegram | None:
        for name in self._damp.among(values, self._units, self._clock.monotonic()):
            flags.setdefault(name, set()).add("humid")
        told = quality.text(flags)
        if told:
            self._report("quality", "flags", told, time)
        if not values:
            return None
        data: dict[str, Value] = {"time": time, **values, **raw}
        if told and self._quality:
            data["quality"] = told
        return Telegram(self.ident, MappingProxyType(data))

    # -- the journal -----------------------------------------------------------------------------

    def _report(self, who: str, kind: str, text: str, time: int | None = None) -> None:
        """Write an event down; where that fails it is in the log at least."""
        if who == "clock":
            _log.warning("%s", text)
        if self._journal is None:
            return
        try:
            self._journal.note(who, kind, text, time)
        except sqlite3.Error as wrong:
            _log.warning("journal: %s; not written down: %s %s: %s", wrong, who, kind, text)

    def save(self) -> bool:
        """Commit what was measured; what the journal cannot take now is kept for the next time."""
        with self._lock:
            if not self._unsaved or self._journal is None:
                return True
            try:
                self._journal.append(list(self._unsaved), source=self.name)
            except sqlite3.Error as wrong:
                self._failing.failed(f"journal: {wrong}; telegrams are kept in memory")
                while len(self._unsaved) > _KEPT:
                    lost = self._unsaved.popleft()
                    _log.error("no room left in memory either: lost the telegram of %d", lost.time)
                return False
            self._unsaved.clear()
            self._failing.recovered()
            return True
