"""A row of the fault table: what is done to a kit, and what this machine must have for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import attrs

from tests.faults.ledger import Ledger

Need = Callable[[], None]
"""Raises Missing or Cannot."""


class Missing(Exception):
    """A tool that can be installed is not there."""


class Cannot(Exception):
    """This machine does not let us: a container without a right, a kernel without a part."""


@attrs.frozen
class Row:
    """One fault. `run(bench, **more)` provokes it and returns the ledger.

    Attributes:
        name: of the fault, in the table.
        run: what is done.
        needs: what must be there.
        quick: arguments of the short form, which `make test` runs; None: it has none.
        whole: arguments of the form that `make faults` runs.
        loses: whether this is the negative control of another row: it must lose.
    """

    name: str
    run: Callable[..., Ledger]
    needs: tuple[Need, ...] = ()
    quick: Mapping[str, Any] | None = None
    whole: Mapping[str, Any] = MappingProxyType({})
    loses: bool = False

    @property
    def says(self) -> str:
        """What the row shows: the docstring of what it runs."""
        return (self.run.__doc__ or "").strip()


def row(
    name: str,
    *needs: Need,
    quick: Mapping[str, Any] | None = None,
    whole: Mapping[str, Any] | None = None,
    loses: bool = False,
) -> Callable[[Callable[..., Ledger]], Row]:
    """Make a function a row of the table; see `Row`."""
    return lambda run: Row(name, run, needs, quick, whole or {}, loses)


def rows_of(modules: Iterable[ModuleType]) -> list[Row]:
    """All rows of some modules, in their order."""
    return [value for module in modules for value in vars(module).values() if _is_row(value)]


def _is_row(value: object) -> bool:
    return isinstance(value, Row)
