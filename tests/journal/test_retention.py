"""What the journal lets go, in which order, and that it writes down what was given up."""

from __future__ import annotations

from contextlib import closing

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.retention import trim
from mysense.journal.view import View
from tests.journal.looking import kept, values
from tests.pipeline import counts, telegram

DAY = 86_400
NEVER = float("inf")


def fill(journal, count, kit="a", start=0, size=0):
    journal.append([telegram(at, kit, text="x" * size) for at in range(start, start + count)])


def settle(journal, output, upto, state="acknowledged"):
    """As a delivery does with all up to number `upto`."""
    cursor, _ = journal.register(output)
    with View(journal.path) as opened:
        rows = [row for row in opened.rows(cursor, 10**6, 10**9) if row.seq <= upto]
    if state == "acknowledged":
        journal.settle(output, Outcome(upto, rows))
    else:
        journal.settle(output, Outcome(upto, **{state: [(row, "because") for row in rows]}))


# -- by age -------------------------------------------------------------------------------------


def test_old_and_delivered_goes(journal, now):
    """Young telegrams stay, and so do old ones that some output has not settled."""
    fill(journal, 3)
    settle(journal, "x", 2)
    now.now += 31 * DAY
    fill(journal, 2, start=3)
    assert trim(journal, NEVER, 30, now) == 0
    assert kept(journal) == [2, 3, 4]


def test_the_slowest_output_decides(journal, now):
    """Nothing goes that one of the running outputs still wants."""
    fill(journal, 4)
    settle(journal, "x", 4)
    settle(journal, "y", 1)
    now.now += 31 * DAY
    trim(journal, NEVER, 30, now)
    assert (kept(journal), counts(journal, "y")) == ([1, 2, 3], (1, 3, 0, 0, 0))


def test_without_outputs_nothing_goes_by_age(journal, now):
    """An output that is switched on later gets all that is kept."""
    fill(journal, 4)
    now.now += 31 * DAY
    trim(journal, NEVER, 30, now)
    assert len(kept(journal)) == 4


def test_young_telegrams_stay(journal, now):
    """Delivered is not old."""
    fill(journal, 4)
    settle(journal, "x", 4)
    trim(journal, NEVER, 30, now)
    assert len(kept(journal)) == 4


def test_a_clock_that_was_wrong_drops_nothing_young(journal, now):
    """A telegram noted in 1970 goes with those before it, not on its own ahead of them."""
    fill(journal, 2)
    now.now, right = 5, now.now
    fill(journal, 1, start=2)
    now.now = right
    fill(journal, 2, start=3)
    settle(journal, "x", 5)
    trim(journal, NEVER, 30, now)
    assert len(kept(journal)) == 5


def test_an_output_that_no_longer_runs_holds_up_nobody(tmp_path, now):
    """Who was switched off for longer than keep_days finds a gap, recorded."""
    path = tmp_path / "journal.db"
    journal = Journal(path, now=now)
    journal.register("gone")
    fill(journal, 5)
    settle(journal, "x", 5)
    journal.close()
    journal = Journal(path, now=now)
    journal.register("x")
    now.now += 31 * DAY
    assert trim(journal, NEVER, 30, now) == 5
    assert (kept(journal), counts(journal, "gone")) == ([], (0, 0, 0, 0, 5))
    assert counts(journal, "x") == (5, 0, 0, 0, 0)
    journal.close()


# -- by size ------------------------------------------------------------------------------------


def test_over_its_size_the_oldest_delivered_go_first(journal, now):
    """What waits stays as long as there is anything delivered to let go of."""
    fill(journal, 3000, size=300)
    settle(journal, "x", 2500)
    assert trim(journal, 0.6, NEVER, now) == 0
    assert kept(journal)[0] >= 1000
    assert counts(journal, "x") == (2500, 500, 0, 0, 0)


def test_the_journal_gets_below_its_limit(journal, now):
    """In what it holds."""
    fill(journal, 5000, size=300)
    settle(journal, "x", 0)
    trim(journal, 0.8, NEVER, now)
    assert journal.megabytes <= 0.8
    assert kept(journal)


def test_the_file_shrinks(journal, now):
    """Pages that are free are given back to the disk."""
    fill(journal, 5000, size=300)
    trim(journal, 0.1, NEVER, now)
    with journal.transaction() as db:
        pages, free = (
            db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count")
        )
    assert (free < 50, pages < 100) == (True, True)


def test_what_is_given_up_is_a_gap_for_each_output(journal, now):
    """With kit, span, count and reason, only for those that had not settled it."""
    fill(journal, 10, "a")
    fill(journal, 5, "b", start=100)
    settle(journal, "x", 15)
    settle(journal, "y", 8)
    settle(journal, "z", 0)
    assert trim(journal, 0.0, NEVER, now) == 7 + 15
    gaps = values(journal, "SELECT output, kit, first, last, count FROM gaps ORDER BY output, kit")
    assert gaps == [
        ("y", "p_a", 8, 9, 2),
        ("y", "p_b", 100, 104, 5),
        ("z", "p_a", 0, 9, 10),
        ("z", "p_b", 100, 104, 5),
    ]


def test_one_outage_is_one_gap(journal, now):
    """However many times something is given up; the gaps themselves do not fill the journal."""
    journal.register("x")
    for start in range(0, 5000, 500):
        fill(journal, 500, start=start)
        trim(journal, 0.0, NEVER, now)
    gaps = values(journal, "SELECT first, last, count FROM gaps")
    assert gaps == [(0, 4999, 5000)]


