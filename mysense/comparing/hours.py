"""The outcome of a comparison: of an hour, of some hours of a kit, and of all together."""

from __future__ import annotations

import attrs

from mysense.comparing.sides import Found
from mysense.telegram import Telegram

_EXAMPLES = 5  # seconds that are named of an hour that differs
COUNTS = (
    "missing_here",
    "missing_there",
    "different",
    "given_up",
    "waiting",
    "held",
    "dead",
)


@attrs.define
class Account:
    """What is missing or different, and what is not where it should be for a known reason.

    Attributes:
        missing_here, missing_there: telegrams that a place should have and has not.
        different: telegrams with other content in the two places.
        given_up: telegrams that are in a recorded gap of the journal.
        waiting, held, dead: telegrams of which the journal knows that its output has not got them.
    """

    missing_here: int = 0
    missing_there: int = 0
    different: int = 0
    given_up: int = 0
    waiting: int = 0
    held: int = 0
    dead: int = 0

    def count(self, what: str, number: int = 1) -> None:
        """Add to one of the counts."""
        setattr(self, what, getattr(self, what) + number)

    @property
    def is_equal(self) -> bool:
        """Whether nothing is missing or different; what waits, is held or dead is neither."""
        return not (self.missing_here or self.missing_there or self.different or self.given_up)


@attrs.define
class Hour(Account):
    """One hour of one kit and label.

    Attributes:
        kit, label, hour: which; the hour is seconds / 3600, the label "" for none.
        here, there: how many telegrams each place has, or had before it let go of them.
        counts_only: whether some were let go: then it is not known which are missing.
        examples: seconds of some that are missing or different.
    """

    kit: str = attrs.field(kw_only=True)
    label: str = attrs.field(kw_only=True)
    hour: int = attrs.field(kw_only=True)
    here: int = 0
    there: int = 0
    counts_only: bool = False
    examples: list[int] = attrs.Factory(list)

    def name(self, second: int) -> None:
        """Remember this second as an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(second)


@attrs.define
class Part:
    """Some hours of one kit that were compared telegram by telegram, from `low` to before `high`.

    Attributes:
        missing_there: the telegrams that the first place has and the other lacks.
        different: what each place has, where that differs.
    """

    kit: str
    low: int
    high: int
    hours: list[Hour] = attrs.Factory(list)
    missing_there: list[Telegram] = attrs.Factory(list)
    different: list[tuple[list[Found], list[Found]]] = attrs.Factory(list)


@attrs.define
class Total(Account):
    """All hours together.

    Attributes:
        kits: how many were compared.
        hours: how many hours of a kit there are.
        by_counts: how many of them had equal counts and were not looked at further.
        differing: how many hours of a kit and label differ.
    """

    kits: int = 0
    hours: int = 0
    by_counts: int = 0
    differing: int = 0

    def add(self, hour: Hour) -> None:
        """Add an hour that was looked at in full."""
        self.differing += not hour.is_equal
        for name in COUNTS:
            self.count(name, getattr(hour, name))
