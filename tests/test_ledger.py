"""Nothing is lost, doubled or forgotten: a state machine over journal, delivery and retention.

For every output: made = acknowledged + waiting + held + dead + gaps, after any step, whatever the
output does and whenever the process dies.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mysense.delivery import PROBE_EVERY
from mysense.journal import Journal
from mysense.journal.retention import trim
from mysense.journal.salvage import salvage
from mysense.journal.view import request
from mysense.plugin import Hold, Refused, RetryLater, TooLarge, Unacceptable
from tests.pipeline import Clock, Rig, Shelf, account, telegram

KITS = "abc"
ANSWERS = ("accept", "later", "hold", "refuse", "bisect", "halve", "fault", "bogus", "lost answer")


class Moody:
    """What an output says: scripted answers, and kits or seconds that it does not take."""

    def __init__(self):
        self.answers = []
        self.closed = set()
        self.bad = set()

    def __call__(self, batch):
        answer = self.answers.pop(0) if self.answers else "accept"
        raising = {
            "later": RetryLater("down"),
            "halve": TooLarge("413"),
            "bisect": Unacceptable("400"),
            "fault": ZeroDivisionError(),
            "bogus": Refused({len(batch): "?"}),
            "hold": Hold("404"),
        }
        if answer == "lost answer":
            return ("lost", batch)
        if answer in raising:
            raise raising[answer]
        if any(one.ident.serial in self.closed for one in batch):
            raise Hold("403")
        if any(one.time in self.bad for one in batch):
            raise Unacceptable("unable to parse")
        if answer == "refuse":
            return ("refuse", batch)
        return None


class MoodyShelf(Shelf):
    """A shelf with moods; it may also store and lose its answer, or refuse every second one."""

    def publish(self, batch):
        self.batches.append(list(batch))
        wanted = self.rule(batch)
        if wanted is None:
            return self.store(batch)
        if wanted[0] == "lost":
            self.store(batch)
            raise RetryLater("answer lost")
        self.store(batch[::2])
        raise Refused(dict.fromkeys(range(1, len(batch), 2), "odd"))


class Ledger(RuleBasedStateMachine):
    """Two outputs over one journal; `mixed` is one that takes several kits at once."""

    @initialize()
    def open(self):
        logging.getLogger("mysense").setLevel(logging.CRITICAL)
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # no disk has to wait
        self.folder = tempfile.TemporaryDirectory(dir=memory)
        self.clock, self.seconds, self.made, self.all = Clock(), itertools.count(1), 0, set()
        self.retried = set()
        self.moods = {name: Moody() for name in ("plain", "mixed")}
        self.journal = None
        self.start()

    def start(self):
        self.journal = Journal(Path(self.folder.name, "journal.db"))
        self.journal._db.execute("PRAGMA synchronous = OFF")  # processes die here, not machines
        self.rigs = {
            name: Rig(
                self.journal,
                MoodyShelf(
                    Path(self.folder.name, f"{name}.db"),
                    name,
                    rule=mood,
                    mixed=name == "mixed",
                    bufsize=4,
                ),
                self.clock,
            )
            for name, mood in self.moods.items()
        }

    def end(self):
        for rig in self.rigs.values():
            rig.close()
        self.journal.close()

    def teardown(self):
        if getattr(self, "journal", None) is not None:
            self.end()
            self.folder.cleanup()

    @rule(kits=st.text(KITS, min_size=1, max_size=6), again=st.booleans())
    def append(self, kits, again):
        """Telegrams come in, sometimes twice."""
        many = [telegram(next(self.seconds), kit) for kit in kits]
        self.made += self.journal.append(many).stored
        self.all.update((one.ident.serial, one.time) for one in many)
        if again:
            assert self.journal.append(many).stored == 0

    @rule(
        name=st.sampled_from(["plain", "mixed"]),
        answers=st.lists(st.sampled_from(ANSWERS), max_size=5),
    )
    def mood(self, name, answers):
        """The next answers of an output are decided."""
        self.moods[name].answers += answers

    @rule(name=st.sampled_from(["plain", "mixed"]), kits=st.sets(st.sampled_from(KITS)))
    def close_to(self, name, kits):
        """An output lets only some kits in."""
        self.moods[name].closed = kits

    @rule(name=st.sampled_from(["plain", "mixed"]), ahead=st.integers(0, 5))
    def dislike(self, name, ahead):
        """A second to come that an output will never take."""
        self.moods[name].bad.add(self.made + ahead)

    @rule(name=st.sampled_from(["plain", "mixed"]), count=st.integers(1, 4))
    def step(self, name, count):
        """A worker works."""
        self.rigs[name].step(count)

    @rule(seconds=st.sampled_from([1.0, 20.0, PROBE_EVERY]))
    def wait(self, seconds):
        """Time passes."""
        self.clock.now += seconds

    @rule()
    def crash(self):
        """The process dies; what was in memory is gone."""
        self.end()
        self.start()

    @rule()
    def salvage(self):
        """The process dies and the journal is taken for damaged: what is whole is all of it."""
        self.end()
        salvage(Path(self.folder.name, "journal.db"), "a test says so", time.time)
        self.start()

    @rule()
    def doubt(self):
        """The disk returned an error: the journal is opened anew before its next transaction."""
        self.journal._doubted = True

    @rule(
        name=st.sampled_from(["plain", "mixed"]), verb=st.sampled_from(["retry", "pause", "resume"])
    )
    def ask(self, name, verb):
        """Somebody asks for something."""
        if verb == "retry" and account(self.journal, name).dead:
            self.retried.add(name)
        request(self.journal.path, verb, [name])
        self.journal.obey()
        self.rigs[name].delivery.look_aside()

    @rule()
    def forget(self):
        """What is settled is let go by age."""
        assert trim(self.journal, 1000, -1) == 0

    @precondition(lambda self: self.made > 10)
    @rule()
    def give_up(self):
        """The journal is far over its size: it gives up everything that waits."""
        trim(self.journal, 0.0, 30)

    @rule()
    def heal(self):
        """All causes are mended: what is not dead or given up arrives, value by value."""
        for name, rig in self.rigs.items():
            self.ask(name, "resume")
            self.moods[name].answers, self.moods[name].closed = [], set()
            for _ in range(3):
                rig.pass_time(PROBE_EVERY + 1)
            one = account(self.journal, name)
            assert (one.waiting, one.held, one.error) == (0, 0, None)
            lost = self.all - set(rig.shelf.got)
            assert len(lost) <= one.dead + one.gaps
            assert rig.delivery.drained(self.journal.head)

    @invariant()
    def adds_up(self):
        """Every telegram is in one place of the account."""
        for name in getattr(self, "moods", {}):
            one = account(self.journal, name)
            parts = (one.acknowledged, one.waiting, one.held, one.dead, one.gaps)
            assert sum(parts) == self.made, f"{name}: {parts} of {self.made}"
            assert one.acknowledged <= len(set(self.rigs[name].shelf.got))

    @invariant()
    def in_order(self):
        """What came first of a kit arrived first; only what was sent again may come again."""
        for name in getattr(self, "moods", {}):
            if name in self.retried:
                continue  # a dead letter that goes again comes late by nature
            newest = Counter()
            seen = set()
            for kit, at in self.rigs[name].shelf.got:
                assert (kit, at) in seen or at > newest[kit], f"{name}: {kit} at {at} came late"
                seen.add((kit, at))
                newest[kit] = max(newest[kit], at)


Ledger.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLedger = Ledger.TestCase
