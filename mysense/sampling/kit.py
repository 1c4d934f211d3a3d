"""Sampling: the sensors of this kit, each read in its thread, joined to a telegram an interval.

A telegram's time is the end of its interval; a field is in it only when an accepted reading fell
into that very interval. Interval lengths follow the monotonic clock.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable
from statistics import fmean
from typing import Protocol, Self, cast

from mysense.application import Application, ProcessSettings
from mysense.clock import Clock
from mysense.identity import kit_ident
from mysense.journal import Journal
from mysense.plugin import READING, Sensor
from mysense.sampling import quality
from mysense.sampling.fields import channels_of, shared
from mysense.sampling.outbox import Outbox
from mysense.sampling.sampler import Sampler
from mysense.telegram import Ident, Telegram, Value
from mysense.trust import Hold, Trust

_LOOK = 1.0  # seconds between two looks whether a sensor hangs
_GLANCE = 0.1  # the same where somebody waits for one telegram
_log = logging.getLogger("mysense.sampling")


class Worker(Protocol):
    """What runs in a thread of its own until it is told to stop."""

    name: str

    def run(self, stop: threading.Event, /) -> None:
        """Work until `stop` is set."""


def start(worker: Worker, stop: threading.Event) -> threading.Thread:
    """Run a worker in a thread until `stop` is set."""
    thread = threading.Thread(target=worker.run, args=(stop,), name=worker.name, daemon=True)
    thread.start()
    return thread


class Sampling:
    """The sensors of this kit and the telegrams that they make together.

    Args:
        ident: who this kit is.
        sensors: what it measures with; nothing is opened yet.
        process: `quality` and `average` of section [process].
        clock: what to go by.
        trust: whether the wall clock is right; None believes it as it is.
    """

    name = "sampling"

    def __init__(
        self,
        ident: Ident,
        sensors: Iterable[Sensor],  # type: ignore[type-arg]  # any settings will do
        process: ProcessSettings,
        clock: Clock | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self.trust = trust
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
        self._outbox = Outbox(self.ident, self.name, self._clock, trust, self._report)
        self._start: float | None = None
        self._ticked: float | None = None
        self._ends: dict[float, float] = {}  # interval -> when the one under way ends, monotonic
        self._heard: dict[str, float] = {}  # `interval = reading` -> when it last gave one
        self._damp = quality.Damp()
        self._once = False
        self._stop = threading.Event()
        self._journal: Journal | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

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
        clock = Clock()
        simulated = all(_is_simulated(sensor) for sensor in sensors)
        trust = Trust(clock, application.process.clock, simulated=simulated)
        return cls(application.ident(), sensors, application.process, clock, trust)

    def attach(self, journal: Journal, *, once: bool, max_mb: float = float("inf")) -> None:
        """Say where telegrams go, whether one is enough, and how large the journal may become."""
        self._journal, self._once = journal, once and self.limit is None
        self._outbox.attach(journal, once=once, max_mb=max_mb)

    @property
    def hold(self) -> Hold | None:
        """Why telegrams wait for a clock that can be trusted; None where they do not."""
        return self._outbox.hold

    @property
    def waiting(self) -> bool:
        """Whether some telegram has no time yet."""
        return self._outbox.waiting

    @property
    def measured(self) -> bool:
        """Whether any sensor has given anything yet."""
        return self._made > 0

    def accept(self, boot: str) -> bool:
        """Take the clock for right, because a person says so.

        Args:
            boot: the start of the machine in which that was said.

        Returns:
            whether the clock was in doubt, and could be right.
        """
        return self.trust is not None and boot == self.trust.boot and self._outbox.accept()

    # -- the threads of the engine ---------------------------------------------------------------

    def start(self, stop: threading.Event) -> list[threading.Thread]:
        """Start a thread for each sensor, and one for the intervals; those that run go on.

        Args:
            stop: ends them; the same at each call.
        """
        if not self._threads:
            self._threads = [start(worker, stop) for worker in self.workers()]
        return self._threads

    def workers(self) -> list[Worker]:
        """What runs, a thread each."""
        return [self] if self._once else [*self.samplers, self]

    @property
    def in_memory(self) -> int:
        """How many telegrams the journal has not taken yet."""
        return self._outbox.in_memory

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
        """Seconds since the last `tick` began, one a second; 0 before the first, and at the end."""
        if self._ticked is None or self.finished:
            return 0.0
        return self._clock.monotonic() - self._ticked

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
        self._read_all()
        self._close(self.samplers)
        self.finished = self.save()

    def once(self) -> Telegram | None:
        """Read every sensor until it has given something, or hangs.

        Returns:
            the telegram, which goes nowhere; None where nothing was measured.
        """
        self._read_all()
        values, _ = self._values(self.samplers)
        return self._outbox.stamp(values) if values else None

    def _read_all(self) -> None:
        """Each in a thread of its own: one that hangs is left behind, the others count."""
        self._once = True
        readers = [
            (sampler, threading.Thread(target=sampler.once, name=sampler.name, daemon=True))
            for sampler in self.samplers
        ]
        for _, reader in readers:
            reader.start()
        for sampler, reader in readers:
            while reader.is_alive() and not sampler.hangs and not self._stop.is_set():
                reader.join(_GLANCE)
                sampler.watch()

    def _on_reading(self, sampler: Sampler) -> None:
        """`interval = reading`: each reading is an interval. Waits where a second has one."""
        self._heard[sampler.name] = self._clock.monotonic()
        if self._once or not sampler.has_readings:
            return
        while (ahead := self._outbox.ahead) > 0 and not self._clock.wait(self._stop, ahead):
            pass
        self._close([sampler])
        self.save()

    # -- telegrams -------------------------------------------------------------------------------

    def _close(self, samplers: list[Sampler]) -> None:
        """End an interval of these: a telegram with what they have measured, if they have."""
        values, flags = self._values(samplers)
        time = None
        if values:
            time = self._outbox.put(values)
            with self._lock:
                self._made += 1
        if flags:
            self._report("quality", "flags", flags, time)

    def _values(self, samplers: list[Sampler]) -> tuple[dict[str, Value], str]:
        """What these have measured since they were last asked, and what speaks against it."""
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
        for name in self._damp.among(values, self._units, self._clock.monotonic()):
            flags.setdefault(name, set()).add("humid")
        data: dict[str, Value] = {**values, **{name: fmean(some) for name, some in raw.items()}}
        told = quality.text(flags)
        if told and values and self._quality:
            data["quality"] = told
        return data, told

    # -- the journal -----------------------------------------------------------------------------

    def _report(self, who: str, kind: str, text: str, time: int | None = None) -> None:
        """Write an event down; where that fails it is in the log at least."""
        if self._journal is None:
            return
        try:
            self._journal.note(who, kind, text, time)
        except sqlite3.Error as wrong:
            _log.warning("journal: %s; not written down: %s %s: %s", wrong, who, kind, text)

    def save(self) -> bool:
        """Commit what was measured; what the journal cannot take now is kept for the next time."""
        return self._outbox.save()


def _is_simulated(sensor: Sensor) -> bool:  # type: ignore[type-arg]  # any settings will do
    return str(getattr(sensor.settings, "backend", "")).startswith("sim")
