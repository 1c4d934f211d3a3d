"""The numbers of the status."""

from __future__ import annotations

import attrs
import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.summary import outputs
from mysense.journal.view import View
from tests.pipeline import account, telegram


class Now:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def journal(tmp_path, now):
    opened = Journal(tmp_path / "journal.db", now=now)
    opened.register("shelf")
    for second in range(4):
        now.now = 1000.0 + second
        opened.append([telegram(second)])
    now.now = 1010.0
    yield opened
    opened.close()


def rows(journal):
    with View(journal.path) as view:
        return view.rows(0, 100, 10**6)


def test_lag_is_the_age_of_the_oldest_not_acknowledged(journal, now):
    """In seconds since it was written down."""
    before = account(journal, now=now).lag
    journal.settle("shelf", Outcome(1, rows(journal)[:1]))
    assert (before, account(journal, now=now).lag) == (10.0, 9.0)


def test_held_telegrams_lag_too(journal, now):
    """They have not arrived."""
    first, *others = rows(journal)
    journal.settle("shelf", Outcome(4, others, held=[(first, "no database")]))
    assert account(journal, now=now).lag == 10.0


def test_dead_letters_do_not_lag(journal, now):
    """Nobody waits for them."""
    first, *others = rows(journal)
    journal.settle("shelf", Outcome(4, others, dead=[(first, "bad")]))
    assert account(journal, now=now).lag == 0.0


def test_no_lag_when_all_arrived(journal, now):
    """And then everything is acknowledged."""
    journal.settle("shelf", Outcome(4, rows(journal)))
    one = account(journal, now=now)
    assert (one.lag, one.all_acknowledged, one.last_ok) == (0.0, True, 1010.0)


def test_a_clock_set_back_gives_no_negative_lag(journal, now):
    """An age is never negative."""
    now.now = 5.0
    assert account(journal, now=now).lag == 0.0


def test_every_number_has_its_place(journal):
    """Waiting, held, dead and acknowledged add up to what was made."""
    first, second, third, _ = rows(journal)
    journal.settle("shelf", Outcome(3, [first], held=[(second, "h")], dead=[(third, "d")]))
    one = account(journal)
    assert (one.acknowledged, one.held, one.dead, one.waiting, one.gaps) == (1, 1, 1, 1, 0)


def test_the_account_in_one_line(journal):
    """What is nought and unusual is left out."""
    journal.fail("shelf", "down", 3)
    one = account(journal)
    assert one.line() == "0 acknowledged, 4 waiting, 0 dead, last error: down"
    more = attrs.evolve(one, excluded=1, held=2, gaps=3, error=None)
    assert more.line() == "0 acknowledged, 4 waiting, 1 excluded, 2 held, 3 in gaps, 0 dead"


@pytest.mark.parametrize("what", ["waiting", "held", "dead", "gaps"])
def test_not_all_is_acknowledged_where_one_is_not(journal, what):
    """Wherever it is."""
    none = {"waiting": 0, "held": 0, "dead": 0, "gaps": 0}
    one = attrs.evolve(account(journal), **none)
    assert (one.all_acknowledged, attrs.evolve(one, **{what: 1}).all_acknowledged) == (True, False)


def test_outputs_come_by_name(journal):
    """As a person looks for them."""
    journal.register("attic")
    with View(journal.path) as view:
        assert [one.name for one in outputs(view)] == ["attic", "shelf"]


def test_gaps_are_added_up(journal):
    """Of this output alone."""
    with journal.transaction() as db:
        for number, name in enumerate(("shelf", "shelf", "attic")):
            entry = (number, name, number)
            db.execute("INSERT INTO gaps VALUES (?, ?, 'p_a', ?, 1, 2, 5, 6, '')", entry)
    assert account(journal).gaps == 10


def test_connected_says_that_the_last_try_went_well(journal):
    """Not before the first acknowledgement, not while it fails."""
    states = [account(journal).connected]
    journal.settle("shelf", Outcome(1, rows(journal)[:1]))
    states.append(account(journal).connected)
    journal.fail("shelf", "down", 1)
    states.append(account(journal).connected)
    journal.recovered("shelf", 2)
    states.append(account(journal).connected)
    assert (states, account(journal).retries) == ([None, True, False, True], 3)


def test_held_kits_are_named(journal, now):
    """How many wait, how long and why; the lag of the others does not count them."""
    first, second, third, fourth = rows(journal)
    held = [(first, "no rights"), (second, "behind it")]
    journal.settle("shelf", Outcome(third.seq, [third], held=held))
    one = account(journal, now=now)
    assert [(kit.count, kit.lag) for kit in one.held_kits] == [(2, 10.0)]
    assert one.held_kits[0].kit == first.telegram.kit
    assert (one.lag, one.lag_flowing) == (10.0, now.now - fourth.at)


def test_held_kits_come_by_name(journal):
    """Those that wait at this output, no dead letters."""
    journal.append([telegram(at, kit) for at in (10, 11) for kit in "cba"])
    *others, c, b, _, _, late, a = rows(journal)
    journal.register("attic")
    journal.settle("attic", Outcome(10, held=[(others[0], "no")]))
    held = [(b, "first"), (late, "second"), (a, "other")]
    journal.settle("shelf", Outcome(10, others, held=held, dead=[(c, "bad")]))
    found = [(one.kit, one.count, one.reason) for one in account(journal).held_kits]
    assert found == [("p_a", 1, "other"), ("p_b", 2, "first")]


def test_the_rate_is_a_mean_over_the_last_minutes(tmp_path):
    """It comes near what arrives, and fades when nothing does."""
    clock = Now()
    journal = Journal(tmp_path / "j.db", now=clock)
    journal.register("shelf")
    journal.append([telegram(at) for at in range(200)])
    for row in rows(journal):
        clock.now += 10  # six a minute
        journal.settle("shelf", Outcome(row.seq, [row]))
    assert 5.5 < account(journal, now=clock).rate < 6.5
    clock.now += 1800
    assert account(journal, now=clock).rate < 0.001
    clock.now -= 4000  # a clock set back
    assert account(journal, now=clock).rate < 6.5
    journal.close()


def test_what_an_earlier_engine_was_connected_to_is_forgotten(journal, tmp_path):
    """Also of outputs that are no longer configured."""
    journal.settle("shelf", Outcome(1, rows(journal)[:1]))
    path = journal.path
    journal.close()
    again = Journal(path)
    again.register("other")
    assert account(again).connected is None
    again.close()
