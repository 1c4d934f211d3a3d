"""How values and moments are written for people, files and spreadsheets."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from mysense.telegram import Value

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def number(value: float) -> str:
    """The shortest text that reads back as `value`, whole numbers without `.0`.

    >>> number(28.75), number(318.0), number(-0.0)
    ('28.75', '318', '0')
    """
    if value == 0:
        return "0"
    return repr(float(value)).removesuffix(".0")


def counted(count: int, things: str) -> str:
    """How many there are of what a word says for several.

    >>> counted(1, "telegrams"), counted(2, "telegrams")
    ('1 telegram', '2 telegrams')
    """
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def readable(value: float) -> str:
    """`value` with as many digits as a person wants: three decimals, four digits when small.

    >>> readable(1009.4296241), readable(0.00207915), readable(28.749999999)
    ('1009.43', '0.002079', '28.75')
    """
    return number(round(value, 3) if abs(value) >= 1 else float(f"{value:.4g}"))


def cell(value: Value) -> str:
    """`value` as a spreadsheet's cell; nothing for None, and no text is taken for a formula."""
    if value is None:
        return ""
    return text_cell(value) if isinstance(value, str) else number(value)


def text_cell(text: str) -> str:
    """`text` as a spreadsheet's cell: what would be a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain(text: str, limit: int = 80) -> str:
    """`text` for a terminal: what is not printable is escaped, what is long is cut, visibly."""
    if len(text) > limit:
        text = f"{text[:limit]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def utc(seconds: int) -> str:
    """Unix seconds as `2017-05-14 16:02:52`, in UTC; what spreadsheets take for a time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def moment(text: str) -> int:
    """The Unix seconds that `text` stands for: a number, or ISO 8601 (UTC unless it says so).

    Raises:
        ValueError: it is neither.
    """
    if re.fullmatch(r"\d{1,11}", text.strip()):
        return int(text)
    when = datetime.fromisoformat(text.strip())
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
