"""Patience while a journal is opened: what the disk does not let be done is tried again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mysense.errors import JournalError
from mysense.journal.disk import Hindered, hinders, hindrance
from mysense.journal.opening import sign

Wait = Callable[[str], bool]
"""Told why a journal cannot be opened; after a while, whether to try again."""
_T = TypeVar("_T")


@attrs.define
class Patience:
    """How a journal is opened where the disk may be in the way.

    Attributes:
        path: the journal.
        wait: how to wait; None does not.
        guard: its lock, once it is held: it says for whom asks what is waited for.
    """

    path: Path
    wait: Wait | None
    guard: Any = None

    def until(self, work: Callable[[], _T]) -> _T:
        """Do a part of opening, as often as the disk is in the way and `wait` has it.

        Raises:
            Hindered: the disk is in the way, and nobody waits any longer.
            JournalError: something else is.
        """
        waits = False
        while True:
            try:
                done = work()
            except (OSError, sqlite3.Error) as wrong:
                found = self._named(wrong)
                if self.wait is None or not isinstance(found, Hindered):
                    raise found from wrong
                waits = True
                self._sign(str(found))
                if not self.wait(str(found)):
                    raise found from wrong
            else:
                if waits:
                    self._sign()
                return done

    def _named(self, wrong: Exception) -> JournalError:
        if isinstance(wrong, JournalError):
            return wrong
        folder = self.path.parent
        kind = Hindered if hinders(wrong, folder) else JournalError
        return kind(f"journal {self.path}: {wrong}{hindrance(folder)}")

    def _sign(self, waits: str = "") -> None:
        if self.guard is not None:
            with suppress(OSError):  # the log says it as well
                sign(self.guard, waits)
