"""A plugin with faults of its own: one telegram does not block, and a broken plugin loses none."""

from __future__ import annotations

import random

import pytest

from mysense.delivery.search import AT_ONCE, EQUAL
from mysense.plugin import RetryLater
from tests.delivery.answers import (
    dead,
    fails_on,
    fill,
    works_on,
)
from tests.pipeline import counts


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("bufsize", [1, 7, 5000])
@pytest.mark.parametrize("at", [0, 11, 30, 39])
def test_one_telegram_that_a_plugin_cannot_bear_becomes_a_dead_letter(
    journal, rig, at, bufsize, mixed
):
    """Wherever it stands; all others arrive, once."""
    one = rig(rule=fails_on(at), mixed=mixed, bufsize=bufsize)
    fill(journal, 40)
    works_on(one)
    if counts(journal)[1]:  # nothing came after it yet that could show that the plugin works
        fill(journal, 1, start=40)
        works_on(one)
    reason = f"a fault in this plugin, ValueError: cannot bear a at {at}"
    assert dead(journal) == [("p_a", at, reason)]
    assert sorted(one.shelf.got) == [("a", t) for t in range(counts(journal)[0] + 1) if t != at]


def test_it_takes_seconds_not_hours(journal, rig):
    """A few tries with a pause between, then the search goes without."""
    one = rig(rule=fails_on(1234))
    fill(journal, 5000)
    for _ in range(30):
        one.pass_time(1)
    assert counts(journal) == (4999, 0, 0, 1, 0)


def test_a_lone_telegram_is_not_given_up_before_another_passes(journal, rig):
    """It may be the plugin; the next telegram shows that it is not."""
    one = rig(rule=fails_on(0))
    fill(journal, 1)
    works_on(one)
    assert counts(journal) == (0, 1, 0, 0, 0)
    fill(journal, 1, start=1)
    works_on(one)
    assert counts(journal) == (1, 0, 0, 1, 0)


def test_a_plugin_that_fails_on_everything_is_not_called_all_the_time(journal, rig):
    """At most so often between two pauses, the first times once."""
    one = rig(rule=fails_on(kits="a"))
    fill(journal, 64)
    calls = []
    for _ in range(EQUAL + 2):
        before = len(one.shelf.batches)
        one.pass_time(301)
        calls.append(len(one.shelf.batches) - before)
    assert calls == [1] * (EQUAL - 1) + [AT_ONCE] * 3


@pytest.mark.parametrize(
    "fault", [OSError(28, "No space left on device"), ConnectionResetError(), MemoryError()]
)
def test_what_is_the_machine_s_is_never_a_telegram_s(journal, rig, fault):
    """However long the disk is full for large batches."""

    def rule(batch):
        if len(batch) > 2 or batch[0].time == 7:
            raise fault

    one = rig(rule=rule)
    fill(journal, 10)
    works_on(one)
    assert counts(journal) == (0, 10, 0, 0, 0)
    assert {len(batch) for batch in one.shelf.batches} == {10}


def test_a_fault_that_goes_away_divides_nothing(journal, rig):
    """The very same batch, some times."""
    one = rig(script=[ValueError("x")] * (EQUAL - 1))
    fill(journal, 10)
    works_on(one, 3000)
    assert [len(batch) for batch in one.shelf.batches] == [10] * EQUAL


def test_faults_at_random_lose_nothing_and_double_nothing(journal, rig):
    """A plugin that fails now and then, whatever it is given, refuses nothing for good."""
    dice = random.Random(4)

    def rule(batch):
        if dice.random() < 0.3:
            raise ValueError("now and then")

    one = rig(rule=rule, bufsize=16)
    fill(journal, 200, "ab")
    works_on(one, 60_000)
    one.shelf.rule = None
    works_on(one)
    sent = sorted(one.shelf.got)
    assert len(sent) == len(set(sent)) == counts(journal)[0]
    assert counts(journal)[0] + counts(journal)[3] == 400
    assert counts(journal)[3] <= 4


def test_a_search_cut_short_by_a_restart_loses_nothing(journal, rig):
    """It begins anew with the batch."""
    one = rig(rule=fails_on(50))
    fill(journal, 64)
    one.pass_time(1)
    one.pass_time(2)
    one.close()
    again = rig(rule=fails_on(50))
    works_on(again)
    assert {at for _, at in again.shelf.got} == set(range(64)) - {50}
    assert counts(journal) == (63, 0, 0, 1, 0)


def test_an_outage_in_the_middle_of_a_search(journal, rig):
    """It goes on afterwards where it was."""
    one = rig(rule=fails_on(9))
    fill(journal, 16)
    one.settle()
    one.pass_time(1)
    one.shelf.script.extend([ValueError("x"), ValueError("x"), RetryLater("down")])
    works_on(one)
    assert counts(journal) == (15, 0, 0, 1, 0)
    assert len(one.shelf.got) == 15
