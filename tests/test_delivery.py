"""Delivery, step by step with a clock set by hand: what every answer of an output does."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

import pytest

from mysense.delivery import PROBE_EVERY
from mysense.journal import Journal
from mysense.journal.retention import trim
from mysense.journal.view import View, request
from mysense.plugin import Hold, Misconfigured, Refused, RetryLater, TooLarge, Unacceptable
from tests.pipeline import Clock, Rig, Shelf, account, counts, keys, read_shelf, telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def rig(journal, tmp_path):
    """Makes rigs over the one journal; they are closed after the test."""
    made = []

    def make(shelf=None, clock=None, jitter=lambda most: most, **settings):
        shelf = shelf or Shelf(tmp_path / "shelf.db", **settings)
        made.append(Rig(journal, shelf, clock, jitter))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fill(journal, count, kits="a", start=0):
    journal.append([telegram(at, kit) for at in range(start, start + count) for kit in kits])


def wanted(count, kits="a", start=0):
    return [(kit, at) for at in range(start, start + count) for kit in kits]


def states(journal):
    with View(journal.path) as view:
        query = "SELECT state, kit, time, reason FROM aside ORDER BY id"
        return [tuple(row) for row in view.all(query)]


def no(*bad):
    """A rule that finds some seconds unacceptable, without saying which."""

    def rule(batch):
        if any(one.time in bad for one in batch):
            raise Unacceptable("unable to parse")

    return rule


def closed_to(*kits):
    """A rule that lets some kits not in."""

    def rule(batch):
        if any(one.ident.serial in kits for one in batch):
            raise Hold("no database")

    return rule


# -- the good way -------------------------------------------------------------------------------


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


# -- flush --------------------------------------------------------------------------------------


def test_flush_waits_for_a_batch_to_fill(journal, rig):
    """A batch that is young and not full waits for the rest of its time."""
    one = rig(flush=60, bufsize=10)
    fill(journal, 3)
    assert 50 < one.delivery._fetch() <= 60
    assert one.shelf.batches == []


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


def test_flush_sends_when_the_oldest_is_old_enough(tmp_path):
    """After `flush` seconds goes what is there."""
    journal = Journal(tmp_path / "journal.db", now=lambda: time.time() - 61)
    one = Rig(journal, Shelf(tmp_path / "shelf.db", flush=60))
    fill(journal, 3)
    one.settle()
    assert one.shelf.got == wanted(3)
    one.close()
    journal.close()


def test_flush_does_not_wait_for_a_clock_that_was_set_back(tmp_path):
    """Telegrams from the future, after the clock was put right, are not kept until then."""
    journal = Journal(tmp_path / "journal.db", now=lambda: time.time() + 10**6)
    one = Rig(journal, Shelf(tmp_path / "shelf.db", flush=60))
    fill(journal, 3)
    one.settle()
    assert one.shelf.got == wanted(3)
    one.close()
    journal.close()


# -- receipts and restart -----------------------------------------------------------------------


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


# -- retry later --------------------------------------------------------------------------------


def test_retry_later_sends_the_very_same_objects(journal, rig):
    """A retry hands over the identical telegrams, also when more came in meanwhile."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 2)
    one.step()
    fill(journal, 2, start=2)
    one.pass_time(10)
    first, second, _ = one.shelf.batches
    assert len(first) == 2
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_retry_later_sends_only_the_part_not_yet_sent(journal, rig):
    """Kits that were accepted are not sent again."""
    one = rig(script=[None, RetryLater("down")])
    fill(journal, 2, "abc")
    one.step()
    one.pass_time(10)
    sent = [batch[0].ident.serial for batch in one.shelf.batches]
    assert (sent, counts(journal)) == (["a", "b", "b", "c"], (6, 0, 0, 0, 0))


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


# -- refused ------------------------------------------------------------------------------------


def test_refused_are_dead_letters_and_the_rest_is_accepted(journal, rig):
    """Only those named are set aside, with their reasons."""

    def refuse_odd(batch):
        one.shelf.store([t for t in batch if t.time % 2 == 0])
        raise Refused({at: f"odd {t.time}" for at, t in enumerate(batch) if t.time % 2})

    one = rig(rule=refuse_odd)
    fill(journal, 4)
    one.settle()
    assert (one.shelf.got, counts(journal)) == ([("a", 0), ("a", 2)], (2, 0, 0, 2, 0))
    assert states(journal) == [("dead", "p_a", 1, "odd 1"), ("dead", "p_a", 3, "odd 3")]


