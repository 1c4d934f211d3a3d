"""What a salvage makes of damaged rows: nothing whole is lost for them, nothing doubled."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest

from mysense.journal.copies import NOTES
from mysense.journal.formats import PAGE_SIZE, orders
from mysense.journal.saved import Case, fill
from mysense.journal.tables import Tables

HOUR = 3600
ORPHANED = "the journal was damaged: the ident of this telegram is lost"
IDENTS = {  # number, source
    1: (1, {"project": "p", "serial": "a"}),
    2: (2, {"project": "p", "serial": "b"}),
    3: (3, {"project": "p", "serial": "a", "label": "roof"}),
}


class Damaged:
    """A journal without any rule: whatever damage makes of rows can be put into it."""

    def __init__(self, folder):
        self.new, self.looked = folder / "new.db", False
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for text in orders()[0]:
            rules = r" NOT NULL| CHECK \([^)]*\)\)| TEXT| REAL| INTEGER(?! PRIMARY)"
            loose = re.sub(rules, "", text)
            self.db.execute(loose.replace("UNIQUE INDEX", "INDEX"))
        self.put("sources", (1, "p_a", ""), (2, "p_b", ""), (3, "p_a", "roof"))
        self.put("idents", *((n, s, json.dumps(body)) for n, (s, body) in IDENTS.items()))

    def put(self, table, *rows):
        for row in rows:
            self.db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)

    def telegrams(self, *numbers, **values):
        self.put("telegrams", *(telegram(number, **values) for number in numbers))

    def outputs(self, *cursors):
        for name, cursor in zip("xyz", cursors, strict=False):
            self.db.execute("INSERT INTO outputs (name, cursor) VALUES (?, ?)", (name, cursor))
            self.db.execute("UPDATE outputs SET paused = 0, acknowledged = 0, retries = 0")

    def number(self, **last):
        for name, number in last.items():
            self.db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            self.put("sqlite_sequence", (name, number))

    def salvage(self, *leaves, settled=0):
        """Returns what is told."""

        def found():
            self.looked = True
            return list(leaves)

        self.new.unlink(missing_ok=True)
        return fill(self.new, Tables(self.db), found, Case("because", "kept", 9.5, settled))

    def rows(self, query):
        with closing(sqlite3.connect(self.new)) as db:
            return db.execute(query).fetchall()

    def numbers(self):
        return [number for (number,) in self.rows("SELECT seq FROM telegrams ORDER BY seq")]


def telegram(seq, ident=1, *, source=None, time=None, data=None):
    """A row of `telegrams`."""
    time = seq if time is None else time
    data = data or json.dumps({"time": time, "temp": 1.5})
    source = IDENTS[ident][0] if source is None else source
    return (seq, "telegram", source, time, ident, 0, 5.5, data)


@pytest.fixture
def damaged(tmp_path):
    made = Damaged(tmp_path)
    yield made
    made.db.close()


TABLES = {
    "telegrams": [telegram(1), telegram(2, 2), telegram(3, 3)],
    "kits": [("p_a", 1), ("p_b", 2)],
    "outputs": [
        ("x", 1, "r", 1, 5, 6, 7.5, "bad", 8.5, 1, 1, 0, 2.5, 9.5),
        ("y", 3, None, 0, 0, 0, None, None, None, None, None, None, None, None),
    ],
    "aside": [
        (4, "x", "held", "p_a", 1, 1, 0, 5.5, "no", '{"time":1}'),
        (5, "", "dead", "feed", None, None, None, 5.5, "no telegram", "???"),
    ],
    "gaps": [(1, "x", "p_a", 5, 6, 7, 8, 5.5, "full")],
    "hours": [(1, 4, 5), (2, 4, 5)],
    "undated": [(1, "boot", 5.5, 6, 1, 7.5, "{}")],
    "positions": [("feed", "next", "5")],
    "requests": [(1, "pause", "x", "", 5.5)],
    "meta": [("pruned", 5.5)],
    "events": [(1, 5.5, None, "clock", "jump", "by an hour")],
}


@pytest.fixture
def whole(damaged):
    """One with something in every table."""
    for name, rows in TABLES.items():
        damaged.put(name, *rows)
    damaged.number(telegrams=3, aside=7)
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
    ((_, note),) = whole.rows(NOTES)
    assert json.loads(note)["lost"] is None


@pytest.mark.parametrize("known", [True, False])
def test_an_empty_journal_lost_nothing(damaged, known):
    """Where it says that it gave no number yet; else that is not known."""
    if known:
        damaged.number(telegrams=0)
    told = damaged.salvage()
    said = "no telegram is" if known else "how many there were"
    assert f"saved 0 telegrams, 0 set aside, 0 gaps, no output's place; {said}" in told
    numbers = damaged.rows("SELECT * FROM sqlite_sequence ORDER BY name")
    ((_, note),) = damaged.rows(NOTES)
    assert numbers == [("aside", 0), ("telegrams", 0)]
    assert json.loads(note)["lost"] == (0 if known else None)


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
    ((_, note),) = damaged.rows(NOTES)
    assert json.loads(note)["lost"] == 1
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


# -- what is lost -------------------------------------------------------------------------------

BAD = {"data": "{"}  # the index still knows of it


def gaps(damaged):
    query = "SELECT output, kit, since, first, last, count FROM gaps ORDER BY output, since, kit"
    return damaged.rows(query)


def test_what_the_index_knows_of_is_in_the_gaps_and_in_the_ledger(damaged):
    """By kit and second; for each output that had not had it."""
    damaged.outputs(0, 2)
    damaged.put("hours", (1, 2, 5))
    at = {number: 2 * HOUR + number for number in range(1, 6)}
    damaged.telegrams(1, time=at[1])
    damaged.telegrams(2, time=at[2], **BAD)
    damaged.telegrams(3, time=at[3], **BAD)
    damaged.telegrams(4, ident=2, time=3 * HOUR - 1, **BAD)
    damaged.telegrams(5, time=at[5])
    told = damaged.salvage()
    assert gaps(damaged) == [
        ("x", "p_a", 2, at[2], at[3], 2),
        ("x", "p_b", 2, 3 * HOUR - 1, 3 * HOUR - 1, 1),
        ("y", "p_a", 3, at[3], at[3], 1),
        ("y", "p_b", 3, 3 * HOUR - 1, 3 * HOUR - 1, 1),
    ]
    assert damaged.rows("SELECT * FROM hours ORDER BY 1, 2") == [(1, 2, 7), (2, 2, 1)]
    assert told.endswith("; 3 telegrams are lost, see the gaps")
    ((_, note),) = damaged.rows(NOTES)
    assert json.loads(note)["lost"] == 3


@pytest.mark.parametrize(
    ("given", "lost", "head"),
    [
        (None, [7], 7),
        (None, [10_004], 10_004),
        (None, [10_005], 5),
        (None, [], 5),
        (3, [], 5),
        (3, [7], 7),
        (5, [7], 5),
        (6, [], 6),
        (9, [7], 9),
    ],
)
def test_how_far_the_numbers_went(damaged, given, lost, head):
    """As is written down; else as the last telegram or the index say, within reason."""
    damaged.outputs(0)
    damaged.telegrams(1, 2, 4, 5)
    damaged.telegrams(3, *lost, **BAD)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    if given is not None:
        damaged.number(telegrams=given)
    damaged.salvage()
    query = "SELECT seq FROM sqlite_sequence WHERE name = 'telegrams'"
    missed = damaged.rows("SELECT coalesce(sum(count), 0) FROM gaps")
    ledger = damaged.rows("SELECT sum(count) FROM hours")
    counted = len([number for number in (3, *lost) if number <= head])
    assert (damaged.rows(query), missed, ledger) == ([(head,)], [(head - 4,)], [(counted,)])


def test_a_number_that_stands_alone_is_not_believed(damaged):
    """Nothing else says that there were so many."""
    damaged.telegrams(10_000, **BAD)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    damaged.salvage()
    assert damaged.rows("SELECT seq FROM sqlite_sequence WHERE name = 'telegrams'") == [(0,)]


@pytest.mark.parametrize(
    ("values", "kit"),
    [
        ({"time": 0}, "p_a"),
        ({"time": -1}, "?"),
        ({"source": "x"}, "?"),
        ({"source": -1}, "?"),
        ({"time": 1.5}, "?"),
    ],
)
def test_what_the_index_says_may_be_damaged_as_well(damaged, values, kit):
    """Then it is lost, and nobody knows whose it was."""
    damaged.outputs(0)
    damaged.telegrams(1, 3)
    damaged.telegrams(2, **values, **BAD)
    damaged.salvage()
    assert [row[1] for row in gaps(damaged)] == [kit]


@pytest.mark.parametrize(("numbers", "looks"), [([1, 2, 3], 0), ([1, 3], 1)])
def test_the_index_is_looked_at_where_something_is_missing(damaged, numbers, looks):
    """Once, where it can be read: it may be large."""
    damaged.outputs(0)
    damaged.telegrams(*numbers)
    said = []
    damaged.db.set_trace_callback(said.append)
    damaged.salvage()
    assert len([query for query in said if "SELECT seq, source, time" in query]) == looks


def test_what_was_lost_earlier_is_not_lost_with_this_one(whole):
    """What only its copy may hold is what is missing now."""
    whole.number(telegrams=5)
    whole.db.execute("UPDATE outputs SET cursor = 5 WHERE name = 'y'")
    whole.salvage()
    ((_, note),) = whole.rows(NOTES)
    assert json.loads(note)["lost"] == 2


@pytest.mark.parametrize(("cursor", "stays"), [(-1, False), (0, True), (5, True), (6, False)])
def test_a_place_that_cannot_be_is_none(damaged, cursor, stays):
    """The output begins with the oldest telegram: more than once, rather than never."""
    damaged.outputs(cursor)
    damaged.telegrams(1, 2, 3, 4, 5)
    damaged.salvage()
    assert bool(damaged.rows("SELECT * FROM outputs")) is stays


@pytest.mark.parametrize(
    ("numbers", "cursors", "last", "looked"),
    [
        ([1, 2, 3], [0], 3, False),
        ([2, 3], [1], 3, False),
        ([2, 3], [2, 3], 3, False),
        ([2, 3], [3, 0], 3, True),
        ([1, 3], [0], 3, True),
        ([1, 2], [0], 3, True),
        ([1, 2], [], 2, True),
        ([1, 2], ["x"], 2, True),
        ([], [3], 3, True),
        ([], [0], 0, False),
        ([1, 3], [0], 0, True),
        ([1], [0], None, True),
        ([], [0], None, True),
    ],
)
def test_pages_are_looked_through_where_something_is_missing(
    damaged, numbers, cursors, last, looked
):
    """All of them: that takes its time."""
    damaged.outputs(*cursors)
    damaged.telegrams(*numbers)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    if last is not None:
        damaged.number(telegrams=last)
    damaged.salvage()
    assert damaged.looked is looked


@pytest.mark.parametrize(
    ("cursor", "known", "last", "expected"),
    [
        (9, [], 13, range(9, 14)),
        (8, [], 13, range(8, 14)),
        (9, [7], 13, range(7, 14)),
        (9, [], 12, range(9, 13)),
        (9, [], 11, range(9, 15)),
        (9, [], 0, range(9, 15)),
        (14, [], 13, range(10, 14)),
    ],
)
def test_what_was_let_go_does_not_come_back(damaged, cursor, known, last, expected):
    """It may still stand on a page; nor does what was never acknowledged."""
    damaged.outputs(cursor)
    damaged.telegrams(10, 12)
    damaged.telegrams(*known, **BAD)
    damaged.number(telegrams=last)
    damaged.salvage([telegram(number) for number in range(5, 15)])
    assert damaged.numbers() == list(expected)


def test_what_was_let_go_does_not_come_back_without_an_index(damaged):
    """The first that is found tells where it ends."""
    damaged.outputs(14)
    damaged.telegrams(10, 12)
    damaged.number(telegrams=13)
    damaged.db.execute("DROP INDEX identity")
    damaged.salvage([telegram(number) for number in range(5, 15)])
    assert damaged.numbers() == [10, 11, 12, 13]


@pytest.mark.parametrize(("last", "expected"), [(None, [1, 2, 3]), (2, [1, 2]), (0, [])])
def test_where_nothing_else_is_known_all_that_is_found_counts(damaged, last, expected):
    """Up to the highest number that was given, if that is known."""
    if last is not None:
        damaged.number(telegrams=last)
    damaged.salvage([telegram(number) for number in (1, 2, 3)])
    assert damaged.numbers() == expected


def test_columns_of_another_time_are_left_out(damaged):
    """What a declaration says may be damaged, too."""
    damaged.db.execute("ALTER TABLE telegrams ADD COLUMN more")
    damaged.put("telegrams", (*telegram(1), "more"))
    damaged.salvage()
    assert damaged.rows("SELECT * FROM telegrams") == [telegram(1)]


def test_what_every_output_has_had_may_stay_behind(damaged):
    """It is counted where what is let go is counted, and only there."""
    damaged.outputs(3, 4)
    damaged.put("hours", (1, 0, 5))
    damaged.telegrams(1, time=2 * HOUR - 1)
    damaged.telegrams(2, **BAD)
    damaged.telegrams(3, time=HOUR)
    damaged.telegrams(5)
    damaged.telegrams(6, **BAD)
    damaged.number(telegrams=6)
    told = damaged.salvage([telegram(number) for number in range(1, 5)], settled=3)
    assert damaged.numbers() == [4, 5]
    assert damaged.rows("SELECT * FROM hours") == [(1, 0, 6), (1, 1, 2)]
    assert gaps(damaged) == [("x", "p_a", 6, 6, 6, 1), ("y", "p_a", 6, 6, 6, 1)]
    assert told.endswith(
        "; 1 telegrams are lost, see the gaps"
        "; 3 that every output has had stay there, for want of room"
    )
    ((_, note),) = damaged.rows(NOTES)
    assert json.loads(note)["lost"] == 4


def test_a_telegram_that_made_no_sense_may_be_lost(damaged):
    """Also where every output has had it, and nothing else tells."""
    damaged.outputs(3)
    damaged.telegrams(1, 3)
    damaged.put("telegrams", (2, "telex", *telegram(2)[2:]))
    damaged.number(telegrams=3)
    damaged.salvage()
    ((_, note),) = damaged.rows(NOTES)
    assert json.loads(note)["lost"] is None


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
    ((_, note),) = damaged.rows(NOTES)
    assert json.loads(note)["lost"] == (None if noted else 0)
