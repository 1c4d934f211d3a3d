"""What follows from a plugin's faults: dead letters, held kits, or a flow that stops."""

from __future__ import annotations

import pytest

from mysense.delivery import PROBE_EVERY, worker
from mysense.delivery.search import AT_ONCE, EQUAL
from mysense.plugin import Hold, Refused, TooLarge, Unacceptable
from tests.delivery.answers import closed_to, dead, fails_on, fill, wanted, works_on
from tests.pipeline import account, counts, telegram


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


def test_the_last_of_all_is_judged_without_a_witness(journal, rig):
    """Where others of its kit have passed; nothing more may come for a long time."""
    one = rig(rule=fails_on(7))
    fill(journal, 8)
    works_on(one, 3000)
    assert (counts(journal), dead(journal)[0][:2]) == ((7, 0, 0, 1, 0), ("p_a", 7))


def test_two_at_the_end_wait_for_a_witness(journal, rig, caplog):
    """It may be that the plugin has broken; the next telegram shows that it has not."""
    one = rig(rule=fails_on(6, 7))
    fill(journal, 8)
    works_on(one, 3000)
    assert counts(journal) == (0, 8, 0, 0, 0)
    assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR"]
    assert caplog.messages[1].startswith("nothing passes any more: a fault in this plugin, Val")
    fill(journal, 1, start=8)
    works_on(one, 3000)
    assert counts(journal) == (7, 0, 0, 2, 0)


def test_two_kits_of_which_nothing_passes_are_held_while_a_third_goes_on(journal, rig):
    """Though each has one telegram only."""
    one = rig(rule=fails_on(kits="bc"))
    fill(journal, 1, "abc")
    works_on(one, 3000)
    assert counts(journal) == (1, 0, 2, 0, 0)


def test_tries_of_one_telegram_lie_apart(journal, rig):
    """A fault that goes away after a minute costs none."""
    tries = []

    def rule(batch):
        if any(t.time == 1 for t in batch):
            tries.append(one.clock.now)
            raise ValueError("x")

    one = rig(rule=rule)
    fill(journal, 4)
    works_on(one, 3000)
    first, second, third = tries[-3:]
    assert first == second < third


def test_a_held_kit_on_which_the_plugin_fails_is_held_again(journal, rig):
    """After so many calls, so that the others do not wait for it."""
    one = rig(rule=closed_to("a"))
    fill(journal, 64)
    one.settle()
    one.shelf.rule, before = fails_on(kits="a"), len(one.shelf.batches)
    for seconds in (PROBE_EVERY + 1, *[10] * (EQUAL - 1)):
        one.pass_time(seconds)
    assert len(one.shelf.batches) - before == EQUAL - 1 + AT_ONCE
    fill(journal, 4, "b")
    one.pass_time(10)
    assert (counts(journal), one.delivery.settled) == ((4, 0, 64, 0, 0), True)


# -- what is behind a batch is looked at ---------------------------------------------------------


def test_a_batch_of_which_nothing_passes_is_judged_by_the_next(journal, rig):
    """Whoever gets few telegrams at once does not stop at some that are bad."""
    one = rig(rule=fails_on(*range(5)), bufsize=5)
    fill(journal, 20)
    works_on(one, 3000)
    assert one.shelf.got == wanted(15, start=5)
    assert [at for _, at, _ in dead(journal)] == list(range(5))


def test_what_was_held_is_judged_by_the_rest_of_what_was_held(journal, rig):
    """The same for what is set aside; all the rest of it arrives in order."""
    one = rig(rule=closed_to("a"), bufsize=5)
    fill(journal, 20)
    one.settle()
    one.shelf.rule = fails_on(*range(5))
    works_on(one, 3000)
    assert one.shelf.got == wanted(15, start=5)
    assert (counts(journal), len(dead(journal))) == ((15, 0, 0, 5, 0), 5)


def test_of_what_is_behind_only_so_much_is_looked_at(journal, rig, monkeypatch):
    """A plugin that is broken for good does not go through all that waits."""
    monkeypatch.setattr(worker, "_PAST", (4, 10))
    one = rig(rule=fails_on(kits="a"), bufsize=3)
    fill(journal, 40)
    works_on(one)
    tried = {t.time for batch in one.shelf.batches for t in batch}
    assert (tried, counts(journal)) == (set(range(13)), (0, 40, 0, 0, 0))


def test_what_is_behind_and_held_is_no_witness(journal, rig):
    """It goes to where the rest of its kit waits, and is not lost when the flow stops."""
    one = rig(rule=closed_to("b"), bufsize=2)
    fill(journal, 1, "b")
    one.settle()
    one.shelf.rule = fails_on(kits="a")
    fill(journal, 2, "a", start=1)
    fill(journal, 3, "b", start=3)
    works_on(one, 600)
    one.shelf.rule = None
    works_on(one, 3000)
    assert sorted(one.shelf.got) == [("a", 1), ("a", 2), *(("b", at) for at in (0, 3, 4, 5))]
    assert counts(journal) == (6, 0, 0, 0, 0)


# -- faults and answers mixed ---------------------------------------------------------------------


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
