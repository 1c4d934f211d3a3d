"""Many telegrams of one shape into lines at once.

A shape is: same ident, not new, same fields in the same order, nothing but finite numbers. Such
a block of lines is made by a handful of calls, not by a loop over telegrams and fields. Whatever
is not of that shape makes `encode` return None; then it is done telegram by telegram. What
limits it is writing numbers: 0.2 us each by Python's repr, a tenth of that by orjson.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from math import isfinite
from operator import itemgetter

from mysense.influx.dialects import key
from mysense.telegram import Value

Dumps = Callable[[object], bytes]
Block = Sequence[Mapping[str, Value]]

BLOCK = 128  # telegrams: what is made on the way then stays in the processor's cache

_DIGITS = b"0123456789.-+e"  # all that a number in JSON consists of
_EQUALS = bytes.maketrans(b":", b"=")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")  # names that look the same in JSON and in lines
_NUMBERS = {float, int}


def load_dumps() -> Dumps | None:
    """orjson's, or None where it is not installed."""
    try:
        import orjson
    except ImportError:
        return None
    return orjson.dumps


class Shape:
    """Encodes blocks of telegrams with these fields.

    Args:
        head: measurement and tags, all but the last.
        tail: the last tags, without `:`, `{`, `}` and `%`.
        fields: names, as they follow each other.
        dumps: orjson's, when it is there and to be used.
    """

    def __init__(self, head: str, tail: str, fields: Sequence[str], dumps: Dumps | None) -> None:
        self.fields = tuple(fields)
        self._get = itemgetter(*fields, "time")
        escaped = f"{head},{tail} ".replace("%", "%%")
        parts = (key(field).replace("%", "%%") + "=%r" for field in fields)
        self._template = escaped + ",".join(parts) + " %r"
        self._dumps = dumps if all(map(_PLAIN.fullmatch, fields)) else None
        self._first = f"{head},".encode()
        self._tags = f"{tail} ".encode()
        self._next = b" %d\n" + head.replace("%", "%%").encode()
        names = (b'"%s":' % field.encode().translate(None, _DIGITS) for field in fields)
        self._skeleton = b"{" + b",".join(names) + b"},"

    def encode(self, block: Block, low: int, high: int) -> bytes | None:
        """The lines of `block` without a last line end, or None when it is not of this shape.

        Args:
            block: the data of telegrams, at least one.
            low: no time before this second is of the shape,
            high: nor one at this second or after it.
        """
        lines = self._by_json(block, self._dumps, low, high) if self._dumps else None
        return lines or self._by_template(block, low, high)

    def _by_template(self, block: Block, low: int, high: int) -> bytes | None:
        if set(map(len, block)) != {len(self.fields) + 1}:
            return None
        try:
            flat = tuple(chain.from_iterable(map(self._get, block)))
        except KeyError:
            return None
        if not set(map(type, flat)) <= _NUMBERS or not isfinite(sum(flat)):
            return None
        if not _within(flat[len(self.fields) :: len(self.fields) + 1], low, high):
            return None
        return ("\n".join([self._template] * len(block)) % flat).encode()

    def _by_json(self, block: Block, dumps: Dumps, low: int, high: int) -> bytes | None:
        r"""Let orjson write all numbers, with names, and turn its text into lines.

        `{"a":1.5,"b":2.5},{"a":...` becomes `new=0 a=1.5,b=2.5 <time>\ndata,label=x,new=0 a=...`:
        the comma between two objects is the one before the last tag.
        """
        count = len(block)
        copies = [data.copy() for data in block]  # type: ignore[attr-defined]  # as dicts have it
        times = list(map(dict.pop, copies, repeat("time")))
        if not _within(times, low, high):
            return None
        if list(chain.from_iterable(copies)) != [*self.fields] * count:
            return None
        try:
            text = dumps(copies)[1:-1]
        except TypeError:  # something that JSON cannot hold
            return None
        if text.translate(None, _DIGITS) != (self._skeleton * count)[:-1]:
            return None  # not only numbers
        text = text.translate(_EQUALS, b'"').replace(b"{", self._tags).replace(b"}", self._next)
        end = len(self._next) - len(b" %d")
        return self._first + text[:-end] % tuple(times)


def _within(times: Sequence[Value], low: int, high: int) -> bool:
    """Whether all are whole seconds from `low` to before `high`."""
    if set(map(type, times)) != {int}:
        return False
    return low <= min(times) and max(times) < high  # type: ignore[operator,type-var]  # see above
