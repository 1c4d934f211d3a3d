"""Devices of kernel drivers that are not there: a folder of files, brought up to date when read.

What the driver answers with EIO is a link to a file that does so.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mysense.hw import iio
from mysense.hw.faults import Faults
from mysense.hw.scenario import Air

Source = Callable[[], Mapping[str, str]]
"""The text of every file of the device, by its name."""

_EIO = Path("/proc/self/mem")  # reading its start fails with EIO: no memory is there


class SimulatedIio:
    """A tree with one device.

    Args:
        name: what its file `name` says, `bme280` or `dht11@0`.
        source: its other files.
        faults: of `faults.IIO`.
        folder: where the tree is made; a temporary folder unless given, removed by `close`.
    """

    def __init__(
        self, name: str, source: Source, faults: Faults | None = None, folder: Path | None = None
    ) -> None:
        self._name = name
        self._source = source
        self._faults = faults or Faults()
        self._made = folder is None
        self._root = folder or Path(tempfile.mkdtemp(prefix="mysense-iio-"))
        self._device = self._root / "iio:device0"

    def tree(self) -> iio.Tree:
        """The tree, as the driver takes it."""
        return iio.Tree(self._root, self.refresh)

    def refresh(self) -> None:
        """Write the files as they are now."""
        if self._faults.active("unplug"):
            shutil.rmtree(self._device, ignore_errors=True)
            return
        self._device.mkdir(parents=True, exist_ok=True)
        _write(self._device / "name", self._name)
        for channel, text in self._source().items():
            self._put(self._device / channel, text)

    def close(self) -> None:
        """Remove the tree; may be called twice."""
        if self._made:
            shutil.rmtree(self._root, ignore_errors=True)

    def _put(self, path: Path, text: str) -> None:
        if self._faults.active("eio"):
            path.unlink(missing_ok=True)
            path.symlink_to(_EIO)
        else:
            _write(path, "?!" if self._faults.active("garbage") else text)


def texts(air: Air, *, pressure: bool) -> dict[str, str]:
    """The files of a driver in this air; those of a DHT have no pressure."""
    files = {
        iio.TEMPERATURE: str(round(air.temperature * 1000)),
        iio.HUMIDITY: str(round(air.humidity * 1000)),
    }
    if pressure:
        files[iio.PRESSURE] = f"{air.pressure / 10:.9f}"
    return files


def _write(path: Path, text: str) -> None:
    if path.is_symlink():
        path.unlink()
    path.write_text(f"{text}\n", encoding="ascii")
