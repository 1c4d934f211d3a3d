"""Intake: telegrams and position go in together; faults of source or journal lose nothing."""

from __future__ import annotations

import logging
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
    assert one.error is None
    assert (one.step(), one.step(), one.finished) == (0.0, 0.05, False)


class Opened(Feed):
    """Notes when it is opened and asked."""

    def __init__(self, *values, **more):
        super().__init__(*values, **more)
        self.calls, self.closed_before = [], False

    def open(self):
        self.calls.append("open")
        if self.calls.count("open") == 1 and self.closed_before:
            raise RetryLater("nobody there")

    def poll(self, position):
        self.calls.append("poll")
        return super().poll(position)


@pytest.mark.parametrize("away", [False, True])
def test_a_source_is_opened_before_it_is_asked(journal, away):
    """Until it could be, and then not again."""
    feed = Opened(TEN, size=5)
    feed.closed_before = away
    finish(intake(journal, feed, once=True))
    assert (feed.calls, stored(journal)) == (["open"] * (1 + away) + ["poll"] * 3, KEYS)


class Waited(threading.Event):
    """Says how long was waited for it, and is set after so many times."""

    def __init__(self, most=10):
        super().__init__()
        self.waits, self._most = [], most

    def wait(self, timeout=None):
        self.waits.append(timeout)
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


@pytest.mark.parametrize("faulty", [False, True])
def test_an_input_may_say_when_there_is_news(journal, faulty, caplog):
    """A fault in its way to wait costs the interval, not the input; its author finds it."""
    caplog.set_level(logging.DEBUG)
    stop, asked = Waited(), []

    class Told(Feed):
        def idle(self, _stop, seconds):
            asked.append(seconds)
            if faulty and len(asked) == 1:
                raise ValueError("faulty")
            stop.set()

    intake(journal, Told(TEN)).run(stop)
    assert (asked, stop.waits, stored(journal)) == (
        [0.05] * (1 + faulty),
        [0.05] * faulty,
        KEYS,
    )
    assert [type(record.exc_info[1]) for record in caplog.records] == [ValueError] * faulty


def test_while_it_fails_it_waits(journal):
    """As long as it has to, and not by the input's own way; until it is stopped."""
    stop = Waited(2)
    feed = Feed(TEN, faults=[RetryLater("x")] * 5)
    intake(journal, feed).run(stop)
    assert (stop.waits, len(feed.polls)) == ([1, 2], 2)


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
    said = []
    journal._db.set_trace_callback(said.append)
    for _ in range(10):
        one.step()
    assert said == []


def test_what_a_source_without_a_position_gives_is_stored(journal):
    """Its answers are told apart by what is in them alone."""
    given = [TEN[:5], TEN[5:], []]
    feed = Feed([])
    feed.poll = lambda _: (given.pop(0), {})
    finish(intake(journal, feed, once=True))
    assert stored(journal) == KEYS


def test_what_came_before_is_counted_as_a_repeat(journal, caplog):
    """After a failure that nobody has to mend, said as a warning, it is all read again."""
    journal.append(TEN[:4])
    one = intake(journal, Feed(TEN, size=5, faults=[RetryLater("down")]), once=True)
    finish(one)
    levels = [record.levelno for record in caplog.records]
    assert one.counts == {"read": 6, "repeats": 4, "refused": 0}
    assert levels == [logging.WARNING, logging.WARNING]


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
    assert (pause, one.error) == (1.0, "journal: database is locked")
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
    wrong = RetryLater("x")
    faults = [wrong, wrong, RetryLater("x", after=17), None, wrong]
    one = intake(journal, Feed(TEN, size=5, faults=faults))
    assert [one.step() for _ in range(6)] == [1, 2, 17, 0, 1, 0]


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
def test_a_plugin_that_raises_anything(journal, fault, caplog):
    """It is tried again and nothing is left out; its author finds where it was."""
    caplog.set_level(logging.DEBUG)
    one = intake(journal, Feed(TEN, faults=[fault]), once=True)
    finish(one)
    (told,) = [record for record in caplog.records if record.levelno == logging.DEBUG]
    assert (stored(journal), told.exc_info[1]) == (KEYS, fault)


def test_an_interrupt_from_the_keyboard_is_no_fault_of_a_plugin(journal):
    """Whoever runs a plugin by hand ends it so."""
    one = intake(journal, Feed(TEN, faults=[KeyboardInterrupt()]))
    with pytest.raises(KeyboardInterrupt):
        one.step()


def test_misconfigured_ends_this_input(journal, caplog):
    """At once; it says why; what it had read stays."""
    one = intake(journal, Feed(TEN, size=5, faults=[None, Misconfigured("no such table")]))
    pauses = [one.step(), one.step()]
    assert (one.finished, one.error, len(stored(journal))) == (True, "no such table", 5)
    assert (pauses, caplog.messages) == ([0.0, 0.0], ["no such table; this input is stopped"])


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


def test_a_plugin_that_cannot_be_closed_ends_all_the_same(journal, caplog):
    """What it has read is in the journal; the fault is told."""

    class Stuck(Feed):
        def close(self):
            raise ValueError("stuck")

    intake(journal, Stuck(TEN), once=True).run(threading.Event())
    assert (stored(journal), "stuck" in caplog.text) == (KEYS, True)


def test_what_a_stop_interrupts_has_not_failed(journal, caplog):
    """It says nothing of the source: no word, no wait, no error."""
    stop = Waited()

    class Interrupted(Feed):
        def poll(self, position):
            stop.set()
            raise RetryLater("interrupted")

    one = intake(journal, Interrupted(TEN))
    one.run(stop)
    assert (one.step(), one.error, stop.waits, caplog.messages) == (0.0, None, [], [])
