"""A machine that is not there, for `mysense scan`: a kit with simulated devices."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mysense.hw.faults import Faults
from mysense.hw.scan import Machine
from mysense.hw.scenario import Scenario
from mysense.hw.sim_bme280 import simulated
from mysense.hw.sim_i2c import SimulatedBus
from mysense.hw.sim_iio import SimulatedIio, texts

PROLIFIC = "usb-Prolific_Technology_Inc._USB-Serial_Controller-if00-port0"
_SOCKET = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.{}:1.0-port0"


@contextmanager
def kit() -> Iterator[Machine]:
    """A kit with a Dylos on an adapter, a BME280 on bus 1, and a DHT that the kernel reads."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="mysense-scan-")))
        (folder / "i2c-1").touch()
        plug(folder, PROLIFIC)
        kernel = SimulatedIio("dht11@4", lambda: texts(Scenario().at(time.time()), pressure=False))
        undo.callback(kernel.close)
        bus = SimulatedBus({0x76: simulated("", Faults())})
        yield Machine(
            links=folder / "serial",
            devices=folder,
            adapters=folder / "i2c-dev",
            open_bus=bus.open,
            tree=kernel.tree(),
        )


def plug(folder: Path, name: str) -> Path:
    """Plug one more adapter into the next socket; the name of the last one of a kind is kept."""
    number = len(list(folder.glob("ttyUSB*")))
    device = folder / f"ttyUSB{number}"
    device.touch()
    by_id, by_path = folder / "serial" / "by-id", folder / "serial" / "by-path"
    for links in (by_id, by_path):
        links.mkdir(parents=True, exist_ok=True)
    (by_id / name).unlink(missing_ok=True)
    (by_id / name).symlink_to(device)
    (by_path / _SOCKET.format(number + 1)).symlink_to(device)
    return device
