"""Backing off when somebody has to mend it: said as an error, once."""

from __future__ import annotations

import logging

import pytest

from mysense.backoff import Backoff
from tests.pipeline import Clock

WARNING, ERROR = logging.WARNING, logging.ERROR


@pytest.mark.parametrize(
    ("alarms", "said"),
    [
        ([False, False], [WARNING]),
        ([True, True, True], [ERROR]),
        ([False, True, True], [WARNING, ERROR]),
        ([True, False], [ERROR]),
        ([True, None, True], [ERROR, WARNING, ERROR]),
        ([False, None, False, True], [WARNING, WARNING, WARNING, ERROR]),
    ],
)
def test_an_alarm_is_said_once_and_also_when_it_comes_later(caplog, alarms, said):
    """After a recovery (None, said as well) it may be said again."""
    one = Backoff(logging.getLogger("mysense.test"), 300.0, Clock(), lambda most: most)
    for alarm in alarms:
        one.recovered() if alarm is None else one.failed("full", alarm=alarm)
    assert [record.levelno for record in caplog.records] == said


def test_without_a_word_about_it_nobody_is_alarmed(caplog):
    """A failure is no alarm unless the output says so."""
    Backoff(logging.getLogger("mysense.test"), 300.0).failed("down")
    assert [record.levelno for record in caplog.records] == [WARNING]


def test_left_is_nothing_when_the_time_is_over():
    """Never less than nothing, however late one looks."""
    clock = Clock()
    one = Backoff(logging.getLogger("mysense.test"), 300.0, clock, lambda most: most)
    one.failed("down", 10)
    clock.now += 1000
    assert one.left == 0.0
