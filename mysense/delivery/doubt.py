"""Doubt: what an output accepted may yet be forgotten by it.

An InfluxDB whose disk was full has a torn entry in its write-ahead log. It goes on, acknowledges
what is written behind that entry, and drops all of it when it is started again (seen with 1.6.7).
So from the first such answer on, what was acknowledged is sent again after each start of the
server. That costs a few seconds, and changes nothing where nothing was forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import floor

import attrs

from mysense.journal import Journal
from mysense.journal import doubts as kept
from mysense.journal.doubts import Doubtful
from mysense.plugin import OutputSettings, Publisher

WEEK = (
    7 * 86_400.0
)  # seconds after the last such answer that it is doubted: each start forgets anew,
# until the server has moved its log into its own files, of which it does not tell
LOOK_EVERY = 30.0  # seconds between two looks whether the server was started again


class Doubt:
    """What one output has acknowledged and may forget; kept in the journal.

    Args:
        publisher: tells when the other side was started.
        journal: where it is kept.
        clock: monotonic seconds.
        log: where it is told.
    """

    def __init__(
        self,
        publisher: Publisher[OutputSettings],
        journal: Journal,
        clock: Callable[[], float],
        log: logging.Logger,
    ) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._log = log
        self._name = publisher.section
        self._found = kept.doubtful(journal, self._name)
        self._look_at = clock()
        self._sent = self._found is not None  # whether anything was sent since the last look

    @property
    def pending(self) -> bool:
        """Whether something was sent since it was last looked whether all is still there."""
        return self._found is not None and self._sent

    def arise(self, cursor: int) -> None:
        """The other side says that it cannot write; everything beyond `cursor` is doubtful."""
        now = self._journal.now()
        if self._found is None:
            left_out = kept.excluded(self._journal, self._name)
            found = Doubtful(cursor=cursor, at=now, epoch=self._epoch(), excluded=left_out)
            self._keep(found)
            self._log.info(
                "a server whose disk was full may forget what it acknowledges from here on, when "
                "it is started again; it is sent again then"
            )
        else:
            self._keep(attrs.evolve(self._found, at=now))

    def released(self, kit: str, since: float) -> None:
        """Before telegrams that waited aside are settled: `since` is when the oldest came in."""
        found, since = self._found, floor(since)  # a time that is read may be rounded up
        if found is not None and since < found.released.get(kit, float("inf")):
            self._keep(attrs.evolve(found, released={**found.released, kit: since}))

    def sent(self) -> None:
        """Something was acknowledged."""
        self._sent = True

    def look(self, *, idle: bool) -> int | None:
        """Where to begin again because the other side was started; None: all is well.

        Args:
            idle: whether there is nothing to send.
        """
        found = self._found
        if found is None or not (self._clock() >= self._look_at or (idle and self._sent)):
            return None
        self._look_at = self._clock() + LOOK_EVERY
        back = self._compare(found)
        self._sent = False
        return back

    def _compare(self, found: Doubtful) -> int | None:
        epoch = self._epoch()
        if epoch is None or epoch == found.epoch:
            return None
        if self._journal.now() - found.at > WEEK:
            self._keep(None)
            return None
        self._log.warning("the server was started again: what it may have forgotten is sent again")
        found = attrs.evolve(found, epoch=epoch)
        back = kept.rewind(self._journal, self._name, found)
        self._found = found
        return back

    def _epoch(self) -> str | None:
        """Which start of the other side it is; None where it cannot be told now."""
        try:
            return self._publisher.epoch()
        except Exception:  # noqa: BLE001  # a plugin's fault may not cost the worker
            self._log.debug("when it was started", exc_info=True)
            return None

    def _keep(self, doubtful: Doubtful | None) -> None:
        kept.keep(self._journal, self._name, doubtful)
        self._found = doubtful
