"""What waits in the journal for its time: nothing lost, nothing twice, and not without bounds."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import attrs
import pytest

from mysense.journal import Journal, undated
from mysense.journal.undated import Measured
from mysense.journal.view import View
from mysense.telegram import Ident
from tests.pipeline import telegram

IDENT = Ident(project="p", serial="1", fields=("time", "temp"), units=("s", "C"))


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def measured(number, **values):
    return Measured(IDENT, {"temp": float(number), **values}, 100.0 + number, 50.5 + number)


def keep(journal, count, boot="now", start=0, **values):
    undated.keep(journal, boot, [measured(n, **values) for n in range(start, start + count)])


def rows(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def waiting(journal):
    return [row.measured.data["temp"] for row in undated.oldest(journal, 10**6)]


def test_it_comes_back_as_it_went_in(journal):
    """Ident, values and both clocks; and which start it was."""
    keep(journal, 2)
    found = undated.oldest(journal)
    assert [(row.boot, row.measured) for row in found] == [
        ("now", measured(0)),
        ("now", measured(1)),
    ]


def test_each_has_its_own_ident(journal):
    """Also where a kit has had more than one."""
    moved = attrs.evolve(IDENT, village="Here")
    for ident in (IDENT, moved):
        undated.keep(journal, "now", [attrs.evolve(measured(0), ident=ident)])
    assert [row.measured.ident for row in undated.oldest(journal)] == [IDENT, moved]


def test_it_survives_a_restart(journal, tmp_path):
    """It is on disk when `keep` returns."""
    keep(journal, 2)
    journal.close()
    again = Journal(tmp_path / "journal.db")
    assert waiting(again) == [0.0, 1.0]
    again.close()


def test_dated_rows_are_telegrams(journal):
    """In order, and no longer waiting."""
    keep(journal, 3)
    undated.date(journal, undated.oldest(journal, 2), [1000, 1060], source="sampling")
    assert rows(journal, "SELECT time, data, new FROM telegrams ORDER BY seq") == [
        (1000, '{"time":1000,"temp":0.0}', 1),
        (1060, '{"time":1060,"temp":1.0}', 0),
    ]
    assert waiting(journal) == [2.0]


def test_dating_is_all_or_nothing(journal):
    """When the disk fails at the last step everything waits as before."""
    keep(journal, 2)

    def fail(_):
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        undated.date(journal, undated.oldest(journal), [1000, 1060], source="s", also=fail)
    assert (waiting(journal), rows(journal, "SELECT * FROM telegrams")) == ([0.0, 1.0], [])


def test_each_needs_its_time(journal):
    """With fewer times than rows none is moved: the others would be gone."""
    keep(journal, 2)
    with pytest.raises(ValueError, match="shorter"):
        undated.date(journal, undated.oldest(journal), [1000], source="s")
    assert (waiting(journal), rows(journal, "SELECT * FROM telegrams")) == ([0.0, 1.0], [])


@pytest.mark.parametrize(("wall", "time"), [(-7.5, 0), (0.5, 0), (1.5, 1)])
def test_no_clock_claims_a_time_before_1970(journal, wall, time):
    """No telegram has one."""
    undated.keep(journal, "earlier", [attrs.evolve(measured(0), wall=wall)])
    undated.bury(journal, ["now"])
    assert rows(journal, "SELECT time FROM aside") == [(time,)]


def test_what_cannot_be_dated_is_a_dead_letter(journal):
    """With the time that the clock claimed, and why; it can be exported."""
    keep(journal, 2, "earlier")
    keep(journal, 1, "now", start=7)
    assert undated.bury(journal, ["now"]) == 2
    assert waiting(journal) == [7.0]
    with View(journal.path) as view:
        (letter, ident), _ = view.dead()
    assert (letter["output"], letter["kit"], letter["time"], ident) == ("", "p_1", 50, IDENT)
    assert json.loads(letter["data"]) == {"time": 50, "temp": 0.0}
    assert "the clock claimed 50, 100 s after the start of the machine" in letter["reason"]


def test_many_are_buried_in_parts(journal, monkeypatch):
    """No transaction is long."""
    monkeypatch.setattr(undated, "CHUNK", 3)
    keep(journal, 7, "earlier")
    assert (undated.bury(journal, ["now"]), waiting(journal)) == (7, [])


def test_they_are_bounded(journal):
    """Half the journal is theirs; the oldest go, and that is a recorded gap."""
    keep(journal, 500, text="x" * 1000)
    assert undated.trim(journal, max_mb=0.5) > 200
    left = waiting(journal)
    (gap,) = rows(journal, "SELECT output, kit, first, last, count FROM gaps")
    assert gap == ("", "p_1", 50, 50 + int(left[0]) - 1, int(left[0]))
    assert left == [float(n) for n in range(int(left[0]), 500)]


@pytest.mark.parametrize(("part", "left"), [(1.0, 10), (1 - 1e-7, 9), (0.5, 4), (0.1, 0), (0.0, 0)])
def test_so_many_go(journal, part, left):
    """As few as will do, and one more; none where they fit to the byte."""
    keep(journal, 10)
    size = 10 * (len('{"temp":0.0}') + 80)
    dropped = undated.trim(journal, 2 * size * part / 1e6)
    assert (dropped, waiting(journal)) == (10 - left, [float(n) for n in range(10 - left, 10)])


def test_within_their_bounds_nothing_goes(journal):
    """Also an empty table has nothing to give."""
    nothing = undated.trim(journal, max_mb=1)
    keep(journal, 100)
    assert (nothing, undated.trim(journal, max_mb=1), len(waiting(journal))) == (0, 0, 100)


def test_gaps_add_up(journal, monkeypatch):
    """A kit that never hears a time server has one entry, not one a minute."""
    monkeypatch.setattr(undated, "MOST", 10)
    for start in range(0, 60, 20):
        keep(journal, 20, start=start)
        undated.trim(journal, max_mb=100)
    assert rows(journal, "SELECT first, last, count FROM gaps") == [(50, 99, 50)]


def test_gaps_stay_apart_from_others(journal, monkeypatch):
    """Those of telegrams that were lost are called by their number."""
    monkeypatch.setattr(undated, "MOST", 0)
    for number in range(4):
        with journal.transaction() as db:
            db.execute("INSERT INTO gaps VALUES (NULL, '', 'p_1', ?, 1, 1, 1, 1, '')", (number,))
    keep(journal, 1)
    undated.trim(journal, max_mb=100)
    assert rows(journal, "SELECT count FROM gaps") == [(1,)] * 5


def test_the_newest_time_is_that_of_kit_and_label(journal):
    """Others do not count."""
    journal.append([telegram(900, "a"), telegram(500, "b")])
    with journal.transaction():
        journal.ids(telegram(1, "c").ident)
    idents = [telegram(1, "b").ident, telegram(1, "c").ident, IDENT]
    assert [undated.newest(journal, ident) for ident in idents] == [500, 0, 0]


def test_of_what_was_let_go_the_hour_counts(journal):
    """A clock set back by weeks is seen also when the journal has grown empty."""
    journal.append([telegram(5, "a")])
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute("INSERT INTO hours SELECT id, 400000, 1 FROM sources")
    assert undated.newest(journal, telegram(1, "a").ident) == 400_000 * 3600


def test_hours_that_a_person_called_wrong_do_not_count(journal):
    """Also where no telegram is left."""
    with journal.transaction() as db:
        journal.ids(IDENT)
        db.execute("INSERT INTO hours VALUES (1, 2, 1), (1, 27, 1), (1, 400000, 1)")
    undated.accept(journal, 3 * 3600.0)
    assert undated.newest(journal, IDENT) == 27 * 3600


def test_times_that_a_person_called_wrong_do_not_count(journal):
    """Those before that was said; what comes later does."""
    journal.append([telegram(1_000, "a"), telegram(9_000_000, "a")])
    undated.accept(journal, 2_000.0)
    ident = telegram(1, "a").ident
    before = undated.newest(journal, ident)
    journal.append([telegram(8_000_000, "a")])
    assert (before, undated.newest(journal, ident)) == (1_000, 8_000_000)


def test_a_reader_is_told_what_waits(journal):
    """How many, since when by that clock, why, and what to do."""
    keep(journal, 2)
    with journal.transaction() as db:
        undated.remember(db, "clock", {"hold": ["unsynchronised", "no time server", "ask one"]})
    with View(journal.path) as view:
        found = undated.waiting(view)
    count, *why = found.lines()
    assert found.since == 50.5
    since = "the first since 1970-01-01 00:00 UTC by that clock"
    assert count == f"2 telegrams wait for the right time, {since}"
    assert why == ["because no time server", "to do: ask one"]


@pytest.mark.parametrize(("count", "kind", "lines"), [(0, "", 0), (0, "k", 3), (1, "", 1)])
def test_what_is_told_where_it_is_not_both(count, kind, lines):
    """That the clock is not trusted is worth telling before anything waits."""
    assert len(undated.Waiting(count, None, kind, "why", "fix").lines()) == lines


def test_where_nothing_waits_nothing_is_told(journal):
    """Most kits, most of the time."""
    with View(journal.path) as view:
        assert undated.waiting(view).lines() == []


# -- where a damage has spoiled what is kept -------------------------------------------------------


@pytest.mark.parametrize("spoiled", ['{"head"', '{"haed": 1, "wall": 5.0}', "7"])
def test_what_is_known_of_the_clock_may_be_spoiled(journal, spoiled):
    """It is as if it was not there: neither an engine nor `status` ends by it."""
    journal.append([telegram(7000)])
    ident = telegram(7000).ident
    with journal.transaction() as db:
        entries = [(key, spoiled) for key in ("clock", "clock accepted")]
        db.executemany("INSERT INTO meta VALUES (?, ?)", entries)
    with View(journal.path) as view:
        assert (undated.waiting(view).kind, undated.newest(journal, ident)) == ("", 7000)


def test_a_row_that_is_spoiled_stays_behind(journal):
    """In the damaged file; the others go on."""
    keep(journal, 3)
    with journal.transaction() as db:
        db.execute("UPDATE undated SET data = '{\"temp' WHERE id = 2")
    with pytest.raises(sqlite3.DatabaseError, match="is not what was written"):
        undated.oldest(journal)
    assert waiting(journal) == [0.0, 2.0]
