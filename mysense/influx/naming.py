"""Names of databases, and identifiers and texts in InfluxQL."""

from __future__ import annotations

from mysense.errors import MySenseError
from mysense.telegram import NAME, short

MAX_DATABASE = 255  # characters, the server's limit


class NameRefused(MySenseError, ValueError):
    """A text that may not name a database."""


def database(kit: str) -> str:
    """The database of `kit`, which has the kit's name.

    Raises:
        NameRefused: before any server could see the name.
    """
    if not NAME.fullmatch(kit) or len(kit) > MAX_DATABASE:
        raise NameRefused(
            f"{short(kit)} cannot name a database: start with a letter or digit, then letters, "
            f"digits, '_', '.' and '-', {MAX_DATABASE} characters at most"
        )
    return kit


def name_expected(text: str) -> str | None:
    """What was expected instead, where `text` may not name a database."""
    try:
        database(text)
    except NameRefused:
        return "a letter or digit, then letters, digits, '_', '.' and '-'"
    return None


def quote_identifier(name: str) -> str:
    """`name` as an InfluxQL identifier, whatever it holds."""
    return '"' + _escape(name).replace('"', '\\"') + '"'


def quote_string(text: str) -> str:
    """`text` as an InfluxQL string, whatever it holds."""
    return "'" + _escape(text).replace("'", "\\'") + "'"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
