"""Requests: retry, pause and resume, as they reach a worker."""

from __future__ import annotations

import pytest

from mysense.delivery import PROBE_EVERY
from mysense.journal.view import request
from mysense.plugin import Hold, Misconfigured, RetryLater
from tests.delivery.answers import (
    ask,
    closed_to,
    fails_on,
    fill,
    refuse_all,
    states,
    wanted,
    works_on,
)
from tests.pipeline import account, counts

# -- dead retry -----------------------------------------------------------------------------------


def test_retry_of_several_kits(journal, rig):
    """All dead letters are tried again at once, those of every kit."""
    one = rig(rule=refuse_all)
    fill(journal, 2, "abc")
    one.settle()
    assert counts(journal) == (0, 0, 0, 6, 0)
    one.shelf.rule = None
    ask(one, "retry")
    one.settle()
    assert (sorted(one.shelf.got), counts(journal)) == (sorted(wanted(2, "abc")), (6, 0, 0, 0, 0))


def test_retry_that_is_refused_again(journal, rig):
    """It is a dead letter again, once."""
    one = rig(rule=refuse_all)
    fill(journal, 2)
    one.settle()
    ask(one, "retry")
    one.settle()
    assert counts(journal) == (0, 0, 0, 2, 0)


def test_retry_that_is_held(journal, rig):
    """It is held with the new reason, and probed like others."""
    one = rig(rule=refuse_all)
    fill(journal, 2)
    one.settle()
    one.shelf.rule = closed_to("a")
    ask(one, "retry")
    one.settle()
    assert {state[0::3] for state in states(journal)} == {("held", "no database")}
    one.shelf.rule = None
    one.pass_time(PROBE_EVERY + 1)
    assert counts(journal) == (2, 0, 0, 0, 0)


def test_retry_in_an_outage_is_not_forgotten(journal, rig):
    """It is tried again as soon as anything is, not at the next probe."""
    one = rig(rule=refuse_all)
    fill(journal, 2)
    one.settle()
    one.shelf.rule = RetryLater("down")
    ask(one, "retry")
    one.settle()
    one.shelf.rule = None
    one.pass_time(5)
    assert counts(journal) == (2, 0, 0, 0, 0)


def test_retry_without_an_engine_waits_for_the_next(journal, rig):
    """A request left while nothing runs is obeyed by the next engine."""
    one = rig(rule=refuse_all)
    fill(journal, 2)
    one.settle()
    one.close()
    request(journal.path, "retry", ["shelf"])
    journal.obey()
    again = rig()
    again.settle()
    assert counts(journal) == (2, 0, 0, 0, 0)


def test_a_retry_does_not_forget_what_is_held_in_memory(journal, rig):
    """A kit whose hold is not settled yet keeps its order when a retry comes in between."""
    one = rig(script=[Hold("no database"), RetryLater("down")])
    fill(journal, 2, "ab")
    one.step()
    ask(one, "retry")
    one.pass_time(10)
    fill(journal, 2, "ab", start=2)
    one.pass_time(PROBE_EVERY + 1)
    assert [key for key in one.shelf.got if key[0] == "a"] == wanted(4)
    assert counts(journal) == (8, 0, 0, 0, 0)


def test_drained_waits_for_a_retry_that_was_asked_for(journal, rig):
    """A replay that retries is not done before it has tried."""
    one = rig(rule=refuse_all)
    fill(journal, 1)
    one.settle()
    assert one.delivery.drained(journal.head)
    ask(one, "retry")
    assert not one.delivery.drained(journal.head)
    one.shelf.rule = None
    one.settle()
    assert one.delivery.drained(journal.head)


# -- pause ----------------------------------------------------------------------------------------


def test_a_paused_output_does_nothing(journal, rig):
    """Its telegrams wait until it is resumed."""
    one = rig()
    fill(journal, 2)
    ask(one, "pause")
    one.settle()
    assert (one.shelf.batches, account(journal).paused) == ([], True)
    assert (one.delivery.settled, one.delivery.drained(journal.head)) == (False, True)
    ask(one, "resume")
    one.settle()
    assert one.shelf.got == wanted(2)


def test_pause_keeps_the_batch_under_way(journal, rig):
    """After resume the very same batch goes on."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 2)
    one.step()
    ask(one, "pause")
    one.pass_time(100)
    assert len(one.shelf.batches) == 1
    ask(one, "resume")
    one.settle()
    assert one.shelf.batches[0][0] is one.shelf.batches[1][0]


# -- a request cuts a pause short -----------------------------------------------------------------


@pytest.mark.parametrize("verb", ["retry", "resume"])
def test_a_request_ends_a_pause(journal, rig, verb):
    """Who asks has mended something: it is tried at once."""
    one = rig(script=[RetryLater("no entry", 3600)])
    fill(journal, 3)
    one.settle()
    ask(one, verb)
    one.settle()
    assert counts(journal) == (3, 0, 0, 0, 0)


def test_a_request_is_one_try(journal, rig):
    """If it fails again, the pause begins anew."""
    one = rig(rule=RetryLater("no entry", 3600))
    fill(journal, 3)
    one.settle()
    ask(one, "retry")
    one.settle()
    one.pass_time(3500)
    assert len(one.shelf.batches) == 2


def test_resume_probes_held_kits_at_once(journal, rig):
    """Not after five minutes."""
    one = rig(rule=fails_on(kits="b"))
    fill(journal, 30, "ab")
    works_on(one, 3000)
    assert counts(journal) == (30, 0, 30, 0, 0)
    one.shelf.rule = None
    ask(one, "resume")
    one.settle()
    assert counts(journal) == (60, 0, 0, 0, 0)


def test_resume_lets_an_output_that_gave_up_try_again(journal, rig):
    """Its file was put right, for example."""
    one = rig(script=[Misconfigured("not a store")])
    fill(journal, 3)
    one.settle()
    one.pass_time(PROBE_EVERY)
    assert (one.delivery.stopped, len(one.shelf.batches)) == ("not a store", 1)
    ask(one, "resume")
    one.settle()
    assert (one.delivery.stopped, counts(journal)) == (None, (3, 0, 0, 0, 0))
    assert account(journal).error is None
