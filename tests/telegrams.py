"""Telegrams for tests, as JSON values and as lines."""

from __future__ import annotations

import json

START = 1_494_777_772  # seconds: some moment in 2017


def as_bytes(line: object) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def telegram(second: int = 0, *, serial: str = "k1", **data: object) -> dict[str, object]:
    """A whole telegram as JSON, `second` seconds after START."""
    ident = {"project": "BdP", "serial": serial}
    return {"ident": ident, "data": {"time": START + second, **(data or {"temp": 1.5})}}


def data(second: int, **values: object) -> dict[str, object]:
    """Data alone, which belong to the ident before."""
    return {"data": telegram(second, **values)["data"]}


def kits_and_seconds(text: str) -> list[tuple[str, int]]:
    """Which telegrams are in these JSON Lines."""
    lines = map(json.loads, text.splitlines())
    return [(line["ident"]["serial"], line["data"]["time"] - START) for line in lines]
