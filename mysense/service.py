"""The service manager (systemd): readiness, a line of status, and the watchdog.

The protocol is that of sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names. A process
that was started by hand has none, and then nothing is sent. It is spoken here and not by a
library: PyPI's systemd-watchdog 1.0.1 decides by the wall clock when to feed, and starves the
watchdog when that is set back.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from mysense.journal import Journal
from mysense.sampling import Sampling

SAMPLING_PATIENCE = 30.0  # seconds without a turn of the sampling loop, which takes one a second
JOURNAL_PATIENCE = 300.0  # seconds in which every write has failed
_TELL_EVERY = 5.0  # seconds between two looks at what there is to tell
_LONGEST = 500  # characters of a status
_log = logging.getLogger("mysense.service")

Clock = Callable[[], float]
"""Monotonic seconds."""


class Service:
    """The line to the service manager. A message that cannot be sent stops nothing.

    Args:
        environ: where the service manager says how it is reached.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # a socket without a file
            self._address = "\0" + self._address[1:]
        self.feed_every = _feed_every(environ) if self._address else None
        """Seconds between two feedings of the watchdog; None where nobody watches."""

    def tell(self, *assignments: str) -> None:
        """Send assignments such as `READY=1` in one message."""
        if not self._address:
            return
        message = "\n".join(assignments).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
                line.sendto(message, self._address)
        except OSError as wrong:  # it has gone, or reads too slowly: the next message may arrive
            _log.debug("the service manager cannot be told: %s", wrong)


class Heart:
    """Feeds the watchdog while sampling and journal both progress.

    A sensor that hangs does not stop it: the others go on, and sampling reports it. A full disk
    does not stop it either: a new start would make no room, and lose what is kept in memory.

    Args:
        service: the line to the service manager.
        journal: which must be written now and then; None where it is not open yet.
        sampling: the sensors of this kit, where it has some.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        service: Service,
        journal: Journal | None,
        sampling: Sampling | None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._service = service
        self._journal = journal
        self._sampling = sampling
        self._clock = clock
        self._fed = self._told_at = float("-inf")
        self._told = ""
        self._starves = False

    def begin(self) -> None:
        """Everything was started."""
        self._service.tell("READY=1")

    def end(self) -> None:
        """Everything is being stopped."""
        self._service.tell("STOPPING=1")

    def beat(self, describe: Callable[[], str] | None = None) -> None:
        """Feed the watchdog if it is time for that and nothing stands still.

        Args:
            describe: asked now and then for a line about what goes on.
        """
        trouble = self.trouble
        self._log_change(trouble)
        if trouble:
            self._tell(trouble)
            return
        now, every = self._clock(), self._service.feed_every
        if every is not None and now - self._fed >= every:
            self._fed = now
            self._service.tell("WATCHDOG=1")
        if describe is not None and now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self._tell(describe())

    @property
    def trouble(self) -> str:
        """What stands still; empty while there is progress."""
        if self._sampling is not None and self._sampling.idle > SAMPLING_PATIENCE:
            return f"sampling has stood still for {self._sampling.idle:.0f} s"
        failing = self._journal.writing.failing_for if self._journal else 0.0
        if failing > JOURNAL_PATIENCE:
            return f"the journal could not be written for {failing:.0f} s"
        return ""

    def _log_change(self, trouble: str) -> None:
        if trouble and not self._starves:
            _log.error("%s; the watchdog of the service manager is not fed now", trouble)
        elif self._starves and not trouble:
            _log.warning("there is progress again")
        self._starves = bool(trouble)

    def _tell(self, text: str) -> None:
        line = " ".join(text.split())[:_LONGEST]
        if line != self._told:
            self._told = line
            self._service.tell(f"STATUS={line}")


def _feed_every(environ: Mapping[str, str]) -> float | None:
    """A third of what the watchdog allows, so that one late message does not matter."""
    limit, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or int(limit) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(limit) / 1e6 / 3
