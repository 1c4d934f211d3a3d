"""Intake: telegrams and position go in together; faults of source or journal lose nothing."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from mysense.intake import Intake
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.plugin import Misconfigured, Refusal, RetryLater
from tests.pipeline import Clock, Feed, keys, telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def intake(journal, feed, **more):
    return Intake(feed, journal, clock=Clock(), jitter=lambda most: most, **more)


def stored(journal):
    with View(journal.path) as view:
        return keys(row.telegram for row in view.rows(0, 10**6, 10**9))


TEN = [telegram(at) for at in range(10)]
KEYS = [("a", at) for at in range(10)]


def finish(one, limit=100):
    while not one.finished and limit:
        one.step()
        limit -= 1


def test_reads_until_there_is_no_more(journal):
    """With `once` it is finished at the first empty answer."""
    one = intake(journal, Feed(TEN, size=4), once=True)
    finish(one)
    assert (stored(journal), one.counts) == (KEYS, {"read": 10, "repeats": 0, "refused": 0})


def test_without_once_it_waits_for_more(journal):
    """After an empty answer it comes back after the interval."""
    one = intake(journal, Feed(TEN))
    assert (one.step(), one.step(), one.finished) == (0.0, 0.05, False)


@pytest.mark.parametrize("faulty", [False, True])
def test_an_input_may_say_when_there_is_news(journal, faulty):
    """A fault in its way to wait costs the interval, not the input."""
    stop, asked = threading.Event(), []

    class Told(Feed):
        def idle(self, _stop, seconds):
            asked.append(seconds)
            if faulty and len(asked) == 1:
                raise ValueError("faulty")
            stop.set()

    intake(journal, Told(TEN)).run(stop)
    assert (asked, stored(journal)) == ([0.05] * (1 + faulty), KEYS)


def test_the_committed_position_is_handed_to_the_next_poll(journal):
    """None at first, then what the last poll returned."""
    feed = Feed(TEN, size=5)
    finish(intake(journal, feed, once=True))
    assert feed.polls == [None, {"n": 5}, {"n": 10}]


def test_a_restart_goes_on_at_the_position(journal):
    """Nothing is read twice."""
    feed = Feed(TEN, size=4)
    intake(journal, feed).step()
    again = Feed(TEN, size=4)
    one = intake(journal, again, once=True)
    finish(one)
    assert (again.polls[0], stored(journal), one.repeats) == ({"n": 4}, KEYS, 0)


def test_an_empty_poll_that_moves_on_keeps_its_position(journal):
    """A position may move where there was nothing to read."""
    feed = Feed([])
    feed.poll = lambda position: ([], {"n": 7})
    intake(journal, feed).step()
    assert journal.position("feed") == {"n": 7}


def test_an_empty_poll_writes_nothing(journal):
    """Polling for hours wears no card."""
    one = intake(journal, Feed([]))
    one.step()
    before = journal._db.total_changes
    for _ in range(10):
        one.step()
    assert journal._db.total_changes == before


def test_two_inputs_keep_two_positions(journal):
    """Positions belong to the section."""
    intake(journal, Feed(TEN, "feed:one", size=3)).step()
    intake(journal, Feed(TEN, "feed:two", size=5)).step()
    assert (journal.position("feed:one"), journal.position("feed:two")) == ({"n": 3}, {"n": 5})


def test_refusals_become_dead_letters_and_are_told(journal, caplog):
    """What the source holds and cannot be used is kept with the reason."""
    one = intake(journal, Feed([telegram(1), Refusal("db x", "no time", "raw")]))
    one.step()
    assert one.counts == {"read": 1, "repeats": 0, "refused": 1}
    assert "db x: refused, now a dead letter: no time" in caplog.text


@pytest.mark.parametrize("again", [True, False], ids=["a source that rereads", "one that does not"])
def test_a_journal_that_is_busy_loses_nothing(journal, again):
    """What was read and not stored is stored later, also when the source gives it only once."""
    one = intake(journal, Feed(TEN, size=4, again=again), once=True)
    lock = sqlite3.connect(journal.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    pause = one.step()
    assert (pause, "locked" in one.error) == (1.0, True)
    lock.execute("ROLLBACK")
    lock.close()
    finish(one)
    assert (stored(journal), one.error) == (KEYS, None)


def test_a_full_disk_loses_nothing(journal):
    """It waits, says so, and goes on by itself when there is room."""
    many = [telegram(at, text="x" * 500) for at in range(200)]
    one = intake(journal, Feed(many, size=200, again=False), once=True)
    with journal.transaction() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    one.step()
    assert (stored(journal), "full" in one.error) == ([], True)
    journal._db.execute("PRAGMA max_page_count = 1000000")
    finish(one)
    assert len(stored(journal)) == 200


def test_retry_later_backs_off(journal):
    """As long as the source asks, else longer each time."""
    faults = [RetryLater("x"), RetryLater("x"), RetryLater("x", after=17)]
    one = intake(journal, Feed(TEN, faults=faults))
    assert [one.step() for _ in range(4)] == [1, 2, 17, 0]


def test_an_error_is_shown_while_it_lasts(journal):
    """And gone when it works again."""
    one = intake(journal, Feed(TEN, faults=[RetryLater("down")]))
    one.step()
    shown = one.error
    one.step()
    assert (shown, one.error) == ("down", None)


@pytest.mark.parametrize(
    "fault", [ValueError("x"), SystemExit(1), GeneratorExit(), OSError("x")], ids=repr
)
def test_a_plugin_that_raises_anything(journal, fault):
    """It is tried again and nothing is left out."""
    one = intake(journal, Feed(TEN, faults=[fault]), once=True)
    finish(one)
    assert stored(journal) == KEYS


def test_misconfigured_ends_this_input(journal):
    """It says why; what it had read stays."""
    one = intake(journal, Feed(TEN, size=5, faults=[None, Misconfigured("no such table")]))
    finish(one)
    assert (one.finished, one.error, len(stored(journal))) == (True, "no such table", 5)


def test_a_nearly_full_journal_is_not_filled_by_who_can_wait(journal):
    """The source keeps what it has; reading goes on when there is room."""
    feed = Feed(TEN)
    one = intake(journal, feed)
    journal.full = True
    one.step()
    assert (feed.polls, "nearly full" in one.error) == ([], True)
    journal.full = False
    one.step()
    assert stored(journal) == KEYS


def test_run_ends_and_closes(journal):
    """It stops when told to, and closes the source, also one with a fault."""
    feed = Feed(TEN)
    stop = threading.Event()
    thread = threading.Thread(target=intake(journal, feed).run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(2)
    assert (thread.is_alive(), feed.closed) == (False, 1)
