"""What outputs answer in tests of the delivery, what is sent to them, and what becomes of it."""

from __future__ import annotations

import sqlite3

from mysense.journal.view import View, request
from mysense.plugin import Hold, Refused, Unacceptable
from tests.pipeline import account, telegram


def fill(journal, count, kits="a", start=0):
    """Telegrams of so many seconds, one of each kit a second."""
    journal.append([telegram(at, kit) for at in range(start, start + count) for kit in kits])


def wanted(count, kits="a", start=0):
    """What a shelf has got of what `fill` made."""
    return [(kit, at) for at in range(start, start + count) for kit in kits]


def states(journal):
    """(state, kit, time, reason) of all that is set aside."""
    with View(journal.path) as view:
        query = "SELECT state, kit, time, reason FROM aside ORDER BY id"
        return [tuple(row) for row in view.all(query)]


def dead(journal):
    """(kit, time, reason) of all dead letters, by time."""
    with View(journal.path) as view:
        query = "SELECT kit, time, reason FROM aside WHERE state = 'dead' ORDER BY time"
        return [tuple(row) for row in view.all(query)]


class Lock:
    """Another process's transaction on the journal."""

    def __init__(self, journal):
        self.db = sqlite3.connect(journal.path, isolation_level=None)
        self.db.execute("BEGIN IMMEDIATE")

    def release(self):
        """It ends."""
        self.db.execute("ROLLBACK")
        self.db.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


def no(*bad):
    """A rule that finds some seconds unacceptable, without saying which."""

    def rule(batch):
        if any(one.time in bad for one in batch):
            raise Unacceptable("unable to parse")

    return rule


def closed_to(*kits):
    """A rule that lets some kits not in."""

    def rule(batch):
        if any(one.ident.serial in kits for one in batch):
            raise Hold("no database")

    return rule


def bad(batch):
    """Whatever it is, it is not acceptable."""
    raise Unacceptable("bad")


def refuse_all(batch):
    """None of it, but each of it by name."""
    raise Refused(dict.fromkeys(range(len(batch)), "bad"))


def fails_on(*bad, kits="", fault=ValueError):
    """A plugin that cannot bear some seconds, or some kits."""

    def rule(batch):
        for one in batch:
            if one.time in bad or one.ident.serial in kits:
                raise fault(f"cannot bear {one.ident.serial} at {one.time}")

    return rule


def ask(one, verb, argument=""):
    """As another process would, and as the engine obeys."""
    request(one.journal.path, verb, [one.delivery.name], argument)
    one.journal.obey()
    one.delivery.look_aside()


def works_on(one, seconds=20_000):
    """Let time pass, as long as any pause."""
    for _ in range(seconds // 301):
        one.pass_time(301)
        error = account(one.journal, one.delivery.name).error or ""
        assert not any(word in error for word in ("AssertionError", "IndexError"))
