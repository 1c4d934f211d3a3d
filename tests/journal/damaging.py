"""A journal to be damaged, and ways to do it."""

from __future__ import annotations

from mysense.journal import Journal, Outcome
from mysense.journal.formats import PAGE_SIZE
from mysense.journal.view import View
from mysense.plugin import Refusal
from tests.pipeline import telegram

COUNT = 1500
PAGE = PAGE_SIZE


def numbered(number):
    return telegram(number, "abc"[number % 3], temp=number / 7, note=f"note {number:0100}")


def make(path):
    """A journal of three kits and two outputs, in transactions of ten telegrams; left open."""
    journal = Journal(path)
    for start in range(0, COUNT, 10):
        items = [numbered(number) for number in range(start, start + 10)]
        journal.append(items, source="feed", position={"next": start + 10})
    journal.append([Refusal("here", "no telegram", "???")], source="feed", position={"next": COUNT})
    journal.note("clock", "jump", "by an hour")
    journal.register("far")
    journal.register("near")
    with View(path) as view:
        rows = view.rows(0, 1000, 10**9)
    journal.settle("far", Outcome(1000, rows, receipt="r"))
    outcome = Outcome(10, rows[:8], dead=[(rows[8], "bad")], held=[(rows[9], "waits")])
    journal.settle("near", outcome)
    return journal


def over(path, start, data):
    """Write bytes over a file."""
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(data)


def cursors(path):
    with View(path) as view:
        return {row["name"]: row["cursor"] for row in view.all("SELECT * FROM outputs")}


def numbers(path):
    """The telegrams that are there, each checked value by value."""
    with View(path) as view:
        rows = view.rows(0, 10**6, 10**9)
    for row in rows:
        expected = numbered(row.seq - 1)
        assert (row.telegram.ident, row.telegram.data) == (expected.ident, expected.data)
    return {row.seq for row in rows}


def unaccounted(path):
    """By output: telegrams beyond its cursor that neither wait nor are in a gap."""
    with View(path) as view:
        (head,) = view.all(
            "SELECT coalesce(max(seq), 0) AS seq FROM sqlite_sequence WHERE name = 'telegrams'"
        )
        found = {}
        for name, cursor in cursors(path).items():
            (waits,) = view.all("SELECT count(*) AS n FROM telegrams WHERE seq > ?", cursor)
            gaps = view.all("SELECT coalesce(sum(count), 0) AS n FROM gaps WHERE output = ?", name)
            found[name] = head["seq"] - cursor - waits["n"] - gaps[0]["n"]
        return found
