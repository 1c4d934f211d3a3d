"""A DHT on a pin of a Raspberry Pi, read by Adafruit's library in a process of its own."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mysense.hw.advice import Fixable
from mysense.hw.apart import Apart
from mysense.hw.i2c import NotInstalled
from mysense.plugin import Finding, Gone, Misconfigured, Transient

Line = Callable[[], Sequence[int] | None]
"""What a simulated pin gives after a start signal: pulses in us, low first; None: it hangs."""

LIBRARY = "adafruit-circuitpython-dht"
_OPENING, _MEASURING = 60.0, 10.0  # seconds of patience; a Pi Zero imports slowly
_GPIO = (
    "`sudo usermod -aG gpio $USER`, then log out and in again; for a service: "
    "SupplementaryGroups=gpio"
)
_KERNEL = "set `backend = iio` and let the kernel read it, see docs/sensors/dht.md"


class Dht:
    """A DHT by way of the library.

    Args:
        kind: DHT11, DHT22, AM2302 or AM2301.
        pin: its number as the chip's maker counts (BCM, GPIO4 is 4).
        log: of the driver.
        stop: set from another thread, it ends a call that waits.
        line: what comes over a simulated pin; the real pin unless given.
    """

    def __init__(
        self, kind: str, pin: int, log: logging.Logger, stop: threading.Event, line: Line | None
    ) -> None:
        self._request = {"type": kind, "pin": pin, "simulated": line is not None}
        self._log = log
        self._line = line
        self._apart = Apart("mysense.hw.dht_worker", log, stop)

    def open(self) -> None:
        """Start the process and take the pin.

        Raises:
            Misconfigured: it cannot work before something is mended.
            Gone: it does not work now.
        """
        answer = self._apart.call(self._request, _OPENING)
        if "wrong" in answer:
            self.close()
            raise _of_opening(answer)
        if answer["polls"]:
            self._log.warning(
                "no helper counts the pulses (%s): expect many failures; %s",
                answer["polls"],
                _KERNEL,
            )

    def measure(self, now: float) -> tuple[float, float]:
        """One measurement: temperature in C, humidity in %.

        Args:
            now: monotonic seconds, for the simulated pin.

        Raises:
            Transient: the chip did not answer, or not with what can be believed.
            Gone: the library hangs, or its process ended; it was stopped.
        """
        request: dict[str, Any] = {}
        if self._line is not None:
            pulses = self._line()
            request = {"now": now, "pulses": None if pulses is None else list(pulses)}
        answer = self._apart.call(request, _MEASURING)
        if "wrong" in answer:
            raise _of_measuring(answer)
        return float(answer["temperature"]), float(answer["humidity"])

    def close(self) -> None:
        """End the process; may be called twice."""
        self._apart.close()


def installed() -> bool:
    """Whether the library is there; it is not imported."""
    return importlib.util.find_spec("adafruit_dht") is not None


def access(devices: Path = Path("/dev")) -> Finding:
    """Whether this user may use the pins of this machine, and what to do where not."""
    chips = sorted(devices.glob("gpiochip*"))
    if not chips:
        return Finding(False, f"{devices}/gpiochip*: this machine has no pins", _ELSEWHERE)
    closed = [str(chip) for chip in chips if not os.access(chip, os.R_OK | os.W_OK)]
    if closed:
        return Finding(False, f"{', '.join(closed)} may not be opened by this user", _GPIO)
    return Finding(True, f"the pins can be opened: {', '.join(map(str, chips))}")


_ELSEWHERE = "use a Raspberry Pi, or set `backend = sim`"


def _of_opening(answer: Mapping[str, Any]) -> Gone | Misconfigured:
    """The library's error while it was imported or took the pin, as ours."""
    wrong, text = answer["wrong"], answer["text"]
    if wrong in ("ImportError", "ModuleNotFoundError"):
        return NotInstalled(LIBRARY, ImportError(text))
    if wrong in ("NotImplementedError", "AttributeError"):
        return Fixable(f"the DHT library does not know this machine: {text}", _ELSEWHERE)
    return _of_pin(answer) or Gone(f"the DHT cannot be opened: {wrong}: {text}")


def _of_measuring(answer: Mapping[str, Any]) -> Transient | Gone | Misconfigured:
    """The library's error while it measured, as ours."""
    wrong, text = answer["wrong"], answer["text"]
    if wrong == "stale":
        return Transient("measured again too soon: the library would give an old value")
    if wrong == "RuntimeError":
        hint = "; is it a DHT11? Then set `type = DHT11`" if "unplausible" in text else ""
        return Transient(f"{text}{hint}")
    return _of_pin(answer) or Gone(f"the DHT library failed: {wrong}: {text}")


def _of_pin(answer: Mapping[str, Any]) -> Gone | Misconfigured | None:
    if answer["errno"] in (errno.EACCES, errno.EPERM) or answer["wrong"] == "PermissionError":
        return Fixable("the pins may not be opened by this user", _GPIO)
    if answer["errno"] == errno.EBUSY:
        return Gone(f"the pin is in use, by another program or the kernel's driver; {_KERNEL}")
    return None
