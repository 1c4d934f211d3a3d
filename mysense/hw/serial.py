"""What arrives at a serial port, by pyserial: a path, or one of its URLs (`socket://`, `hwgrep://`)."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

from mysense.hw import ports
from mysense.hw.advice import Absent, Fixable
from mysense.hw.pieces import Cutter, Piece
from mysense.plugin import Gone

Clock = Callable[[], float]
"""Monotonic seconds."""

_SLICE = 0.2  # seconds in one wait for a byte: how soon an interrupt is obeyed
_WRITE = 2.0  # seconds in which a port must take what is sent
_PSEUDO = (
    "/dev/pts/"  # where a terminal's other end is a program, which may have this one open, too
)


class SerialPort:
    """What arrives at one port, line by line or frame by frame, for one reader.

    Args:
        port: a path or a URL of pyserial.
        cutter: a new one, which cuts what arrives into pieces.
        clock: monotonic seconds.
        baud: bits a second; 8 data bits, no parity, 1 stop bit.

    Raises:
        Absent: it is not there, or somebody else has it open.
        Fixable: it can never be opened like this.
    """

    def __init__(
        self, port: str, cutter: Cutter, clock: Clock = time.monotonic, baud: int = 9600
    ) -> None:
        self.port = port
        self._clock = clock
        self._serial = _opened(port, baud)
        self._cutter = cutter
        self._heard = self._waiting = self._spoken = clock()

    @property
    def quiet(self) -> float:
        """Seconds since the last piece, or since it was opened."""
        return self._clock() - self._spoken

    def read(self, patience: float, stop: threading.Event) -> Piece | None:
        """The next piece, whole or not; None when `stop` was set or `patience` is over.

        Args:
            patience: seconds since the last piece, or since the last None.
            stop: set by another thread.

        Raises:
            Gone: it was unplugged.
        """
        received = 0
        while not self._cutter.ready:
            before = self._clock()
            got = self._receive(before)
            received += got
            late = before - self._waiting >= patience
            over = late and (not got or received > self._cutter.longest)  # never amidst one
            if not self._cutter.ready and (over or stop.is_set()):
                self._waiting = before
                return None
        self._waiting = self._spoken = self._clock()
        return self._cutter.ready.popleft()

    def write(self, data: bytes) -> None:
        """Send this. Raises Gone."""
        try:
            self._serial.write(data)
        except OSError as wrong:
            raise Gone(f"{self.port} takes nothing: {wrong}") from wrong

    def close(self) -> None:
        """Let go of the port; may be called twice."""
        self._serial.close()

    def _receive(self, before: float) -> int:
        """Take what is there, or wait for one byte for a moment; returns how many came.

        Silence counts only up to `before`, when the wait that brought nothing began: a process
        that was held up has not listened, and must not take the rest of a piece for a new one.
        """
        try:
            data = self._serial.read(self._serial.in_waiting or 1)
        except OSError as wrong:  # SerialException is one; in_waiting raises a bare one
            raise Gone(f"{self.port}: unplugged, or its driver gave up: {wrong}") from wrong
        if data:
            self._cutter.feed(data)
            self._heard = self._clock()
        else:
            self._cutter.silence(before - self._heard)
        return len(data)


def _opened(port: str, baud: int) -> Any:
    try:
        import serial  # type: ignore[import-untyped]  # has no types
    except ImportError as wrong:
        raise Fixable("pyserial is missing", "pip install mysense[sensors]") from wrong
    if os.path.isfile(port):  # noqa: PTH113  # pathlib's raises where a folder is forbidden
        raise Fixable(f"{port} is no serial port but a file", "give a recording as `file`")
    try:
        opened = serial.serial_for_url(
            port, baudrate=baud, timeout=_SLICE, write_timeout=_WRITE, exclusive=True
        )
        if isinstance(opened, serial.Serial):  # else it is no device of this machine
            _keep_to_oneself(opened)
    except ValueError as wrong:
        raise Fixable(f"{port} is no port: {wrong}", "give a path or a URL of pyserial") from wrong
    except (OSError, termios.error) as wrong:
        raise _explained(port, wrong) from wrong
    return opened


def _keep_to_oneself(opened: Any) -> None:
    """See that nobody else reads it, and that nobody but root can open it from now on.

    Whoever reads a line with us tears it, and what is left may look like a whole one; the lock that
    pyserial takes is known to few programs. A pseudo terminal would stay closed to all when its
    reader was killed.

    Raises:
        OSError: somebody else reads it.
    """
    if os.path.realpath(opened.port).startswith(_PSEUDO):
        return
    try:
        if ports.holder(opened.port):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        fcntl.ioctl(opened.fileno(), termios.TIOCEXCL)
    except OSError:
        opened.close()
        raise


def _explained(port: str, wrong: Exception) -> Absent | Fixable:
    number = getattr(wrong, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return Fixable(f"{port}: permission denied", ports.permit(port))
    if number in (errno.EAGAIN, errno.EBUSY):
        who = ports.holder(port) or "another process"
        return Absent(f"{port} is in use by {who}", "stop that one: a port has one reader")
    if number == errno.ENOENT:
        return Absent(f"{port} is not there", "plug it in, or correct `port`")
    return Absent(f"{port} cannot be opened: {wrong}", "look at the cable and at `port`")
