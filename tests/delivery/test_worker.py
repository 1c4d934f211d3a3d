"""The worker, step by step with a clock set by hand: what is sent, when, and after a restart."""

from __future__ import annotations

import pytest

from mysense.delivery import PROBE_EVERY
from mysense.journal import Journal
from mysense.journal.retention import trim
from mysense.plugin import Misconfigured, RetryLater
from mysense.points import Point, Series
from tests.delivery.answers import (
    ask,
    closed_to,
    fill,
    refuse_all,
    wanted,
)
from tests.pipeline import Rig, Shelf, account, counts, keys, read_shelf, telegram

# -- the good way ---------------------------------------------------------------------------------


def test_delivers_in_order(journal, rig):
    """Everything arrives, once, in the order of the journal."""
    one = rig(bufsize=7)
    fill(journal, 20)
    one.settle()
    assert (one.shelf.got, counts(journal)) == (wanted(20), (20, 0, 0, 0, 0))


def test_one_kit_a_publish(journal, rig):
    """A batch is handed over kit by kit."""
    one = rig()
    fill(journal, 2, "ab")
    one.settle()
    assert [keys(batch) for batch in one.shelf.batches] == [
        [("a", 0), ("a", 1)],
        [("b", 0), ("b", 1)],
    ]


def test_mixed_outputs_get_the_order_of_the_journal(journal, rig):
    """An output that takes several kits at once gets them as they came."""
    one = rig(mixed=True)
    fill(journal, 2, "ab")
    one.settle()
    assert [keys(batch) for batch in one.shelf.batches] == [wanted(2, "ab")]


def test_max_bytes_limits_a_batch(journal, rig):
    """No more bytes than allowed are handed over, but one telegram at least."""
    one = rig(max_bytes=1000)
    journal.append([telegram(at, text="x" * 600) for at in range(3)])
    one.settle()
    assert [len(batch) for batch in one.shelf.batches] == [1, 1, 1]


def test_one_larger_than_max_bytes_is_handed_over_alone(journal, rig):
    """A telegram that is too large on its own does not stop the output."""
    one = rig(max_bytes=1000)
    journal.append([telegram(1, text="x" * 5000), telegram(2)])
    one.settle()
    assert one.shelf.got == [("a", 1), ("a", 2)]


def test_new_travels_with_the_telegram(journal, rig, tmp_path):
    """What the journal decided is what the output gets."""
    one = rig()
    fill(journal, 3)
    one.settle()
    assert [line[2] for line in read_shelf(tmp_path / "shelf.db")] == [True, False, False]


# -- flush ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "waits"), [(0, 60), (0.25, 59.75), (59.5, 0.5), (60, None), (61, None), (-0.5, None)]
)
def test_flush_waits_for_a_batch_to_fill(tmp_path, age, waits):
    """So long from the oldest in it on; not for a clock that was set back."""
    now = [1_800_000_000.0]
    journal = Journal(tmp_path / "journal.db", now=lambda: now[0])
    one = Rig(journal, Shelf(tmp_path / "shelf.db", flush=60))
    fill(journal, 3)
    now[0] += age
    pause = one.step()
    assert (pause, one.shelf.got) == ((waits, []) if waits else (0, wanted(3)))
    one.clock.now += waits or 0
    now[0] += waits or 0
    one.settle()
    assert one.shelf.got == wanted(3)
    one.close()
    journal.close()


def test_flush_says_how_long_there_is_to_wait(journal, rig):
    """Also when it is asked again, and more came in."""
    one = rig(flush=60, bufsize=10)
    fill(journal, 3)
    assert 50 < one.step() <= 60
    one.clock.now += 20
    fill(journal, 3, start=3)
    assert 30 < one.step() <= 40


def test_flush_sends_a_full_batch_at_once(journal, rig):
    """There is nothing to wait for when it is full, also when it fills while it waits."""
    one = rig(flush=60, bufsize=10)
    fill(journal, 9)
    one.settle()
    fill(journal, 1, start=9)
    one.settle()
    assert [len(batch) for batch in one.shelf.batches] == [10]


def test_flush_sends_at_once_what_bytes_limit(journal, rig):
    """A batch that max_bytes cut short is as full as it will be."""
    one = rig(flush=60, max_bytes=1000)
    journal.append([telegram(at, text="x" * 600) for at in range(2)])
    one.step()
    assert [len(batch) for batch in one.shelf.batches] == [1]


# -- receipts and restart -------------------------------------------------------------------------


def test_the_receipt_is_handed_to_the_next_open(journal, rig):
    """What publish returned last is what open gets after a restart."""
    one = rig()
    fill(journal, 3)
    one.settle()
    one.close()
    again = rig()
    again.step()
    assert (one.shelf.opened, again.shelf.opened) == ([None], ["3"])


def test_a_restart_goes_on_where_it_was(journal, rig):
    """Nothing twice and nothing left out."""
    one = rig(bufsize=2)
    fill(journal, 5)
    one.step()
    one.close()
    again = rig()
    again.settle()
    assert again.shelf.got == wanted(5)


