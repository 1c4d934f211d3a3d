"""Replaying: telegram files as an input, into a journal of its own that outlives a failure."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import attrs

from mysense.jsonlines import BadLine, Reader
from mysense.options import Secret
from mysense.paths import state_folder
from mysense.plugin import InputSettings, Misconfigured, Position, Publisher, Subscriber
from mysense.telegram import DAY, Telegram

_CHUNK = 2000


@attrs.frozen(kw_only=True)
class ReplaySettings(InputSettings):
    """What to replay and how."""

    files: tuple[Path, ...] = ()
    speed: float | None = None
    now: bool = False
    count: int | None = None


class Replay(Subscriber[ReplaySettings]):
    """Telegram files, read once, in the order given.

    `speed` is how many times faster than it was measured; None is as fast as possible. With
    `now` all times are shifted so that the last telegram is now; how far is kept as the position,
    so that a replay that is resumed makes the same telegrams again. `count` ends it early. Lines
    that are no telegrams are copied to `refused`.
    """

    Settings = ReplaySettings
    what = "telegrams"

    def __init__(
        self,
        settings: ReplaySettings,
        section: str = "replay",
        *,
        refused: BinaryIO | None = None,
    ) -> None:
        super().__init__(settings, section)
        self.count = self.bad = 0
        """Telegrams and lines that are none, read so far."""
        self.at_end = False
        """Whether the last file was read to its end: nothing to give may also mean interrupted."""
        self._refused = refused
        self._items: Iterator[Telegram] | None = None
        self._wrong: Exception | None = None  # what keeps the rest from being read
        self._shift = 0
        self._stop = threading.Event()
        self._began: tuple[float, int] | None = None  # monotonic, first telegram's time
        self._next: Telegram | None = None

    def interrupt(self) -> None:
        """Do not wait for the next telegram's turn."""
        self._stop.set()

    def poll(self, position: Position | None) -> tuple[Sequence[Telegram], Position]:
        """The next telegrams whose turn has come; empty at the end of the last file."""
        if self._wrong is not None:
            raise self._wrong
        if self._items is None:
            self._shift = self._find_shift(position)
            self._items = islice(self._read(), self.settings.count)
        batch: list[Telegram] = []
        try:
            if self.settings.speed is None:
                batch.extend(islice(self._items, _CHUNK))
                self.at_end = not batch
            else:
                batch.extend(self._due(self.settings.speed))
        except Exception as wrong:
            self._wrong = wrong  # an iterator that raised seems to be at its end
            if not batch:
                raise
        self.count += len(batch)
        return batch, {"shift": self._shift}

    def _find_shift(self, position: Position | None) -> int:
        if not self.settings.now:
            return 0
        if position is not None:
            return int(position["shift"])
        telegrams = islice(self._files(tell=False), self.settings.count)
        last = max((telegram.time for telegram in telegrams), default=None)
        return 0 if last is None else int(time.time()) - last

    def _read(self) -> Iterator[Telegram]:
        for telegram in self._files(tell=True):
            if self._shift:
                data = dict(telegram.data, time=telegram.time + self._shift)
                yield attrs.evolve(telegram, data=MappingProxyType(data))
            else:
                yield telegram

    def _files(self, *, tell: bool) -> Iterator[Telegram]:
        latest = time.time() + DAY
        for path in self.settings.files:
            try:
                with path.open("rb") as stream:
                    refused = self._refused if tell else None
                    reader = Reader(stream, str(path), latest=latest, refused=refused)
                    for item in reader:
                        if isinstance(item, Telegram):
                            yield item
                        elif tell:
                            self._refuse(item)
                    if tell:
                        self._note(reader)
            except OSError as wrong:
                raise Misconfigured(f"{path}: {wrong.strerror}") from wrong

    def _refuse(self, line: BadLine) -> None:
        self.bad += 1
        self.log.error("refused %s", line)

    def _note(self, reader: Reader) -> None:
        for key, where in reader.unknown.items():
            self.log.warning("%s: unknown ident key %r is left out", where, key)
        if reader.announced is not None:
            kit = reader.announced.kit
            self.log.warning("%s was announced and no data followed: nothing to send", kit)

    def _due(self, speed: float) -> Iterator[Telegram]:
        """Wait for the next telegram's turn; then all whose turn has come."""
        assert self._items is not None  # poll has made them
        while not self._stop.is_set():
            telegram = self._next or next(self._items, None)
            self._next = None
            if telegram is None:
                self.at_end = True
                return
            if self._began is None:
                self._began = (time.monotonic(), telegram.time)
            turn = self._began[0] + (telegram.time - self._began[1]) / speed
            if turn > time.monotonic():
                self._next = telegram
                self._stop.wait(min(0.2, turn - time.monotonic()))
                continue
            yield telegram
            if self.count == 0 or turn + 0.2 > time.monotonic():
                return


def journal_path(settings: ReplaySettings, publishers: Iterable[Publisher[Any]]) -> Path:
    """The journal of this very replay: the same files to the same places find it again."""
    parts: list[object] = [path.resolve() for path in settings.files]
    parts += [settings.now, settings.count]
    for publisher in publishers:
        values = attrs.asdict(publisher.settings, recurse=False)
        shown = {name: str(v) for name, v in values.items() if not isinstance(v, Secret)}
        parts += [publisher.section, sorted(shown.items())]
    name = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    return replay_folder() / f"{name}.db"


def replay_folder() -> Path:
    """Where the journals of replays are."""
    return state_folder() / "replay"
