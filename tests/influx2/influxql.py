"""Statements of InfluxQL taken apart, as far as needed to send them to other databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
    |(?P<text>'(?:\\.|[^'\\])*')
    |(?P<name>"(?:\\.|[^"\\])*")
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<sign>[<>=!]=?~?|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?:\\.|[^/\\])*/")

Place = Callable[[str | None, str | None], str]
"""Database and retention policy as written -> where it really is, quoted."""


class Token(str):
    """A piece of a statement; `kind` is space, text, name, word, number, regex or sign."""

    __slots__ = ("kind",)
    kind: str


def tokens(text: str) -> Iterator[Token]:
    """The pieces of `text`, which make it up again."""
    at, before = 0, ""
    while at < len(text):
        regex = _REGEX.match(text, at) if _regex_may_follow(before) else None
        match = regex or _TOKEN.match(text, at)
        assert match is not None, text[at:]
        token = Token(match[0])
        token.kind = "regex" if regex else str(match.lastgroup)
        at = match.end()
        if token.kind != "space":
            before = token.lower()
        yield token


def _regex_may_follow(before: str) -> bool:
    return before in {"from", "=~", "!~", ".", ",", "select", "("}


def statements(text: str) -> list[list[Token]]:
    """The statements of `text`, each with its tokens."""
    found: list[list[Token]] = [[]]
    for token in tokens(text):
        if token == ";" and token.kind == "sign":
            found.append([])
        else:
            found[-1].append(token)
    return [one for one in found if any(token.kind != "space" for token in one)]


def words(statement: list[Token]) -> str:
    """The statement in capitals with single spaces, to recognise it."""
    return " ".join(str(token).upper() for token in statement if token.kind != "space")


def moved(statement: list[Token], place: Place) -> str:
    """The statement with every source and every `ON database` sent to where `place` says."""
    out, at = [], 0
    on = database_of(statement)
    keys = words(statement).startswith("SHOW FIELD KEYS") and " FROM " in words(statement)
    while at < len(statement):
        token = statement[at]
        at += 1
        keyword = token.lower() if token.kind == "word" else ""
        if keyword == "on" and keys:  # it only says of which database sources without one are
            _, at = _name(statement, at)
            continue
        out.append(str(token))
        if keyword == "on":
            database, at = _name(statement, at)
            out.append(" " + place(database, None).partition(".")[0])
        elif keyword == "from":
            show = words(statement).startswith("SHOW") and not keys
            at = _sources(statement, at, None if show else place, out, on)
    return "".join(out)


def database_of(statement: list[Token]) -> str | None:
    """What stands after ON."""
    for at, token in enumerate(statement):
        if token.kind == "word" and token.lower() == "on":
            return _name(statement, at + 1)[0]
    return None


def _sources(
    statement: list[Token], at: int, place: Place | None, out: list[str], on: str | None
) -> int:
    """`place` is None where ON has the database, or the parameter db."""
    while True:
        at = _skip(statement, at)
        if statement[at] == "(":
            return at  # a subquery: its own FROM comes by
        parts, at = _parts(statement, at)
        measurement = parts[-1]
        policy = parts[-2] if len(parts) > 1 else None
        database = parts[-3] if len(parts) > 2 else None
        where = place(_bare(database) or on, _bare(policy)) + "." if place else ""
        out.append(f" {where}{measurement}")
        after = _skip(statement, at)
        if after >= len(statement) or statement[after] != ",":
            return at
        out.append(",")
        at = after + 1


def _parts(statement: list[Token], at: int) -> tuple[list[str], int]:
    parts, expect = [], True
    while at < len(statement):
        token = statement[at]
        if token == ".":
            if expect:
                parts.append("")
            expect = True
        elif token.kind in {"name", "word", "regex"} and expect:
            parts.append(str(token))
            expect = False
        else:
            break
        at += 1
    return parts, at


def _name(statement: list[Token], at: int) -> tuple[str, int]:
    at = _skip(statement, at)
    return _bare(str(statement[at])) or "", at + 1


def _skip(statement: list[Token], at: int) -> int:
    while at < len(statement) and statement[at].kind == "space":
        at += 1
    return at


def _bare(name: str | None) -> str | None:
    """An identifier without its quotes; None where nothing was written."""
    if not name:
        return None
    if not name.startswith('"'):
        return name
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], name[1:-1])
