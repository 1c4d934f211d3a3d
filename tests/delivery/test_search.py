"""A plugin with faults of its own: one telegram does not block, and a broken plugin loses none."""

from __future__ import annotations

import errno
import random
import sqlite3

import pytest

from mysense.delivery.search import AT_ONCE, EQUAL, Search
from mysense.journal import Row
from mysense.plugin import RetryLater
from tests.delivery.answers import (
    dead,
    fails_on,
    fill,
    works_on,
)
from tests.pipeline import counts, telegram


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("bufsize", [1, 7, 5000])
@pytest.mark.parametrize("at", [0, 11, 30, 39])
def test_one_telegram_that_a_plugin_cannot_bear_becomes_a_dead_letter(
    journal, rig, at, bufsize, mixed
):
    """Wherever it stands; all others arrive, once."""
    one = rig(rule=fails_on(at), mixed=mixed, bufsize=bufsize)
    fill(journal, 40)
    works_on(one, 6000)
    if counts(journal)[1]:  # nothing came after it yet that could show that the plugin works
        fill(journal, 1, start=40)
        works_on(one, 6000)
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


def test_a_fault_that_goes_away_divides_nothing(journal, rig, caplog):
    """The very same batch, some times, and nobody is alarmed."""
    one = rig(script=[ValueError("x")] * (EQUAL - 1))
    fill(journal, 10)
    works_on(one, 3000)
    assert [len(batch) for batch in one.shelf.batches] == [10] * EQUAL
    assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING"]


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


# -- what is known of single telegrams -----------------------------------------------------------


def row(number, kit="a"):
    return Row(number, telegram(number, kit), 0.0)


def searching(*kinds):
    """A search in which these faults were met."""
    search = Search()
    for kind in kinds:
        search.meets(kind("x"))
    return search


def numbers(rows):
    return [one.seq for one in rows]


@pytest.mark.parametrize(
    ("kinds", "suspected", "faults"),
    [
        ([ValueError] * 4, [False, False, True, True], 2),
        ([ValueError] * 2 + [KeyError] * 3, [False] * 4 + [True], 1),
        ([ValueError, KeyError] * 3, [False] * 6, 0),
        ([MemoryError] * 4, [False] * 4, 0),
        ([ValueError] * 2 + [MemoryError, ValueError], [False] * 3 + [True], 1),
    ],
)
def test_three_equal_faults_in_a_row_are_suspicious(kinds, suspected, faults):
    """What is the machine's counts neither way."""
    search = Search()
    assert [search.meets(kind("x")) for kind in kinds] == suspected
    assert search.faults == faults


@pytest.mark.parametrize(
    ("wrong", "suspected"),
    [
        (OSError(errno.EINVAL, "x"), True),
        (OSError(errno.ENOSPC, "x"), False),
        (OSError("x"), False),
        (sqlite3.OperationalError("x"), False),
        (sqlite3.IntegrityError("x"), True),
    ],
)
def test_what_speaks_of_the_machine_is_not_suspicious(wrong, suspected):
    """An argument or a name that is too long may well be a telegram's."""
    search = Search()
    assert [search.meets(wrong) for _ in range(3)][-1] is suspected


def test_after_its_second_failure_a_telegram_rests():
    """The first may be followed by others at once; after the third it is known."""
    search = searching(*[ValueError] * 3)
    assert [search.fails(row(1), "x") for _ in range(4)] == [True, False, True, True]


def test_one_is_unsure_until_it_failed_three_times_and_after_a_witness():
    """Else it may have been the moment."""
    search = searching(*[ValueError] * 3)
    unsure = []
    for _ in range(3):
        search.fails(row(1), "x")
        unsure.append(numbers(search.unsure()))
    search.passes([row(2)])
    unsure.append(numbers(search.unsure()))
    search.fails(row(1), "x")
    unsure.append(numbers(search.unsure()))
    search.passes([row(3)])
    unsure.append(numbers(search.unsure()))
    assert unsure == [[1], [1], [], [1], [], []]


def test_a_witness_is_what_passed_after_a_failure():
    """Nothing that was refused, and nothing before the first fault."""
    search = Search()
    search.passes([row(9)])
    for _ in range(3):
        search.meets(ValueError("x"))
    search.fails(row(2), "x")
    search.passes([])
    search.fails(row(1), "x")
    before = numbers(search.unwitnessed())
    search.passes([row(3)])
    search.fails(row(4), "x")
    assert (before, numbers(search.unwitnessed()), dict(search.passed)) == ([1, 2], [4], {"p_a": 1})


def test_what_is_tried_again_begins_anew():
    """As if it had never failed."""
    search = searching(*[ValueError] * 3)
    for number in (1, 2):
        search.fails(row(number), "x")
    search.try_again([row(1)])
    search.passes([row(3)])
    assert (list(search.failed), search.fails(row(1), "y")) == ([2], True)
    assert numbers(search.unwitnessed()) == [1]


@pytest.mark.parametrize(
    ("failed", "passed", "hopeless"),
    [
        ("a" * 8, "", True),
        ("a" * 7 + "b" * 9, "", False),
        ("a" * 9, "b", True),
        ("a" * 9, "a", False),
    ],
)
def test_a_kit_is_hopeless_when_eight_failed_and_none_passed(failed, passed, hopeless):
    """What others do says nothing about it."""
    search = searching(*[ValueError] * 3)
    for number, kit in enumerate(failed):
        search.fails(row(number, kit), "x")
    search.passes([row(99, kit) for kit in passed])
    assert search.hopeless("p_a") is hopeless


def test_taken_out_are_those_of_one_kit_in_order():
    """With their reasons; the others stay."""
    search = searching(*[ValueError] * 3)
    for number, kit in ((3, "a"), (2, "b"), (1, "a")):
        search.fails(row(number, kit), f"reason {number}")
    taken = [(one.seq, reason) for one, reason in search.take("p_a")]
    assert (taken, list(search.failed)) == ([(1, "reason 1"), (3, "reason 3")], [2])
