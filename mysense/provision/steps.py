"""What was found and what was done, in the order of doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import attrs

State = Literal["exists", "created", "changed", "would create", "would change"]
T = TypeVar("T")


@attrs.frozen
class Step:
    """One thing that has to be there.

    Attributes:
        kind: what it is: database, bucket, user, grant, ...
        name: which one.
        state: how it was found, or what was done.
        detail: more for people; never a secret.
    """

    kind: str
    name: str
    state: State
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:12} {self.kind} {self.name}" + (
            f" ({self.detail})" if self.detail else ""
        )


class Steps:
    """Does what has to be done, or with `dry` only says what it would be."""

    def __init__(self, told: Callable[[Step], None], *, dry: bool = False) -> None:
        self.all: list[Step] = []
        self.dry = dry
        self._told = told

    def exists(self, kind: str, name: str, detail: str = "") -> None:
        """It is there, as it should be."""
        self._note(Step(kind, name, "exists", detail))

    def create(self, kind: str, name: str, work: Callable[[], T], detail: str = "") -> T | None:
        """It is missing: `work` makes it; None where that is not to be done."""
        if self.dry:
            self._note(Step(kind, name, "would create", detail))
            return None
        made = work()
        self._note(Step(kind, name, "created", detail))
        return made

    def change(self, kind: str, name: str, work: Callable[[], object], detail: str) -> None:
        """It is there and not as it should be: `work` changes it."""
        if not self.dry:
            work()
        self._note(Step(kind, name, "would change" if self.dry else "changed", detail))

    def _note(self, step: Step) -> None:
        self.all.append(step)
        self._told(step)
