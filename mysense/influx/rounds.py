"""Rounds over many databases: which are asked together, and what becomes of one that fails."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from mysense.influx.ahead import Ahead, Reply
from mysense.influx.collector import paused
from mysense.influx.cursor import HELD, Cursor
from mysense.influx.http import Answer
from mysense.influx.reading import explained, is_not_there, refused
from mysense.influx.tasks import Task, next_task
from mysense.influx.windows import Confirm, Item, Window
from mysense.plugin import RetryLater

TASKS = 200  # databases that are asked in one request
_OF_ONE = frozenset({400, 403, 404})  # answers that one database may have caused for all


class Rounds:
    """Visits databases until each has been read up to now.

    Args:
        ahead: how to ask the server.
        rows: about how many rows the databases in one request may give together.
        again: seconds until a database that failed is tried again.
        log: where failures are told.
    """

    def __init__(self, ahead: Ahead, rows: int, again: float, log: logging.Logger) -> None:
        self._ahead = ahead
        self._rows = rows
        self._again = again
        self._log = log
        self._cursors: dict[str, Cursor] = {}
        self._queue: deque[Cursor] = deque()
        self._doubted: deque[Window] = deque()  # in the order in which they are due
        self._anew: set[Cursor] = set()  # moved to the beginning, and nobody was told yet
        self._told: dict[str, str] = {}
        self.now = time.time()
        """The server's clock at its last answer, or this machine's before the first."""

    def visit(self, cursors: Iterable[Cursor]) -> None:
        """Visit these from now on; what was under way is dropped."""
        self._cursors = {cursor.database: cursor for cursor in cursors}
        self.rewind()

    def rewind(self) -> None:
        """Drop what is under way and ask for it again."""
        self._ahead.drop()
        self._doubted.clear()
        for cursor in self._cursors.values():
            cursor.rewind()
        self._queue = deque(c for c in self._cursors.values() if not c.idle and not c.failed)

    def look_at(self, databases: Iterable[str]) -> None:
        """Look at these first, as far as they are at rest."""
        for name in databases:
            cursor = self._cursors.get(name)
            if cursor is not None and cursor.idle and not cursor.failed:
                if cursor in self._queue:
                    self._queue.remove(cursor)
                self._queue.appendleft(cursor)

    def look(self) -> None:
        """Begin a round: look at those at rest, and at those that failed long enough ago."""
        now = time.monotonic()
        queued = set(self._queue)
        for cursor in self._cursors.values():
            due = cursor.retry_at <= now if cursor.failed else cursor.idle
            if due and cursor not in queued:
                self._queue.append(cursor)

    def wake(self) -> None:
        """Let none rest: each is read with care once more."""
        queued = set(self._queue)
        for cursor in self._cursors.values():
            if cursor.idle and not cursor.failed:
                cursor.idle = False
                if cursor not in queued:
                    self._queue.append(cursor)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask in this round."""
        return not self._queue and not len(self._ahead) and not self._doubted

    def step(self) -> tuple[list[Item], set[Cursor]]:
        """Take in one reply; returns what it gave, and the cursors that were moved.

        Raises:
            RetryLater: the server did not answer; everything will be asked again.
        """
        try:
            self._fill()
            if not len(self._ahead):
                self._rest()
                return [], set()
            tasks, reply = self._ahead.receive()
            self._fill()  # so that the server works while this reply is being read
            items: list[Item] = []
            moved: set[Cursor] = set()
            if isinstance(reply, Answer):
                self._refused(tasks, reply)
            else:
                self.now = reply.now
                with paused():
                    items, moved = self._take(tasks, reply)
            anew, self._anew = self._anew, set()
            return items, moved | anew
        except Exception:  # whatever it was, nothing of this reply has been given to anybody
            self.rewind()
            raise

    def _fill(self) -> None:
        while not self._ahead.is_full:
            tasks = self._confirming() or self._gather()
            if not tasks:
                break
            self._send(tasks)

    def _rest(self) -> None:
        """Wait until a window that is held can be counted once more."""
        if self._doubted and (due := self._doubted[0].due) is not None:
            self._ahead.rest(due - time.monotonic())

    def _confirming(self) -> list[Task]:
        tasks: list[Task] = []
        while self._doubted and len(tasks) < TASKS:
            window = self._doubted[0]
            if window.turn == window.cursor.turn and window.due is not None:
                if window.due > time.monotonic():
                    break
                tasks.append(Confirm(window))
            self._doubted.popleft()
        return tasks

    def _gather(self) -> list[Task]:
        tasks: list[Task] = []
        rows = 0
        while self._queue and len(tasks) < TASKS and rows < self._rows:
            if self._queue[0].failed and tasks:
                break  # these go alone: they would spoil the others' request
            cursor = self._queue.popleft()
            task = next_task(cursor, self.now)
            rows += task.weight
            tasks.append(task)
            if cursor.failed:
                break
        windows = [task for task in tasks if isinstance(task, Window) and task.more]
        self._queue.extend(w.cursor for w in windows if len(w.cursor.held) < HELD)
        return tasks

    def _send(self, tasks: Sequence[Task]) -> None:
        self._ahead.send(tasks, [text for task in tasks for text in task.statements])

    def _take(self, tasks: Sequence[Task], reply: Reply) -> tuple[list[Item], set[Cursor]]:
        items: list[Item] = []
        moved: set[Cursor] = set()
        at = 0
        for number, task in enumerate(tasks):
            results = reply.results[at : at + len(task.statements)]
            at += len(task.statements)
            if len(results) < len(task.statements) or any("error" in each for each in results):
                self._aborted(tasks, number)
                break
            entry = task.cursor.entry
            items += self._take_one(task, results, reply.now)
            if task.cursor.entry is not entry:
                moved.add(task.cursor)
        return items, moved

    def _take_one(self, task: Task, results: Sequence[Any], now: float) -> list[Item]:
        cursor = task.cursor
        if cursor.failed:
            self._recovered(cursor)
        turn = cursor.turn
        items = task.take(results, now)
        if isinstance(task, Window) and task.due is not None:
            self._doubted.append(task)
        self._tell(cursor)
        if not cursor.idle and (turn != cursor.turn or not isinstance(task, Window)):
            self._enqueue(cursor)
        return items

    def _tell(self, cursor: Cursor) -> None:
        if cursor.told:
            self._log.warning("database %s: %s", cursor.database, cursor.told)
            cursor.told = ""

    def _enqueue(self, cursor: Cursor) -> None:
        if cursor not in self._queue and self._cursors.get(cursor.database) is cursor:
            self._queue.append(cursor)

    def _refused(self, tasks: Sequence[Task], answer: Answer) -> None:
        """One database may have spoilt the request of all: halve it until that one is alone."""
        if answer.status not in _OF_ONE or (answer.status == 403 and self._ahead.api == 2):
            raise RetryLater(refused(answer, self._ahead.who), answer.retry_after)
        if len(tasks) == 1:
            self._fail(tasks[0].cursor, answer.message)
            return
        half = len(tasks) // 2
        self._again_soon(tasks[:half])
        self._again_soon(tasks[half:])

    def _aborted(self, tasks: Sequence[Task], number: int) -> None:
        """The server left off at one database: that one and those after it go again, apart."""
        if len(tasks) == 1:
            self._fail(tasks[0].cursor, self._reason(tasks[0]))
            return
        self._again_soon(tasks[number : number + 1])
        self._again_soon(tasks[number + 1 :])

    def _again_soon(self, tasks: Sequence[Task]) -> None:
        if tasks:
            self._send(tasks)

    def _reason(self, task: Task) -> str:
        """Why it fails: among several statements the server only says `not executed`."""
        for statement in task.statements:
            try:
                for result in self._ahead.ask([statement]).results:
                    if "error" in result:
                        return str(result["error"])
            except Answer as answer:
                return answer.message
        return "the server left off without saying why"

    def _fail(self, cursor: Cursor, reason: str) -> None:
        api = self._ahead.api
        if cursor.entry is not None and is_not_there(reason) and api != 2:
            cursor.begin_anew("the server does not have it any more")
            self._anew.add(cursor)
            self._tell(cursor)
        cursor.rewind()
        cursor.failed = reason
        cursor.retry_at = time.monotonic() + self._again
        if cursor in self._queue:
            self._queue.remove(cursor)
        if self._told.get(cursor.database) != reason:
            self._told[cursor.database] = reason
            self._log.warning(
                "database %s cannot be read: %s; the others go on, this one is tried again "
                "every %g s",
                cursor.database,
                explained(reason, api),
                self._again,
            )

    def _recovered(self, cursor: Cursor) -> None:
        cursor.failed = ""
        self._told.pop(cursor.database, None)
        self._log.info("database %s can be read again", cursor.database)
