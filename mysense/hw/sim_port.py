"""A serial device that is not there: the far end of a pty, which speaks by itself.

The near end is a terminal like that of an adapter, with a link in a folder `by-id`: pyserial opens
it, and a driver reads it, as they would the real one.
"""

from __future__ import annotations

import os
import pty
import tempfile
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Self

from mysense.hw.faults import Clock, Faults

KINDS = ("unplug", "silence", "partial", "garbage", "slow")
"""What a script can let go wrong with each of them; see `docs/write-a-sensor.md`."""

_TICK = 0.1  # seconds from one look at the clock to the next
_SLOW = 0.05  # seconds from byte to byte of what is slow
_HEARD = 4096  # bytes listened to at once

Says = Callable[[], bytes | None]
"""What it says next; None when it says nothing this time."""


class SimPort:
    """A device on a pty. Plugged in from the start, unless its faults say otherwise.

    Run it in a thread of its own with `start`, or, on a virtual clock, call `step` after each move
    of the clock.

    >>> with SimPort(lambda: b"hello", "usb-Somebody_Something-if00-port0") as device:
    ...     device.port.is_symlink()
    True

    Args:
        says: asked whenever it is to speak.
        name: of its link in `by-id`.
        faults: what goes wrong, and when; of KINDS.
        pace: seconds from one time that it speaks to the next.
        clock: monotonic seconds.
    """

    end = b""
    """What follows even garbage: the end of a line, where it speaks in lines."""

    def __init__(
        self,
        says: Says,
        name: str,
        faults: Faults | None = None,
        pace: float = 1.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.pace = pace
        self._says = says
        self._faults = faults or Faults()
        self._clock = clock
        self._due = clock() + pace
        self._random = Random(1100)  # noqa: S311  # the noise of a broken cable
        self._pieces: deque[tuple[float, bytes]] = deque()  # when, and what to send
        self._ends: tuple[int, int] | None = None  # of the pty: ours, theirs
        self._folder = tempfile.TemporaryDirectory(prefix="mysense-serial-")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.port = self.links / "by-id" / name
        self.port.parent.mkdir()
        self.step()

    @property
    def links(self) -> Path:
        """What /dev/serial is for real adapters."""
        return Path(self._folder.name)

    def heard(self, data: bytes) -> bytes:  # noqa: ARG002  # for those that obey commands
        """What it answers to bytes that were sent to it."""
        return b""

    def start(self) -> None:
        """Let time pass by itself, in a thread."""
        self._thread = threading.Thread(target=self._run, name="sim-port", daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Do what is due by now: listen, speak, be unplugged, be plugged in again."""
        if self._faults.active("unplug"):
            self._unplug()
        elif self._ends is None:
            self._plug()
        self._hear()
        now = self._clock()
        while self._due <= now:
            self._say(self._due)
            self._due += self.pace
        while self._pieces and self._pieces[0][0] <= now:
            self._send(self._pieces.popleft()[1])

    def close(self) -> None:
        """End the thread and leave nothing behind; may be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._unplug()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(_TICK):
            self.step()

    def _say(self, when: float) -> None:
        sent = self._says()
        if sent is None or self._ends is None or self._faults.active("silence"):
            return
        if self._faults.active("partial"):
            sent = sent[: len(sent) // 2]
        if self._faults.active("garbage"):
            sent = bytes(self._random.randrange(128, 256) for _ in sent) + self.end
        if self._faults.active("slow"):
            self._pieces.extend((when + at * _SLOW, bytes([byte])) for at, byte in enumerate(sent))
        else:
            self._pieces.append((when, sent))

    def _hear(self) -> None:
        if self._ends is None:
            return
        try:
            data = os.read(self._ends[0], _HEARD)
        except BlockingIOError:  # nobody has said anything
            return
        self._send(self.heard(data))

    def _send(self, data: bytes) -> None:
        if self._ends is not None:
            try:
                os.write(self._ends[0], data)
            except BlockingIOError:  # nobody reads, and the buffer is full: lost, as in an adapter
                return

    def _plug(self) -> None:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        tty.setraw(theirs)  # else it would echo before somebody opens it
        self._ends = ours, theirs
        self.port.symlink_to(os.ttyname(theirs))

    def _unplug(self) -> None:
        self._pieces.clear()
        if self._ends is not None:
            self.port.unlink()
            for end in self._ends:
                os.close(end)
            self._ends = None
