"""A worker over a server that may forget what it acknowledged, see also test_doubt.py."""

from __future__ import annotations

from mysense.delivery import PROBE_EVERY
from mysense.journal import Journal
from mysense.plugin import RetryLater
from tests.delivery.answers import (
    closed_to,
    fill,
    wanted,
)
from tests.pipeline import Rig, Shelf


def test_a_server_that_may_forget_is_asked_as_soon_as_nothing_is_left_to_send(journal, tmp_path):
    """Before that nobody who waits for the end is told that it is there."""
    seen = []

    class Forgetful(Shelf):
        def epoch(self):
            seen.append("asked")
            return "one"

        def store(self, batch):
            seen.append(f"{len(batch)} sent, drained: {one.delivery.drained(journal.head)}")
            return super().store(batch)

    shelf = Forgetful(tmp_path / "shelf.db", bufsize=2, script=[RetryLater("full", doubt=True)])
    one = Rig(journal, shelf)
    fill(journal, 1)
    one.settle()
    one.pass_time(40)
    fill(journal, 4, start=1)
    seen.clear()
    for _ in range(2):
        one.step()
        seen.append(f"drained: {one.delivery.drained(journal.head)}")
    one.settle()
    one.close()
    assert seen == [
        *("2 sent, drained: False", "drained: False"),
        *("2 sent, drained: False", "drained: False"),
        "asked",
    ]
    assert one.delivery.drained(journal.head)


def test_what_waited_aside_and_was_let_in_meanwhile_may_be_forgotten_too(tmp_path):
    """It came before the disk was full, and was acknowledged after."""
    now = 1_795_343_212.8695561  # a few digits more than are read from the journal
    journal = Journal(tmp_path / "journal.db", now=lambda: now)
    start = ["one"]

    class Forgetful(Shelf):
        def epoch(self):
            return start[0]

    one = Rig(journal, Forgetful(tmp_path / "shelf.db", rule=closed_to("a")))
    fill(journal, 2)
    one.settle()
    fill(journal, 1, "b")
    one.shelf.script.append(RetryLater("full", doubt=True))
    one.settle()
    one.shelf.rule = None
    one.pass_time(PROBE_EVERY + 1)
    start[0] = "two"
    one.pass_time(PROBE_EVERY + 1)
    one.close()
    journal.close()
    assert sorted(one.shelf.got) == sorted([*wanted(2), *wanted(2), *wanted(1, "b") * 2])
