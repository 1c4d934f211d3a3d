"""JSON Lines, the interchange form of telegrams: one `{"ident": {...}, "data": {...}}` a line.

Either key may be left out: an ident alone announces a kit, data alone belong to the last ident
read. What cannot be read becomes a `BadLine`, and reading goes on with the next line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NoReturn

import attrs

from mysense.errors import TelegramError
from mysense.telegram import IDENT_KEYS, Ident, Telegram, short

MAX_LINE = 1_000_000  # bytes; a telegram has some hundreds

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def line(telegram: Telegram) -> str:
    """One telegram as a line of JSON Lines, without the line's end."""
    return _encoder.encode(telegram.to_json())


@attrs.frozen
class BadLine:
    """A line that is not a telegram: where it stands, why it is refused, its bytes."""

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
    """

    def __init__(self, stream: BinaryIO, name: str, *, latest: float | None = None) -> None:
        self._stream = stream
        self._name = name
        self._latest = latest
        self._number = 0
        self._ident: Ident | None = None
        self._source: Any = None  # the JSON object that self._ident was made of
        self._lost = "no ident came before this line"
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
        size = len(raw)
        while rest := self._stream.readline(MAX_LINE):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        self._forget_ident(raw)
        reason = f"the line has {size} bytes, {MAX_LINE} at most are read; is this a telegram file?"
        return BadLine(self._where(), reason, raw[:1000])

    def _take(self, raw: bytes) -> Telegram | None:
        source = self._parse(raw)
        if "ident" in source:
            self._announce(source["ident"], raw)
        if "data" not in source:
            self.announced = self._ident
            return None
        if self._ident is None:
            raise TelegramError(f"data without ident: {self._lost}")
        telegram = Telegram.from_json(self._ident, source["data"], latest=self._latest)
        self.announced = None
        return telegram

    def _announce(self, ident: Any, raw: bytes) -> None:
        if ident == self._source:  # most files repeat the ident on every line
            return
        try:
            self._ident = Ident.from_json(ident)
        except TelegramError:
            self._forget_ident(raw)
            raise
        self._source = ident
        for key in ident.keys() - set(IDENT_KEYS):
            self.unknown.setdefault(str(key), self._where())

    def _parse(self, raw: bytes) -> dict[str, Any]:
        try:
            source = json.loads(raw.decode("utf-8"), parse_constant=_not_json)
        except UnicodeDecodeError as wrong:
            self._forget_ident(raw)
            raise TelegramError(_not_utf8(raw, wrong)) from wrong
        except RecursionError as wrong:
            self._forget_ident(raw)
            raise TelegramError("not a telegram: nested too deeply") from wrong
        except TelegramError:
            self._forget_ident(raw)
            raise
        except ValueError as wrong:
            self._forget_ident(raw)
            raise TelegramError(f"not JSON: {wrong}") from wrong
        if not isinstance(source, dict) or not ("ident" in source or "data" in source):
            raise TelegramError("expected an object with 'ident', 'data' or both")
        if unknown := sorted(source.keys() - {"ident", "data"}):
            raise TelegramError(f"unknown key {short(unknown[0])}, known are 'ident' and 'data'")
        return source

    def _forget_ident(self, raw: bytes) -> None:
        """Data must not be given to an older kit when the line before may have held an ident."""
        if b'"ident"' in raw or b"\0" in raw:
            self._ident = self._source = self.announced = None
            self._lost = f"line {self._number}, which held it, was refused"


def _not_json(constant: str) -> NoReturn:
    raise TelegramError(f"{constant} is not a number; leave the field out or write null")


def _not_utf8(raw: bytes, wrong: UnicodeDecodeError) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "the file is UTF-16; save it as UTF-8"
    return f"not UTF-8: byte 0x{raw[wrong.start]:02x} at position {wrong.start + 1}"


def write(telegrams: Iterable[Telegram]) -> Iterator[str]:
    """Lines for `telegrams`, each complete in itself."""
    return map(line, telegrams)
