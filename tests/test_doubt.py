"""What an output acknowledged and forgets after its disk was full is sent again."""

from __future__ import annotations

import logging

import pytest

from mysense.delivery.doubt import LOOK_EVERY, WEEK
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.plugin import Hold, RetryLater, Unacceptable
from tests.pipeline import Rig, Shelf, account, counts, telegram


class Forgetful(Shelf):
    """Says which start of its server it speaks with."""

    start = "one"

    def epoch(self):
        return self.start


@pytest.fixture
def now():
    """The wall clock, set by hand."""
    return [1_800_000_000.0]


@pytest.fixture
def journal(tmp_path, now):
    made = Journal(tmp_path / "journal.db", now=lambda: now[0])
    yield made
    made.close()


def full():
    return RetryLater("no space left on device", doubt=True)


@pytest.fixture
def rig(journal, tmp_path):
    made = Rig(journal, Forgetful(tmp_path / "shelf.db"))
    yield made
    made.close()


def begin(rig, journal):
    """Three telegrams before the disk is full, three after; all arrive."""
    journal.append([telegram(at) for at in range(3)])
    rig.settle()
    journal.append([telegram(at) for at in range(3, 6)])
    rig.shelf.script.append(full())
    rig.step(2)
    rig.pass_time(3600)


def times(shelf):
    return [time for _, time in shelf.got]


def test_after_a_start_of_the_server_it_is_sent_again(rig, journal):
    """From the first answer on that said so, once a start, and the account stays right."""
    begin(rig, journal)
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5]
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert counts(journal) == (6, 0, 0, 0, 0)
    with View(journal.path) as view:
        (event,) = view.all("SELECT text FROM events WHERE kind = 'again'")
    assert "3 are sent again" in event["text"]


def test_a_journal_that_fails_meanwhile_forgets_nothing(rig, journal):
    """That it was looked and that it is sent again are one."""
    begin(rig, journal)
    rig.shelf.start = "two"
    rig.clock.now += LOOK_EVERY
    with journal.transaction() as db:
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF cursor ON outputs WHEN new.cursor < old.cursor"
            " BEGIN SELECT raise(ABORT, 'full'); END"
        )
    rig.settle()
    done = rig.delivery.drained(journal.head)
    rig.close()
    with journal.transaction() as db:
        db.execute("DROP TRIGGER full")
    again = Forgetful(rig.shelf.file)
    again.start = "two"
    other = Rig(journal, again)
    other.settle()
    assert (done, times(again)) == (False, [0, 1, 2, 3, 4, 5, 3, 4, 5])
    other.close()


def test_also_when_the_kit_was_started_again_meanwhile(rig, journal, tmp_path):
    """The journal knows what is doubted, and which start it was."""
    begin(rig, journal)
    rig.close()
    again = Forgetful(tmp_path / "shelf.db")
    again.start = "two"
    other = Rig(journal, again)
    assert not other.delivery.drained(journal.head)
    other.settle()
    assert times(again) == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    other.close()


def test_where_it_is_not_known_what_is_doubted_all_is(rig, journal, tmp_path):
    """A damage may have spoiled it: more than once, rather than never."""
    begin(rig, journal)
    rig.close()
    with journal.transaction() as db:
        db.execute("UPDATE meta SET value = '{' WHERE key GLOB 'doubt *'")
    again = Forgetful(tmp_path / "shelf.db")
    other = Rig(journal, again)
    other.settle()
    assert times(again) == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    other.close()


def test_nobody_is_done_before_it_was_looked(rig, journal):
    """`--once` does not end between an acknowledgement and the look whether it still holds."""
    begin(rig, journal)
    rig.shelf.start = "two"
    journal.append([telegram(9)])
    rig.delivery._doubt._look_at = rig.clock.now + 1000
    while times(rig.shelf)[-1] != 9:
        rig.delivery.step()
    assert not rig.delivery.drained(journal.head)
    rig.settle()
    assert rig.delivery.drained(journal.head)
    assert times(rig.shelf)[-4:] == [3, 4, 5, 9]


def test_without_a_full_disk_nothing_is_sent_again(rig, journal):
    """A server may be started as often as it likes."""
    journal.append([telegram(1)])
    rig.shelf.script.append(RetryLater("down"))
    rig.step(2)
    rig.pass_time(3600)
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [1]


@pytest.mark.parametrize(("days", "again"), [(6, True), (7, True), (7.01, False)])
def test_it_is_doubted_for_a_week(rig, journal, now, days, again):
    """Each start forgets anew, until the server has moved what it had into files of its own."""
    begin(rig, journal)
    now[0] += 86_400 * days
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert (times(rig.shelf)[6:] == [3, 4, 5]) is again


def test_it_is_doubted_for_a_week_after_the_last_such_answer(rig, journal, now):
    """A disk that is full again five days later makes it twelve."""
    begin(rig, journal)
    now[0] += 5 * 86_400
    journal.append([telegram(6)])
    rig.shelf.script.append(full())
    rig.settle()
    rig.pass_time(3600)
    now[0] += 5 * 86_400
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6]


def test_one_that_is_idle_is_asked_seldom(rig, journal):
    """Once after something was sent, then every half minute."""
    begin(rig, journal)
    asked = []
    rig.shelf.epoch = lambda: asked.append(rig.clock.now) or "one"
    journal.append([telegram(6)])
    for _ in range(70):
        rig.settle()
        rig.clock.now += 1
    assert [round(at - asked[0]) for at in asked] == [0, 30, 60]


