"""A worker in its thread: it sleeps, and wakes."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from mysense.journal.retention import trim
from mysense.plugin import Misconfigured, RetryLater
from tests.delivery.answers import (
    ask,
    closed_to,
    fill,
)
from tests.pipeline import Clock, account


def steps_in_a_moment(one):
    """How often a running worker looks up."""
    count, step = [], one.delivery.step

    def counted():
        count.append(1)
        return step()

    one.delivery.step, one.delivery._clock = counted, time.monotonic
    stop = threading.Event()
    thread = threading.Thread(target=one.delivery.run, args=(stop,))
    thread.start()
    time.sleep(0.2)
    stop.set()
    one.journal.wake()
    thread.join()
    return len(count)


def idle(one):
    one.settle()


def paused(one):
    ask(one, "pause")


def failing(one):
    one.shelf.rule = RetryLater("down")


def stopped(one):
    one.shelf.rule = Misconfigured("no")


def held(one):
    one.shelf.rule = closed_to("a")


def flush_waiting(one):
    one.shelf.settings = type(one.shelf.settings)(flush=60, bufsize=4)  # one more would fill it


def given_up(one):
    trim(one.journal, 0.0, 30)


@pytest.mark.parametrize(
    "state",
    [idle, paused, failing, stopped, held, flush_waiting, given_up],
    ids=lambda f: f.__name__,
)
def test_a_worker_with_nothing_to_do_sleeps(journal, rig, state):
    """A few looks a second, never a busy loop."""
    one = rig()
    fill(journal, 3)
    state(one)
    assert steps_in_a_moment(one) <= 8


def test_a_worker_that_ends_lets_go_of_all(journal, rig):
    """Of its output and of the journal, also after a fault that goes through."""
    one = rig(rule=KeyboardInterrupt())
    fill(journal, 1)
    with pytest.raises(KeyboardInterrupt):
        one.delivery.run(threading.Event())
    assert one.shelf.closed == 1
    with pytest.raises(sqlite3.ProgrammingError):
        one.delivery._view.all("SELECT 1")


def test_what_a_stop_interrupts_has_not_failed(journal, rig, caplog):
    """Neither log nor status speak of an output that only was told to stop."""
    stop = threading.Event()

    def interrupted(batch):
        stop.set()
        raise RetryLater("connection closed")

    one = rig(rule=interrupted)
    fill(journal, 1)
    one.delivery.run(stop)
    assert (account(journal).error, caplog.messages) == (None, [])


def test_nothing_is_drained_before_the_first_step(journal, rig):
    """What waits in the journal is not done only because nobody has looked."""
    fill(journal, 1)
    one = rig()
    assert not one.delivery.drained(journal.head)


def test_a_waiting_worker_wakes_at_once(journal, rig):
    """A telegram is on its way well before the worker would look up."""
    one = rig(clock=Clock(0))
    stop = threading.Event()
    thread = threading.Thread(target=one.delivery.run, args=(stop,))
    thread.start()
    time.sleep(0.1)
    start = time.monotonic()
    fill(journal, 1)
    while not one.shelf.batches and time.monotonic() < start + 2:
        time.sleep(0.002)
    took = time.monotonic() - start
    stop.set()
    journal.wake()
    thread.join()
    assert took < 0.3
