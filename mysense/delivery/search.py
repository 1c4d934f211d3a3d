"""Finding the telegrams on which a plugin fails by a fault of its own.

A plugin that raises what no contract speaks of has a fault, or the machine has. Mostly it goes
away, so the same batch is tried again. Where it does not, the batch is divided as after
`Unacceptable`, but what fails alone is not yet guilty: it is a dead letter only when it fails alone
again and again, others pass, and it fails once more after that. Where nothing passes, nothing is.
"""

from __future__ import annotations

import errno
import sqlite3
from collections import Counter

import attrs

from mysense.errors import MySenseError
from mysense.journal import Row

EQUAL = 3  # faults of one kind in a row after which a batch is divided
AT_ONCE = 20  # faults without a pause while it is divided
TRIES = 3  # how often a telegram is tried alone
HOPELESS = 8  # telegrams of a kit that fail, and none passes: then it is not the telegrams
_OF_A_TELEGRAM = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)


class PluginFault(MySenseError, RuntimeError):
    """A plugin raised what it may not."""

    alarm = False

    @classmethod
    def of(cls, wrong: BaseException) -> PluginFault:
        """The fault that shows in `wrong`."""
        return cls(f"a fault in this plugin, {type(wrong).__name__}: {wrong}")


@attrs.define
class Search:
    """What is known so far; of one batch."""

    kind: type[BaseException] | None = None
    equal: int = 0
    faults: int = 0  # since the batch is being divided
    passed: Counter[str] = attrs.Factory(Counter)  # telegrams by kit, since the first fault
    failed: dict[int, tuple[Row, str]] = attrs.Factory(dict)  # alone
    tries: Counter[int] = attrs.Factory(Counter)
    deferred: set[str] = attrs.Factory(set)
    _witnesses: int = 0  # telegrams that passed
    _first: dict[int, int] = attrs.Factory(dict)  # how many had when one failed alone
    _latest: dict[int, int] = attrs.Factory(dict)  # and when it did so last

    def meets(self, wrong: BaseException) -> bool:
        """Count a fault; returns whether it has come so often that telegrams are suspected."""
        if _of_machine(wrong):
            return False
        self.equal = self.equal + 1 if type(wrong) is self.kind else 1
        self.kind = type(wrong)
        if self.equal >= EQUAL:
            self.faults += 1
        return self.equal >= EQUAL

    def passes(self, part: list[Row]) -> None:
        """`part` was accepted."""
        if self.kind is not None:
            self._witnesses += len(part)
            self.passed.update(row.telegram.kit for row in part)

    def fails(self, row: Row, reason: str) -> bool:
        """`row` failed alone; returns whether to go on with others without a pause."""
        self.failed[row.seq] = (row, reason)
        self.tries[row.seq] += 1
        self._first.setdefault(row.seq, self._witnesses)
        self._latest[row.seq] = self._witnesses
        return self.tries[row.seq] == 1 or self.tries[row.seq] >= TRIES

    def unsure(self) -> list[Row]:
        """Those that failed alone, but not often enough, or not since others passed."""
        return [
            row
            for at, (row, _) in self.failed.items()
            if self.tries[at] < TRIES or self._first[at] == self._latest[at] < self._witnesses
        ]

    def unwitnessed(self) -> list[Row]:
        """Those that failed alone, and nothing has passed since: perhaps nothing can."""
        return [
            row
            for at, (row, _) in sorted(self.failed.items())
            if self._first[at] == self._witnesses
        ]

    def try_again(self, rows: list[Row]) -> None:
        """Forget that these failed."""
        for row in rows:
            for known in (self.failed, self.tries, self._first, self._latest):
                known.pop(row.seq, None)

    def hopeless(self, kit: str) -> bool:
        """Whether many telegrams of a kit failed and none passed."""
        failed = sum(row.telegram.kit == kit for row, _ in self.failed.values())
        return failed >= HOPELESS and not self.passed[kit]

    def take(self, kit: str) -> list[tuple[Row, str]]:
        """Take out those of one kit that failed, in order."""
        numbers = sorted(at for at, (row, _) in self.failed.items() if row.telegram.kit == kit)
        return [self.failed.pop(number) for number in numbers]


def _of_machine(wrong: BaseException) -> bool:
    """Whether it speaks of the machine, its disk or its network: no telegram can help that."""
    if isinstance(wrong, OSError):
        return wrong.errno not in _OF_A_TELEGRAM
    return isinstance(wrong, MemoryError | sqlite3.OperationalError)
