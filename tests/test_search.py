"""A plugin with faults of its own: one telegram does not block, and a broken plugin loses none."""

from __future__ import annotations

import random

import pytest

from mysense.delivery import PROBE_EVERY
from mysense.delivery.search import AT_ONCE, EQUAL
from mysense.journal import Journal
from mysense.journal.view import View, request
from mysense.plugin import Hold, Misconfigured, Refused, RetryLater, TooLarge, Unacceptable
from tests.pipeline import Rig, Shelf, account, counts, telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def rig(journal, tmp_path):
    """Makes rigs over the one journal; they are closed after the test."""
    made = []

    def make(**settings):
        made.append(Rig(journal, Shelf(tmp_path / "shelf.db", **settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fill(journal, count, kits="a", start=0):
    journal.append([telegram(at, kit) for at in range(start, start + count) for kit in kits])


def fails_on(*bad, kits="", fault=ValueError):
    """A plugin that cannot bear some seconds, or some kits."""

    def rule(batch):
        for one in batch:
            if one.time in bad or one.ident.serial in kits:
                raise fault(f"cannot bear {one.ident.serial} at {one.time}")

    return rule


def works_on(one, seconds=20_000):
    """Let time pass, as long as any pause."""
    for _ in range(seconds // 301):
        one.pass_time(301)


def dead(journal):
    with View(journal.path) as view:
        query = "SELECT kit, time, reason FROM aside WHERE state = 'dead' ORDER BY time"
        return [tuple(row) for row in view.all(query)]


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


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("kits", ["a", "abc"])
def test_a_plugin_that_fails_on_everything_loses_nothing(journal, rig, caplog, mixed, kits):
    """The flow stops with an alarm; when the plugin is mended all arrives, once."""
    one = rig(rule=fails_on(kits=kits), mixed=mixed)
    fill(journal, 100, kits)
    works_on(one)
    assert counts(journal) == (0, 100 * len(kits), 0, 0, 0)
    assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR"]
    assert "nothing passes any more" in caplog.text
    one.shelf.rule = None
    works_on(one)
    assert sorted(one.shelf.got) == sorted((kit, at) for kit in kits for at in range(100))
    assert counts(journal) == (100 * len(kits), 0, 0, 0, 0)


def test_a_plugin_that_fails_on_everything_is_not_called_all_the_time(journal, rig):
    """At most so often between two pauses."""
    one = rig(rule=fails_on(kits="a"))
    fill(journal, 3000)
    for _ in range(50):
        before = len(one.shelf.batches)
        one.pass_time(301)
        assert len(one.shelf.batches) - before <= AT_ONCE


@pytest.mark.parametrize("mixed", [False, True])
def test_a_kit_of_which_nothing_passes_is_held(journal, rig, mixed):
    """The others go on; it is probed, and all of it arrives in order when the plugin is mended."""
    one = rig(rule=fails_on(kits="b"), mixed=mixed)
    fill(journal, 30, "abc")
    works_on(one, 3000)
    assert counts(journal) == (60, 0, 30, 0, 0)
    fill(journal, 5, "abc", start=30)
    works_on(one, 3000)
    assert counts(journal) == (70, 0, 35, 0, 0)
    one.shelf.rule = None
    works_on(one, 3000)
    assert [at for kit, at in one.shelf.got if kit == "b"] == list(range(35))
    assert counts(journal) == (105, 0, 0, 0, 0)


def test_the_first_telegram_of_a_kit_is_judged_by_those_that_follow(journal, rig):
    """Held first; when others of its kit pass it is a dead letter, and the kit goes on."""
    one = rig(rule=fails_on(0))
    journal.append([telegram(0, "b"), *(telegram(at, "a") for at in range(1, 9))])
    works_on(one, 3000)
    assert counts(journal) == (8, 0, 1, 0, 0)
    journal.append([telegram(at, "b") for at in range(1, 9)])
    works_on(one, 3000)
    assert dead(journal)[0][:2] == ("p_b", 0)
    assert counts(journal) == (16, 0, 0, 1, 0)


@pytest.mark.parametrize("after", range(4, 40, 5))
def test_a_plugin_that_breaks_in_the_middle_of_a_search_costs_one_dead_letter_at_most(
    journal, rig, after
):
    """What failed and was not followed by anything that passed is not given up."""
    calls = []

    def rule(batch):
        calls.append(batch)
        if len(calls) > after or any(t.time == 5 for t in batch):
            raise ValueError("broken")

    one = rig(rule=rule)
    fill(journal, 64)
    works_on(one)
    assert counts(journal)[3] <= 1
    one.shelf.rule = fails_on(5)
    fill(journal, 2, start=64)
    works_on(one)
    assert sum(counts(journal)[:1]) + counts(journal)[3] == 66
    assert len(dead(journal)) <= 2


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


# -- faults and answers mixed --------------------------------------------------------------------


def script_of(bad, *answers):
    """Answers for a batch with that second in it, one after the other; the others pass."""
    left = list(answers)

    def rule(batch):
        if any(one.time == bad for one in batch) and left:
            raise left.pop(0)

    return rule


@pytest.mark.parametrize("answer", [Unacceptable("no"), TooLarge("no"), Refused({0: "no"})])
@pytest.mark.parametrize("faults", [4, 5])
def test_a_telegram_that_failed_alone_and_is_then_refused_is_one_dead_letter(
    journal, rig, answer, faults
):
    """The answer is the last word; what the plugin's fault was does not matter any more."""
    one = rig(rule=script_of(1, *[ValueError("x")] * faults, *[answer] * 9))
    fill(journal, 2)
    works_on(one, 3000)
    assert (dead(journal), one.shelf.got) == ([("p_a", 1, "no")], [("a", 0)])


@pytest.mark.parametrize("faults", [4, 5, 6])
def test_a_telegram_that_failed_alone_and_is_then_held_waits_once(journal, rig, faults):
    """It is let in when its kit is, and nothing of it is counted twice."""
    one = rig(rule=script_of(0, *[ValueError("x")] * faults, Hold("no database")))
    fill(journal, 4)
    works_on(one, 3000)
    assert sorted(one.shelf.got) == [("a", at) for at in range(4)]
    assert counts(journal) == (4, 0, 0, 0, 0)


def test_what_failed_before_the_last_witness_is_held_in_order_with_what_failed_after(
    journal, rig, caplog
):
    """All of a kit of which nothing passes waits, the first of it first."""
    one = rig(rule=fails_on(kits="b"), mixed=True)
    journal.append([telegram(at, kit) for at, kit in enumerate("babb")])
    works_on(one, 3000)
    assert counts(journal) == (1, 0, 3, 0, 0)
    assert "AssertionError" not in caplog.text
    one.shelf.rule = None
    works_on(one, 3000)
    assert one.shelf.got == [("a", 1), ("b", 0), ("b", 2), ("b", 3)]


def test_a_pause_in_a_search_that_has_found_nothing_yet(journal, rig):
    """A plugin that fails on several and refuses one alone: all of a held kit is refused."""

    def rule(batch):
        raise ValueError("x") if len(batch) > 1 else Unacceptable("bad")

    one = rig(rule=Hold("no database"))
    fill(journal, 64)
    one.settle()
    one.shelf.rule, said = rule, set()
    for _ in range(30):
        one.pass_time(301)
        said.add(account(journal).error)
    assert counts(journal) == (0, 0, 0, 64, 0)
    assert said <= {None, "a fault in this plugin, ValueError: x"}


# -- requests cut a pause short ------------------------------------------------------------------


def ask(one, verb):
    request(one.journal.path, verb, ["shelf"])
    one.journal.obey()
    one.delivery.look_aside()


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
