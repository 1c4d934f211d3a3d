"""I2C buses: the real errors of this machine, and the simulated bus below the real smbus2."""

import errno
import os
from pathlib import Path

import pytest
import smbus2

from mysense.hw import i2c
from mysense.hw.faults import Faults
from mysense.hw.sim_i2c import SimulatedBus
from mysense.plugin import Gone, Misconfigured, Transient


class Memory:
    """256 registers, the one on that was written last is read."""

    def __init__(self):
        self.power_on()

    def power_on(self):
        self.registers, self.at = bytearray(256), 0

    def write(self, data):
        self.at = data[0]
        self.registers[self.at : self.at + len(data) - 1] = data[1:]

    def read(self, length):
        return bytes(self.registers[self.at : self.at + length])


@pytest.fixture
def memory():
    """A bus with registers at 0x50."""
    bus = SimulatedBus({0x50: Memory()}).open(1)
    yield bus
    bus.close()


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_byte_data(memory):
    """A register keeps what is written."""
    memory.write_byte_data(0x50, 7, 0xA5)
    assert memory.read_byte_data(0x50, 7) == 0xA5


def test_block(memory):
    """Registers that follow each other come in one transfer."""
    memory.write_i2c_block_data(0x50, 16, [1, 2, 3])
    assert memory.read_i2c_block_data(0x50, 15, 5) == [0, 1, 2, 3, 0]


def test_word(memory):
    """A word is two registers, the low one first."""
    memory.write_word_data(0x50, 2, 0x1234)
    assert (memory.read_word_data(0x50, 2), memory.read_byte_data(0x50, 2)) == (0x1234, 0x34)


def test_bytes(memory):
    """Single bytes need no register."""
    memory.write_byte_data(0x50, 9, 77)
    memory.write_byte(0x50, 9)
    assert memory.read_byte(0x50) == 77


def test_nobody_there(memory):
    """A missing device is what the kernel says: EREMOTEIO."""
    with pytest.raises(OSError, match=os.strerror(errno.EREMOTEIO)):
        memory.read_byte_data(0x51, 0)


def test_quick(memory):
    """The shortest command asks whether somebody is there."""
    memory.write_quick(0x50)
    with pytest.raises(OSError, match=os.strerror(errno.EREMOTEIO)):
        memory.write_quick(0x51)


def test_answering(memory):
    """A scan finds who is there and nobody else."""
    assert i2c.answering(memory) == [0x50]


def test_the_real_library_is_left_alone(memory):
    """A real bus in the same process goes to the kernel."""
    assert smbus2.smbus2.os is os


def test_closed_twice(memory):
    """Closing is idempotent; a closed bus does not answer."""
    memory.close()
    memory.close()
    with pytest.raises((OSError, TypeError)):
        memory.read_byte(0x50)


def test_no_descriptor_is_left():
    """Opening and closing leaves nothing behind."""
    bus, before = SimulatedBus({}), descriptors()
    for _ in range(20):
        bus.open(1).close()
    assert descriptors() == before


def test_unseen_unplugging_forgets():
    """What lost its power while nobody looked comes back empty."""
    now = 0.0
    bus = SimulatedBus({0x50: Memory()}, Faults.parse("5s unplug 1s", ["unplug"], lambda: now))
    opened = bus.open(1)
    opened.write_byte_data(0x50, 1, 1)
    now = 10.0
    assert opened.read_byte_data(0x50, 1) == 0
    opened.close()


def test_stuck_low_answers_everywhere():
    """A line that is held low looks like an acknowledge from everybody."""
    bus = SimulatedBus({}, Faults.parse("0s stuck-00", ["stuck-00"])).open(1)
    assert "stuck low" in i2c.listed(i2c.answering(bus))
    bus.close()


@pytest.mark.parametrize(
    ("number", "kind", "fix"),
    [
        (errno.ENOENT, Misconfigured, "raspi-config"),
        (errno.EACCES, Misconfigured, "usermod -aG i2c"),
        (errno.ENXIO, Gone, "cannot be opened"),
    ],
)
def test_bus_that_cannot_be_opened(number, kind, fix):
    """Each reason has its fix."""
    with pytest.raises(kind, match=fix):
        SimulatedBus({}, refuses=number).open(1)


def test_missing_bus_of_this_machine():
    """The same for a bus that is really not there."""
    with pytest.raises(Misconfigured, match="/dev/i2c-250 is not there: switch I2C on"):
        i2c.open_bus(250)


def test_file_that_is_no_bus():
    """A file that opens but is no I2C bus is refused, and closed again."""

    class Module:
        class SMBus(smbus2.SMBus):
            def open(self, _number):
                super().open(os.devnull)

    before = descriptors()
    with pytest.raises(Misconfigured, match="is not an I2C bus"):
        i2c.open_bus(1, Module)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EREMOTEIO, i2c.NotAcknowledged),
        (errno.ENXIO, i2c.NotAcknowledged),
        (errno.ETIMEDOUT, Transient),
        (errno.EIO, Transient),
        (errno.EAGAIN, Transient),
        (errno.EBUSY, Misconfigured),
        (errno.EBADF, Gone),
        (errno.ENODEV, Gone),
    ],
)
def test_errors_of_transfers(number, kind):
    """Every errno of the kernel's I2C drivers is one of the sensor's errors."""
    with pytest.raises(kind), i2c.explained(0x77):
        raise OSError(number, os.strerror(number))