def test_a_restart_in_the_middle_of_a_batch_sends_it_again(journal, rig):
    """What was not settled is sent anew: at least once, and counted once."""
    one = rig(script=[None, RetryLater("down")])
    fill(journal, 2, "ab")
    one.step()
    one.close()
    again = rig()
    again.settle()
    assert again.shelf.got == [("a", 0), ("a", 1), ("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert counts(journal) == (4, 0, 0, 0, 0)


def test_opened_again_it_is_told_the_newest_receipt(journal, rig):
    """Who asked for another try of an output that gave up does not set it back."""
    one = rig(script=[None, None, Misconfigured("in use by another process")])
    fill(journal, 3)
    one.settle()
    fill(journal, 1, "bc")
    one.settle()  # b is in, c is what it gives up at
    ask(one, "resume")
    one.settle()
    assert (one.shelf.opened, one.shelf.got[3:]) == ([None, "4"], [("b", 0), ("c", 0)])


def test_what_an_output_does_not_take_is_counted_as_excluded(journal, rig):
    """A telegram that comes with it arrives."""
    one = rig()
    journal.append([Point(Series("cpu"), {"time": 10**18, "load": 1.0}), telegram(1)])
    one.settle()
    assert (account(journal).excluded, one.shelf.got) == (1, [("a", 1)])


# -- pauses --------------------------------------------------------------------------------------


def test_retry_later_waits_as_long_as_asked(journal, rig):
    """Nothing is tried before the time is up."""
    one = rig(script=[RetryLater("busy", after=30)])
    fill(journal, 1)
    assert one.step() == 30
    one.pass_time(29.9)
    assert len(one.shelf.batches) == 1
    one.pass_time(0.2)
    assert one.shelf.got == wanted(1)


def test_open_is_tried_again(journal, rig):
    """An output that cannot be opened now is opened later."""
    one = rig()
    good, fails = one.shelf.open, [RetryLater("not there"), OSError("nor there")]

    def opens(receipt):
        if fails:
            raise fails.pop()
        good(receipt)

    one.shelf.open = opens
    fill(journal, 1)
    one.settle()
    one.pass_time(10)
    one.pass_time(10)
    assert one.shelf.got == wanted(1)


@pytest.mark.parametrize(
    ("fill_with", "rule", "drained"),
    [
        (0, None, True),
        (3, None, True),
        (3, RetryLater("down"), False),
        (3, Misconfigured("no"), False),
        (3, closed_to("a"), False),
    ],
)
def test_it_is_drained_when_all_is_settled_and_nothing_waits_aside(
    journal, rig, fill_with, rule, drained
):
    """Neither while it fails, nor while a kit is held."""
    one = rig(rule=rule)
    fill(journal, fill_with)
    one.settle()
    assert one.delivery.drained(journal.head) is drained
    assert not one.delivery.drained(journal.head + 1)


# -- turns ---------------------------------------------------------------------------------------


def test_what_was_held_and_what_is_new_take_turns(journal, rig):
    """Neither what one kit has piled up nor what comes from others keeps the other waiting."""
    one = rig(rule=closed_to("a"), bufsize=2)
    fill(journal, 6)
    one.settle()
    one.shelf.rule, before = None, len(one.shelf.batches)
    one.clock.now += PROBE_EVERY + 1
    fill(journal, 6, "b")
    one.step(6)
    turns = [batch[0].ident.serial for batch in one.shelf.batches[before:]]
    assert turns in (list("ababab"), list("bababa"))


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (3, 3), (4, 4), (50, 4)])
def test_dead_letters_are_told_but_not_by_the_thousand(journal, rig, caplog, count, lines):
    """Three lines and how many more."""
    one = rig(rule=refuse_all)
    fill(journal, count)
    one.settle()
    assert [r.levelname for r in caplog.records] == ["ERROR"] * lines
    assert caplog.messages[0] == "dead letter: p_a at 0: bad"
    assert lines < 4 or caplog.messages[3].startswith(f"and {count - 3} more dead letters; see")


def test_each_step_of_a_large_batch_is_progress(journal, rig):
    """Parts as they are sent, and batches of which nothing is sent."""
    one = rig(exclude=("p_b",))
    seen = [one.delivery.progress]
    for kits in ("ab", "b"):
        before = one.delivery.progress
        fill(journal, 1, kits, start=len(seen))
        one.settle()
        seen.append(one.delivery.progress - before)
    assert seen == [0, 2, 1]


# -- what the journal gives up under way ----------------------------------------------------------


def test_what_was_given_up_is_not_waited_for(journal, rig):
    """Whoever waits for the end does not wait for what is gone."""
    one = rig()
    fill(journal, 3)
    trim(journal, 0.0, 30)
    one.settle()
    assert one.delivery.drained(journal.head)


def test_telegrams_given_up_under_way_are_counted_once(journal, rig):
    """A batch in memory outlives its telegrams: they stay the gap that was recorded."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 10)
    one.step()
    assert trim(journal, 0.0, 30) == 10
    fill(journal, 2, start=10)
    one.pass_time(10)
    assert (one.shelf.got, counts(journal)) == (wanted(12), (2, 0, 0, 0, 10))


def test_held_telegrams_given_up_under_way_are_counted_once(journal, rig):
    """The same for what was set aside; and a number aside is not used for another one."""
    one = rig(rule=closed_to("a"))
    fill(journal, 3)
    one.settle()
    one.shelf.rule = RetryLater("down")
    one.pass_time(PROBE_EVERY + 1)
    assert trim(journal, 0.0, 30) == 3
    one.shelf.rule = closed_to("b")
    fill(journal, 2, "b")
    one.pass_time(400)
    assert (one.shelf.got, counts(journal)) == (wanted(3), (0, 0, 2, 0, 3))
