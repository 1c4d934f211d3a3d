"""What a place that holds telegrams must be able to tell, so that two of them can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import attrs

from mysense.errors import MySenseError
from mysense.plugin import OutputSettings
from mysense.privacy import Privacy
from mysense.telegram import Telegram

HOUR = 3600

Identity = tuple[str, int]
"""What tells the telegrams of a kit apart: the label, "" for none, and the second."""

Values = Counter[tuple[str, str, int | None]]
"""How many values there are, by label, field and `new`; None: the place does not know `new`."""

NO_VALUES = frozenset({"time", "geolocation", "label", "new", "timestamp"})
"""Entries of a telegram's data that InfluxDB does not hold as values."""


class CompareError(MySenseError, OSError):
    """A place that cannot be compared; its text says why."""


class Told:
    """What a place is told of a telegram: all of it, or what the options of its output leave.

    Args:
        settings: of the output; anything else is told all.
    """

    def __init__(self, settings: object = None) -> None:
        self._hidden: frozenset[str] = frozenset()
        self._privacy = Privacy((), None)
        if isinstance(settings, OutputSettings):
            self._hidden = frozenset(settings.omit)
            self._privacy = Privacy(settings.omit, settings.round_location)

    def __call__(self, telegram: Telegram) -> Telegram:
        """`telegram` as this place sees it."""
        return self._privacy(telegram) if self._privacy else telegram

    def hides(self, field: str) -> bool:
        """Whether this place is not told of a field."""
        return field in self._hidden


@attrs.frozen
class Found:
    """A telegram that a place holds.

    Attributes:
        telegram: itself.
        state: why a journal has it and its output does not: `waiting`, `held` or `dead`; else "".
        aside: whether it is kept as held or dead letter alone, and let go of otherwise.
    """

    telegram: Telegram
    state: str = ""
    aside: bool = False

    @property
    def identity(self) -> Identity:
        """What tells it from the kit's others."""
        return self.telegram.ident.label or "", self.telegram.time


@attrs.define
class Counted:
    """What a place holds of a kit in one hour.

    Attributes:
        values: of the telegrams that it has.
        let_go: how many more it once had, by label.
    """

    values: Values = attrs.Factory(Counter)
    let_go: Counter[str] = attrs.Factory(Counter)

    def least(self) -> Counter[str]:
        """How many telegrams there are at least, by label: as many as the commonest field has."""
        fields: Counter[tuple[str, str]] = Counter()
        for (label, field, _), count in self.values.items():
            fields[label, field] += count
        least: Counter[str] = Counter()
        for (label, _), count in fields.items():
            least[label] = max(least[label], count)
        return least


class Side(Protocol):
    """A place that holds telegrams. Seconds run from `low` to before `high`.

    All of it may raise CompareError, RetryLater, Misconfigured, JournalError.
    """

    name: str
    """As the user calls it."""
    knows_kits: bool
    """Whether all kits in it are meant; a server may hold those of others."""
    told: Told
    """What it is told of a telegram."""

    def kits(self) -> list[str]:
        """The kits that it has, sorted."""

    def span(self, kit: str, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last second of what it has, and of what it let go of."""

    def hours(self, kit: str, low: int, high: int) -> dict[int, Counted]:
        """What it has in each hour (seconds / 3600) in which there is something."""

    def telegrams(self, kit: str, low: int, high: int) -> Iterator[Found]:
        """What it has, in the order of time; the same second may come twice, when it has two."""

    def given_up(self, kit: str, low: int, high: int) -> int:
        """How many telegrams with about these times were given up unsent."""

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""