@pytest.mark.parametrize("reasons", [{5: "x"}, {-1: "x"}, {0: "x", 2: "y"}])
def test_refusing_what_was_not_in_the_batch_loses_nothing(journal, rig, reasons):
    """A plugin that counts wrong is a plugin with a fault: its batch waits."""
    one = rig(script=[Refused(reasons)])
    fill(journal, 2)
    one.step()
    assert counts(journal) == (0, 2, 0, 0, 0)
    one.pass_time(10)
    assert counts(journal) == (2, 0, 0, 0, 0)


def test_unacceptable_is_bisected(journal, rig):
    """The one that is not acceptable is found, all others arrive in order."""
    one = rig(rule=no(5, 11))
    fill(journal, 16)
    one.settle()
    assert one.shelf.got == [key for key in wanted(16) if key[1] not in (5, 11)]
    assert [state[:3] for state in states(journal)] == [("dead", "p_a", 5), ("dead", "p_a", 11)]


def test_bisecting_survives_an_outage(journal, rig):
    """What was found acceptable before the outage is not sent again after it."""
    script = [Unacceptable("x"), None, RetryLater("down")]
    one = rig(script=script, rule=no(3))
    fill(journal, 4)
    one.step()
    one.pass_time(10)
    assert (one.shelf.got, counts(journal)) == (wanted(3), (3, 0, 0, 1, 0))


def test_too_large_is_halved(journal, rig):
    """Halves are tried until they fit."""

    def small(batch):
        if len(batch) > 3:
            raise TooLarge("413")

    one = rig(rule=small)
    fill(journal, 10)
    one.settle()
    assert (one.shelf.got, max(map(len, one.shelf.batches))) == (wanted(10), 10)


def test_a_lone_too_large_one_is_a_dead_letter(journal, rig):
    """It cannot be halved."""

    def rule(batch):
        if any("text" in one.data for one in batch):
            raise TooLarge("413: too large")

    one = rig(rule=rule)
    journal.append([telegram(1), telegram(2, text="x" * 999), telegram(3)])
    one.settle()
    assert states(journal) == [("dead", "p_a", 2, "413: too large")]
    assert one.shelf.got == [("a", 1), ("a", 3)]


def test_a_batch_that_takes_long_makes_progress(journal, tmp_path):
    """One that is divided up to the last telegram is at work, though nothing is settled yet."""
    seen = []
    rig = Rig(
        journal,
        Shelf(
            tmp_path / "shelf.db",
            rule=lambda batch: seen.append(rig.delivery.progress) or bad(batch),
        ),
    )
    journal.append([telegram(at) for at in range(8)])
    rig.settle()
    rig.close()
    assert seen == sorted(set(seen))


def bad(batch):
    """Whatever it is, it is not acceptable."""
    raise Unacceptable("bad")


def test_a_reason_that_utf8_cannot_hold_does_not_block(journal, rig):
    """The reason is escaped and the output goes on."""
    one = rig(script=[Refused({0: "\udcff"})])
    fill(journal, 2)
    one.settle()
    assert counts(journal) == (1, 0, 0, 1, 0)


def test_dead_letters_are_told_but_not_by_the_thousand(journal, rig, caplog):
    """Three lines and a count."""
    one = rig(rule=lambda batch: (_ for _ in ()).throw(Refused(dict.fromkeys(range(50), "no"))))
    fill(journal, 50)
    one.settle()
    assert [r.levelname for r in caplog.records] == ["ERROR"] * 4
    assert "47 more" in caplog.text


# -- hold ---------------------------------------------------------------------------------------


def test_hold_stops_one_kit_only(journal, rig):
    """Its telegrams wait aside, those of others arrive."""
    one = rig(rule=closed_to("a"))
    fill(journal, 3, "ab")
    one.settle()
    assert (one.shelf.got, counts(journal)) == (wanted(3, "b"), (3, 0, 3, 0, 0))


def test_what_comes_behind_a_held_telegram_waits_too(journal, rig):
    """Later telegrams of that kit are not even tried before the next probe."""
    one = rig(rule=closed_to("a"))
    fill(journal, 2, "ab")
    one.settle()
    fill(journal, 2, "ab", start=2)
    one.settle()
    tried = [batch for batch in one.shelf.batches if batch[0].ident.serial == "a"]
    assert (len(tried), counts(journal)) == (1, (4, 0, 4, 0, 0))


