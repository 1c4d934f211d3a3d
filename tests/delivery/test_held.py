"""Kits that are not let in: their telegrams wait, in order, and nobody else's do."""

from __future__ import annotations

import logging

from mysense.delivery import PROBE_EVERY
from mysense.plugin import Hold, RetryLater, TooLarge, Unacceptable
from tests.delivery.answers import (
    closed_to,
    fill,
    no,
    wanted,
)
from tests.pipeline import counts


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
    """At once, and when it is over; probes that fail say nothing new."""
    caplog.set_level(logging.INFO)
    one = rig(rule=closed_to("a"))
    fill(journal, 2)
    one.settle()
    held = "p_a is held: no database; its telegrams wait, in order"
    assert caplog.messages == [held]
    one.pass_time(PROBE_EVERY + 1)
    one.shelf.rule = None
    one.pass_time(PROBE_EVERY + 1)
    assert caplog.messages == [held, "p_a is no longer held"]


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
