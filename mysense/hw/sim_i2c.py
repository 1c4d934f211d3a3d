"""An I2C bus that is not there, below the real smbus2: its i2c-dev ioctls, simulated.

The library's own code runs, with its ctypes structures, in a private copy of its module, so a real
bus in the same process is not touched. The descriptor is a real one: forgotten, it is a leak.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import random
from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

from mysense.hw.faults import Faults
from mysense.hw.i2c import Bus, NotInstalled, open_bus

_FUNCTIONS = 0x0EFF_0008  # all of SMBus that the kernel emulates on a bus of a Pi


class Device(Protocol):
    """A chip on the bus, as its bytes are seen there."""

    def power_on(self) -> None:
        """Forget everything, as after a loss of power."""

    def write(self, data: bytes) -> None:
        """Take what the master writes."""

    def read(self, length: int) -> bytes:
        """Answer what the master reads."""


class SimulatedBus:
    """Devices by address, and what goes wrong on their bus. It outlives closing and opening.

    Args:
        devices: what is wired, by address.
        faults: of `faults.I2C`; `slow` is left to the devices.
        refuses: errno of opening its file, for a bus that is missing or forbidden; 0: it opens.
    """

    def __init__(
        self, devices: Mapping[int, Device], faults: Faults | None = None, refuses: int = 0
    ) -> None:
        self._devices = dict(devices)
        self._faults = faults or Faults()
        self._refuses = refuses
        self._unplugged = 0
        self._address = 0
        self._noise = random.Random(0)  # noqa: S311  # garbage, the same in every run
        self._module: ModuleType | None = None

    def open(self, number: int) -> Bus:
        """Open it through smbus2, as `i2c.open_bus` opens a real one."""
        if self._module is None:
            self._module = _private_copy(self._open_file, self._ioctl)
        return open_bus(number, self._module)

    def _open_file(self, path: str, _flags: int) -> int:
        if self._refuses:
            raise OSError(self._refuses, os.strerror(self._refuses), path)
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def _ioctl(self, descriptor: int, request: int, argument: Any) -> int:
        os.fstat(descriptor)  # raises EBADF like the kernel after close
        known = self._module
        assert known is not None  # who calls has come through it
        if request == known.I2C_FUNCS:
            argument.value = _FUNCTIONS
        elif request in (known.I2C_SLAVE, known.I2C_SLAVE_FORCE):
            self._address = argument
        elif request == known.I2C_SMBUS:
            self._smbus(known, argument)
        else:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return 0

    def _smbus(self, known: ModuleType, message: Any) -> None:
        """One SMBus command as the kernel emulates it with plain I2C."""
        reading, command = message.read_write == known.I2C_SMBUS_READ, bytes([message.command])
        data = message.data.contents.block  # byte and word are at its start
        if message.size == known.I2C_SMBUS_QUICK:
            self._device(self._address)
        elif message.size == known.I2C_SMBUS_BYTE and reading:
            data[0] = self._read(self._address, 1)[0]
        elif message.size == known.I2C_SMBUS_BYTE:
            self._write(self._address, command)
        else:
            values = _values(known, message.size, data[0])
            if reading:
                self._write(self._address, command)
                data[values] = list(self._read(self._address, values.stop - values.start))
            else:
                self._write(self._address, command + bytes(data[values]))

    def _write(self, address: int, data: bytes) -> None:
        device = self._device(address)
        if device is not None:
            device.write(data)

    def _read(self, address: int, length: int) -> bytes:
        device = self._device(address)
        if self._faults.active("stuck-ff"):
            return b"\xff" * length
        if device is None:  # the line is held low, which every byte and acknowledge then is
            return bytes(length)
        if self._faults.active("garbage"):
            return self._noise.randbytes(length)
        return device.read(length)

    def _device(self, address: int) -> Device | None:
        """Who acknowledges this address; None where it is a line that is stuck low."""
        if (times := self._faults.begun("unplug")) != self._unplugged:
            self._unplugged = times
            for device in self._devices.values():
                device.power_on()
        if self._faults.active("stuck-00"):
            return None
        gone = self._faults.active("unplug") or self._faults.active("nack")
        if gone or address not in self._devices:
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        return self._devices[address]


def _values(known: ModuleType, size: int, length: int) -> slice:
    """Where the values of a command of this size are; a block has its length before them."""
    if size == known.I2C_SMBUS_I2C_BLOCK_DATA:
        return slice(1, 1 + length)
    if size in (known.I2C_SMBUS_BYTE_DATA, known.I2C_SMBUS_WORD_DATA):
        return slice(0, 1 if size == known.I2C_SMBUS_BYTE_DATA else 2)
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def _private_copy(
    open_file: Callable[[str, int], int], ioctl: Callable[[int, int, Any], int]
) -> ModuleType:
    """The module smbus2.smbus2, loaded once more, over these two calls of the kernel."""
    try:
        spec = importlib.util.find_spec("smbus2.smbus2")
    except ImportError as wrong:
        raise NotInstalled("smbus2", wrong) from wrong
    assert spec is not None  # the package is there, or find_spec had raised
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls = SimpleNamespace(open=open_file, close=os.close, O_RDWR=os.O_RDWR)
    module.__dict__.update(os=calls, ioctl=ioctl)
    return module