def test_a_probe_releases_in_order(journal, rig):
    """When the cause is gone all arrives, oldest first, and new ones behind."""
    one = rig(rule=closed_to("a"), bufsize=2)
    fill(journal, 5)
    one.settle()
    one.shelf.rule = None
    fill(journal, 3, start=5)
    one.pass_time(PROBE_EVERY - 1)
    assert one.shelf.got == []
    one.pass_time(2)
    assert (one.shelf.got, counts(journal)) == (wanted(8), (8, 0, 0, 0, 0))


def test_order_holds_when_telegrams_come_while_the_probe_runs(journal, rig):
    """Those that come in between two batches of a release go behind what is still aside."""
    one = rig(rule=closed_to("a"), bufsize=2)
    fill(journal, 6, "ab")
    one.settle()
    one.shelf.rule = lambda batch: fill(journal, 1, "ab", start=100 + len(one.shelf.batches))
    one.clock.now += PROBE_EVERY + 1
    one.step(8)
    one.shelf.rule = None
    one.pass_time(PROBE_EVERY + 1)
    times = [at for kit, at in one.shelf.got if kit == "a"]
    assert times[:6] == [0, 1, 2, 3, 4, 5]
    assert times == sorted(set(times))
    assert counts(journal)[1:] == (0, 0, 0, 0)


def test_a_probe_that_fails_again_waits_again(journal, rig):
    """A held kit costs one try every few minutes, and one line in the log."""
    one = rig(rule=closed_to("a"))
    fill(journal, 2)
    one.settle()
    for _ in range(3):
        one.pass_time(PROBE_EVERY + 1)
    assert len(one.shelf.batches) == 4
    assert counts(journal) == (0, 0, 2, 0, 0)


def test_held_is_said_once(journal, rig, caplog):
    """Probes that fail say nothing new."""
    one = rig(rule=closed_to("a"))
    fill(journal, 2)
    one.settle()
    one.pass_time(PROBE_EVERY + 1)
    assert [r.message for r in caplog.records] == [
        "p_a is held: no database; its telegrams wait, in order"
    ]


def test_held_is_known_after_a_restart(journal, rig):
    """The order within the kit holds although another process goes on."""
    one = rig(rule=closed_to("a"))
    fill(journal, 3, "ab")
    one.settle()
    one.close()
    fill(journal, 3, "ab", start=3)
    again = rig()
    again.settle()
    assert [key for key in again.shelf.got if key[0] == "a"] == wanted(6)
    assert counts(journal) == (12, 0, 0, 0, 0)


def test_a_release_cut_short_by_an_outage_goes_on(journal, rig):
    """What a probe got through before is not sent again; the rest follows in order."""
    one = rig(rule=closed_to("a"), bufsize=2)
    fill(journal, 6)
    one.settle()
    one.shelf.rule = None
    one.shelf.script.extend([None, RetryLater("down")])
    one.pass_time(PROBE_EVERY + 1)
    assert one.shelf.got == wanted(2)
    one.pass_time(10)
    assert (one.shelf.got, counts(journal)) == (wanted(6), (6, 0, 0, 0, 0))


def test_a_bisected_release_cut_short_sends_no_part_twice(journal, rig):
    """Also within what is set aside only the part not yet sent is sent again."""
    one = rig(rule=closed_to("a"))
    fill(journal, 4)
    one.settle()
    one.shelf.rule = no(3)
    one.shelf.script.extend([Unacceptable("x"), None, RetryLater("down")])
    one.pass_time(PROBE_EVERY + 1)
    one.pass_time(10)
    assert (one.shelf.got, counts(journal)) == (wanted(3), (3, 0, 0, 1, 0))


def test_hold_of_a_mixed_batch_finds_the_kit(journal, rig):
    """The batch is divided by kit, only one is held, and order holds afterwards."""
    one = rig(rule=closed_to("a"), mixed=True)
    fill(journal, 2, "ab")
    one.settle()
    assert counts(journal) == (2, 0, 2, 0, 0)
    fill(journal, 2, "ab", start=2)
    one.shelf.rule = None  # from now on the kit would be let in: its older telegrams go first
    one.settle()
    assert one.shelf.got == wanted(4, "b")
    one.pass_time(PROBE_EVERY + 1)
    assert [key for key in one.shelf.got if key[0] == "a"] == wanted(4)


