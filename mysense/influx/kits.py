"""Whose rows a database has: those of one kit, or of several that are told apart by tags."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Protocol, Self

import attrs

from mysense.errors import TelegramError
from mysense.influx.idents import Idents, Info, InfoReader, clean_tag
from mysense.influx.joining import Joiner, refusal, unseen
from mysense.influx.rows import Plan, Row
from mysense.plugin import Refusal
from mysense.telegram import Telegram, check_name

Item = Telegram | Refusal
Pair = tuple[str | None, str | None]
Wanted = Callable[[str, str], bool]
"""Whether somebody wants the kit of that project and serial."""

_MANY = 100_000  # pairs of tags that are remembered


@attrs.frozen
class Stray:
    """A row of `info` of no kit that is read; `fault` says why, where somebody should know."""

    time: int
    fault: str = ""


@attrs.frozen
class Fresh:
    """Which rows were not given before.

    Attributes:
        newest: later rows were not.
        seen: the digests of those that were.
        latest: the last acceptable second of a field `timestamp`.
    """

    newest: int
    seen: Container[str]
    latest: float


class Kits(Protocol):
    """The kits of a database and the idents of each, as far as they were read."""

    def info(self, row: Row, names: Sequence[str]) -> Info | Stray:
        """What a row of `info` says; `names` are those of its fields."""

    def add(self, infos: Iterable[Info | Stray]) -> None:
        """Remember these."""

    def forget(self, before: int) -> None:
        """Drop idents that do not hold any more at that second."""

    def join(self, plan: Plan, rows: Sequence[Row], fresh: Fresh) -> Iterator[Item]:
        """What `rows` hold, which are in the order of their times; for each kit in that order."""

    def without_idents(self) -> Self:
        """The same kits before any info was read."""


class OwnKit:
    """The one kit whose name the database has.

    Args:
        database: its name.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._reader = InfoReader(database)
        self._idents = Idents(self._reader.plain)

    def info(self, row: Row, names: Sequence[str]) -> Info | Stray:
        """See Kits."""
        return self._reader.read(row, names)

    def add(self, infos: Iterable[Info | Stray]) -> None:
        """See Kits."""
        self._idents.add(info for info in infos if isinstance(info, Info))

    def forget(self, before: int) -> None:
        """See Kits."""
        self._idents.forget(before)

    def join(self, plan: Plan, rows: Sequence[Row], fresh: Fresh) -> Iterator[Item]:
        """See Kits."""
        joiner = Joiner(self._database, plan, self._idents.walk(), fresh.latest)
        return joiner.join(rows, fresh.newest, fresh.seen)

    def without_idents(self) -> OwnKit:
        """See Kits."""
        return OwnKit(self._database)


@attrs.frozen
class _Kit:
    """One of several."""

    name: str
    reader: InfoReader
    idents: Idents


class SharingKits:
    """Several kits, each with tags `project` and `serial`.

    Args:
        database: their common one, for messages.
        wanted: the others are left out.
    """

    def __init__(self, database: str, wanted: Wanted) -> None:
        self._database = database
        self._wanted = wanted
        self._known: dict[Pair, _Kit | str] = {}
        self._changing: dict[str, Idents] = {}  # of kits with more than one info

    def info(self, row: Row, names: Sequence[str]) -> Info | Stray:
        """See Kits."""
        kit = self._kit((row[2], row[3]))
        if isinstance(kit, str):
            return Stray(row[0], kit)
        return kit.reader.read([row[0], row[1], *row[4:]], names)

    def add(self, infos: Iterable[Info | Stray]) -> None:
        """See Kits."""
        for info in infos:
            if isinstance(info, Info):
                kit = self._kit((info.ident.project, info.ident.serial))
                assert isinstance(kit, _Kit), "there is an info of it"
                kit.idents.add([info])
                if len(kit.idents) > 1:
                    self._changing[kit.name] = kit.idents

    def forget(self, before: int) -> None:
        """See Kits."""
        for name, idents in [*self._changing.items()]:
            idents.forget(before)
            if len(idents) == 1:
                del self._changing[name]

    def join(self, plan: Plan, rows: Sequence[Row], fresh: Fresh) -> Iterator[Item]:
        """See Kits."""
        pairs: dict[Pair, list[Row]] = {}
        for row in rows:
            pairs.setdefault(plan.kit(row), []).append(row)
        for pair, some in pairs.items():
            kit = self._kit(pair)
            if isinstance(kit, str):
                yield from self._nobody(kit, plan, some, fresh)
            else:
                where = f"{self._database} kit {kit.name}"
                joiner = Joiner(where, plan, kit.idents.walk(), fresh.latest)
                yield from joiner.join(some, fresh.newest, fresh.seen)

    def _nobody(
        self, reason: str, plan: Plan, rows: Sequence[Row], fresh: Fresh
    ) -> Iterator[Refusal]:
        for row in unseen(plan, rows, fresh.newest, fresh.seen) if reason else ():
            yield refusal(self._database, row, reason, plan.text(row))

    def without_idents(self) -> SharingKits:
        """See Kits."""
        return SharingKits(self._database, self._wanted)

    def _kit(self, pair: Pair) -> _Kit | str:
        """The kit with these tags, or why there is none; "" where it is not wanted."""
        known = self._known.get(pair)
        if known is None:
            if len(self._known) >= _MANY:
                self._known = {p: kit for p, kit in self._known.items() if isinstance(kit, _Kit)}
            known = self._known[pair] = self._find(*(clean_tag(tag) or "" for tag in pair))
        return known

    def _find(self, project: str, serial: str) -> _Kit | str:
        if not self._wanted(project, serial):
            return ""
        try:
            check_name(project, "tag project")
            check_name(serial, "tag serial")
        except TelegramError as wrong:
            return f"of no kit: {wrong}"
        plain = (project, serial)
        known = self._known.get(plain)  # the same in quotes
        if isinstance(known, _Kit):
            return known
        reader = InfoReader(self._database, (project, serial))
        kit = self._known[plain] = _Kit(f"{project}_{serial}", reader, Idents(reader.plain))
        return kit
