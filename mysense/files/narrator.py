"""Telegrams told to a person: one line each, the kit once, repeats counted."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from mysense.telegram import Ident, Telegram, Value, normal_data
from mysense.text import plain, readable

_KITS = 2000  # kits that are remembered; one that was forgotten is introduced again

Style = Literal["kit", "data", "quiet"]
"""What a line is: about the kit, values, or a word on repeats."""


@attrs.frozen
class _Memory:
    """What was told of a kit last."""

    ident: Ident
    values: tuple[tuple[str, Value], ...]
    repeats: int = 0
    told: int = 0
    latest: int = 0


class Narrator:
    """Makes the lines, and remembers what it need not say again.

    Args:
        zone: whether times are shown as of this machine or in UTC; the line says which.
    """

    def __init__(self, zone: Literal["local", "utc"]) -> None:
        self._zone = zone
        self._kits: OrderedDict[tuple[str, str | None], _Memory] = OrderedDict()

    def copy(self) -> Narrator:
        """Another one that knows the same."""
        other = Narrator(self._zone)
        other._kits = self._kits.copy()  # of the same class
        return other

    def tell(self, telegrams: Iterable[Telegram]) -> Iterator[tuple[Style, str]]:
        """The lines for `telegrams`, in order."""
        for telegram in telegrams:
            yield from self._one(telegram)

    def end(self) -> Iterator[tuple[Style, str]]:
        """What is still to be said of repeats that were only counted."""
        for key, memory in self._kits.items():
            yield from self._repeats(memory)
            self._kits[key] = attrs.evolve(memory, told=memory.repeats)

    def _one(self, telegram: Telegram) -> Iterator[tuple[Style, str]]:
        ident = telegram.ident
        key = ident.kit, ident.label
        memory = self._kits.get(key)
        values = tuple(pair for pair in normal_data(telegram.data) if pair[0] != "time")
        if memory is not None and memory.ident == ident and memory.values == values:
            memory = attrs.evolve(memory, repeats=memory.repeats + 1, latest=telegram.time)
            if _worth_telling(memory.repeats):
                yield from self._repeats(memory)
                memory = attrs.evolve(memory, told=memory.repeats)
            self._remember(key, memory)
            return
        if memory is not None:
            yield from self._repeats(memory)
        if memory is None or memory.ident != ident:
            yield from (("kit", line) for line in _introduction(ident))
        yield "data", f"{self._start(ident, telegram.time)}  {_values(telegram)}"
        self._remember(key, _Memory(ident, values))
        if len(self._kits) > _KITS:
            yield from self._repeats(self._kits.popitem(last=False)[1])

    def _remember(self, key: tuple[str, str | None], memory: _Memory) -> None:
        self._kits[key] = memory
        self._kits.move_to_end(key)

    def _repeats(self, memory: _Memory) -> Iterator[tuple[Style, str]]:
        if memory.repeats > memory.told:
            start = self._start(memory.ident, memory.latest)
            times = f", {memory.repeats} times" if memory.repeats > 1 else ""
            yield "quiet", f"{start}  (same{times})"

    def _start(self, ident: Ident, seconds: int) -> str:
        if self._zone == "utc":
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
        else:
            when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))
        return f"{when}  {_name(ident)}"


def _worth_telling(repeats: int) -> bool:
    """The first repeat, the 10th, the 100th and so on; the others when the values change."""
    return str(repeats).strip("0") == "1"


def _name(ident: Ident) -> str:
    return f"{ident.kit} {plain(ident.label, 30)}" if ident.label else ident.kit


def _values(telegram: Telegram) -> str:
    shown = [
        f"{plain(name)} {_value(value, telegram.ident.unit(name))}"
        for name, value in telegram.data.items()
        if name != "time"
    ]
    return "  ".join(shown) or "(no values)"


def _value(value: Value, unit: str) -> str:
    if value is None:
        return "-"
    text = plain(value) if isinstance(value, str) else readable(value)
    return f"{text} {plain(unit, 20)}" if unit else text


def _introduction(ident: Ident) -> Iterator[str]:
    """The kit, a line for each thing known about it."""
    yield _name(ident)
    for key, value in ident.to_json().items():
        if key in ("project", "serial", "label", "fields", "units", "types"):
            continue
        yield f"    {key:<14}{plain(', '.join(value) if isinstance(value, list) else value)}"
    fields = [name for name in ident.fields if name != "time"]
    if fields:
        shown = (f"{plain(name)} {plain(ident.unit(name), 20)}".rstrip() for name in fields)
        yield f"    {'fields':<14}{', '.join(shown)}"