def test_hold_of_a_part_of_a_mixed_batch_concerns_no_other_kit(journal, rig):
    """Where the batch was divided before, the parts behind hold several kits as well."""

    def rule(batch):
        if len(batch) > 2:
            raise TooLarge("413")
        closed_to("a")(batch)

    one = rig(rule=rule, mixed=True)
    fill(journal, 4, "ab")
    one.settle()
    assert (one.shelf.got, counts(journal)) == (wanted(4, "b"), (4, 0, 4, 0, 0))
    one.shelf.rule = None
    one.pass_time(PROBE_EVERY + 1)
    assert one.shelf.got == wanted(4, "b") + wanted(4, "a")


def test_hold_in_the_middle_of_a_bisection(journal, rig):
    """What was accepted stays accepted, the rest of that kit is held in order."""
    one = rig(script=[Unacceptable("x"), None, Hold("dropped")])
    fill(journal, 4)
    one.settle()
    assert counts(journal) == (2, 0, 2, 0, 0)
    one.pass_time(PROBE_EVERY + 1)
    assert one.shelf.got == wanted(4)


def test_hold_of_a_first_half_holds_the_second_too(journal, rig):
    """What follows within the same batch waits behind, and is counted once."""
    one = rig(script=[Unacceptable("x"), Hold("dropped")])
    fill(journal, 4)
    one.settle()
    assert (one.shelf.got, counts(journal)) == ([], (0, 0, 4, 0, 0))
    one.pass_time(PROBE_EVERY + 1)
    assert one.shelf.got == wanted(4)


def test_a_long_release_does_not_keep_others_waiting(journal, rig):
    """What one kit has piled up and what comes from others take turns."""
    one = rig(rule=closed_to("a"), bufsize=2)
    fill(journal, 20)
    one.settle()
    one.shelf.rule = None
    one.clock.now += PROBE_EVERY + 1
    fill(journal, 2, "b")
    one.step(3)
    assert ("b", 0) in one.shelf.got


# -- dead retry ---------------------------------------------------------------------------------


def refuse_all(batch):
    raise Refused(dict.fromkeys(range(len(batch)), "bad"))


def ask(one, verb, argument=""):
    """As another process would, and as the engine obeys."""
    request(one.journal.path, verb, [one.delivery.name], argument)
    one.journal.obey()
    one.delivery.look_aside()


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


# -- plugins with faults ------------------------------------------------------------------------


