r"""The two ways to write texts into line protocol, and what each cannot hold.

    >>> CLASSIC.tag("a b,c", "label"), CLEAN.tag("a b,c", "label")
    ('"a\\ b\\,c"', 'a\\ b\\,c')

A reader of either dialect strips one pair of outer quotes from tags and turns `\,` into `,` in
texts. What would not come back equal under that rule is refused here, before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from mysense.errors import MySenseError
from mysense.telegram import MAX_TEXT, short

MAX_KEY = 65_535  # bytes of measurement, tags, 4 more and the longest field name, by the server

_SPECIAL = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


class Unsendable(MySenseError, ValueError):
    """Something of a telegram that line protocol, or the dialect, cannot hold."""


def key(name: str) -> str:
    """The name of a tag or field, escaped."""
    return name.translate(_SPECIAL)


class Classic:
    r"""What deployed databases hold: quotes are part of tag values, `\,` is part of texts."""

    name = "classic"
    label_is_field = True  # `label` is both tag and field of `info`

    def tag(self, text: str, where: str) -> str:
        """`text` as the value of a tag. Raises Unsendable."""
        self._check(text, where)
        return f'"{text.translate(_SPECIAL)}"'

    def text(self, text: str, where: str) -> str:
        """`text` as the value of a field. Raises Unsendable."""
        self._check(text, where)
        return _bounded('"' + text.replace(",", "\\,").replace('"', '\\"') + '"', where)

    def join(self, entries: Iterable[str], where: str) -> str:
        """The text of a list; `text` then escapes its commas. Raises Unsendable."""
        return _joined(entries, where)

    def _check(self, text: str, where: str) -> None:
        _check_lines(text, where)
        if "\\" in text:
            raise Unsendable(
                f"{where}: {short(text)} holds a backslash, which the classic dialect cannot "
                "give back; use dialect = clean, or leave it out"
            )


class Clean:
    """Correct line protocol: no quotes around tags, no tag with the name of a field."""

    name = "clean"
    label_is_field = False

    def tag(self, text: str, where: str) -> str:
        """`text` as the value of a tag. Raises Unsendable."""
        self._check(text, where)
        if text.startswith('"') and text.endswith('"'):
            raise Unsendable(
                f"{where}: {short(text)} is in quotes, which readers take off; leave them out"
            )
        if text.endswith("\\") or any(pair in text for pair in ("\\ ", "\\,", "\\=")):
            raise Unsendable(
                f"{where}: {short(text)} has a backslash at the end or before a space, comma or "
                "'=', which no tag can hold; leave it out"
            )
        return text.translate(_SPECIAL)

    def text(self, text: str, where: str) -> str:
        """`text` as the value of a field. Raises Unsendable."""
        self._check(text, where)
        return _bounded('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', where)

    def join(self, entries: Iterable[str], where: str) -> str:
        """The text of a list. Raises Unsendable."""
        return _joined(entries, where)

    def _check(self, text: str, where: str) -> None:
        _check_lines(text, where)
        if "\\," in text:
            raise Unsendable(
                f"{where}: {short(text)} holds a backslash before a comma, which readers take "
                "for a comma; leave it out"
            )


Dialect = Classic | Clean
CLASSIC, CLEAN = Classic(), Clean()
DIALECTS: dict[str, Dialect] = {CLASSIC.name: CLASSIC, CLEAN.name: CLEAN}


def _joined(entries: Iterable[str], where: str) -> str:
    listed = list(entries)
    for entry in listed:
        if "," in entry:
            raise Unsendable(
                f"{where}: {short(entry)} holds a comma, which separates the entries of a list "
                "in InfluxDB; leave it out"
            )
    return ",".join(listed)


def _check_lines(text: str, where: str) -> None:
    if "\n" in text or "\r" in text:
        raise Unsendable(f"{where}: {short(text)} holds a line break; leave it out")


def _bounded(quoted: str, where: str) -> str:
    if len(quoted) > MAX_TEXT // 4 and len(quoted.encode()) > MAX_TEXT + 2:
        raise Unsendable(f"{where}: longer than {MAX_TEXT} bytes; shorten it")
    return quoted
