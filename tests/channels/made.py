"""Telegrams for tests."""

from __future__ import annotations

from mysense.telegram import Ident, Telegram

T0 = 1494777772  # 2017-05-14 16:02:52 UTC


def ident(serial="one", **given):
    fields = {"fields": ["time", "temp", "rh"], "units": ["s", "C", "%"]}
    return Ident.from_json({"project": "BdP", "serial": serial, "label": "lab"} | fields | given)


def telegram(time=T0, who=None, **data):
    return Telegram.from_json(who or ident(), {"time": time, **(data or {"temp": 28.75})})


def series(count, who=None, start=T0):
    return [telegram(start + at * 60, who, temp=at / 4, rh=float(at)) for at in range(count)]


def fleet(kits=3, count=20):
    """Telegrams of several kits, as they alternate in a journal."""
    every = [series(count, ident(f"k{kit}")) for kit in range(kits)]
    return [one for moment in zip(*every, strict=True) for one in moment]
