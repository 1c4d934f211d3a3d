"""I2C buses through smbus2: opening one, what its errors mean, and which addresses answer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from mysense.hw.advice import Fixable
from mysense.plugin import Gone, Misconfigured, Transient

EVERY_ADDRESS = range(0x08, 0x78)  # the others are reserved by the I2C specification
_DEVICES = Path("/dev")
_INSTALL = "pip install 'mysense[sensors]'"
_ENABLE = "switch I2C on: `sudo raspi-config nonint do_i2c 0` (Interface Options, I2C), then reboot"
_ALLOW = "`sudo usermod -aG i2c $USER`, then log in again; for a service: SupplementaryGroups=i2c"


class NotInstalled(Fixable):
    """A library that hardware is reached with is missing, or something that it needs.

    Args:
        library: its name on PyPI.
        wrong: what importing it said.
    """

    def __init__(self, library: str, wrong: ImportError) -> None:
        super().__init__(f"{library} cannot be imported ({wrong})", _INSTALL)


class NotAcknowledged(Transient):
    """Nothing answers at this address (NACK)."""


class Bus(Protocol):
    """What drivers use of smbus2.SMBus; every method may raise OSError."""

    def read_byte(self, i2c_addr: int) -> int:
        """One byte, from where the device stands."""

    def read_byte_data(self, i2c_addr: int, register: int) -> int:
        """The value of one register."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        """The values of up to 32 registers that follow each other, in one transfer."""

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        """Set one register."""

    def close(self) -> None:
        """Close it; may be called twice."""


Opener = Callable[[int], Bus]
"""Opens the bus of this number. Raises Gone or Misconfigured."""


def open_bus(number: int, smbus2: ModuleType | None = None) -> Bus:
    """Open /dev/i2c-<number>.

    Args:
        number: of the bus, 1 on the header of a Raspberry Pi.
        smbus2: the module to open it with, a twin's; the installed one unless given.

    Raises:
        Misconfigured: there is no such bus, it may not be opened, or smbus2 is not installed.
        Gone: its adapter is not there now.
    """
    bus: Any = (smbus2 or _smbus2()).SMBus()
    try:
        bus.open(number)
    except OSError as wrong:
        bus.close()  # it keeps its descriptor when it fails after the first step
        raise explained_opening(wrong, number) from wrong
    return bus  # type: ignore[no-any-return]  # either module has the same class


def explained_opening(wrong: OSError, number: int) -> Gone | Fixable:
    """What it means that a bus could not be opened, and what to do."""
    path = f"/dev/i2c-{number}"
    if wrong.errno in (errno.EACCES, errno.EPERM):
        return Fixable(f"{path} may not be opened by this user", _ALLOW)
    if wrong.errno in (errno.ENOENT, errno.ENOTTY):
        what = "is not there" if wrong.errno == errno.ENOENT else "is not an I2C bus"
        others = ", ".join(bus.name.removeprefix("i2c-") for bus in sorted(_DEVICES.glob("i2c-*")))
        return Fixable(f"{path} {what}", _ENABLE + (f"; or set `bus` to: {others}" * bool(others)))
    return Gone(f"{path} cannot be opened: {_text(wrong)}")


@contextmanager
def explained(address: int) -> Iterator[None]:
    """Raise Transient, Gone or Misconfigured where a transfer with `address` raises OSError."""
    try:
        yield
    except (Transient, Gone, Misconfigured):  # they are OSErrors too
        raise
    except OSError as wrong:
        raise _explained_transfer(wrong, address) from wrong


def _explained_transfer(wrong: OSError, address: int) -> Transient | Gone | Misconfigured:
    where = f"address 0x{address:02x}"
    if wrong.errno in (errno.EREMOTEIO, errno.ENXIO):
        return NotAcknowledged(f"{where} does not answer (NACK); check its wires and supply")
    if wrong.errno in (errno.ETIMEDOUT, errno.EAGAIN, errno.EIO):
        return Transient(f"{where}: the bus is held or disturbed: {_text(wrong)}")
    if wrong.errno == errno.EBUSY:
        return Fixable(
            f"{where} is held by a driver of the kernel",
            "set `backend = iio`; or remove its dtoverlay in /boot/firmware/config.txt, reboot",
        )
    return Gone(f"{where}: {_text(wrong)}")


def _text(wrong: OSError) -> str:
    return os.strerror(wrong.errno) if wrong.errno else str(wrong)


def answering(bus: Bus, addresses: Iterable[int] = EVERY_ADDRESS) -> list[int]:
    """The addresses that answer when one byte is read from them, or are held by the kernel.

    It stops early on a bus that hangs: every further address would cost the kernel's time-out.
    """
    found = []
    for address in addresses:
        try:
            bus.read_byte(address)
        except OSError as wrong:
            if wrong.errno == errno.ETIMEDOUT:
                break
            if wrong.errno != errno.EBUSY:
                continue
        found.append(address)
    return found


def listed(addresses: Sequence[int]) -> str:
    """The addresses for use in a message."""
    if len(addresses) == len(EVERY_ADDRESS):
        return "every address answers, so the bus is stuck low: SDA or SCL has a short circuit"
    if not addresses:
        return "no address answers"
    return "these answer: " + ", ".join(f"0x{address:02x}" for address in addresses)


def _smbus2() -> ModuleType:
    try:
        import smbus2
    except ImportError as wrong:
        raise NotInstalled("smbus2", wrong) from wrong
    return smbus2
