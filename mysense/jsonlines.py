"""JSON Lines, the interchange form of telegrams: one `{"ident": {...}, "data": {...}}` a line.

Either key may be left out: an ident alone announces a kit, data alone belong to the last ident
read. A third key, `id`, is the telegram's identity for whoever reads the file; it is not read here.
What cannot be read becomes a `BadLine`, and reading goes on with the next line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import attrs

from mysense import jsontext
from mysense.errors import TelegramError
from mysense.points import Measured
from mysense.telegram import IDENT_KEYS, Ident, Telegram, short

MAX_LINE = 1_000_000  # bytes; a telegram has some hundreds

_KEPT = 1000  # bytes of an overlong line that its BadLine keeps
_MAY_HOLD_IDENT = re.compile(  # also under another name, in UTF-16, or torn off in its first word
    rb"ident|metadata|project|serial|\0|^\s*\{\s*\"i[den]*\s*$", re.IGNORECASE
)
_OVERLAP = 16  # bytes; more than the longest word of that pattern

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def line(telegram: Measured, *, identity: bool = False) -> str:
    """One telegram, or point, as a line without its end; with the telegram's identity or not."""
    source = telegram.to_json()
    if identity and isinstance(telegram, Telegram):
        source["id"] = telegram.identity
    return _encoder.encode(source)