def test_two_outages_are_two_gaps(journal, now):
    """What was delivered between them tells them apart."""
    journal.register("x")
    fill(journal, 5)
    trim(journal, 0.0, NEVER, now)
    fill(journal, 5, start=5)
    settle(journal, "x", 10)
    fill(journal, 5, start=10)
    trim(journal, 0.0, NEVER, now)
    assert values(journal, "SELECT first, last, count FROM gaps") == [(0, 4, 5), (10, 14, 5)]


@pytest.mark.parametrize("state", ["held", "dead"])
def test_what_is_set_aside_is_given_up_in_its_turn(journal, now, state):
    """Years of one held kit do not cost the others their young telegrams."""
    fill(journal, 3000, "a", size=300)
    settle(journal, "x", 3000, state)
    fill(journal, 100, "b", size=300)
    trim(journal, 0.9, NEVER, now)
    acknowledged, waiting, held, dead, gaps = counts(journal, "x")
    assert (acknowledged, waiting, held + dead + gaps) == (0, 100, 3000)
    assert gaps > 0


def test_giving_up_is_said_loudly(journal, now, caplog):
    """An error with the number, and where to look."""
    journal.register("x")
    fill(journal, 5)
    trim(journal, 0.0, NEVER, now)
    assert "gave up 5 of the oldest telegrams unsent" in caplog.text


def test_what_an_output_that_is_no_longer_there_has_not_sent_alarms_nobody(tmp_path, now, caplog):
    """Whoever renames a section is not told for ever that telegrams are lost."""
    with closing(Journal(tmp_path / "journal.db", now=now)) as before:
        before.register("old")
    with closing(Journal(tmp_path / "journal.db", now=now)) as journal:
        fill(journal, 5)
        settle(journal, "new", 5)
        caplog.set_level("INFO")
        assert trim(journal, 0.0, NEVER, now) == 5
    levels = [(record.levelname, record.getMessage()) for record in caplog.records]
    told = "let go of 5 telegrams that output old, which is not switched on, has not sent"
    assert levels == [("INFO", told)]


def test_an_empty_journal_over_its_size_ends(journal, now):
    """There is nothing left to let go of, and no endless loop."""
    assert trim(journal, 0.0, 0, now) == 0


# -- full ---------------------------------------------------------------------------------------


def test_full_says_when_unsent_telegrams_are_most_of_the_limit(journal, now):
    """Inputs that can wait do, until outputs have caught up."""
    fill(journal, 3000, size=300)
    settle(journal, "x", 0)
    trim(journal, 1.3, NEVER, now)
    before = journal.full
    settle(journal, "x", 2900)
    trim(journal, 1.3, NEVER, now)
    assert (before, journal.full) == (True, False)


def test_an_output_that_no_longer_runs_does_not_stop_reading(tmp_path, now):
    """Only outputs that run count for `full`."""
    journal = Journal(tmp_path / "journal.db", now=now)
    journal.register("gone")
    fill(journal, 3000, size=300)
    settle(journal, "x", 3000)
    journal.close()
    journal = Journal(tmp_path / "journal.db", now=now)
    journal.register("x")
    trim(journal, 1.3, NEVER, now)
    assert journal.full is False
    journal.close()


# -- speed --------------------------------------------------------------------------------------


def test_stops_between_chunks_when_asked(journal, now):
    """An engine that stops does not wait for the end of a large clean-up."""
    fill(journal, 5000)
    settle(journal, "x", 5000)
    now.now += 31 * DAY
    asked = iter([False, False, True])
    trim(journal, NEVER, 30, now, stop=lambda: next(asked))
    assert len(kept(journal)) == 3000


def _million(journal, at):
    journal.append([telegram(0)])
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
        db.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000)"
            " INSERT INTO telegrams (kind, source, time, ident, new, at, data)"
            """ SELECT 'telegram', 1, x, 1, 0, ?, '{"time":1}' FROM n""",
            (at,),
        )
    journal._remember()


def test_a_trim_that_drops_nothing_reads_next_to_nothing(journal, now):
    """Once a minute on a small machine, whatever the journal holds."""
    _million(journal, now())
    settle_all(journal, "x")
    trim(journal, NEVER, 30, now)
    steps = Steps(journal)
    trim(journal, NEVER, 30, now)
    assert steps.taken() < 200  # thousands; there are three hundred thousand telegrams


@pytest.mark.parametrize("delivered", [True, False])
def test_dropping_is_linear(journal, now, delivered):
    """A chunk takes as much work when much is left as when little is: none searches the rest."""
    _million(journal, now())
    settle_all(journal, "x") if delivered else journal.register("x")
    steps = Steps(journal)
    half = journal.megabytes / 2
    trim(journal, half, NEVER, now)
    first = steps.taken()
    given_up = trim(journal, 0.2, NEVER, now)
    assert steps.taken() < 1.5 * first
    assert (given_up > 0) is not delivered


class Steps:
    """How many thousands of steps SQLite's machine has taken, which no busy processor changes."""

    def __init__(self, journal):
        self._count = 0
        journal._db.set_progress_handler(self._tick, 1000)

    def _tick(self):
        self._count += 1

    def taken(self):
        """Since it was last asked."""
        count, self._count = self._count, 0
        return count


def settle_all(journal, output):
    journal.register(output)
    journal.settle(output, Outcome(journal.head))


def test_events_go_by_age(journal, now):
    """What happened long ago is let go with the telegrams of that time."""
    journal.note("thermo", "silent", "old")
    now.now += 2 * DAY
    journal.note("thermo", "back", "young")
    trim(journal, 500, 1.0, now=now)
    assert values(journal, "SELECT text FROM events") == [("young",)]
