"""What is said and noted about an output that fails."""

from __future__ import annotations

import logging

from mysense.plugin import RetryLater
from tests.delivery.answers import (
    fill,
)
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
    """Every one of them, also those between two notes."""
    one = rig(script=[RetryLater("down")] * 7)
    fill(journal, 1)
    for _ in range(200):
        one.pass_time(1)
    assert account(journal).retries == 7


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


def test_secrets_of_no_traceback(journal, rig, caplog):
    """A plugin's fault is one line; its traceback is for debugging."""
    caplog.set_level(logging.INFO)
    one = rig(script=[ValueError("x")])
    fill(journal, 1)
    one.step()
    assert [(r.message, r.exc_info) for r in caplog.records] == [
        ("a fault in this plugin, ValueError: x; trying again", None)
    ]