@attrs.frozen
class BadLine:
    """A line that is not a telegram: where it stands, why it is refused, how it begins.

    `raw` are its bytes; of a line longer than `MAX_LINE` only the first thousand.
    """

    where: str
    reason: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Reader:
    """The telegrams and bad lines of one file, in order.

    Args:
        stream: the file, opened in binary mode.
        name: what to call it in messages.
        latest: the last acceptable second; a day ahead of this machine's clock unless given.
        refused: where to copy the lines that are refused, as they stand and however long.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        latest: float | None = None,
        refused: BinaryIO | None = None,
    ) -> None:
        self._stream = stream
        self._name = name
        self._latest = latest
        self._refused = refused
        self._number = 0
        self._ident: Ident | None = None
        self._source: Any = None  # the JSON object that self._ident was made of
        self._lost = "no ident came before this line"
        self._prefix: bytes | None = None  # how a line begins that repeats the ident, up to data
        self.announced: Ident | None = None
        """The last ident, where no data have followed it yet."""
        self.unknown: dict[str, str] = {}
        """Ident keys that were left out, and where each came first."""

    def __iter__(self) -> Iterator[Telegram | BadLine]:
        for raw in self._raw_lines():
            if isinstance(raw, BadLine):
                yield raw
                continue
            try:
                telegram = self._take(raw)
            except TelegramError as wrong:
                self._keep(raw if raw.endswith(b"\n") else raw + b"\n")
                yield BadLine(self._where(), str(wrong), raw)
                continue
            if telegram is not None:
                yield telegram

    def _where(self) -> str:
        return f"{self._name}:{self._number}"

    def _raw_lines(self) -> Iterator[bytes | BadLine]:
        while raw := self._stream.readline(MAX_LINE + 1):
            self._number += 1
            if self._number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                yield self._overlong(raw)
            elif not raw.isspace() and raw:
                yield raw

    def _overlong(self, raw: bytes) -> BadLine:
        """Read to the end of a line that does not fit into memory."""
        size, part, ident = len(raw), raw, bool(_MAY_HOLD_IDENT.search(raw))
        self._keep(raw)
        while not part.endswith(b"\n") and (rest := self._stream.readline(MAX_LINE)):
            size += len(rest)
            ident = ident or bool(_MAY_HOLD_IDENT.search(part[-_OVERLAP:] + rest))
            part = rest
            self._keep(part)
        if not part.endswith(b"\n"):
            self._keep(b"\n")
        if ident:
            self._forget_ident()
        reason = f"the line has {size} bytes, {MAX_LINE} at most are read; is this a telegram file?"
        return BadLine(self._where(), reason, raw[:_KEPT])

    def _keep(self, raw: bytes) -> None:
        if self._refused is not None:
            self._refused.write(raw)

    def _take(self, raw: bytes) -> Telegram | None:
        if self._prefix is not None and raw.startswith(self._prefix):
            telegram = self._take_data(raw[len(self._prefix) :].rstrip())
            if telegram is not None:
                return telegram
        try:
            source = _parse(raw)
        except TelegramError:
            if _MAY_HOLD_IDENT.search(raw):
                self._forget_ident()
            raise
        if "ident" in source:
            self._announce(source["ident"])
        if "data" not in source:
            self.announced = self._ident
            return None
        if self._ident is None:
            raise TelegramError(f"data without ident: {self._lost}")
        data = source["data"]
        if data.__class__ is _Doubled:
            raise TelegramError(f"data: {data}")
        telegram = Telegram.from_json(self._ident, data, latest=self._latest)
        self.announced = None
        self._prefix = _prefix(raw) if "ident" in source else None
        return telegram

    def _take_data(self, rest: bytes) -> Telegram | None:
        """The telegram of a line that repeats the ident to the letter; None: look closely."""
        if self._ident is None or not rest.endswith(b"}"):
            return None
        rest = rest[:-1]
        if rest.endswith(b'"'):  # after the data: an identity, which is not read
            rest = rest.rpartition(b',"id":"')[0]
        try:
            data = jsontext.loads(rest)
            # a key that comes twice, or a whole number that was taken for a float, looks closer
            if rest.count(b'":') == len(data) and rest.count(b".") == len(data) - 1:
                return Telegram.from_json(self._ident, data, latest=self._latest)
        except (TelegramError, ValueError, TypeError, RecursionError):
            return None
        return None

    def _announce(self, ident: Any) -> None:
        if ident == self._source:  # most files repeat the ident on every line
            return
        try:
            if ident.__class__ is _Doubled:
                raise TelegramError(f"ident: {ident}")
            self._ident = Ident.from_json(ident)
        except TelegramError:
            self._forget_ident()
            raise
        self._source = ident
        for key in ident.keys() - set(IDENT_KEYS):
            self.unknown.setdefault(str(key), self._where())

    def _forget_ident(self) -> None:
        """Data must not be given to an older kit when the line before may have held an ident."""
        self._ident = self._source = self.announced = self._prefix = None
        self._lost = f"line {self._number}, which may have held it, was refused"


@attrs.frozen
class _Doubled:
    """In place of an object that has a key twice: which of the two is meant, nobody knows."""

    key: str

    def __str__(self) -> str:
        return f"{short(self.key)} is in it twice; keep one"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Doubled:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen = [key for key, _ in pairs]
    return _Doubled(next(key for key in seen if seen.count(key) > 1))


_decoder = json.JSONDecoder(object_pairs_hook=_object)


def _parse(raw: bytes) -> dict[str, Any]:
    source = _decode(raw)
    if isinstance(source, _Doubled):
        raise TelegramError(f"the line: {source}")
    if not isinstance(source, dict) or not ("ident" in source or "data" in source):
        raise TelegramError("expected an object with 'ident', 'data' or both")
    if unknown := sorted(source.keys() - {"ident", "data", "id"}):
        raise TelegramError(f"unknown key {short(unknown[0])}, known are 'ident' and 'data'")
    return source


def _prefix(raw: bytes) -> bytes | None:
    """What of a line comes before its data, where any data could stand there instead."""
    match = re.match(rb'\s*\{\s*"ident"\s*:.*?[}],\s*"data"\s*:\s*', raw, re.DOTALL)
    if match is None:
        return None
    try:
        whole = _parse(match[0] + b"{}}")
    except TelegramError:
        return None
    return match[0] if whole.keys() == {"ident", "data"} and whole["data"] == {} else None


def _decode(raw: bytes) -> Any:
    try:
        return _decoder.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as wrong:
        raise TelegramError(_not_utf8(raw, wrong)) from wrong
    except RecursionError as wrong:
        raise TelegramError("not a telegram: nested too deeply") from wrong
    except json.JSONDecodeError as wrong:
        hint = "; it holds NUL bytes, is it UTF-16? save it as UTF-8" if b"\0" in raw else ""
        raise TelegramError(f"not JSON: {wrong.msg} at position {wrong.pos + 1}{hint}") from wrong
    except ValueError as wrong:  # Python converts whole numbers of 4300 digits at most
        raise TelegramError("a whole number of thousands of digits is no measurement") from wrong


def _not_utf8(raw: bytes, wrong: UnicodeDecodeError) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "the file is UTF-16; save it as UTF-8"
    return f"not UTF-8: byte 0x{raw[wrong.start]:02x} at position {wrong.start + 1}"


def write(telegrams: Iterable[Telegram], *, identities: bool = False) -> Iterator[str]:
    """Lines for `telegrams`, each complete in itself, with their identities or not."""
    return (line(telegram, identity=identities) for telegram in telegrams)
