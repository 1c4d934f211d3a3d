"""What is sent again after a server has forgotten it: all of that, and nothing twice."""

from __future__ import annotations

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.doubts import Doubtful, doubtful, keep, rewind
from mysense.journal.view import View
from tests.pipeline import telegram


@pytest.fixture
def journal(tmp_path):
    """Five telegrams: x has had all, y four; two were accepted, the others are dead letters."""
    made = Journal(tmp_path / "journal.db", now=lambda: 5000.0)
    made.append([telegram(at) for at in range(1, 6)])
    with View(made.path) as view:
        rows = view.rows(0, 10, 10**6)
    for name, cursor in (("x", 5), ("y", 4)):
        made.register(name)
        dead = [(rows[at], "bad") for at in (1, 2, 4) if at < cursor]
        made.settle(name, Outcome(cursor, [rows[0], rows[3]], dead=dead))
    yield made
    made.close()


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def test_only_what_is_sent_again_is_no_dead_letter_any_more(journal):
    """Those before it stay, and those of another output, which nobody would send again."""
    rewind(journal, "x", 2)
    left = values(journal, "SELECT output, time FROM aside ORDER BY output, time")
    assert left == [("x", 2), ("y", 2), ("y", 3)]


def test_what_is_sent_again_is_not_acknowledged(journal):
    """One of the three was; dead letters never were."""
    rewind(journal, "x", 2)
    query = "SELECT name, cursor, acknowledged FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", 2, 1), ("y", 4, 2)]


@pytest.mark.parametrize(("asked", "cursor"), [(0, 3), (3, 3), (4, 4), (9, 5)])
def test_not_beyond_what_is_still_there(journal, asked, cursor):
    """Neither before the oldest telegram kept, nor ahead of where the output is."""
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq <= 3")
    assert rewind(journal, "x", asked) == cursor


def test_it_is_told_once_that_something_is_sent_again(journal):
    """When, where and how many; not where there is nothing."""
    for _ in range(2):
        rewind(journal, "x", 2)
    text = "the server was started again after its disk was full: 3 are sent again"
    events = values(journal, "SELECT at, who, kind, text FROM events")
    assert events == [(5000.0, "x", "again", text)]


def test_the_account_is_never_less_than_nothing(journal):
    """Also where something was counted otherwise before."""
    with journal.transaction() as db:
        db.execute("UPDATE outputs SET acknowledged = 1")
    rewind(journal, "x", 0)
    assert values(journal, "SELECT acknowledged FROM outputs WHERE name = 'x'") == [(0,)]


def test_what_is_doubted_is_kept_for_each_output(journal):
    """Until it is certain again."""
    first = Doubtful(cursor=3, at=5.0, epoch=None)
    second = Doubtful(cursor=4, at=6.0, epoch="two")
    keep(journal, "y", first)
    for found in (first, second):
        keep(journal, "x", found)
    kept = doubtful(journal, "x"), doubtful(journal, "y")
    keep(journal, "x", None)
    assert kept == (second, first)
    assert (doubtful(journal, "x"), doubtful(journal, "y")) == (None, first)
