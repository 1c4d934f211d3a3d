"""An output that is forgotten: nothing of it is left but a note, and nothing of others goes."""

from __future__ import annotations

import json

import attrs
import pytest

from mysense.journal import Journal
from mysense.journal.forgetting import NOTES, Forgotten, forget, noted
from mysense.journal.view import View
from tests.pipeline import telegram

KEPT = ("asked", "excluded", "doubt")


ASIDE = {"foo": ("held", "held", "retry", *4 * ("dead",)), "bar": ("held", "dead")}
GAPS = {"foo": (6, 1), "bar": (5,)}


@pytest.fixture
def journal(tmp_path):
    """Outputs foo and bar, of which the journal keeps all that it can."""
    journal = Journal(tmp_path / "journal.db", now=lambda: 9.0)
    journal.append([telegram(at) for at in range(8)])
    for name in ("foo", "bar"):
        journal.register(name)
        with journal.transaction() as db:
            everything_of(db, name)
    yield journal
    journal.close()


def everything_of(db, name):
    db.execute("UPDATE outputs SET cursor = 3, acknowledged = 2 WHERE name = ?", (name,))
    for state in ASIDE[name]:
        aside = "INSERT INTO aside (output, state, kit, at, reason, data)"
        db.execute(f"{aside} VALUES (?, ?, 'p', 0, '', '')", (name, state))
    for count in GAPS[name]:
        gap = (name, count, count)
        db.execute("INSERT INTO gaps VALUES (NULL, ?, 'p_a', ?, 1, 2, ?, 0, 'full')", gap)
    request = "INSERT INTO requests (verb, output, at) VALUES ('pause', ?, 0)"
    db.execute(request, (name,))
    db.executemany("INSERT INTO meta VALUES (?, 1)", [(f"{key} {name}",) for key in KEPT])


def left(journal, name):
    """All that the journal keeps of an output."""
    with View(journal.path) as view:
        tables = {"outputs": "name", "aside": "output", "gaps": "output", "requests": "output"}
        found = {
            table: [tuple(row) for row in view.all(f"SELECT * FROM {table} WHERE {of} = ?", name)]
            for table, of in tables.items()
        }
        meta = "SELECT key FROM meta WHERE key GLOB ? ORDER BY key"
        return found | {"meta": [row["key"] for row in view.all(meta, f"* {name}")]}


def test_it_goes_with_all_that_is_kept_of_it(journal):
    """What is paused, excluded and doubted, gaps, requests and what was set aside."""
    with journal.transaction() as db:
        forget(db, "foo", 9.0)
    nothing = {"outputs": [], "aside": [], "gaps": [], "requests": []}
    assert left(journal, "foo") == {**nothing, "meta": ["forgotten foo"]}


def test_others_keep_all(journal):
    """To the last request and gap."""
    before = left(journal, "bar")
    with journal.transaction() as db:
        forget(db, "foo", 9.0)
    assert left(journal, "bar") == before
    assert all(before.values())


def test_its_account_is_noted(journal):
    """How many it had, and what it never got: by number, and in words as an event."""
    with journal.transaction() as db:
        told = forget(db, "foo", 9.0)
        notes = noted(db.execute(NOTES))
    assert notes == [told] == [Forgotten("foo", 9.0, 2, waiting=5, held=3, dead=4, gaps=7)]
    with View(journal.path) as view:
        (event,) = view.all("SELECT at, who, text FROM events WHERE kind = 'forgotten'")
    text = "forgotten, as asked: 2 acknowledged, 5 waited, 3 were held, 4 dead, 7 in gaps"
    assert tuple(event) == (9.0, "foo", text)


def test_forgotten_twice_is_added_up(journal):
    """An output may come again, and go again."""
    with journal.transaction() as db:
        first = forget(db, "foo", 1.0)
    journal.register("foo")
    with journal.transaction() as db:
        everything_of(db, "foo")
        forget(db, "foo", 2.0)
        (note,) = noted(db.execute(NOTES))
    twice = {key: 2 * value for key, value in attrs.asdict(first).items() if key != "name"}
    assert note == Forgotten("foo", **{**twice, "at": 2.0})


def test_they_are_listed_by_name(journal):
    """Also one that never had anything."""
    journal.register("new")
    with journal.transaction() as db:
        told = [forget(db, name, 9.0) for name in ("new", "foo", "bar")]
        assert noted(db.execute(NOTES)) == [told[2], told[1], told[0]]
    assert told[0] == Forgotten("new", 9.0, 0, waiting=8, held=0, dead=0, gaps=0)


def test_none_is_noted_that_is_not_there(journal):
    """A slip of the name leaves no trace."""
    with journal.transaction() as db:
        assert forget(db, "foe", 9.0) is None
    assert left(journal, "foe")["meta"] == []


def test_only_who_asks_for_it_forgets(journal):
    """A request that this MySense does not know is let go of; so is one for an output that runs."""
    for verb, output in (("forgive", "bar"), ("forget", "bar"), ("forget", "foo")):
        with journal.transaction() as db:
            request = "INSERT INTO requests (verb, output, at) VALUES (?, ?, 0)"
            db.execute(request, (verb, output))
    journal.close()
    again = Journal(journal.path)
    again.register("bar")
    again.obey()
    again.close()
    kept = {name: bool(left(journal, name)["aside"]) for name in ("foo", "bar")}
    assert kept == {"foo": False, "bar": True}


@pytest.mark.parametrize("note", ["", "[]", "{}", "{", '{"more": 1}'])
def test_a_note_that_cannot_be_read_is_left_out(note):
    """The journal may have been damaged since; status tells the rest."""
    whole = Forgotten("bar", 9.0, 1, waiting=2, held=3, dead=4, gaps=5)
    counts = {key: value for key, value in attrs.asdict(whole).items() if key != "name"}
    notes = [("forgotten foo", note), ("forgotten bar", json.dumps(counts))]
    assert noted(notes) == [whole]
