"""How far inputs have read: only what has changed is written, and nothing is missed."""

from __future__ import annotations

import pytest

from mysense.journal import Journal
from mysense.journal.view import View
from tests.pipeline import telegram

MANY = {f"p_{kit}": [0, ["a", "b"]] for kit in range(500)}


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def read(journal, source="feed"):
    """The position as another process, or the next start, finds it."""
    with View(journal.path) as view:
        rows = view.all("SELECT key, value FROM positions WHERE input = ?", source)
    return {row["key"]: row["value"] for row in rows}


def statements(journal, position):
    """What SQLite is told about positions in a commit."""
    told = []
    journal._db.set_trace_callback(told.append)
    journal.append([], source="feed", position=position)
    journal._db.set_trace_callback(None)
    return [text for text in told if "positions" in text]


def test_the_entries_of_other_kits_are_left_alone(journal):
    """However many there are."""
    journal.append([], source="feed", position=MANY)
    (only,) = statements(journal, MANY | {"p_7": [1, []]})
    assert only.startswith("INSERT OR REPLACE INTO positions VALUES ('feed', 'p_7', '[1,[]]')")
    assert (read(journal)["p_7"], read(journal)["p_8"]) == ("[1,[]]", '[0,["a","b"]]')


def test_a_start_writes_nothing_that_is_there(journal):
    """What was written by the engine before is compared with."""
    journal.append([], source="feed", position=MANY)
    journal.close()
    again = Journal(journal.path)
    (asked,) = statements(again, dict(MANY))
    again.close()
    assert asked.startswith("SELECT")


def test_an_entry_that_is_gone_is_removed(journal):
    """And one that comes again is written again."""
    journal.append([], source="feed", position={"a": 1, "b": 2})
    journal.append([], source="feed", position={"b": 2})
    assert read(journal) == {"b": "2"}
    journal.append([], source="feed", position={"a": 1, "b": 2})
    assert read(journal) == {"a": "1", "b": "2"}


def test_what_was_not_committed_is_written_the_next_time(journal):
    """A commit that fails keeps nothing, whatever was told in it."""
    journal.append([], source="feed", position={"a": 1, "z": 0})

    def fail(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        journal.append([telegram(1)], source="feed", position={"a": 2}, also=fail)
    assert read(journal) == {"a": "1", "z": "0"}
    journal.append([telegram(1)], source="feed", position={"a": 2})
    assert read(journal) == {"a": "2"}


def test_inputs_have_positions_of_their_own(journal):
    """Keys may be the same."""
    journal.append([], source="feed", position={"a": 1})
    journal.append([], source="other", position={"a": 2})
    journal.append([], source="feed", position={"a": 3})
    assert (read(journal), read(journal, "other")) == ({"a": "3"}, {"a": "2"})


@pytest.mark.parametrize("entry", [[1], {"n": 1}])
def test_an_entry_that_was_changed_in_place_is_seen(journal, entry):
    """A plugin may keep one list for good, as long as it does not nest others."""
    journal.append([], source="feed", position={"a": entry})
    entry.append(2) if isinstance(entry, list) else entry.update(n=2)
    journal.append([], source="feed", position={"a": entry})
    assert "2" in read(journal)["a"]


def test_a_journal_that_was_salvaged_gets_all_of_it(journal):
    """Positions may be what was lost."""
    journal.append([], source="feed", position=MANY)
    with journal.transaction() as db:
        db.execute("DELETE FROM positions")
    journal._renew("a test says so")
    journal.append([], source="feed", position=MANY)
    assert len(read(journal)) == len(MANY)
