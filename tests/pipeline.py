"""A small pipeline for tests: telegrams, a clock that is set by hand, outputs that really store."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import deque
from pathlib import Path
from types import MappingProxyType

from mysense.delivery import Delivery
from mysense.journal.summary import outputs
from mysense.journal.view import View
from mysense.plugin import InputSettings, OutputSettings, Publisher, Subscriber
from mysense.telegram import Ident, Telegram


def python(code):
    """A command that runs `code` in a process of its own, against the mysense under test."""
    behind = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})"  # installed first
    return [sys.executable, "-P", "-c", f"{behind}\n{code}"]


def telegram(time, kit="a", *, new=None, label=None, village=None, **values):
    """A telegram of kit `p_<kit>`; its value tells it from all others."""
    ident = Ident(project="p", serial=kit, label=label, village=village)
    data = values or {"temp": float(time)}
    return Telegram(ident, MappingProxyType({"time": time, **data}), new)


def keys(telegrams):
    """What identifies telegrams, short enough to read in a failed assertion."""
    return [(one.ident.serial, one.time) for one in telegrams]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


class Shelf(Publisher[OutputSettings]):
    """Stores telegrams in a SQLite file, in the order in which they come.

    `script` says what the next calls of publish do: an error to raise before anything is stored,
    or a function of the batch that may raise; when it has run out all is accepted. `rule` is
    asked for every batch.
    """

    Settings = OutputSettings

    def __init__(self, file, section="shelf", *, script=(), rule=None, mixed=False, **settings):
        super().__init__(OutputSettings(output=True, **settings), section)
        self.file, self.script, self.rule, self.mixed = file, deque(script), rule, mixed
        self.batches, self.opened, self.closed, self.interrupted = [], [], 0, 0
        self._db = None

    def open(self, receipt):
        self.opened.append(receipt)
        self._db = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")  # the process may die, the machine does not
        self._db.execute("CREATE TABLE IF NOT EXISTS got (n INTEGER PRIMARY KEY, line TEXT)")

    def publish(self, batch):
        self.batches.append(list(batch))
        step = self.script.popleft() if self.script else self.rule
        if isinstance(step, BaseException):
            raise step
        wanted = step(batch) if step is not None else None
        return self.store(batch if wanted is None else wanted)

    def store(self, batch):
        """Store telegrams, all or none; the receipt is how many there are now."""
        self._db.execute("BEGIN")
        lines = [(json.dumps([t.ident.serial, t.ident.label, t.new, dict(t.data)]),) for t in batch]
        self._db.executemany("INSERT INTO got (line) VALUES (?)", lines)
        self._db.execute("COMMIT")
        return str(self._db.execute("SELECT count(*) FROM got").fetchone()[0])

    def interrupt(self):
        self.interrupted += 1

    def close(self):
        self.closed += 1
        if self._db is not None:
            self._db.close()
            self._db = None

    @property
    def got(self):
        """(serial, time) of all that is stored, in the order in which it came."""
        return [(line[0], line[3]["time"]) for line in read_shelf(self.file)]


def read_shelf(file):
    """All lines that a shelf holds: [serial, label, new, data]."""
    if not file.exists():
        return []
    db = sqlite3.connect(file)
    try:
        if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            return []  # it is just being made
        return [json.loads(line) for (line,) in db.execute("SELECT line FROM got ORDER BY n")]
    finally:
        db.close()


class Feed(Subscriber[InputSettings]):
    """Gives telegrams out of a list; the position is how many it has given."""

    Settings = InputSettings

    def __init__(self, telegrams, section="feed", *, size=10, faults=(), again=True):
        super().__init__(InputSettings(input=True, interval=0.05), section)
        self.telegrams, self.size, self.again = list(telegrams), size, again
        self.faults, self.polls, self.given, self.closed = deque(faults), [], 0, 0

    def poll(self, position):
        self.polls.append(position)
        if self.faults and (fault := self.faults.popleft()) is not None:
            raise fault
        start = position["n"] if position and self.again else self.given
        batch = self.telegrams[start : start + self.size]
        self.given = start + len(batch)
        return batch, {"n": self.given}

    def close(self):
        self.closed += 1


class Rig:
    """One delivery over one journal, driven step by step."""

    def __init__(self, journal, shelf, clock=None, jitter=lambda most: most, **more):
        self.clock = clock or Clock()
        self.journal, self.shelf = journal, shelf
        self.delivery = Delivery(shelf, journal, clock=self.clock, jitter=jitter, **more)

    def step(self, count=1):
        """Work `count` times without time passing; returns the last wish to wait."""
        pauses = [self.delivery.step() for _ in range(count)]
        return pauses[-1]

    def settle(self, limit=1000):
        """Work until there is nothing more to do now."""
        for _ in range(limit):
            if self.delivery.step() > 0:
                return
        raise AssertionError(f"still busy after {limit} steps")

    def pass_time(self, seconds):
        """Let time pass, then work until there is nothing more to do."""
        self.clock.now += seconds
        self.settle()

    def close(self):
        """As a process that ends would."""
        self.delivery._view.close()
        self.shelf.close()


def account(journal, output="shelf", **more):
    """The status of one output."""
    with View(journal.path) as view:
        return {one.name: one for one in outputs(view, **more)}[output]


def counts(journal, output="shelf"):
    """(acknowledged, waiting, held, dead, gaps) of one output."""
    one = account(journal, output)
    return (one.acknowledged, one.waiting, one.held, one.dead, one.gaps)
