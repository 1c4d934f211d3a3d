"""Backing off: how long, and what is said."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.backoff import Backoff, full_jitter
from tests.pipeline import Clock

LOG = logging.getLogger("mysense.test")


def backoff(most=300.0, jitter=lambda most: most, clock=None):
    return Backoff(LOG, most, clock or Clock(), jitter)


def test_doubles_up_to_the_most():
    """1, 2, 4 ... seconds, and never more than was set."""
    one = backoff(most=10)
    assert [one.failed("x") for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_many_failures_do_not_overflow():
    """A year of failures is no larger number."""
    one = backoff()
    assert {one.failed("x") for _ in range(5000)} <= {2**n for n in range(9)} | {300}


@given(st.floats(0, 1000))
def test_full_jitter_spreads_from_nothing_to_all(most):
    """A kit may be the first or the last to come back."""
    assert 0 <= full_jitter(most) <= most


def test_jitter_never_makes_a_busy_loop():
    """Also the luckiest draw waits a little."""
    assert backoff(jitter=lambda most: 0.0).failed("x") == 0.05


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(0, 1), (-5, 1), (0.2, 1), (30, 30), (7200, 3600), (float("inf"), 3600), (float("nan"), 1)],
)
def test_retry_after_is_clamped(asked, granted):
    """A second to an hour; what is no number is not asked for."""
    assert backoff().failed("x", asked) == granted


def test_retry_after_may_be_longer_than_the_most():
    """The other side knows better than the setting."""
    assert backoff(most=5).failed("x", 60) == 60


def test_left_counts_down():
    """What is left to wait, and nothing once it works."""
    clock = Clock()
    one = backoff(clock=clock)
    before = one.left
    one.failed("x", 10)
    clock.now += 4
    left = one.left
    one.recovered()
    assert (before, left, one.left) == (0, 6, 0)


def test_starts_over_after_a_recovery():
    """The next outage begins with short waits."""
    one = backoff()
    for _ in range(5):
        one.failed("x")
    one.recovered()
    assert one.failed("x") == 1


def test_says_the_first_failure_and_the_recovery(caplog):
    """Nothing in between, and nothing when nothing failed."""
    clock = Clock()
    one = backoff(clock=clock)
    one.recovered()
    for _ in range(3):
        one.failed("down")
        clock.now += 5
    one.recovered()
    one.recovered()
    assert [record.message for record in caplog.records] == [
        "down; trying again",
        "works again after 3 failures in 15 s",
    ]
