"""Until the journal can be opened: sensors are read, and what they give waits in memory."""

from __future__ import annotations

import logging
import re
import threading
import time

from mysense.sampling import Sampling
from mysense.service import Heart, Service

_REMIND = 3600.0  # seconds after which it is said again what is waited for
_TICK = 0.25
_log = logging.getLogger("mysense.engine")


class Waiting:
    """How `mysense run` waits where the disk is full, read-only or failing as it begins.

    A new start would change nothing, and forget what was measured meanwhile. So this engine stays:
    its sensors measure, the service manager and `mysense status` are told what it waits for, and
    the journal is tried again and again. See `mysense.journal.patience`.

    Args:
        sampling: the sensors of this kit, where it has some.
        stopping: set when somebody wants the end.
    """

    every = 10.0
    """Seconds from one try to the next."""

    def __init__(self, sampling: Sampling | None, stopping: threading.Event) -> None:
        self._sampling = sampling
        self._stopping = stopping
        self._heart = Heart(Service(), None, sampling)
        self._begun = False
        self._said = "", float("-inf")  # what, and when

    def __call__(self, reason: str) -> bool:
        """Wait for the next try.

        Args:
            reason: what is in the way.

        Returns:
            False where somebody wants the end.
        """
        self._begin()
        self._say(reason)
        until = time.monotonic() + self.every
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            self._heart.beat(lambda: f"waiting for the disk: {reason}")
            self._stopping.wait(min(left, _TICK))
        return not self._stopping.is_set()

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._heart.begin()
        if self._sampling is not None:
            self._sampling.start(self._stopping)

    def _say(self, reason: str) -> None:
        said, at = self._said
        kind, now = re.sub(r"[0-9.]+ MB", "MB", reason), time.monotonic()
        if kind != said or now - at >= _REMIND:
            self._said = kind, now
            measured = "; meanwhile what is measured is kept in memory" if self._sampling else ""
            _log.error("%s; it is tried again every %g s%s", reason, self.every, measured)
