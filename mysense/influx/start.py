"""The option `start`: where the very first poll of an input begins."""

from __future__ import annotations

from typing import Literal

from mysense.text import moment

Start = int | Literal["beginning", "now"]


def parse_start(text: str) -> Start:
    """Unix seconds, or the word itself.

    Raises:
        ValueError: `text` is neither a word nor a time.
    """
    word = text.strip().lower()
    if word == "beginning":
        return "beginning"
    if word == "now":
        return "now"
    return moment(text)


def check_start(text: str) -> str | None:
    """What was expected instead, where `text` is no start."""
    try:
        parse_start(text)
    except (ValueError, OverflowError):
        return "beginning, now, Unix seconds or a time such as 2026-03-01T12:00:00Z"
    return None
