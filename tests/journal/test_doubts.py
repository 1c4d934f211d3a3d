"""What is sent again after a server has forgotten it: all of that, and nothing twice."""

from __future__ import annotations

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.doubts import rewind
from mysense.journal.view import View
from tests.pipeline import telegram


@pytest.fixture
def journal(tmp_path):
    """Five telegrams; of each output's two were accepted and three are dead letters."""
    made = Journal(tmp_path / "journal.db")
    made.append([telegram(at) for at in range(1, 6)])
    with View(made.path) as view:
        rows = view.rows(0, 10, 10**6)
    for name in ("x", "y"):
        made.register(name)
        dead = [(rows[at], "bad") for at in (1, 2, 4)]
        made.settle(name, Outcome(5, [rows[0], rows[3]], dead=dead))
    yield made
    made.close()


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def test_only_what_is_sent_again_is_no_dead_letter_any_more(journal):
    """Those before it stay, and those of another output, which nobody would send again."""
    rewind(journal, "x", 2)
    left = values(journal, "SELECT output, time FROM aside ORDER BY output, time")
    assert left == [("x", 2), ("y", 2), ("y", 3), ("y", 5)]


def test_what_is_sent_again_is_not_acknowledged(journal):
    """One of the three was; dead letters never were."""
    rewind(journal, "x", 2)
    query = "SELECT name, cursor, acknowledged FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", 2, 1), ("y", 5, 2)]


@pytest.mark.parametrize(("asked", "cursor"), [(0, 3), (3, 3), (4, 4), (9, 5)])
def test_not_beyond_what_is_still_there(journal, asked, cursor):
    """Neither before the oldest telegram kept, nor ahead of where the output is."""
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq <= 3")
    assert rewind(journal, "x", asked) == cursor
