"""The log to the letter: what mutants of it would get wrong."""

from __future__ import annotations

import threading
import time

import pytest

from mysense.journal import Appended, Journal, log
from mysense.journal.damage import Damaged
from mysense.journal.log import storable
from mysense.journal.view import View
from mysense.plugin import Refusal
from tests.pipeline import telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db", now=lambda: 5000.0)
    yield opened
    opened.close()


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def rows(journal):
    with View(journal.path) as view:
        return view.rows(0, 10_000, 10**9)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_any_number_at_once(journal, count):
    """All of them, in order, numbered without holes."""
    appended = journal.append([telegram(at, "ab"[at % 2]) for at in range(count)])
    kept = [(row.seq, row.telegram.time, row.telegram.ident.serial) for row in rows(journal)]
    wanted = [(at + 1, at, "ab"[at % 2]) for at in range(count)]
    assert (appended, kept, journal.head) == (Appended(count, 0, 0), wanted, count)


@pytest.mark.parametrize("count", [3, 150])
def test_repeats_use_up_no_number(journal, count):
    """What looks like a hole would be taken for a loss."""
    journal.append([telegram(1)])
    journal.append([telegram(at) for at in range(count)])
    assert [row.seq for row in rows(journal)] == list(range(1, count + 1))


def test_appended_counts_what_became_of_each(journal):
    """Stored, repeats, and what was refused."""
    journal.append([telegram(1), telegram(2)])
    more = [telegram(1), telegram(2, temp=9.0), telegram(3), telegram(4), Refusal("f:1", "no", "{")]
    assert journal.append(more) == Appended(2, repeats=1, refused=2)


def test_a_dead_letter_of_a_taken_second_says_all_of_it(journal):
    """As it would have been stored, so that it can be looked into."""
    journal.append([telegram(7)])
    journal.append([telegram(7, village="Grubbenvorst", temp=9.0)])
    query = "SELECT output, state, kit, time, ident, new, at, data FROM aside"
    wanted = ("", "dead", "p_a", 7, 2, 1, 5000.0, '{"time":7,"temp":9.0}')
    assert values(journal, query) == [wanted]


def test_the_same_dead_letter_is_kept_once(journal):
    """However often it comes."""
    journal.append([telegram(7)])
    for _ in range(3):
        journal.append([telegram(7, temp=9.0)])
    assert values(journal, "SELECT count(*) FROM aside") == [(1,)]


@pytest.mark.parametrize(
    "other", [telegram(7, temp=8.0), telegram(8, temp=9.0), telegram(7, "b", temp=9.0)]
)
def test_another_dead_letter_is_kept_too(journal, other):
    """Only the very same one is not: other data, another second, another kit."""
    journal.append([telegram(7), telegram(8), telegram(7, "b")])
    journal.append([telegram(7, temp=9.0)])
    journal.append([other])
    assert values(journal, "SELECT count(*) FROM aside") == [(2,)]


def test_a_dead_letter_of_an_output_is_no_dead_letter_of_the_journal(journal):
    """One that looks alike elsewhere, or waits, does not keep it from being written down."""
    journal.append([telegram(1)])
    entry = "INSERT INTO aside (output, state, kit, time, at, reason, data) VALUES"
    with journal.transaction() as db:
        for output, state in (("x", "dead"), ("", "held")):
            data = '{"time":1,"temp":9.0}'
            db.execute(f"{entry} (?, ?, 'p_a', 1, 0, '', ?)", (output, state, data))
    journal.append([telegram(1, temp=9.0)])
    assert values(journal, "SELECT count(*) FROM aside") == [(3,)]


def test_a_point_does_not_take_a_second(journal):
    """Only telegrams have an identity."""
    with journal.transaction() as db:
        journal.ids(telegram(1).ident)
        db.execute("INSERT INTO telegrams VALUES (1, 'point', 1, 1, 1, 0, 0, '{}')")
    appended = journal.append([telegram(2), telegram(2), telegram(1)])
    assert appended == Appended(2, repeats=1, refused=0)


