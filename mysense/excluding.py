"""What an output is not to have: whole kits, and fields of kits.

A pattern is `KIT`, or `KIT/FIELD`. A kit is `<project>_<serial>` and holds no slash, so what
stands before the first slash always speaks of kits, and what follows it of fields. `*` stands for
any text, `?` for one character, `[abc]` for one of some; upper and lower case differ.

    BdP_*          all kits of project BdP
    */drh          the field drh of every kit
    BdP_k1/pm_*    all fields of one kit that begin with pm_

Points have no kit; what stands before the slash is then their measurement, the agent of a feed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache
from types import MappingProxyType

import attrs

from mysense.points import Series
from mysense.privacy import without_fields
from mysense.telegram import Ident, Telegram

_KITS_KNOWN = 10_000
_IDENTS_KNOWN = 1000
_KIT = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+")
_EVERYTHING = re.compile(r"\*+")


def not_excludable(patterns: tuple[str, ...]) -> str | None:
    """For the option `exclude`: what was expected, where a pattern cannot mean anything."""
    return next(filter(None, map(_wrong, patterns)), None)


def _wrong(pattern: str) -> str | None:
    kit, slash, field = pattern.partition("/")
    if not _KIT.fullmatch(kit):
        return f"KIT or KIT/FIELD, with * and ?; {kit!r} can be no kit"
    if not slash and not set("_*?[") & set(kit):
        return f"KIT or KIT/FIELD; a kit is PROJECT_SERIAL, and a field is written */{kit}"
    if not slash and kit.startswith("*."):
        return f"KIT or KIT/FIELD; a field is written */{kit[2:]}"
    if slash and (not field or field == "time"):
        return f"KIT/FIELD with a field that can be left out; {field!r} cannot"
    if _EVERYTHING.fullmatch(kit) and (not slash or _EVERYTHING.fullmatch(field)):
        return "patterns that leave something; to send nothing, set output = false"
    return None


@attrs.frozen
class _Rules:
    """Those that apply to one kit."""

    whole: bool
    fields: re.Pattern[str] | None


class Exclude:
    """Tells what an output is not to have.

    Args:
        patterns: as `not_excludable` lets them pass.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = [pattern.partition("/") for pattern in patterns]
        self._kits = _any(kit for kit, slash, _ in parts if not slash)
        self._fields = [(_any([kit]), field) for kit, slash, field in parts if slash]
        self._rules = lru_cache(_KITS_KNOWN)(self._make_rules)
        self._ident = lru_cache(_IDENTS_KNOWN)(self._make_ident)

    def __bool__(self) -> bool:
        return self._kits is not None or bool(self._fields)

    def whole(self, telegram: Telegram) -> bool:
        """Whether nothing of `telegram` is left: its kit is excluded, or all its fields are."""
        rules = self._rules(_name(telegram))
        if rules.whole or rules.fields is None:
            return rules.whole
        data = telegram.data.items()
        names = [name for name, value in data if value is not None and name != "time"]
        return bool(names) and all(map(rules.fields.fullmatch, names))

    def __call__(self, telegram: Telegram) -> Telegram:
        """`telegram` without the fields that are excluded; it must not be so as a whole."""
        fields = self._rules(_name(telegram)).fields
        if fields is None:
            return telegram
        data = {
            name: value
            for name, value in telegram.data.items()
            if name == "time" or not fields.fullmatch(name)
        }
        ident = telegram.ident if _is_point(telegram) else self._ident(telegram.ident)
        return attrs.evolve(telegram, ident=ident, data=MappingProxyType(data))

    def _make_rules(self, kit: str) -> _Rules:
        fields = [field for kits, field in self._fields if kits and kits.fullmatch(kit)]
        return _Rules(bool(self._kits and self._kits.fullmatch(kit)), _any(fields))

    def _make_ident(self, ident: Ident) -> Ident:
        fields = self._rules(ident.kit).fields
        assert fields is not None  # asked only where there are some
        return without_fields(
            ident, {name for name in ident.fields if name != "time" and fields.fullmatch(name)}
        )


def _is_point(telegram: Telegram) -> bool:
    return telegram.kind == "point"


def _name(telegram: Telegram) -> str:
    ident: Ident | Series = telegram.ident
    return ident.measurement if isinstance(ident, Series) else telegram.kit


def _any(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for what matches any of `patterns`; None where there are none."""
    expressions = [translate(pattern) for pattern in patterns]
    return re.compile("|".join(expressions)) if expressions else None
