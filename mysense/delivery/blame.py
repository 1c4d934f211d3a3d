"""Blame: what becomes of telegrams on which a plugin fails by a fault of its own.

What is known is in `Search`; here is what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable

from mysense.delivery.batch import Batch, by_kit
from mysense.delivery.held import Held
from mysense.delivery.search import AT_ONCE, PluginFault
from mysense.journal import Row


class NothingPasses(PluginFault):
    """A plugin fails on everything: somebody has to mend it."""

    alarm = True


class Blame:
    """Divides batches, and decides which telegrams are dead letters and which kits are held.

    Args:
        held: the kits that wait.
        look_past: adds telegrams behind a batch, to see whether they pass; tells whether it did.
    """

    def __init__(self, held: Held, look_past: Callable[[Batch], bool]) -> None:
        self._held = held
        self._look_past = look_past

    def meet(self, batch: Batch, part: list[Row], wrong: BaseException) -> None:
        """Look for the telegrams that a fault hangs on. Raises PluginFault to pause."""
        search, fault = batch.search, PluginFault.of(wrong)
        if not search.meets(wrong):
            raise fault from wrong
        batch.parts.popleft()
        if len(part) > 1:
            batch.divide(part)
        elif not search.fails(part[0], str(fault)):
            raise fault from wrong
        else:
            self._spare(batch, part[0].telegram.kit)
        if search.faults % AT_ONCE == 0:
            if batch.aside and search.failed and not search.passed:
                self._hold_failed(batch, batch.aside)
            raise fault from wrong

    def _spare(self, batch: Batch, kit: str) -> None:
        """Do not try all of a kit of which nothing passes, unless no other kit passes either."""
        search = batch.search
        if not search.hopeless(kit):
            return
        if search.passed:
            self._hold_failed(batch, kit)
        elif kit not in search.deferred:
            search.deferred.add(kit)
            batch.parts.extend(by_kit(batch.take(kit)))

    def conclude(self, batch: Batch) -> bool:
        """Decide about telegrams that failed alone; returns whether there is more to send.

        One that was the last of all is judged without a witness: a plugin that breaks for good
        costs one dead letter at most, and `dead retry` brings that back.
        """
        search = batch.search
        if not search.failed:
            return False
        if search.passed and (unsure := search.unsure()):
            batch.parts.extend([row] for row in unsure)
            return True
        unseen = search.unwitnessed()
        if unseen and self._look_past(batch):
            return True
        if unseen and (len(unseen) > 1 or not search.passed):
            self._stop_flow(batch, unseen)
        for rows in by_kit(row for row, _ in search.failed.values()):
            self._judge(batch, rows[0].telegram.kit, len(rows))
        return False

    def _judge(self, batch: Batch, kit: str, count: int) -> None:
        """The telegrams of a kit are dead letters where most of it passes; else it is held."""
        if batch.search.passed[kit] >= count:
            batch.dead += batch.search.take(kit)
        else:
            self._hold_failed(batch, kit)

    def _stop_flow(self, batch: Batch, rows: list[Row]) -> None:
        """Nothing passes any more: all waits, but kits of which nothing did are only held.

        Raises NothingPasses unless they are all held.
        """
        reason = batch.search.failed[rows[0].seq][1]
        batch.search.try_again(rows)
        passed = {row.telegram.kit for row in batch.acknowledged}
        for part in by_kit(rows):
            if batch.aside or (passed and part[0].telegram.kit not in passed):
                self._held.hold(batch, part, reason)
            else:
                batch.parts.append(part)
        if batch.parts:
            raise NothingPasses(f"nothing passes any more: {reason}")

    def _hold_failed(self, batch: Batch, kit: str) -> None:
        failed = batch.search.take(kit)
        self._held.hold(batch, [row for row, _ in failed], failed[0][1])
