"""A pin that is not there, below the real adafruit_dht: the modules that it imports, simulated.

They stand in for Blinka's, so the library's own code runs without a Raspberry Pi. What comes over
the pin is told request by request, see `mysense.hw.sim_pulses`; time is that of the other side.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import Any


class SimulatedLine:
    """The pin: what is going to come over it, and when that is. It puts the modules in place."""

    def __init__(self) -> None:
        self._now = 0.0
        self._coming: list[int] | None = []
        _put("pulseio", PulseIn=PulseIn)
        _put("digitalio", DigitalInOut=None, Direction=None, Pull=None)
        _put("microcontroller", Pin=object)

    def wire(self, library: Any) -> None:
        """Give the library our time: waiting costs none, and two seconds pass when told so."""
        library.time = SimpleNamespace(monotonic=self.monotonic, sleep=lambda _seconds: None)

    def expect(self, now: float, pulses: list[int] | None) -> None:
        """What the next measurement meets.

        Args:
            now: monotonic seconds.
            pulses: lengths in us, from the first low one on; None hangs.
        """
        self._now, self._coming = now, pulses

    def monotonic(self) -> float:
        """Seconds of the other side."""
        return self._now

    def triggered(self) -> list[int]:
        """The pulses that follow a start signal."""
        if self._coming is None:
            threading.Event().wait()  # for ever
        return self._coming or []


class PulseIn:
    """What `pulseio.PulseIn` is to the library: the newest `maxlen` pulses of a pin."""

    def __init__(self, pin: SimulatedLine, maxlen: int = 2, idle_state: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as pulseio has it
        self._pin = pin
        self._seen: deque[int] = deque(maxlen=maxlen)

    def pause(self) -> None:
        """Stop listening."""

    def clear(self) -> None:
        """Forget what was heard."""
        self._seen.clear()

    def resume(self, trigger_duration: int = 0) -> None:
        """Listen, after a start signal of so many us."""
        if trigger_duration:
            self._seen.extend(self._pin.triggered())

    def popleft(self) -> int:
        """The oldest pulse."""
        return self._seen.popleft()

    def __len__(self) -> int:
        return len(self._seen)

    def deinit(self) -> None:
        """Let go of the pin."""


def _put(name: str, **contents: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module
