"""What is sent again after a server has forgotten it: all of that, and nothing twice."""

from __future__ import annotations

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.accounts import excluded_key
from mysense.journal.doubts import Doubtful, doubtful, excluded, keep, rewind
from mysense.journal.view import View
from tests.pipeline import telegram


@pytest.fixture
def journal(tmp_path):
    """Six telegrams, a second after the other: x has had all, y five; some are dead letters."""
    now = [5000.0]
    made = Journal(tmp_path / "journal.db", now=lambda: now[0])
    for at, kit in enumerate("aaabaa", 1):
        now[0] = 5000.0 + at
        made.append([telegram(at, kit)])
    with View(made.path) as view:
        rows = view.rows(0, 10, 10**6)
    for name, cursor, dead in (("x", 6, (2, 6)), ("y", 5, (3, 5))):
        had = rows[:cursor]
        good = [row for row in had if row.seq not in dead]
        made.register(name)
        made.settle(name, Outcome(cursor, good, dead=[(rows[at - 1], "bad") for at in dead]))
    yield made
    made.close()


def again(journal, cursor, *, excluded=None, **released):
    found = Doubtful(cursor=cursor, at=1.0, epoch="two", released=released, excluded=excluded)
    return rewind(journal, "x", found)


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def aside(journal):
    return values(journal, "SELECT output, state, time FROM aside ORDER BY output, id")


def test_only_what_is_sent_again_is_no_dead_letter_any_more(journal):
    """Those before it stay, and those of another output, which nobody would send again."""
    again(journal, 2)
    assert aside(journal) == [("x", "dead", 2), ("y", "dead", 3), ("y", "dead", 5)]


def test_what_is_sent_again_is_not_acknowledged(journal):
    """Three of the four were; a dead letter never was."""
    again(journal, 2)
    query = "SELECT name, cursor, acknowledged FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", 2, 1), ("y", 5, 3)]


@pytest.mark.parametrize(("asked", "cursor"), [(0, 3), (3, 3), (4, 4), (9, 6)])
def test_not_beyond_what_is_still_there(journal, asked, cursor):
    """Neither before the oldest telegram kept, nor ahead of where the output is."""
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq <= 3")
    assert again(journal, asked) == cursor


@pytest.mark.parametrize("cursor", [3, 4])
@pytest.mark.parametrize(("since", "sent"), [(5001.0, [1, 3]), (5003.0, [3]), (5003.5, [])])
def test_what_had_waited_aside_is_sent_again_too(journal, cursor, since, sent):
    """Of that kit, from its oldest on, in order, and only what this output does not have aside."""
    again(journal, cursor, p_a=since)
    left = [one for one in aside(journal) if one[0] == "x"]
    counted = values(journal, "SELECT acknowledged FROM outputs WHERE name = 'x'")
    assert left == [("x", "dead", 2), *(("x", "retry", at) for at in sent)]
    assert counted == [(cursor - 1 - len(sent),)]


def test_what_is_sent_again_from_aside_is_as_it_was(journal):
    """Ident, time, what is new and when it came."""
    again(journal, 4, p_a=5003.0)
    query = "SELECT kit, time, ident, new, at, reason, data FROM aside WHERE state = 'retry'"
    wanted = ("p_a", 3, 1, 0, 5003.0, "sent again", '{"time":3,"temp":3.0}')
    assert values(journal, query) == [wanted]


@pytest.mark.parametrize(("released", "count"), [({}, 2), ({"p_a": 5003.0}, 3)])
def test_it_is_told_once_that_something_is_sent_again(journal, released, count):
    """When, where and how many; not where there is nothing."""
    again(journal, 4, **released)
    again(journal, 4)
    text = f"the server was started again after its disk was full: {count} are sent again"
    events = values(journal, "SELECT at, who, kind, text FROM events")
    assert events == [(5006.0, "x", "again", text)]


@pytest.mark.parametrize(
    ("before", "then", "sent", "left"),
    [
        (3, 1, 2, 1),
        (3, None, 4, 3),
        (3, 3, 4, 3),
        (3, 5, 4, 5),
        (None, None, 4, 0),
        (None, 1, 4, 0),
    ],
)
def test_what_an_output_is_not_to_have_is_not_sent_again(journal, before, then, sent, left):
    """It is met again and counted again, so it is not counted meanwhile; each output by itself."""
    with journal.transaction() as db:
        for name, count in (("y", 7), ("x", before)):
            entry = (excluded_key(name), count)
            db.execute("INSERT INTO meta SELECT ?1, ?2 WHERE ?2 IS NOT NULL", entry)
    again(journal, 2, excluded=then)
    (event,) = values(journal, "SELECT text FROM events")
    counted = values(journal, "SELECT acknowledged FROM outputs WHERE name = 'x'")
    assert (excluded(journal, "x"), excluded(journal, "y")) == (left, 7)
    assert (f" {sent} are sent again" in event[0], counted) == (True, [(5 - sent,)])


def test_the_account_is_never_less_than_nothing(journal):
    """Also where something was counted otherwise before."""
    with journal.transaction() as db:
        db.execute("UPDATE outputs SET acknowledged = 1")
    again(journal, 0)
    assert values(journal, "SELECT acknowledged FROM outputs WHERE name = 'x'") == [(0,)]


def test_what_was_found_is_kept_with_it(journal):
    """So that it is sent again once for each start of the server."""
    again(journal, 4, p_a=5003.0)
    wanted = Doubtful(cursor=4, at=1.0, epoch="two", released={"p_a": 5003.0})
    assert doubtful(journal, "x") == wanted


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


@pytest.mark.parametrize("text", ["{", '{"a":1}'])
def test_what_is_kept_and_cannot_be_read_is_doubted_from_the_beginning(journal, text):
    """Better twice than never."""
    with journal.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('doubt x', ?)", (text,))
    assert doubtful(journal, "x") == Doubtful(cursor=0, at=5006.0, epoch=None)
