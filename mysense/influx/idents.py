"""Rows of the series `info` -> idents, and which of them a row of `data` belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from mysense.errors import TelegramError
from mysense.telegram import IDENT_KEYS, Ident, check_name

_LISTS = frozenset({"extern_ip", "intern_ip", "fields", "units", "types"})


def clean_tag(text: str | None) -> str | None:
    """A tag's value without what the classic dialect puts around and into it."""
    if text is None:
        return None
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return clean_text(text)


def clean_text(text: str) -> str:
    """A text field's value without what the classic dialect puts into it."""
    return text.replace("\\,", ",") if "\\" in text else text


def split_name(database: str) -> tuple[str, str]:
    """Project and serial by the name of a kit's database: split at the first `_`.

    Raises:
        TelegramError: it cannot be a kit's name.
    """
    project, _, serial = database.partition("_")
    return check_name(project, "database project"), check_name(serial, "database serial")


@attrs.frozen
class Info:
    """One row of `info`: its point time, its label, the ident, and what had to be left out."""

    time: int
    label: str | None
    ident: Ident
    fault: str = ""


class InfoReader:
    """Makes idents of the rows of `info` in one database.

    Args:
        database: its name; project and serial come from it unless an info says them as well.
        kit: project and serial, where tags say them: then nothing else counts.
    """

    def __init__(self, database: str, kit: tuple[str, str] | None = None) -> None:
        self._database = database if kit is None else ""
        project, serial = split_name(database) if kit is None else kit
        self.plain = Ident(project=project, serial=serial)
        """The ident of data that no info came before."""
        self._known: dict[tuple[Any, ...], tuple[str | None, Ident, str]] = {}

    def read(self, row: Sequence[Any], names: Sequence[str]) -> Info:
        """The info that `row` holds: its time, the tag `label`, then one entry for each name."""
        content = (*row[1:], *names)
        if content not in self._known:  # most rows repeat the one before
            if len(self._known) > 100:
                self._known.clear()
            self._known[content] = self._make(row, names)
        return Info(row[0], *self._known[content])

    def _make(self, row: Sequence[Any], names: Sequence[str]) -> tuple[str | None, Ident, str]:
        source: dict[str, Any] = {}
        for name, value in zip(names, row[2:], strict=True):
            if value is not None and name in IDENT_KEYS:
                source.setdefault(name, clean_text(_text(value)))
        if row[1] is not None:
            source["label"] = clean_tag(row[1])
        for name in _LISTS & source.keys():
            source[name] = source[name].split(",") if source[name] else []
        source |= self._kit(source)
        ident, fault = _tolerant(source)
        return ident.label, ident, fault

    def _kit(self, source: dict[str, Any]) -> dict[str, str]:
        project, serial = source.get("project", ""), source.get("serial", "")
        try:
            if f"{project}_{serial}" == self._database:
                check_name(project, "ident project")
                check_name(serial, "ident serial")
                return {"project": project, "serial": serial}
        except TelegramError:
            pass  # the database's own name decides, as where nothing is said
        return {"project": self.plain.project, "serial": self.plain.serial}


def _text(value: Any) -> str:
    """People insert numbers by hand where texts are meant."""
    return value if isinstance(value, str) else str(value).lower()


def _tolerant(source: dict[str, Any]) -> tuple[Ident, str]:
    """The ident without the parts that are not acceptable, and what was wrong with the first."""
    try:
        return Ident.from_json(source), ""
    except TelegramError as wrong:
        kit = {name: source.pop(name) for name in ("project", "serial")}
        good = {name: value for name, value in source.items() if _acceptable(kit, name, value)}
        return Ident.from_json(kit | good), str(wrong)


def _acceptable(kit: dict[str, str], name: str, value: Any) -> bool:
    try:
        Ident.from_json(kit | {name: value})
    except TelegramError:
        return False
    return True


class Idents:
    """The infos of one database in the order of their times.

    A row of data belongs to the newest info at or before its point time that has its label, else
    to the newest of any label, else to the kit as the database's name tells it.
    """

    def __init__(self, plain: Ident) -> None:
        self._plain = plain
        self._infos: dict[tuple[int, str | None], Info] = {}

    def __len__(self) -> int:
        return len(self._infos)

    def add(self, infos: Iterable[Info]) -> None:
        """Take `infos` in; those of a time and label that are there replace them."""
        for info in infos:
            self._infos[info.time, info.label] = info

    def forget(self, before: int) -> None:
        """Drop all infos before that second but the newest of each label."""
        newest: dict[str | None, int] = {}
        for time, label in self._infos:
            if time < before:
                newest[label] = max(time, newest.get(label, time))
        self._infos = {
            key: info
            for key, info in self._infos.items()
            if key[0] >= before or newest[key[1]] == key[0]
        }

    def walk(self) -> Walk:
        """A walk through them, from the oldest on."""
        return Walk(sorted(self._infos.values(), key=lambda info: info.time), self._plain)


class Walk:
    """Idents as they were at times that never go back."""

    def __init__(self, infos: Sequence[Info], plain: Ident) -> None:
        self._infos = infos
        self._times = [info.time for info in infos]
        self._plain = plain
        self._at = 0
        self._labels: dict[str | None, Ident] = {}
        self.next: float = self._times[0] if infos else float("inf")
        """The second at which another info begins to count."""

    def to(self, second: int) -> None:
        """Go on to `second`."""
        end = bisect_right(self._times, second, self._at)
        for info in self._infos[self._at : end]:
            self._labels[info.label] = info.ident
        self._at = end
        self.next = self._times[end] if end < len(self._times) else float("inf")

    def ident(self, label: str | None) -> Ident:
        """The ident of a row with that label; a row without one may get any label's ident."""
        ident = self._labels.get(label)
        if ident is None:
            ident = self._infos[self._at - 1].ident if self._at else self._plain
        if label is not None and ident.label != label:
            ident = attrs.evolve(ident, label=label)
        return ident
