"""Idents that nothing refers to any more go; numbers and hours of what went stay right."""

from __future__ import annotations

from mysense.journal import Outcome, pruning
from mysense.journal.pruning import prune
from mysense.journal.retention import trim
from mysense.journal.view import View
from tests.pipeline import telegram

DAY = 86_400
HOUR = 3600


def move(journal, start, end, kit="a"):
    """A kit that is somewhere else with every telegram."""
    journal.append([telegram(at, kit, village=f"v{at}") for at in range(start, end)])


def deliver(journal, output="x"):
    cursor, _ = journal.register(output)
    with View(journal.path) as view:
        rows = view.rows(cursor, 10**6, 10**9)
    journal.settle(output, Outcome(journal.head, rows))


def let_go(journal, now):
    """Let all that is there grow old, and go."""
    deliver(journal)
    now.now += 31 * DAY
    trim(journal, 500, 30, now)


def villages(journal):
    with View(journal.path) as view:
        rows = view.all("SELECT json_extract(body, '$.village') AS v FROM idents ORDER BY id")
    return [row["v"] for row in rows]


def hours(journal):
    query = "SELECT kit, label, hour, count FROM hours JOIN sources ON id = source ORDER BY 1, 2, 3"
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def test_idents_go_with_their_telegrams(journal, now):
    """All but the last of the kit, which decides what is new."""
    move(journal, 0, 50)
    let_go(journal, now)
    assert villages(journal) == ["v49"]


def test_idents_of_telegrams_that_stay_do_too(journal, now):
    """What waits or is young keeps its ident."""
    move(journal, 0, 10)
    deliver(journal)
    now.now += 31 * DAY
    move(journal, 10, 13)
    trim(journal, 500, 30, now)
    assert villages(journal) == ["v10", "v11", "v12"]


def test_idents_of_what_was_set_aside_stay(journal, now):
    """A dead letter can be tried again years later."""
    move(journal, 0, 10)
    journal.register("x")
    with View(journal.path) as view:
        rows = view.rows(0, 10, 10**9)
    journal.settle("x", Outcome(10, rows[:4] + rows[5:], dead=[(rows[4], "bad")]))
    now.now += 31 * DAY
    trim(journal, 500, 30, now)
    assert villages(journal) == ["v4", "v9"]


def test_an_ident_that_comes_again_is_made_again(journal, now):
    """The engine that dropped it has not kept its number in memory."""
    move(journal, 0, 10)
    let_go(journal, now)
    journal.append([telegram(100, village="v3")])
    with View(journal.path) as view:
        (row,) = view.rows(0, 10, 10**9)
    assert row.telegram.ident.village == "v3"


def test_a_number_is_not_given_again(journal, now):
    """A reader that knows ident 10 by heart never takes another one for it."""
    move(journal, 0, 9)
    journal.append([telegram(100, "b", village="last")])
    let_go(journal, now)
    with journal.transaction() as db:
        db.execute("DELETE FROM kits")
    now.now += 2 * HOUR
    prune(journal, now)
    journal.append([telegram(200, village="new")])
    with View(journal.path) as view:
        assert [row["id"] for row in view.all("SELECT id FROM idents ORDER BY id")] == [10, 11]


def test_seldom(journal, now):
    """It reads all telegrams, so an hour passes in between."""
    move(journal, 0, 10)
    deliver(journal)
    prune(journal, now)
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    assert (prune(journal, now), len(villages(journal))) == (0, 10)
    now.now += HOUR
    assert (prune(journal, now), len(villages(journal))) == (9, 1)
    with journal.transaction():
        journal.ids(telegram(0, village="again").ident)
        journal.ids(telegram(0, village="last").ident)
    assert (prune(journal, now), len(villages(journal))) == (0, 3)


def test_not_where_nothing_went(journal, now):
    """Most minutes of most kits."""
    move(journal, 0, 2)
    trim(journal, 500, 30, now)
    with View(journal.path) as view:
        assert view.all("SELECT * FROM meta") == []


def test_the_oldest_are_looked_at_first(journal, now, monkeypatch):
    """However many there are: their telegrams went first."""
    monkeypatch.setattr(pruning, "_MANY", 3)
    move(journal, 0, 10)
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq <= 5")
    assert (prune(journal, now), villages(journal)[0]) == (3, "v3")


def test_sources_go_with_their_idents(journal, now):
    """But not one that is in the ledger of hours, nor the last: its number would be given again."""
    with journal.transaction() as db:
        for kit, village in ("aX", "bX", "cX", "dX", "aY"):
            journal.ids(telegram(0, kit, village=village).ident)
        db.execute("INSERT INTO hours SELECT id, 0, 1 FROM sources WHERE kit = 'p_c'")
    prune(journal, now)
    with View(journal.path) as view:
        assert [row["kit"] for row in view.all("SELECT kit FROM sources")] == ["p_a", "p_c", "p_d"]


def test_one_that_is_taken_up_meanwhile_stays(journal, now, monkeypatch):
    """A telegram may come while the others are searched."""
    move(journal, 0, 10)
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    found = pruning._drop

    def late(db, loose, head):
        number, source = journal.ids(telegram(0, village="v3").ident)
        db.execute(
            "INSERT INTO telegrams (kind, source, time, ident, new, at, data)"
            " VALUES ('telegram', ?, 500, ?, 0, 5.0, '{}')",
            (source, number),
        )
        return found(db, loose, head)

    monkeypatch.setattr(pruning, "_drop", late)
    prune(journal, now)
    assert villages(journal) == ["v3", "v9"]


def test_the_hours_of_what_went(journal, now):
    """By kit, label and hour; they add up over chunks and with what goes later."""
    for label in (None, "roof"):
        journal.append([telegram(at, label=label) for at in range(0, 2 * HOUR, 3)])
    journal.append([telegram(at, "b") for at in range(0, HOUR, 600)])
    let_go(journal, now)
    first = hours(journal)
    journal.append([telegram(1, "b"), telegram(2, "b")])
    let_go(journal, now)
    assert first == [
        *[("p_a", label, hour, HOUR // 3) for label in ("", "roof") for hour in (0, 1)],
        ("p_b", "", 0, 6),
    ]
    assert hours(journal)[-1] == ("p_b", "", 0, 8)


def test_the_hours_of_what_was_given_up(journal, now):
    """Undelivered or not: it was measured."""
    journal.register("x")
    journal.append([telegram(at, note="x" * 900) for at in range(3000)])
    assert trim(journal, 1, 30, now) > 0
    with View(journal.path) as view:
        (left,) = view.all("SELECT count(*) AS n FROM telegrams")
    assert hours(journal) == [("p_a", "", 0, 3000 - left["n"])]
