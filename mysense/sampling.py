"""Sampling: the sensors of this kit, read in their threads, joined to a telegram an interval.

A telegram's time is the end of its interval; a field is in it only when an accepted reading fell
into that very interval. Interval lengths follow the monotonic clock.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Mapping
from statistics import fmean
from types import MappingProxyType
from typing import Any, Self

import attrs

from mysense.application import Application, IdSettings
from mysense.backoff import Backoff
from mysense.journal import Journal
from mysense.plugin import Field, Gone, Misconfigured, Sensor, Transient
from mysense.telegram import Ident, Telegram, Value

_KEPT = 10_000  # telegrams in memory while the journal cannot be written; a week of minutes
_log = logging.getLogger("mysense.sampling")


class Sampler:
    """One sensor's worker: reads it once a slot and keeps the accepted readings."""

    def __init__(self, sensor: Sensor[Any], slot: float) -> None:
        self.sensor = sensor
        self.name = sensor.section
        self._slot = slot
        self._lock = threading.Lock()
        self._readings: dict[str, list[float]] = {}
        self._fields = {field.name: field for field in sensor.fields}
        self._open = False
        self.stopped: str | None = None
        self._backoff_log = logging.getLogger(f"mysense.{self.name}")
        self._backoff = Backoff(self._backoff_log, 60.0)

    def run(self, stop: threading.Event) -> None:
        """Read once a slot until `stop` is set; a missed slot is skipped, never bunched."""
        start = time.monotonic()
        try:
            while not stop.is_set() and self.stopped is None:
                pause = self.read()
                since = time.monotonic() - start
                stop.wait(max(pause, self._slot - since % self._slot))
        finally:
            self._close()

    def read(self) -> float:
        """Take one reading; returns seconds to wait longer than to the next slot."""
        try:
            if not self._open:
                self.sensor.open()
                self._open = True
            self._accept(self.sensor.read())
        except Transient as wrong:
            self._backoff.failed(str(wrong))
            return 0.0
        except Gone as wrong:
            self._close()
            return self._backoff.failed(str(wrong))
        except Misconfigured as wrong:
            self.stopped = str(wrong)
            _log.error("%s: %s; this sensor is stopped, the others go on", self.name, wrong)
            return 0.0
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # a plugin's fault may not end measuring
            self._backoff_log.debug("in this plugin", exc_info=True)
            self._close()
            fault = f"a fault in this plugin, {type(wrong).__name__}: {wrong}"
            return self._backoff.failed(fault)
        self._backoff.recovered()
        return 0.0

    def _close(self) -> None:
        self._open = False
        try:
            self.sensor.close()
        except Exception:  # noqa: BLE001  # a plugin's fault; there is nothing to lose in it
            self._backoff_log.exception("a fault in this plugin while it closed")

    def _accept(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            field = self._fields.get(name)
            if field is None or not field.low <= value <= field.high:
                _log.warning("%s: %s = %r is out of range and left out", self.name, name, value)
                continue
            with self._lock:
                self._readings.setdefault(name, []).append(float(value))

    def take(self) -> dict[str, float]:
        """The means of what was read since the last call, by field."""
        with self._lock:
            readings, self._readings = self._readings, {}
        return {
            name: round(fmean(values), self._fields[name].digits)
            for name, values in readings.items()
        }


class Sampling:
    """The sensors of this kit and the telegrams that they make together."""

    def __init__(self, ident: Ident, samplers: list[Sampler], interval: float) -> None:
        self.name = "sampling"
        self.finished = False
        self.samplers = samplers
        self._ident = ident
        self._interval = interval
        self._once = False
        self._journal: Journal | None = None
        self._unsaved: deque[Telegram] = deque()
        self._failing = Backoff(_log, interval)
        self._second = 0

    @classmethod
    def of(cls, application: Application) -> Self | None:
        """The sensors that are switched on; None without any, or where a SUB channel reads."""
        on = [c for c in application.configured if c.on and issubclass(c.plugin, Sensor)]
        if not on:
            return None
        if subscribers := [s.section for s in application.subscribers()]:
            names = ", ".join(configured.section for configured in on)
            _log.info("%s reads telegrams, so local sensors are off: %s", subscribers[0], names)
            return None
        interval = min(configured.settings.interval for configured in on)
        samplers = [Sampler(configured.make(), interval) for configured in on]  # type: ignore[arg-type]  # a Sensor, see above
        return cls(_ident(application.id, samplers), samplers, interval)

    def attach(self, journal: Journal, *, once: bool) -> None:
        """Say where telegrams go, and whether one is enough."""
        self._journal, self._once = journal, once

    def run(self, stop: threading.Event) -> None:
        """Close an interval again and again; with `once` only the first."""
        start, number = time.monotonic(), 1
        while not stop.wait(max(0.0, start + number * self._interval - time.monotonic())):
            telegram = self.telegram()
            if telegram is not None:
                self._unsaved.append(telegram)
            saved = self.save()
            if self._once and saved and (telegram or all(s.stopped for s in self.samplers)):
                self.finished = True
                return
            number = int((time.monotonic() - start) / self._interval) + 1
        self.save()

    def save(self) -> bool:
        """Commit what was measured; what the journal cannot take now is kept for the next time."""
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

    def telegram(self) -> Telegram | None:
        """What was read since the last telegram, as one that ends now; None where nothing was."""
        data: dict[str, Value] = {"time": self._next_second()}
        for sampler in self.samplers:
            data.update(sampler.take())
        return Telegram(self._ident, MappingProxyType(data)) if len(data) > 1 else None

    def _next_second(self) -> int:
        """Now, but never a second twice: two intervals of a second may end in the same one."""
        now = int(time.time())
        self._second = self._second + 1 if 0 <= self._second - now < 2 else now
        return self._second

    def once(self) -> Telegram | None:
        """Read every sensor one time, in this thread."""
        for sampler in self.samplers:
            sampler.read()
            sampler.sensor.close()
        return self.telegram()


def _ident(settings: IdSettings, samplers: list[Sampler]) -> Ident:
    fields = [field for sampler in samplers for field in sampler.sensor.fields]
    fields.insert(0, Field("time", "s", "time", 0, 0))
    given = {name: value for name, value in attrs.asdict(settings).items() if value}
    return Ident.from_json(
        given
        | {
            "fields": [field.name for field in fields],
            "units": [field.unit for field in fields],
            "types": [field.type for field in fields],
        }
    )
