"""What every answer of an output does to the telegrams of a batch."""

from __future__ import annotations

import pytest

from mysense.plugin import Refused, RetryLater, TooLarge, Unacceptable
from mysense.points import Point, Series
from mysense.telegram import Telegram
from tests.delivery.answers import (
    bad,
    fill,
    no,
    states,
    wanted,
)
from tests.pipeline import Rig, Shelf, counts, telegram

# -- retry later ----------------------------------------------------------------------------------


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


# -- refused --------------------------------------------------------------------------------------


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
    assert seen == list(range(15))


def test_a_reason_that_utf8_cannot_hold_does_not_block(journal, rig):
    """The reason is escaped and the output goes on."""
    one = rig(script=[Refused({0: "\udcff"})])
    fill(journal, 2)
    one.settle()
    assert counts(journal) == (1, 0, 0, 1, 0)


# -- what it is told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "data", "village"),
    [
        ({}, {"time": 1, "temp": 2.0, "rh": 3.0}, "Horst"),
        ({"exclude": ("*/rh",)}, {"time": 1, "temp": 2.0}, "Horst"),
        ({"omit": ("village",)}, {"time": 1, "temp": 2.0, "rh": 3.0}, None),
        ({"omit": ("village",), "exclude": ("*/rh",)}, {"time": 1, "temp": 2.0}, None),
    ],
)
def test_an_output_is_told_what_it_may_know(journal, rig, settings, data, village):
    """Neither fields nor parts of the ident that it is not to have."""
    one = rig(**settings)
    journal.append([telegram(1, village="Horst", temp=2.0, rh=3.0)])
    one.settle()
    ((got,),) = one.shelf.batches
    assert (dict(got.data), got.ident.village) == (data, village)


def test_points_have_no_ident_that_could_be_left_out(journal, tmp_path):
    """They are told as they are, to an output that takes them."""

    class Taking(Shelf):
        accepts = frozenset({Telegram.kind, Point.kind})

        def store(self, batch):
            return None

    shelf = Taking(tmp_path / "shelf.db", omit=("village",))
    rig = Rig(journal, shelf)
    journal.append([Point(Series("cpu"), {"time": 10**18, "load": 1.0})])
    rig.settle()
    rig.close()
    assert [point.line() for batch in shelf.batches for point in batch] == [
        "cpu load=1.0 1000000000000000000"
    ]
