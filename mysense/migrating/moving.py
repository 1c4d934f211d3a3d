"""Kits of one server, one after the other, as an input of an engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus as Http
from itertools import islice

import attrs

from mysense.comparing.reading import Database
from mysense.comparing.sides import CompareError
from mysense.influx.answers import Answer
from mysense.migrating.place import Server
from mysense.plugin import InputSettings, Position, Refusal, RetryLater, Subscriber
from mysense.telegram import DAY, Telegram

EVER = 2**33  # seconds; a time before and after all times
_CHUNK = 5000  # telegrams at once
_SHORT, _LONG = 3600, 28 * DAY  # seconds of a window: the server opens the shards of one only
_FEW, _MANY = _CHUNK // 2, 2 * _CHUNK  # rows of a window, as it should be
_BACKLOG = 20_000  # telegrams that wait for the output, at most
_PAUSE = 0.05  # seconds between two looks at whether there is room
_BUSY = (Http.TOO_MANY_REQUESTS, Http.REQUEST_TIMEOUT)

Item = Telegram | Refusal
_log = logging.getLogger("mysense.migrate")


@attrs.frozen
class Bounds:
    """What is to be moved.

    Attributes:
        low, high: seconds of telegrams, `high` not included.
        now: when the run began; rows that arrive later are for another run.
    """

    low: int
    high: int
    now: int

    def points(self, database: Database) -> tuple[int, int]:
        """Point times to read: where these are times of arrival, telegrams are older as a rule."""
        if database.arrival_is_kept:
            return max(self.low - DAY, -EVER), self.now
        return self.low, self.high


class Moving(Subscriber[InputSettings]):
    """All telegrams of these kits, in windows of time; the position is how far each kit was read.

    A kit whose telegrams the other place does not take now, or which cannot be read, is left
    where it stands: `failed` says why, and the same command goes on there.

    Args:
        server: where from; it is opened and closed here.
        kits: to be moved, in this order.
        bounds: of times.
        waiting: how many telegrams wait for the output.
        is_held: whether the output waits until somebody lets a kit in.
    """

    Settings = InputSettings

    def __init__(
        self,
        server: Server,
        kits: Sequence[str],
        bounds: Bounds,
        waiting: Callable[[], int],
        is_held: Callable[[str], bool],
    ) -> None:
        super().__init__(InputSettings(), "migrate")
        self.count = 0
        """Telegrams read."""
        self.kit, self.at = "", 0
        """The kit that is read, and its number, from 1 on."""
        self.kits = kits
        self.failed: dict[str, str] = {}
        """Why some kits are not moved, or not completely."""
        self.complete = False
        """Whether all was read."""
        self._server = server
        self._bounds = bounds
        self._waiting = waiting
        self._is_held = is_held
        self._position: dict[str, int] = {}
        self._batches: Iterator[list[Item]] | None = None
        self._stop = threading.Event()

    def open(self) -> None:
        """Get ready. Raises Misconfigured."""
        self._server.open()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def interrupt(self) -> None:
        """Neither wait for room nor for an answer."""
        self._stop.set()
        self._server.interrupt()

    def poll(self, position: Position | None) -> tuple[Sequence[Item], Position]:
        """The next telegrams; empty when all kits were read."""
        self._position = dict(position or {})
        self._wait_for_room()
        try:
            batch = self._next()
        except BaseException:  # an iterator that raised is at its end: begin where it stood
            self._batches = None
            raise
        self.count += sum(isinstance(item, Telegram) for item in batch)
        return batch, dict(self._position)

    def _wait_for_room(self) -> None:
        while self._waiting() > _BACKLOG:
            if self._stop.wait(_PAUSE):
                raise RetryLater("interrupted")

    def _next(self) -> list[Item]:
        if self._batches is None:
            self._batches = self._all()
        batch = next(self._batches, [])
        self.complete = not batch
        return batch

    def _all(self) -> Iterator[list[Item]]:
        for number, kit in enumerate(self.kits, 1):
            self.kit, self.at = kit, number
            if kit in self.failed:
                continue
            try:
                for database in self._server.databases(kit):
                    yield from self._of_kit(kit, database)
            except CompareError as wrong:
                cause = wrong.__cause__
                if isinstance(cause, Answer) and (cause.status >= 500 or cause.status in _BUSY):
                    raise RetryLater(str(wrong), cause.retry_after) from None
                self._fails(kit, str(wrong))

    def _of_kit(self, kit: str, database: Database) -> Iterator[list[Item]]:
        low, high = self._bounds.points(database)
        key = "|".join([kit, *(text for _, text in database.source.tags)])
        ends = database.ends(low, high)
        if ends is None:
            return
        low, high = max(ends[0], self._position.get(key, ends[0])), ends[1] + 1
        length = _SHORT
        while low < high:
            end, rows = min(low + length, high), 0
            for batch, last in _with_last(self._window(database, low, end)):
                rows += len(batch)
                if last:
                    self._position[key] = end
                yield batch
                if self._is_held(kit):
                    self._fails(kit, "the server there does not let it in, see above")
                    return
            self._position[key] = low = end
            length = min(2 * length, _LONG) if rows < _FEW else length
            length = max(length // 2, _SHORT) if rows > _MANY else length

    def _window(self, database: Database, low: int, high: int) -> Iterator[list[Item]]:
        items = filter(self._is_meant, database.items(low, high))
        while batch := list(islice(items, _CHUNK)):
            yield batch

    def _is_meant(self, item: Item) -> bool:
        """Whether it lies in the bounds also where its point has another time."""
        if isinstance(item, Refusal):
            return True
        return self._bounds.low <= item.time < self._bounds.high

    def _fails(self, kit: str, reason: str) -> None:
        self.failed[kit] = reason
        _log.error("%s: left where it stands: %s", kit, reason)


def _with_last(batches: Iterator[list[Item]]) -> Iterator[tuple[list[Item], bool]]:
    """Each batch, and whether it is the last one."""
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        yield batch, following is None
        batch = following
