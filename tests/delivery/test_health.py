"""What is said and noted about an output that fails."""

from __future__ import annotations

import logging

import pytest

from mysense.plugin import Misconfigured, RetryLater
from tests.delivery.answers import Lock, ask, fill
from tests.pipeline import account


def test_the_first_failure_is_logged_then_quiet_then_the_recovery(journal, rig, caplog):
    """Two lines for an outage, however long."""
    one = rig(script=[RetryLater("connection refused")] * 9)
    fill(journal, 1)
    for _ in range(20):
        one.pass_time(400)
    assert [r.message for r in caplog.records] == [
        "connection refused; trying again",
        "works again after 9 failures in 3600 s",
    ]


def test_retries_are_counted(journal, rig):
    """Every one of them, also those between two notes, in each of two outages."""
    one = rig(script=[*[RetryLater("down")] * 7, None, *[RetryLater("down")] * 5])
    for after in range(2):
        fill(journal, 1, start=after)
        for _ in range(150):
            one.pass_time(1)
    assert account(journal).retries == 12


def test_a_failure_is_noted_at_once_and_then_every_ten_seconds(journal, rig):
    """Whoever looks sees why it fails now, and the journal is not written for each try."""
    one = rig(script=[RetryLater(str(second), after=1) for second in range(1, 30)])
    fill(journal, 1)
    seen = []
    for _ in range(24):
        one.settle()
        seen.append(account(journal).error)
        one.clock.now += 1
    assert seen == ["1"] * 10 + ["11"] * 10 + ["21"] * 4


def test_a_new_outage_is_noted_at_once(journal, rig):
    """However short the time since the last note of the one before."""
    one = rig(script=[RetryLater("first", after=1), None, RetryLater("second", after=1)])
    fill(journal, 1)
    one.settle()
    one.pass_time(1)
    fill(journal, 1, start=1)
    one.settle()
    assert account(journal).error == "second"


def test_a_failure_that_could_not_be_noted_is_noted_later(journal, rig):
    """The journal was locked when it failed first; retries are counted all the same."""
    one = rig(script=[RetryLater("1", after=1), RetryLater("2", after=1)])
    fill(journal, 1)
    with Lock(journal):
        one.step()
    one.pass_time(1)
    assert (account(journal).error, account(journal).retries) == ("2", 2)


def test_an_output_that_gave_up_says_so_once(journal, rig, caplog):
    """In the log and in the status; its try counts as one."""
    one = rig(script=[Misconfigured("no such user")])
    fill(journal, 1)
    one.settle()
    one.pass_time(1000)
    assert (account(journal).error, account(journal).retries) == ("stopped: no such user", 1)
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("ERROR", "no such user; this output is stopped, its telegrams wait in the journal")
    ]


def test_it_is_settled_only_where_nothing_goes_wrong(journal, rig):
    """Neither one that fails with nothing to send, nor one that gave up."""
    one = rig()
    wrongs = [Misconfigured("no"), RetryLater("not there")]
    good = one.shelf.open

    def opens(receipt):
        if wrongs:
            raise wrongs.pop()
        good(receipt)

    one.shelf.open, settled = opens, []
    for _ in range(2):
        one.pass_time(10)
        settled.append((one.delivery.settled, one.delivery.drained(journal.head)))
    ask(one, "resume")
    one.pass_time(10)
    settled.append((one.delivery.settled, one.delivery.drained(journal.head)))
    assert settled == [(False, False), (False, False), (True, True)]


def test_the_error_goes_when_it_works_again(journal, rig):
    """Also when there is nothing to send."""
    one = rig()
    good, fails = one.shelf.open, [RetryLater("not there")]
    one.shelf.open = lambda receipt: (
        good(receipt) if not fails else (_ for _ in ()).throw(fails.pop())
    )
    one.settle()
    assert account(journal).error == "not there"
    one.pass_time(10)
    assert account(journal).error is None


def test_an_error_of_an_earlier_run_is_forgotten(journal, rig):
    """What failed before a restart says nothing about now."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 1)
    one.step()
    one.close()
    rig()
    assert account(journal).error is None


@pytest.mark.parametrize("method", ["open", "publish"])
def test_secrets_of_no_traceback(journal, rig, caplog, method):
    """A plugin's fault is one line; its traceback is for debugging."""
    caplog.set_level(logging.DEBUG)
    one = rig()
    setattr(one.shelf, method, lambda _: {}["x"])
    fill(journal, 1)
    one.step()
    assert [(r.levelname, r.message, bool(r.exc_info)) for r in caplog.records] == [
        ("DEBUG", "in this plugin", True),
        ("WARNING", "a fault in this plugin, KeyError: 'x'; trying again", False),
    ]
