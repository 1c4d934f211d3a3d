"""What one place has and another lacks, as an input for an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mysense.comparing.hours import Part
from mysense.comparing.sides import Found
from mysense.plugin import InputSettings, Position, Subscriber
from mysense.telegram import Telegram

Forget = Callable[[Part], None]
"""Makes room in the other place for telegrams that differ there."""


class Missing(Subscriber[InputSettings]):
    """The telegrams that are missing, some hours of a kit at a time.

    It keeps no position: who is interrupted compares again, and what has arrived is not missing.

    Args:
        parts: begins to compare.
        forget: for telegrams that differ; None leaves those alone.
    """

    Settings = InputSettings

    def __init__(self, parts: Callable[[], Iterator[Part]], forget: Forget | None = None) -> None:
        super().__init__(InputSettings(), "backfill")
        self.count = 0
        """Telegrams given."""
        self._begin = parts
        self._forget = forget
        self._parts: Iterator[Part] | None = None

    def poll(self, position: Position | None) -> tuple[Sequence[Telegram], Position]:  # noqa: ARG002  # see above
        """The next telegrams; empty when all was compared. Raises what comparing raises."""
        try:
            batch = self._next()
        except BaseException:  # an iterator that raised is at its end: begin anew
            self._parts = None
            raise
        self.count += len(batch)
        return batch, {}

    def _next(self) -> list[Telegram]:
        if self._parts is None:
            self._parts = self._begin()
        for part in self._parts:
            batch = list(part.missing_there)
            if self._forget is not None and part.different:
                self._forget(part)
                batch += replacements(part)
                batch.sort(key=lambda telegram: telegram.time)
            if batch:
                return batch
        return []


def replacements(part: Part) -> list[Telegram]:
    """What is to be written in place of what differs; what is on its way anyhow is not."""
    return [found.telegram for here, _ in part.different if (found := _settled(here))]


def _settled(here: list[Found]) -> Found | None:
    return here[0] if not here[0].state else None


def replaced(part: Part) -> set[tuple[str, int]]:
    """The identities of these."""
    return {found.identity for here, _ in part.different if (found := _settled(here))}