@pytest.mark.parametrize("text", ["f:7", "f:8"])
def test_what_an_input_could_not_use_is_kept_as_it_was(journal, text):
    """With where it stood and why."""
    journal.append([Refusal(text, "no JSON", "{\udce9")], source="in")
    query = "SELECT output, state, kit, time, ident, new, at, reason, data FROM aside"
    wanted = ("", "dead", "in", None, None, None, 5000.0, f"{text}: no JSON", "{\\udce9")
    assert values(journal, query) == [wanted]


def test_an_ident_that_only_a_repeat_had_decides_nothing(journal):
    """Also after a restart, which reads what was written down."""
    journal.append([telegram(1)])
    journal.append([telegram(1, village="V"), telegram(2)])
    journal._remember()
    journal.append([telegram(3)])
    kits = values(journal, "SELECT kit, ident FROM kits")
    news = [row.telegram.new for row in rows(journal)]
    assert (kits, news) == ([("p_a", 1)], [True, False, False])


def test_the_last_ident_outlives_a_restart(journal):
    """Not the first."""
    journal.append([telegram(1)])
    journal.append([telegram(2, village="V")])
    journal._remember()
    journal.append([telegram(3, village="V")])
    assert [row.telegram.new for row in rows(journal)] == [True, True, False]


def test_a_kit_that_only_had_a_repeat_is_not_known(journal):
    """A telegram that another label has stored does not decide for it either."""
    journal.append([telegram(1, "b", temp=1.0)])
    with journal.transaction() as db:
        db.execute("DELETE FROM kits")
    journal._remember()
    journal.append([telegram(1, "b", temp=1.0)])
    assert values(journal, "SELECT * FROM kits") == []


def test_more_idents_than_are_remembered(journal, monkeypatch):
    """They get the same numbers again."""
    monkeypatch.setattr(log, "_IDENTS_KNOWN", 2)
    idents = [telegram(1, kit).ident for kit in "abcde"]
    first = [journal.ids(ident) for ident in idents]
    again = [journal.ids(ident) for ident in idents]
    assert (first, len(journal._sources)) == (again, 2)


def test_a_source_is_a_kit_and_a_label(journal):
    """Neither alone."""
    some = [
        telegram(1, "a"),
        telegram(1, "b"),
        telegram(1, "a", label="x"),
        telegram(1, "a", village="V"),
    ]
    numbers = [journal.ids(one.ident)[1] for one in some]
    assert numbers == [1, 2, 3, 1]


def test_a_position_is_what_was_last_given(journal):
    """Entries that are gone are gone; another input's stay."""
    journal.append([], source="x", position={"a": 1, "b": [2, None], "é": "ü"})
    journal.append([], source="y", position={"a": 5, "b": 6})
    journal.append([], source="x", position={"b": [3], "c": 4})
    assert (journal.position("x"), journal.position("y"), journal.position("z")) == (
        {"b": [3], "c": 4},
        {"a": 5, "b": 6},
        None,
    )


def test_no_position_leaves_the_one_there_is(journal):
    """Sensors have none."""
    journal.append([], source="x", position={"a": 1})
    journal.append([telegram(1)], source="x")
    assert journal.position("x") == {"a": 1}


