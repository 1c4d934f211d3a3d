"""Sending: a batch is handed over part by part, and what became of each part is noted in it."""

from __future__ import annotations

from collections.abc import Mapping

from mysense.delivery.batch import Batch
from mysense.delivery.blame import Blame
from mysense.delivery.held import Held
from mysense.excluding import Exclude
from mysense.journal import Row
from mysense.plugin import (
    Hold,
    Misconfigured,
    OutputSettings,
    Publisher,
    Refused,
    RetryLater,
    TooLarge,
    Unacceptable,
)
from mysense.privacy import Privacy
from mysense.telegram import Telegram


class Sender:
    """Hands batches to one publisher.

    Args:
        publisher: the output.
        exclude: what it is not to have.
        held: the kits that wait.
        blame: what becomes of telegrams on which it fails.
    """

    def __init__(
        self,
        publisher: Publisher[OutputSettings],
        exclude: Exclude,
        held: Held,
        blame: Blame,
    ) -> None:
        self._publisher = publisher
        self._exclude = exclude
        self._privacy = Privacy(publisher.settings.omit, publisher.settings.round_location)
        self._held = held
        self._blame = blame
        self.parts_sent = 0
        """Parts of batches that are done, since the start."""

    def send(self, batch: Batch) -> None:
        """Send all parts; what is sent leaves `batch.parts`, so that a retry goes on there."""
        while batch.parts or self._blame.conclude(batch):
            part = batch.parts[0]
            try:
                self._send_part(batch, part)
                self.parts_sent += 1
            except (RetryLater, Misconfigured, KeyboardInterrupt):
                raise
            except BaseException as wrong:  # noqa: BLE001  # a plugin's fault, sys.exit() too, may not cost telegrams
                self._blame.meet(batch, part, wrong)

    def _send_part(self, batch: Batch, part: list[Row]) -> None:
        try:
            receipt = self._publisher.publish(self._told(part))
        except Refused as wrong:
            _refuse(batch, part, wrong.reasons)
        except (Unacceptable, TooLarge) as wrong:
            batch.answered()
            _divide(batch, part, str(wrong))
        except Hold as wrong:
            batch.answered()
            self._held.hold(batch, part, str(wrong))
        else:
            batch.answered()
            batch.accepted(part)
            batch.receipt = receipt if receipt is not None else batch.receipt

    def _told(self, part: list[Row]) -> list[Telegram]:
        """The telegrams of `part` as this output may see them."""
        telegrams = [row.telegram for row in part]
        if self._exclude:
            telegrams = list(map(self._exclude, telegrams))
        if not self._privacy or telegrams[0].kind != Telegram.kind:  # points have no ident
            return telegrams
        return list(map(self._privacy, telegrams))


def _refuse(batch: Batch, part: list[Row], reasons: Mapping[int, str]) -> None:
    if not reasons.keys() <= set(range(len(part))):
        raise IndexError(f"refused {sorted(reasons)} of a batch of {len(part)}")
    batch.answered()
    batch.accepted([row for at, row in enumerate(part) if at not in reasons])
    batch.dead += [(part[at], reason) for at, reason in sorted(reasons.items())]


def _divide(batch: Batch, part: list[Row], reason: str) -> None:
    if len(part) == 1:
        batch.dead.append((part[0], reason))
    else:
        batch.divide(part)
