"""Held: the kits of one output that must wait, in order, until they are let in."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mysense.delivery.batch import Batch, by_kit, number
from mysense.journal import Journal, Row

PROBE_EVERY = 300.0  # seconds between two tries of a kit that is held


class Held:
    """Which kits are held, and when each is to be tried again.

    Args:
        name: of the output.
        journal: where their telegrams are set aside.
        clock: monotonic seconds.
        log: where it is told.
    """

    def __init__(
        self, name: str, journal: Journal, clock: Callable[[], float], log: logging.Logger
    ) -> None:
        self._name = name
        self._journal = journal
        self._clock = clock
        self._log = log
        self._when: dict[str, float] = {}
        self.try_now()

    def __bool__(self) -> bool:
        return bool(self._when)

    def hold(self, batch: Batch, part: list[Row], reason: str) -> None:
        """Set `part` aside, which is no longer in the batch, and all else in it of its kit.

        One of several kits goes back by kit: which of them is meant shows when each is sent alone.
        """
        kits = by_kit(part)
        if len(kits) > 1:
            batch.parts.extendleft(reversed(kits))
            return
        kit = part[0].telegram.kit
        if kit not in self._when:
            self._log.warning("%s is held: %s; its telegrams wait, in order", kit, reason)
        self._when[kit] = self._clock() + PROBE_EVERY
        rows = [*part, *batch.take(kit), *(row for row, _ in batch.search.take(kit))]
        batch.held += [(row, reason) for row in sorted(rows, key=number)]

    def behind(self, batch: Batch, rows: list[Row]) -> list[Row]:
        """Set aside what comes behind held telegrams of its kit; returns the others."""
        waits = [row for row in rows if row.telegram.kit in self._when] if self._when else []
        batch.held += [(row, "held behind older telegrams of this kit") for row in waits]
        return [row for row in rows if row.telegram.kit not in self._when] if waits else rows

    def due(self) -> list[str]:
        """The kits that are to be tried now."""
        now = self._clock()
        return [kit for kit, when in self._when.items() if when <= now]

    def free(self, kit: str) -> None:
        """Nothing of it waits any more."""
        del self._when[kit]
        self._log.info("%s is no longer held", kit)

    def try_now(self) -> None:
        """Try all at once, those that another process has put there, too."""
        kits = [*self._when, *self._journal.held_kits(self._name)]
        self._when.update((kit, self._clock()) for kit in kits)
