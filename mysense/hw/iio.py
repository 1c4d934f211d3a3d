"""Sensors that a driver of the kernel reads: files below /sys/bus/iio/devices.

A device is found by what its file `name` says, never by its number, which changes from boot to
boot. Values are whole thousandths, `in_pressure_input` is in kPa.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from math import isfinite
from pathlib import Path

from mysense.hw.advice import Absent, Fixable
from mysense.plugin import Gone, Transient

ROOT = Path("/sys/bus/iio/devices")
TEMPERATURE, HUMIDITY, PRESSURE = (
    "in_temp_input",
    "in_humidityrelative_input",
    "in_pressure_input",
)
_LONGEST = 64  # bytes of a value or a name
_NOW_AND_THEN = (errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EREMOTEIO, errno.ENXIO)


class Tree:
    """The devices below one folder.

    Args:
        root: the folder.
        refresh: called before every look at it; a twin brings its files up to date.
    """

    def __init__(self, root: Path = ROOT, refresh: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self._refresh = refresh

    def names(self) -> dict[Path, str]:
        """Every device and what it is called."""
        self._refresh()
        found = {}
        for path in sorted(self._root.glob("iio:device*")):
            try:
                found[path] = _text(path / "name")
            except OSError:  # it went away between the two calls
                continue
        return found

    def find(self, name: str, fix: str) -> Device:
        """The device called `name`, or `name@...`.

        Args:
            name: of the driver's device, `bme280` or `dht11`.
            fix: what to do where there is none.

        Raises:
            Gone: there is none (a driver may be loaded late, so this is tried again).
            Misconfigured: there are several.
        """
        names = self.names()
        found = [path for path, called in names.items() if called.partition("@")[0] == name]
        if not found:
            others = ", ".join(names.values()) or "none at all"
            raise Absent(f"the kernel shows no device {name} (found: {others})", fix)
        if len(found) > 1:
            paths = ", ".join(map(str, found))
            raise Fixable(f"several devices are called {name}: {paths}", "leave one of them wired")
        return Device(found[0], self._refresh)


class Device:
    """One device: a folder with a file a quantity.

    Args:
        path: the folder.
        refresh: called before every reading.
    """

    def __init__(self, path: Path, refresh: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._refresh = refresh

    def temperature(self) -> float:
        """In C. Raises as `value`."""
        return self.value(TEMPERATURE) / 1000

    def pressure(self) -> float:
        """In hPa. Raises as `value`."""
        return self.value(PRESSURE) * 10

    def humidity(self) -> float:
        """In %: kernels give thousandths as a whole number, some old ones % with decimals.

        Raises as `value`; Transient also for a whole number that would mean a tenth of a % or
        less: which of the two it is cannot be known.
        """
        text = self._read(HUMIDITY)
        value = _number(text, HUMIDITY)
        if "." in text:
            return value
        if 0 < value <= 100:
            raise Transient(f"{self.path / HUMIDITY} holds {text}: neither %, nor thousandths")
        return value / 1000

    def value(self, channel: str) -> float:
        """The number in the file `channel`.

        Raises:
            Transient: the driver could not read the sensor this time.
            Gone: the device is not there.
            Misconfigured: the file may not be read.
        """
        return _number(self._read(channel), channel)

    def _read(self, channel: str) -> str:
        self._refresh()
        path = self.path / channel
        try:
            return _text(path)
        except PermissionError as wrong:
            fix = "give this user read access, with a udev rule"
            raise Fixable(f"{path} may not be read", fix) from wrong
        except OSError as wrong:
            what = f"{path}: {os.strerror(wrong.errno or 0)}"
            raise Transient(what) if wrong.errno in _NOW_AND_THEN else Gone(what) from wrong


def _text(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return file.read(_LONGEST).decode("ascii", "replace").strip()


def _number(text: str, channel: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise Transient(f"{channel} holds {text!r}, which is not a number")
    return value
