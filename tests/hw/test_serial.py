"""A port has one reader: whoever else reads it tears the lines apart."""

from __future__ import annotations

import array
import fcntl
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mysense.hw import serial
from mysense.hw.linebuffer import LineBuffer
from mysense.hw.serial import SerialPort
from mysense.hw.sim_port import SimPort
from mysense.plugin import Gone

GET_EXCLUSIVE = 0x80045440  # TIOCGEXCL


@pytest.fixture
def port(monkeypatch):
    """A port that counts as one of this machine, though it is a pseudo terminal."""
    monkeypatch.setattr(serial, "_PSEUDO", "/nowhere/")
    with SimPort(lambda: None, "usb-Somebody_Something-if00-port0") as far:
        yield str(far.port)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def opened(port):
    return SerialPort(port, LineBuffer(logging.getLogger("test")))


def test_another_reader_is_found(port):
    """Also one that takes no lock, such as a terminal program; nothing stays open."""
    before = descriptors()
    code = "import sys; f = open(sys.argv[1], 'rb', 0); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(Gone, match=f"{port} is in use by pid {other.pid}"):
            opened(port)
        other.stdin.close()
    assert descriptors() == before


def test_nobody_else_may_open_it(port):
    """The kernel refuses everybody but root, whether they know of locks or not."""
    told = array.array("i", [0])
    ours = opened(port)
    fcntl.ioctl(ours._serial.fileno(), GET_EXCLUSIVE, told)
    ours.close()
    assert told[0] == 1
