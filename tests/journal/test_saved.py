"""What a salvage makes of damaged rows: nothing whole is lost for them, nothing doubled."""

from __future__ import annotations

import json

import pytest

from mysense.journal.formats import PAGE_SIZE
from tests.journal.loose import TABLES, Damaged, telegram

ORPHANED = "the journal was damaged: the ident of this telegram is lost"


@pytest.fixture
def damaged(tmp_path):
    made = Damaged(tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def whole(damaged):
    damaged.put_everything()
    return damaged


def test_what_is_whole_stays_as_it_was(whole):
    """Every row of every table, and the numbers that are given next; only the salvage is added."""
    told = whole.salvage()
    found = {name: whole.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}
    (event,), (kept,) = found["events"][1:], found["meta"][:1]
    saved = (
        "saved 3 telegrams, 2 set aside, 1 gaps, the places of x, y; "
        "no telegram is known to be lost"
    )
    assert told == f"the journal was damaged (because), kept as kept; {saved}"
    assert event[1:] == (9.5, None, "journal", "salvaged", told)
    assert (kept[0], json.loads(kept[1])) == ("kept kept", {"told": saved, "lost": 0})
    del found["events"][1], found["meta"][0]
    assert found == TABLES
    assert whole.rows("SELECT * FROM sqlite_sequence ORDER BY name") == [
        ("aside", 7),
        ("telegrams", 3),
    ]
    assert whole.rows("PRAGMA page_size") == [(PAGE_SIZE,)]
    assert not whole.looked


def test_what_a_column_is_called_says_nothing(whole):
    """The list of tables is text, and may be damaged."""
    for name in ("aside", "positions", "outputs"):
        column = whole.db.execute(f"PRAGMA table_info({name})").fetchall()[1][1]
        whole.db.execute(f"ALTER TABLE {name} RENAME COLUMN {column} TO other")
    whole.salvage()
    for name in ("aside", "positions", "outputs"):
        assert whole.rows(f"SELECT * FROM {name} ORDER BY 1, 2") == TABLES[name]


@pytest.mark.parametrize(
    "numbers", [{"telegrams": "x"}, {"telegrams": -1}, {"telegrams": None}, {}]
)
def test_how_many_there_were_is_not_known(whole, numbers):
    """Then nobody can say that nothing is lost; the highest number is that of the last."""
    whole.db.execute("DELETE FROM sqlite_sequence")
    whole.number(**numbers)
    assert whole.salvage().endswith("; how many there were is not known any more")
    assert whole.rows("SELECT * FROM sqlite_sequence ORDER BY name") == [
        ("aside", 5),
        ("telegrams", 3),
    ]
    assert whole.only_there() is None


@pytest.mark.parametrize("known", [True, False])
def test_an_empty_journal_lost_nothing(damaged, known):
    """Where it says that it gave no number yet; else that is not known."""
    if known:
        damaged.number(telegrams=0)
    told = damaged.salvage()
    said = "no telegram is" if known else "how many there were"
    assert f"saved 0 telegrams, 0 set aside, 0 gaps, no output's place; {said}" in told
    numbers = damaged.rows("SELECT * FROM sqlite_sequence ORDER BY name")
    assert numbers == [("aside", 0), ("telegrams", 0)]
    assert damaged.only_there() == (0 if known else None)


# -- telegrams that are nobody's ----------------------------------------------------------------


def test_telegrams_without_their_ident_are_dead_letters(damaged):
    """With the kit of their source, where that is known; once, however often they are found."""
    damaged.outputs(0)
    damaged.telegrams(1)
    orphans = [telegram(2, 7, source=1), telegram(3, 8, source=9), telegram(4, 1, source=2)]
    damaged.put("telegrams", *orphans)
    told = damaged.salvage(orphans, orphans, [telegram(1)])
    query = "SELECT output, state, kit, time, ident, at, reason, data FROM aside ORDER BY time"
    assert damaged.rows(query) == [
        ("", "dead", kit, row[3], None, 5.5, ORPHANED, row[7])
        for kit, row in zip(["p_a", "?", "p_b"], orphans, strict=True)
    ]
    assert told.endswith("; 3 have lost their ident and are dead letters")
    assert damaged.numbers() == [1]


def test_what_was_set_aside_is_not_lost_for_them(damaged):
    """Their entries get numbers that were never given."""
    damaged.put("aside", *TABLES["aside"])
    damaged.put("aside", (1, "y", "held", "p_a", 1, 1, 0, 5.5, "no", '{"time":1}'))
    damaged.number(aside=7)
    damaged.put("telegrams", telegram(2, 7, source=1))
    damaged.salvage()
    assert damaged.rows("SELECT id FROM aside ORDER BY id") == [(1,), (4,), (5,), (8,)]


def test_two_that_cannot_both_be_are_one(damaged):
    """The same number or the same second: the first that was found."""
    damaged.outputs(0)
    damaged.telegrams(1)
    damaged.put("telegrams", telegram(2, time=1), telegram(3))
    damaged.number(telegrams=5)
    other = telegram(5, 7, source=1, time=8)
    damaged.salvage([telegram(3, time=9), telegram(4, time=3), telegram(5), other])
    assert damaged.rows("SELECT seq, time FROM telegrams") == [(1, 1), (3, 3), (5, 5)]
    assert damaged.rows("SELECT * FROM aside") == []


def test_undated_ones_without_their_ident_are_dead_letters(damaged):
    """With the time that the clock claimed."""
    damaged.put(
        "undated", (1, "boot", 5.5, 6.5, 1, 7.5, "{}"), (2, "boot", 5.5, -6.5, 7, 7.5, '{"a":1}')
    )
    told = damaged.salvage()
    query = "SELECT output, state, kit, time, ident, at, reason, data FROM aside"
    assert damaged.rows(query) == [("", "dead", "?", 0, None, 7.5, ORPHANED, '{"a":1}')]
    assert damaged.rows("SELECT id FROM undated") == [(1,)]
    assert damaged.only_there() == 1
    assert told.endswith("; 1 have lost their ident and are dead letters")


# -- who ----------------------------------------------------------------------------------------


def test_the_last_ident_of_a_kit_is_that_of_its_last_telegram(damaged):
    """Whatever its label; where it is not known, or lost."""
    damaged.put("idents", (4, 1, '{"project":"p","serial":"a","village":"v"}'))
    for seq, ident in enumerate((1, 2, 3, 4, 2), 1):
        damaged.telegrams(seq, ident=ident, source=(1, 2, 3, 1)[ident - 1])
    damaged.put("kits", ("p_b", 9))
    damaged.salvage()
    assert damaged.rows("SELECT * FROM kits ORDER BY kit") == [("p_a", 4), ("p_b", 2)]


def test_the_last_ident_of_a_kit_stays(damaged):
    """It may be of a telegram that was let go."""
    damaged.telegrams(1)
    damaged.put("kits", ("p_a", 3))
    damaged.salvage()
    assert damaged.rows("SELECT * FROM kits ORDER BY kit") == [("p_a", 3)]


@pytest.mark.parametrize("number", [1, None, "x"])
def test_a_source_is_made_again_from_its_ident(damaged, number):
    """With its number, if that is known; another one must not get it."""
    damaged.db.execute("DELETE FROM sources WHERE id = 1")
    damaged.db.execute("UPDATE idents SET source = ? WHERE id = 1", (number,))
    damaged.salvage()
    ((found,),) = damaged.rows("SELECT id FROM sources WHERE kit = 'p_a' AND label = ''")
    expected = [(1, found), (2, 2), (3, 3)]
    assert damaged.rows("SELECT id, source FROM idents ORDER BY id") == expected
    assert (found == 1) is (number == 1)


def test_what_is_no_ident_is_left_out(damaged):
    """Nobody could read it."""
    damaged.put("idents", (5, 1, "{"), (6, 1, None), (7, 1, '{"serial":"x"}'))
    damaged.salvage()
    assert damaged.rows("SELECT id FROM idents ORDER BY id") == [(1,), (2,), (3,)]


# -- rows that make no sense --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "row", "noted"),
    [
        ("aside", (9, "x", None, "p_a", 1, 1, 0, 5.5, "no", "{}"), True),
        ("aside", (9, "x", "held", 5, 1, 1, 0, 5.5, "no", "{}"), True),
        ("aside", (9, "x", "held", "p_a", "x", 1, 0, 5.5, "no", "{}"), True),
        ("aside", (9, "x", "held", "p_a", 1, 1, 0, "x", "no", "{}"), True),
        ("aside", (9, "x", "held", "p_a", 1, 1, 0, 5.5, "no", "{"), True),
        ("aside", (9, "x", "lost", "p_a", 1, 1, 0, 5.5, "no", "{}"), False),
        ("positions", ("other", "next", "{"), True),
        ("positions", ("other", "next", None), True),
        ("hours", (1, 5.5, 1), True),
        ("kits", ("p_c", "x"), True),
        ("outputs", ("z", None, *[0] * 12), False),
        ("undated", (9, "boot", None, 6, 1, 7.5, "{}"), True),
    ],
)
def test_what_makes_no_sense_is_left_out(damaged, table, row, noted):
    """All others stay, and it is noted that something may be missing."""
    damaged.telegrams(1, 2, 3)
    for name in {"outputs", "kits", table}:
        damaged.put(name, *TABLES[name])
    damaged.put(table, row)
    damaged.salvage()
    assert damaged.rows(f"SELECT * FROM {table} ORDER BY 1, 2") == TABLES[table]
    assert damaged.only_there() == (None if noted else 0)
