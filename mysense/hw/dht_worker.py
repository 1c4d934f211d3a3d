"""Adafruit's DHT library in its own process, see `mysense.hw.apart`; this side holds the pin.

The first request opens the sensor, each further one takes one measurement. What the library raises
is answered with its class and text; `mysense.hw.pulses` makes our own errors of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from mysense.hw.served import serve

_TOO_SOON = 2.0  # seconds in which the library gives what it had before, even after a failure

_CLASSES = {"DHT11": "DHT11", "DHT22": "DHT22", "AM2302": "DHT22", "AM2301": "DHT21"}


class Worker:
    """Answers the requests, in their order."""

    def __init__(self) -> None:
        self._device: Any = None
        self._line: Any = None  # the simulated one
        self._clock: Callable[[], float] = time.monotonic
        self._last: float | None = None

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request, which is the library's error where it raised one."""
        try:
            if self._device is None:
                return self._open(request["type"], request["pin"], request["simulated"])
            return self._measure(request)
        except Exception as wrong:  # noqa: BLE001  # whatever the library raises is its answer
            number = getattr(wrong, "errno", None)
            return {"wrong": type(wrong).__name__, "text": str(wrong), "errno": number}

    def _open(self, kind: str, number: int, simulated: bool) -> dict[str, Any]:  # noqa: FBT001  # as in the request
        library, pin = self._simulated() if simulated else _real(number)
        self._device, polls = _opened(getattr(library, _CLASSES[kind]), pin)
        return {"polls": polls}

    def _simulated(self) -> tuple[Any, Any]:
        """The library over a simulated pin, and that pin."""
        from mysense.hw.sim_pulseio import SimulatedLine

        self._line = SimulatedLine()
        self._clock = self._line.monotonic
        library = import_module("adafruit_dht")
        self._line.wire(library)
        return library, self._line

    def _measure(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._line is not None:
            self._line.expect(request["now"], request["pulses"])
        now = self._clock()
        if self._last is not None and now - self._last <= _TOO_SOON:
            return {"wrong": "stale", "text": "asked again too soon", "errno": None}
        self._last = now
        self._device.measure()
        # within two seconds these two do not measure again
        return {"temperature": self._device.temperature, "humidity": self._device.humidity}


def _real(number: int) -> tuple[Any, Any]:
    """The library, and its own object for a pin; the module `board` would cost half a second more.

    None of its modules has types, so they are imported by name.
    """
    library, pins = import_module("adafruit_dht"), import_module("microcontroller.pin")
    try:
        return library, getattr(pins, f"D{number}")
    except AttributeError:
        raise NotImplementedError(f"it has no pin {number}") from None


def _opened(made: Callable[..., Any], pin: Any) -> tuple[Any, str]:
    """The sensor, and why no helper counts its pulses, so that Python has to be fast enough."""
    try:
        import_module("pulseio")  # whether it works here
        return made(pin, use_pulseio=True), ""
    except PermissionError:  # no way works then
        raise
    except (ImportError, NotImplementedError, RuntimeError, OSError) as wrong:
        return made(pin, use_pulseio=False), str(wrong)


def main() -> None:
    """Serve until the other side closes."""
    serve(Worker().handle)
