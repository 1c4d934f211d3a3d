"""A worker outlives whatever its plugin and the journal do."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from mysense.delivery import PROBE_EVERY
from mysense.plugin import Misconfigured, RetryLater
from tests.delivery.answers import (
    Lock,
    ask,
    closed_to,
    fill,
    refuse_all,
    wanted,
)
from tests.pipeline import Shelf, account, counts, telegram

# -- the plugin -----------------------------------------------------------------------------------


class Odd(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize(
    "fault",
    [ValueError("x"), KeyError("x"), SystemExit(3), Odd(), MemoryError(), OSError(5, "\udcff")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_plugin_that_raises_anything(journal, rig, fault):
    """Its telegrams wait, it is tried again, and the status says what happened."""
    one = rig(script=[fault])
    fill(journal, 2)
    one.step()
    assert type(fault).__name__ in account(journal).error
    one.pass_time(10)
    assert (one.shelf.got, account(journal).error) == (wanted(2), None)


def test_ctrl_c_is_not_a_plugin_s_fault(journal, rig):
    """A KeyboardInterrupt goes through."""
    one = rig(script=[KeyboardInterrupt()])
    fill(journal, 1)
    with pytest.raises(KeyboardInterrupt):
        one.step()


def test_misconfigured_stops_that_output_only(journal, rig, tmp_path):
    """It says why, its telegrams wait, and the other output gets them."""
    bad = rig(Shelf(tmp_path / "bad.db", "bad", script=[Misconfigured("no such user")]))
    good = rig()
    fill(journal, 2)
    for one in (bad, good):
        one.settle()
        one.pass_time(1000)
    assert (bad.delivery.stopped, len(bad.shelf.batches)) == ("no such user", 1)
    assert account(journal, "bad").error == "stopped: no such user"
    assert (counts(journal, "bad"), counts(journal)) == ((0, 2, 0, 0, 0), (2, 0, 0, 0, 0))


def test_a_plugin_that_fails_to_close_is_opened_again(journal, rig):
    """It gave up, somebody asks for another try, and closing it fails."""
    one = rig(script=[Misconfigured("no")])
    fill(journal, 1)
    one.settle()
    one.shelf.close = lambda: 1 / 0
    ask(one, "resume")
    one.settle()
    del one.shelf.close
    assert (one.delivery.stopped, one.shelf.got) == (None, wanted(1))


def test_a_plugin_that_fails_to_close(journal, rig, caplog):
    """It ends the thread without a traceback through it."""
    one = rig()
    one.shelf.close = lambda: 1 / 0
    stop = threading.Event()
    stop.set()
    one.delivery.run(stop)
    del one.shelf.close
    assert "while it closed" in caplog.text


# -- the journal ----------------------------------------------------------------------------------


def test_a_settle_that_fails_is_done_later_without_sending_again(journal, rig, caplog):
    """The output has it: only the journal is behind, and nothing is counted twice."""
    one = rig()
    locks = []
    one.shelf.script.append(lambda batch: locks.append(Lock(journal)))
    fill(journal, 3)
    one.step()
    assert one.shelf.got == wanted(3)
    assert caplog.messages == ["journal: database is locked; trying again"]
    one.pass_time(10)  # still locked
    locks.pop().release()
    one.pass_time(100)
    assert (one.shelf.got, len(one.shelf.batches)) == (wanted(3), 1)
    assert counts(journal) == (3, 0, 0, 0, 0)


def test_settling_what_was_aside_fails_and_is_done_later(journal, rig):
    """The same for held telegrams that were released."""
    one = rig(rule=closed_to("a"))
    fill(journal, 3)
    one.settle()
    locks = []
    one.shelf.rule = lambda batch: locks.append(Lock(journal))
    one.clock.now += PROBE_EVERY + 1
    one.step()
    locks.pop().release()
    one.pass_time(100)
    assert (one.shelf.got, counts(journal)) == (wanted(3), (3, 0, 0, 0, 0))


def test_a_locked_journal_does_not_end_a_failing_output(journal, rig):
    """Noting a failure may fail itself."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 1)
    with Lock(journal):
        one.step()
    one.pass_time(10)
    assert counts(journal) == (1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "wrong", [RetryLater("down", doubt=True), Misconfigured("no user"), OSError(5, "no")]
)
def test_a_journal_of_another_version_does_not_end_a_failing_output(journal, rig, wrong):
    """Whatever the journal says when a failure is to be noted in it, the worker goes on."""
    one = rig(script=[wrong])
    fill(journal, 1)
    with journal.transaction() as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 999")
    journal._doubted = True  # the disk failed: the next transaction opens the file anew
    one.step()
    with sqlite3.connect(journal.path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    ask(one, "resume")
    one.pass_time(10)
    assert one.shelf.got == wanted(1)


def test_a_full_disk_stops_nothing_for_ever(journal, rig):
    """While nothing can be settled it waits; with room again it goes on by itself."""
    one = rig(rule=refuse_all)
    journal.append([telegram(at, text="x" * 500) for at in range(100)])
    with journal.transaction() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    one.step()
    assert counts(journal) == (0, 100, 0, 0, 0)
    journal._db.execute("PRAGMA max_page_count = 1000000")
    one.pass_time(10)
    assert counts(journal) == (0, 0, 0, 100, 0)