class Odd(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize(
    "fault",
    [ValueError("x"), KeyError("x"), SystemExit(3), Odd(), MemoryError(), OSError(5, "\udcff")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_plugin_that_raises_anything(journal, rig, fault):
    """Its telegrams wait, it is tried again, and the status says what happened."""
    one = rig(script=[fault])
    fill(journal, 2)
    one.step()
    assert type(fault).__name__ in account(journal).error
    one.pass_time(10)
    assert (one.shelf.got, account(journal).error) == (wanted(2), None)


def test_ctrl_c_is_not_a_plugin_s_fault(journal, rig):
    """A KeyboardInterrupt goes through."""
    one = rig(script=[KeyboardInterrupt()])
    fill(journal, 1)
    with pytest.raises(KeyboardInterrupt):
        one.step()


def test_misconfigured_stops_that_output_only(journal, rig, tmp_path):
    """It says why, its telegrams wait, and the other output gets them."""
    bad = rig(Shelf(tmp_path / "bad.db", "bad", script=[Misconfigured("no such user")]))
    good = rig()
    fill(journal, 2)
    for one in (bad, good):
        one.settle()
        one.pass_time(1000)
    assert (bad.delivery.stopped, len(bad.shelf.batches)) == ("no such user", 1)
    assert account(journal, "bad").error == "stopped: no such user"
    assert (counts(journal, "bad"), counts(journal)) == ((0, 2, 0, 0, 0), (2, 0, 0, 0, 0))


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


def test_a_plugin_that_fails_to_close_is_opened_again(journal, rig):
    """It gave up, somebody asks for another try, and closing it fails."""
    one = rig(script=[Misconfigured("no")])
    fill(journal, 1)
    one.settle()
    one.shelf.close = lambda: 1 / 0
    ask(one, "resume")
    one.settle()
    del one.shelf.close
    assert (one.delivery.stopped, one.shelf.got) == (None, wanted(1))


def test_a_plugin_that_fails_to_close(journal, rig, caplog):
    """It ends the thread without a traceback through it."""
    one = rig()
    one.shelf.close = lambda: 1 / 0
    stop = threading.Event()
    stop.set()
    one.delivery.run(stop)
    del one.shelf.close
    assert "while it closed" in caplog.text


# -- the journal fails --------------------------------------------------------------------------


class Lock:
    """Another process's transaction on the journal."""

    def __init__(self, journal):
        self.db = sqlite3.connect(journal.path, isolation_level=None)
        self.db.execute("BEGIN IMMEDIATE")

    def release(self):
        self.db.execute("ROLLBACK")
        self.db.close()


def test_a_settle_that_fails_is_done_later_without_sending_again(journal, rig):
    """The output has it: only the journal is behind, and nothing is counted twice."""
    one = rig()
    locks = []
    one.shelf.script.append(lambda batch: locks.append(Lock(journal)))
    fill(journal, 3)
    one.step()
    assert one.shelf.got == wanted(3)
    one.pass_time(10)  # still locked
    locks.pop().release()
    one.pass_time(100)
    assert (one.shelf.got, len(one.shelf.batches)) == (wanted(3), 1)
    assert counts(journal) == (3, 0, 0, 0, 0)


def test_settling_what_was_aside_fails_and_is_done_later(journal, rig):
    """The same for held telegrams that were released."""
    one = rig(rule=closed_to("a"))
    fill(journal, 3)
    one.settle()
    locks = []
    one.shelf.rule = lambda batch: locks.append(Lock(journal))
    one.clock.now += PROBE_EVERY + 1
    one.step()
    locks.pop().release()
    one.pass_time(100)
    assert (one.shelf.got, counts(journal)) == (wanted(3), (3, 0, 0, 0, 0))


def test_a_locked_journal_does_not_end_a_failing_output(journal, rig):
    """Noting a failure may fail itself."""
    one = rig(script=[RetryLater("down")])
    fill(journal, 1)
    lock = Lock(journal)
    one.step()
    lock.release()
    one.pass_time(10)
    assert counts(journal) == (1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "wrong", [RetryLater("down", doubt=True), Misconfigured("no user"), OSError(5, "no")]
)
def test_a_journal_of_another_version_does_not_end_a_failing_output(journal, rig, wrong):
    """Whatever the journal says when a failure is to be noted in it, the worker goes on."""
    one = rig(script=[wrong])
    fill(journal, 1)
    with journal.transaction() as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 999")
    journal._doubted = True  # the disk failed: the next transaction opens the file anew
    one.step()
    with sqlite3.connect(journal.path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    ask(one, "resume")
    one.pass_time(10)
    assert one.shelf.got == wanted(1)


def test_a_full_disk_stops_nothing_for_ever(journal, rig):
    """While nothing can be settled it waits; with room again it goes on by itself."""
    one = rig(rule=refuse_all)
    journal.append([telegram(at, text="x" * 500) for at in range(100)])
    with journal.transaction() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    one.step()
    assert counts(journal) == (0, 100, 0, 0, 0)
    journal._db.execute("PRAGMA max_page_count = 1000000")
    one.pass_time(10)
    assert counts(journal) == (0, 0, 0, 100, 0)


# -- what the journal gives up under way --------------------------------------------------------


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


# -- what is said -------------------------------------------------------------------------------


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


# -- pause --------------------------------------------------------------------------------------


def test_a_paused_output_does_nothing(journal, rig):
    """Its telegrams wait until it is resumed."""
    one = rig()
    fill(journal, 2)
    ask(one, "pause")
    one.settle()
    assert (one.shelf.batches, account(journal).paused) == ([], True)
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


# -- threads ------------------------------------------------------------------------------------


def steps_in_a_second(one):
    """How often a running worker looks up."""
    count, step = [], one.delivery.step

    def counted():
        count.append(1)
        return step()

    one.delivery.step, one.delivery._clock = counted, time.monotonic
    stop = threading.Event()
    thread = threading.Thread(target=one.delivery.run, args=(stop,))
    thread.start()
    time.sleep(1.0)
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
    one.shelf.settings = type(one.shelf.settings)(flush=60)


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
    assert steps_in_a_second(one) <= 8


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
