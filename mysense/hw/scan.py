"""What is plugged into this machine: serial adapters, chips on I2C buses, sensors of the kernel.

Looking does no harm: a port is not opened, a bus is read and never written to beyond the number of
a register, and buses that belong to a board or a screen are left alone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from mysense.errors import MySenseError
from mysense.hw import advice, bme280, i2c, iio, ports
from mysense.plugin import Finding

_CHIP_ID = 0xD0  # the register that says which one it is, in all chips of this family
_FAMILY = (0x76, 0x77)
_NOT_OURS = re.compile(r"SMBus|NVIDIA|AMDGPU|i915|Radeon|DPMST|HDMI|DDC|vc4|AUX", re.IGNORECASE)


@attrs.frozen
class Machine:
    """Where to look; a twin has its own places."""

    links: Path = ports.LINKS
    devices: Path = Path("/dev")
    adapters: Path = Path("/sys/class/i2c-dev")
    open_bus: i2c.Opener = i2c.open_bus
    tree: iio.Tree = attrs.field(factory=iio.Tree)


@attrs.frozen
class Adapter:
    """A serial adapter: its device, the name that it keeps, and whether it may be opened."""

    device: str
    link: Path
    access: Finding


@attrs.frozen
class Chip:
    """Who answers at an address; `what` is empty where that cannot be told without harm."""

    address: int
    what: str = ""
    held: bool = False
    """Whether a driver of the kernel has it."""


@attrs.frozen
class Bus:
    """An I2C bus, the chips on it, and what is wrong with it."""

    number: int
    name: str
    chips: tuple[Chip, ...] = ()
    trouble: Finding | None = None
    left_alone: bool = False


@attrs.frozen
class Found:
    """Everything that was found, and what may hide more."""

    adapters: tuple[Adapter, ...]
    buses: tuple[Bus, ...]
    kernel: dict[Path, str]
    """Sensors that a driver of the kernel reads: their folder, and what they are called."""
    trouble: tuple[Finding, ...] = ()


def look(machine: Machine | None = None) -> Found:
    """Look at everything; what fails is among the findings."""
    machine = machine or Machine()
    buses = tuple(_bus(number, machine) for number in _numbers(machine.devices))
    trouble = [] if buses else [_no_bus()]
    trouble += [bus.trouble for bus in buses if bus.trouble]
    adapters = tuple(_adapters(machine.links))
    trouble += [adapter.access for adapter in adapters if not adapter.access.good]
    return Found(adapters, buses, machine.tree.names(), tuple(dict.fromkeys(trouble)))


def _adapters(links: Path) -> Iterator[Adapter]:
    """With several, each by its socket: two of one make without serial number share one name."""
    found = ports.adapters(links)
    sockets = {os.path.realpath(link): link for link in sorted((links / "by-path").glob("*"))[::-1]}
    for device, link in sorted(found.items()):
        name = sockets.get(device, link) if len(found) > 1 else link
        yield Adapter(device, name, ports.access(device))


def _numbers(devices: Path) -> list[int]:
    names = (path.name.removeprefix("i2c-") for path in devices.glob("i2c-*"))
    return sorted(int(name) for name in names if name.isdecimal())


def _no_bus() -> Finding:
    absent = i2c.explained_opening(FileNotFoundError(errno.ENOENT, ""), 1)
    return advice.finding(absent)


def _bus(number: int, machine: Machine) -> Bus:
    name = _name(machine.adapters / f"i2c-{number}" / "name")
    if _NOT_OURS.search(name):
        return Bus(number, name, left_alone=True)
    try:
        bus = machine.open_bus(number)
    except MySenseError as wrong:
        return Bus(number, name, trouble=advice.finding(wrong))
    try:
        addresses = i2c.answering(bus)
        if len(addresses) == len(i2c.EVERY_ADDRESS):
            fix = "take one device after the other off this bus until it is free"
            return Bus(number, name, trouble=Finding(False, i2c.listed(addresses), fix))
        return Bus(number, name, tuple(_chip(bus, address) for address in addresses))
    finally:
        bus.close()


def _name(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _chip(bus: i2c.Bus, address: int) -> Chip:
    try:
        if address not in _FAMILY:
            bus.read_byte(address)
            return Chip(address)
        return Chip(address, bme280.named(bus.read_byte_data(address, _CHIP_ID)))
    except OSError as wrong:
        return Chip(address, held=wrong.errno == errno.EBUSY)