def test_it_is_said(rig, journal, caplog):
    """When it begins to be doubted, and when something is sent again."""
    caplog.set_level(logging.INFO)
    begin(rig, journal)
    assert "may forget what it acknowledges" in caplog.text
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert "may have forgotten is sent again" in caplog.messages[-1]


def test_it_is_not_doubted_for_ever(rig, journal, now):
    """When it was certain again, a later start says nothing."""
    begin(rig, journal)
    now[0] += WEEK + 1
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    rig.shelf.start = "three"
    now[0] -= WEEK
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5]


def test_dead_letters_are_not_doubled(rig, journal):
    """What is sent again and refused again is one dead letter."""
    journal.append([telegram(at) for at in range(3)])
    rig.shelf.script.append(full())
    rig.step(2)
    rig.shelf.rule = refuse_one
    rig.pass_time(3600)
    assert counts(journal) == (2, 0, 0, 1, 0)
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert counts(journal) == (2, 0, 0, 1, 0)
    assert times(rig.shelf) == [0, 2, 0, 2]


def refuse_one(batch):
    if any(one.time == 1 for one in batch):
        raise Unacceptable("not this one")


def test_a_plugin_that_cannot_tell_the_start_is_doubted_all_the_same(rig, journal, caplog):
    """Its fault ends nothing; what it accepted is sent again, rather than be forgotten."""
    caplog.set_level(logging.DEBUG)
    rig.shelf.epoch = lambda: 1 / 0
    begin(rig, journal)
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5]
    assert any(r.message == "when it was started" and r.exc_info for r in caplog.records)
    del rig.shelf.epoch
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5, 3, 4, 5]


def test_what_was_let_go_of_is_not_asked_for(rig, journal):
    """The journal sends again what it still has."""
    begin(rig, journal)
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE time < 5")
    rig.shelf.start = "two"
    rig.pass_time(LOOK_EVERY)
    assert times(rig.shelf) == [0, 1, 2, 3, 4, 5, 5]


class Guarded(Forgetful):
    """Holds one kit as long as it is told to."""

    held = "a"

    def publish(self, batch):
        if batch[0].ident.serial == self.held:
            raise Hold("not let in")
        return super().publish(batch)


@pytest.fixture
def guarded(journal, tmp_path):
    made = Rig(journal, Guarded(tmp_path / "shelf.db"))
    yield made
    made.close()


def release(rig, journal):
    """Kit a is held from before the disk was full, and let in after it; kit b goes on."""
    journal.append([telegram(at, kit) for at in range(2) for kit in "ab"])
    rig.settle()
    rig.shelf.script.append(full())
    journal.append([telegram(9, "b")])
    rig.step(2)
    rig.pass_time(3600)
    rig.shelf.held = ""
    rig.pass_time(3600)


def test_what_was_held_and_released_is_sent_again(guarded, journal):
    """Though it came before the disk was full, the server accepted it afterwards."""
    release(guarded, journal)
    assert guarded.shelf.got == [("b", 0), ("b", 1), ("b", 9), ("a", 0), ("a", 1)]
    guarded.shelf.start = "two"
    guarded.pass_time(LOOK_EVERY)
    assert sorted(guarded.shelf.got[5:]) == [("a", 0), ("a", 1), ("b", 9)]
    assert counts(journal) == (5, 0, 0, 0, 0)
    with View(journal.path) as view:
        (event,) = view.all("SELECT text FROM events WHERE kind = 'again'")
    assert "3 are sent again" in event["text"]


def test_it_is_sent_again_after_each_start(guarded, journal):
    """And a kit that is held again by then waits with it."""
    release(guarded, journal)
    guarded.shelf.start = "two"
    guarded.pass_time(LOOK_EVERY)
    guarded.shelf.start, guarded.shelf.held = "three", "a"
    guarded.pass_time(LOOK_EVERY)
    assert counts(journal) == (3, 0, 2, 0, 0)
    guarded.shelf.held = ""
    guarded.pass_time(3600)
    assert guarded.shelf.got.count(("a", 0)) == 3
    assert counts(journal) == (5, 0, 0, 0, 0)


def test_what_is_still_held_is_not_doubled(guarded, journal):
    """Of a kit of which a part was let in the rest waits once."""
    guarded.shelf.settings = type(guarded.shelf.settings)(output=True, bufsize=1)
    release(guarded, journal)
    with journal.transaction() as db:
        db.execute(
            "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
            " SELECT 'shelf', 'dead', 'p_a', time, ident, new, at, 'bad', data FROM telegrams"
            " WHERE source = 1 AND time = 1"
        )
    guarded.shelf.start = "two"
    guarded.pass_time(LOOK_EVERY)
    assert (guarded.shelf.got.count(("a", 0)), guarded.shelf.got.count(("a", 1))) == (2, 1)


def test_what_is_excluded_is_counted_once(journal, tmp_path):
    """It is met again, and was never acknowledged."""
    made = Rig(journal, Forgetful(tmp_path / "shelf.db", exclude=("p_b",)))
    journal.append([telegram(at, kit) for at in range(2) for kit in "ab"])
    made.settle()
    made.shelf.script.append(full())
    journal.append([telegram(at, kit) for at in range(5, 8) for kit in "ab"])
    made.step(2)
    made.pass_time(3600)
    for start in ("two", "three"):
        made.shelf.start = start
        made.pass_time(LOOK_EVERY)
    made.close()
    one = account(journal)
    assert (one.acknowledged, one.excluded, one.waiting) == (5, 5, 0)
    with View(journal.path) as view:
        told = [row["text"] for row in view.all("SELECT text FROM events WHERE kind = 'again'")]
    assert ["3 are sent again" in text for text in told] == [True, True]
