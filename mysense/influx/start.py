"""The option `start`: where the very first poll of an input begins."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

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
    if re.fullmatch(r"\d{1,10}", word):
        return int(word)
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def check_start(text: str) -> str | None:
    """What was expected instead, where `text` is no start."""
    try:
        parse_start(text)
    except (ValueError, OverflowError):
        return "beginning, now, Unix seconds or a time such as 2026-03-01T12:00:00Z"
    return None
