"""One sensor: read in a thread of its own, once a slot; its readings kept for the interval."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from mysense.backoff import Backoff
from mysense.clock import Clock
from mysense.plugin import Finished, Gone, Misconfigured, Sensor, Transient
from mysense.sampling.fields import Channel
from mysense.sampling.quality import Stuck
from mysense.sampling.window import tukey_mean

_GIVE_UP_AFTER = 3  # transient failures in a row: then the device counts as gone
_SILENT_AFTER = 3  # intervals without an accepted reading
_TRIES = 3  # readings that `once` takes of a sensor which does not answer at first
_NOTHING = "no reading came"

Report = Callable[[str, str, str], None]
"""Takes an event: who, what kind, and a sentence."""


@attrs.define
class Taken:
    """What one sensor gave in an interval: values, raw values and flags, by field."""

    values: dict[str, float] = attrs.field(factory=dict)
    raw: dict[str, float] = attrs.field(factory=dict)
    flags: dict[str, set[str]] = attrs.field(factory=dict)


@attrs.define
class _Window:
    """The readings of one channel since the interval began."""

    channel: Channel
    readings: deque[float]
    stuck: Stuck = attrs.field(factory=Stuck)
    flags: set[str] = attrs.field(factory=set)


class Sampler:
    """Reads a sensor once a slot; a slot that was missed is skipped, never bunched.

    Args:
        sensor: read by this worker alone.
        channels: how its readings become fields.
        report: where events go.
        clock: what slots are measured with.
    """

    def __init__(
        self,
        sensor: Sensor[Any],
        channels: list[Channel],
        report: Report,
        clock: Clock,
    ) -> None:
        self.sensor = sensor
        self.name = sensor.section
        self.interval = sensor.settings.interval
        self.raw = sensor.settings.raw
        self.stopped: str | None = None
        """Why it has given up until the configuration is mended."""
        self.channels = channels
        self.on_reading: Callable[[Sampler], None] = lambda _: None
        self._windows = {
            channel.source.name: _Window(channel, deque(maxlen=sensor.settings.bufsize))
            for channel in channels
        }
        self._left_out = {field.name for field in sensor.fields} - self._windows.keys()
        self._report = report
        self._clock = clock
        self._log = logging.getLogger(f"mysense.{self.name}")
        self._backoff = Backoff(self._log, 60.0, clock.monotonic)
        self._lock = threading.Lock()
        self._opened: float | None = None
        self._failures = 0
        self._reading_since: float | None = None
        self.hangs = False
        """Whether a reading has not returned for too long."""
        self._empty = 0
        self._silent = False
        self._reason = _NOTHING

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set or the sensor is misconfigured."""
        start = self._clock.monotonic()
        slot = 0.0 if self.sensor.paced else self.sensor.settings.sample
        try:
            while not stop.is_set() and self.stopped is None:
                pause = self.read()
                since = self._clock.monotonic() - start
                self._clock.wait(stop, max(pause, slot - since % slot if slot else 0.0))
        finally:
            self._close()

    def once(self) -> None:
        """Read until it has given something, a few times at most; closed afterwards.

        One that was silent for long is not asked again: somebody waits.
        """
        for _ in range(_TRIES):
            began = self._clock.monotonic()
            self.read()
            silent = self._clock.monotonic() - began > self.sensor.patience / 2
            if silent or self.has_readings or self.stopped:
                break
        self._close()

    def read(self) -> float:
        """Take one reading; returns seconds to wait longer than to the next slot."""
        self._reading_since = self._clock.monotonic()
        try:
            accepted = self._read()
        except Transient as wrong:
            return self._transient(wrong)
        except Finished as wrong:
            return self._stopped("finished", str(wrong))
        except Gone as wrong:
            return self._gone(str(wrong))
        except Misconfigured as wrong:
            return self._stopped("stopped", str(wrong))
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # a plugin's fault may not end measuring
            self._log.debug("in this plugin", exc_info=True)
            return self._gone(f"a fault in this plugin, {type(wrong).__name__}: {wrong}")
        finally:
            self._reading_since = None
        self._failures = 0
        self._backoff.recovered()
        if accepted:
            self._reason = _NOTHING
            self.on_reading(self)
        return 0.0

    def _read(self) -> bool:
        if self._opened is None:
            self.sensor.open()
            self._opened = self._clock.monotonic()
        return self._accept(self.sensor.read())

    def _transient(self, wrong: Transient) -> float:
        self._failures += 1
        if self._failures >= _GIVE_UP_AFTER:
            return self._gone(f"{wrong}, {self._failures} times in a row")
        self._reason = str(wrong)
        self._log.debug("%s", wrong)
        return 0.0

    def _gone(self, reason: str) -> float:
        self._failures = 0
        self._reason = reason
        self._close()
        return self._backoff.failed(reason)

    def _stopped(self, kind: str, reason: str) -> float:
        self.stopped = self._reason = reason
        level = logging.INFO if kind == "finished" else logging.ERROR
        self._log.log(level, "%s; this sensor is %s, the others go on", reason, kind)
        self._report(self.name, kind, reason)
        return 0.0

    def _close(self) -> None:
        self._opened = None
        try:
            self.sensor.close()
        except Exception:  # noqa: BLE001  # a plugin's fault; there is nothing to lose in it
            self._log.debug("a fault in this plugin while it closed", exc_info=True)

    def _accept(self, values: Mapping[str, float]) -> bool:
        now, accepted = self._clock.monotonic(), False
        warm = now - (self._opened or now) >= self.sensor.warm_up
        for name, reading in values.items():
            if name in self._left_out:
                continue
            window = self._windows.get(name)
            if window is None:
                self._log.warning("%s is not among the fields of this sensor", name)
                continue
            with self._lock:
                accepted |= self._keep(window, float(reading), now, warm=warm)
        return accepted

    def _keep(self, window: _Window, reading: float, now: float, *, warm: bool) -> bool:
        if not warm:
            window.flags.add("warmup")
        if not window.channel.believes(reading):
            if "range" not in window.flags:
                name = window.channel.source.name
                self._log.warning("%s = %r is out of range and left out", name, reading)
            window.flags.add("range")
            self._reason = f"{window.channel.source.name} = {reading!r} is out of range"
            return False
        if window.stuck.saw(reading, now):
            window.flags.add("stuck")
        window.readings.append(reading)
        return True

    @property
    def has_readings(self) -> bool:
        """Whether anything was accepted since the last `take`."""
        with self._lock:
            return any(window.readings for window in self._windows.values())

    def take(self) -> Taken:
        """What was accepted since the last call; a field without a reading is not in it."""
        taken = Taken()
        with self._lock:
            for window in self._windows.values():
                channel = window.channel
                if window.readings:
                    some = [channel.value(reading) for reading in window.readings]
                    taken.values[channel.name] = channel.rounded(tukey_mean(some))
                    raw = tukey_mean([channel.convert(reading) for reading in window.readings])
                    taken.raw[channel.name] = channel.rounded(raw)
                if window.flags:
                    taken.flags[channel.name] = set(window.flags)
                window.readings.clear()
                window.flags.clear()
        return taken

    # -- watching over it ------------------------------------------------------------------------

    def close_interval(self, *, empty: bool) -> None:
        """Tell when it has been silent for some intervals, and when it is back."""
        if not empty:
            if self._silent:
                self._tell("back", f"measures again after {self._empty} empty intervals")
            self._empty, self._silent = 0, False
            return
        self._empty += 1
        if self._silent or self._slow:
            return
        if self._empty < _SILENT_AFTER:
            self._report(self.name, "gap", f"nothing accepted in this interval: {self._reason}")
        else:
            self._silent = True
            self._tell("silent", f"nothing accepted in {self._empty} intervals: {self._reason}")

    @property
    def _slow(self) -> bool:
        """Whether nothing had to come yet: no slot, or a device that speaks when it likes.

        How long that one may be quiet its driver knows: then it raises Transient, so there is a
        reason.
        """
        looked_for = self.interval or self.sensor.patience  # `interval = reading` has no length
        seldom = self.sensor.paced or self.sensor.settings.sample > looked_for
        return seldom and self._reason is _NOTHING

    def watch(self) -> None:
        """Tell when a reading does not return, and when it does at last."""
        since, patience = self._reading_since, self.sensor.patience
        hangs = since is not None and self._clock.monotonic() - since > patience
        if hangs and not self.hangs:
            self._reason = f"a reading has not returned for {patience:.0f} s"
            self._tell("hangs", self._reason)
        elif self.hangs and not hangs:
            self._tell("back", "the reading that hung has returned")
        self.hangs = hangs

    def _tell(self, kind: str, text: str) -> None:
        self._log.warning("%s: %s", kind, text)
        self._report(self.name, kind, text)