def test_what_else_belongs_to_an_append_is_in_its_transaction(journal):
    """All of it or nothing."""

    def fail(db):
        db.execute("INSERT INTO meta VALUES ('a', 1)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.append([telegram(1)], source="x", position={"a": 1}, also=fail)
    kept = values(journal, "SELECT count(*) FROM meta WHERE key = 'a'")
    assert (kept, rows(journal), journal.head, journal.position("x")) == ([(0,)], [], 0, None)


def test_an_event_says_when_and_whose_it_is(journal):
    """And of which telegram, where it belongs to one."""
    journal.note("dylos", "silent", "no \udce9", 77)
    journal.note("clock", "jump", "back")
    assert values(journal, "SELECT at, time, who, kind, text FROM events ORDER BY id") == [
        (5000.0, 77, "dylos", "silent", "no \\udce9"),
        (5000.0, None, "clock", "jump", "back"),
    ]


def test_text_that_can_be_stored_is_as_it_was():
    """Only halves of surrogate pairs are written otherwise."""
    assert storable("é☃ \udce9") == "é☃ \\udce9"


def test_a_new_journal_has_room(journal):
    """Inputs do not wait for the first look at its size."""
    assert (journal.full, journal.head) == (False, 0)


def test_the_head_is_known_after_a_restart(journal):
    """It is in the file."""
    journal.append([telegram(1), telegram(2)])
    journal.close()
    again = Journal(journal.path)
    heads = again.head, again.position("x")
    again.close()
    assert heads == (2, None)


def waits(journal, seen, timeout=60.0):
    """A thread that waits, once it does; and what it sets when it is done."""
    done = threading.Event()

    def wait():
        journal.wait(seen, timeout)
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    return done


def asleep(journal):
    while not journal._grown._waiters:
        time.sleep(0.005)


def test_who_waits_is_woken_by_the_next_telegram(journal):
    """At once, and not by a look now and then."""
    journal.append([telegram(1)])
    done = waits(journal, 1)
    asleep(journal)
    journal.append([telegram(2)])
    assert done.wait(30)


def test_who_waits_for_what_is_there_does_not_wait(journal):
    """A number below the newest."""
    journal.append([telegram(1), telegram(2)])
    assert waits(journal, 1).wait(30)


def test_who_waits_is_woken_at_the_end(journal):
    """A worker does not keep an engine from stopping."""
    done = waits(journal, 0)
    asleep(journal)
    journal.close()
    assert done.wait(30)


def test_waiting_ends(journal):
    """After as long as was asked for."""
    assert waits(journal, 0, 0.01).wait(30)


def test_waking_does_not_wait_for_a_busy_journal(journal):
    """Who waits looks up by itself, soon."""
    busy, free = threading.Event(), threading.Event()

    def hold():
        with journal.transaction():
            busy.set()
            free.wait(60)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    busy.wait(30)
    journal.wake()
    free.set()
    holder.join(30)
    assert not holder.is_alive()


def test_idents_are_kept_as_they_are_written(journal):
    """Not as escapes: people look into a journal."""
    journal.append([telegram(1, village="Sévérac")])
    assert "Sévérac" in values(journal, "SELECT body FROM idents")[0][0]


def test_a_position_that_is_no_json_is_an_error_of_the_input(journal):
    """Nothing of it is kept, nor are the telegrams."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append([telegram(1)], source="x", position={"a": float("nan")})
    assert (rows(journal), journal.position("x")) == ([], None)


def test_a_position_that_cannot_be_read_is_damage(journal, monkeypatch):
    """It is not as good as none: that would read everything once more."""
    journal.append([], source="x", position={"a": 1})
    with journal.transaction() as db:
        db.execute("UPDATE positions SET value = '{'")
    told = []
    monkeypatch.setattr(journal, "mend", told.append)
    with pytest.raises(Damaged, match="the position of x"):
        journal._position("x")
    assert len(told) == 1


def test_a_repeat_among_many_costs_nothing_but_time(journal):
    """All else of a large batch is stored, once."""
    journal.append([telegram(150)])
    appended = journal.append([telegram(at) for at in range(300)])
    assert (appended, len(rows(journal))) == (Appended(299, repeats=1, refused=0), 300)


def test_many_go_in_together(journal):
    """A statement each would take a server's backlog twice the time."""
    said = []
    journal._db.set_trace_callback(said.append)
    journal.append([telegram(at) for at in range(250)])
    assert sum("INTO telegrams" in text for text in said) == 52


def test_a_telegram_and_a_refusal_are_each_what_they_are(journal):
    """In whatever order they come."""
    appended = journal.append([Refusal("f:1", "no", "{"), telegram(1), Refusal("f:3", "no", "[")])
    reasons = values(journal, "SELECT reason FROM aside ORDER BY id")
    assert (appended, reasons) == (Appended(1, 0, 2), [("f:1: no",), ("f:3: no",)])
