"""Accounts to the letter: what mutants of them would get wrong."""

from __future__ import annotations

import threading
import time
from math import exp

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.accounts import excluded_key, faded
from mysense.journal.view import View, request
from tests.pipeline import telegram

STATES = ("held", "dead")


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db", now=lambda: 5000.0)
    yield opened
    opened.close()


def rows(journal):
    with View(journal.path) as view:
        return view.rows(0, 1000, 10**9)


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def one(journal, query):
    return values(journal, query)[0][0]


def paused_after(journal, verbs, *, idle):
    """Whether `x` is paused in an engine that starts after these were asked of it."""
    for verb in verbs:
        request(journal.path, verb, ["x"])
    journal.obey()
    journal.register("x", idle=idle)
    return journal.paused("x")


@pytest.mark.parametrize(
    ("verbs", "idle", "paused"),
    [
        ([], False, False),
        ([], True, True),
        (["pause"], False, True),
        (["pause", "resume"], True, False),
        (["resume", "pause"], False, True),
    ],
)
def test_what_was_asked_last_outlives_the_configuration(journal, verbs, idle, paused):
    """An output is as it was asked to be; where nobody has asked, as it is configured."""
    journal.register("x")
    assert paused_after(journal, verbs, idle=idle) is paused


def test_what_was_asked_of_another_says_nothing(journal):
    """Each output is asked by itself."""
    journal.register("x")
    request(journal.path, "resume", ["y"])
    assert paused_after(journal, [], idle=True)


def test_an_output_is_at_work_unless_somebody_says_otherwise(journal):
    """Idle is an exception."""
    journal.register("x")
    assert not journal.paused("x")


def test_nobody_has_had_anything_where_there_is_no_output(journal):
    """Then nothing may go by age, whatever its number."""
    with journal.transaction() as db:
        assert journal.delivered(db) == 0


def test_an_acknowledgement_ends_an_error(journal):
    """What was wrong is not shown any more, and the output is connected."""
    journal.append([telegram(1)])
    journal.register("x")
    journal.fail("x", "down", 1)
    journal.settle("x", Outcome(1, rows(journal)))
    assert values(journal, "SELECT error, connected, last_ok FROM outputs") == [(None, 1, 5000.0)]


def test_a_recovery_is_a_connection(journal):
    """Also where nothing was to be sent."""
    journal.register("x")
    journal.fail("x", "down", 1)
    journal.recovered("x", 2)
    assert values(journal, "SELECT error, connected, retries FROM outputs") == [(None, 1, 3)]


def test_a_failure_is_of_one_output(journal):
    """The others are as well as they were."""
    journal.register("x")
    journal.register("y")
    journal.fail("x", "down", 1)
    query = "SELECT name, error, error_at, retries, connected FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", "down", 5000.0, 1, 0), ("y", None, None, 0, None)]


def test_a_recovery_is_of_one_output(journal):
    """One that works says nothing of another."""
    for name in ("x", "y"):
        journal.register(name)
        journal.fail(name, "down", 1)
    journal.recovered("x", 0)
    assert values(journal, "SELECT name FROM outputs WHERE error IS NOT NULL") == [("y",)]


def test_an_acknowledgement_is_of_one_output(journal):
    """The cursor, the count and the receipt of the other stay."""
    journal.append([telegram(1), telegram(2)])
    for name in ("x", "y"):
        journal.register(name)
    journal.settle("x", Outcome(2, rows(journal), "receipt"))
    query = "SELECT name, cursor, acknowledged, receipt FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", 2, 2, "receipt"), ("y", 0, 0, None)]


def test_three_at_once_are_one_a_minute_over_three_minutes(journal):
    """The unit of the rate."""
    journal.append([telegram(at) for at in range(3)])
    journal.register("x")
    journal.settle("x", Outcome(3, rows(journal)))
    assert one(journal, "SELECT rate FROM outputs") == 1.0


@pytest.mark.parametrize(
    ("rate", "since", "now", "left"),
    [
        (None, None, 10.0, 0.0),
        (None, 5.0, 10.0, 0.0),
        (3.0, None, 10.0, 0.0),
        (3.0, 10.0, 10.0, 3.0),
        (3.0, 10.0, 5.0, 3.0),
        (3.0, 10.0, 10.5, 3.0 * exp(-0.5 / 180)),
        (3.0, 10.0, 190.0, 3.0 * exp(-1)),
    ],
)
def test_a_rate_fades(rate, since, now, left):
    """In three minutes to a third; never above what it was, and not for a clock set back."""
    assert faded(rate, since, now) == left


@pytest.mark.parametrize(("state", "held"), [("held", True), ("retry", True), ("dead", False)])
def test_what_waits_is_held_and_dead_letters_are_not(journal, state, held):
    """And only at its own output."""
    journal.append([telegram(1), telegram(2, "b")])
    for name in ("x", "y"):
        journal.register(name)
    first, second = rows(journal)
    journal.settle("x", Outcome(1, dead=[(first, "because")]))
    journal.settle("y", Outcome(2, held=[(first, "no"), (second, "no")]))
    with journal.transaction() as db:
        db.execute("UPDATE aside SET state = ? WHERE output = 'x'", (state,))
    assert journal.held_kits("x") == ({"p_a": "because"} if held else {})


def test_a_request_wakes_who_waits(journal):
    """A retry does not wait until the next telegram comes."""
    done = threading.Event()

    def wait():
        while not stopped.is_set():
            journal.wait(0, 60)
            done.set()

    stopped = threading.Event()
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while not journal._grown._waiters:
        time.sleep(0.01)
    request(journal.path, "pause", ["x"])
    journal.obey()
    woken = done.wait(30)
    stopped.set()
    journal.append([telegram(1)])
    thread.join(30)
    assert woken


@pytest.mark.parametrize("state", STATES)
def test_what_was_given_up_under_way_is_not_set_aside(journal, state):
    """It is in a gap; number two is the last of those."""
    journal.append([telegram(at) for at in range(3)])
    journal.register("x")
    with journal.transaction() as db:
        db.execute("UPDATE outputs SET cursor = 2")
    journal.settle("x", Outcome(3, **{state: [(row, "no") for row in rows(journal)]}))
    assert values(journal, "SELECT time FROM aside") == [(2,)]


@pytest.mark.parametrize("what", ["acknowledged", "excluded"])
def test_what_was_given_up_under_way_is_not_counted(journal, what):
    """It is in a gap, and nowhere else."""
    journal.append([telegram(at) for at in range(3)])
    journal.register("x")
    with journal.transaction() as db:
        db.execute("UPDATE outputs SET cursor = 2")
    journal.settle("x", Outcome(3, **{what: rows(journal)}))
    counted = {
        "acknowledged": "SELECT acknowledged FROM outputs",
        "excluded": f"SELECT value FROM meta WHERE key = '{excluded_key('x')}'",
    }
    assert one(journal, counted[what]) == 1


def test_what_is_excluded_adds_up(journal):
    """Over all batches, at each output by itself."""
    journal.append([telegram(at) for at in range(5)])
    for name in ("x", "y"):
        journal.register(name)
    for upto in (2, 5):
        journal.settle("x", Outcome(upto, excluded=[r for r in rows(journal) if r.seq <= upto]))
    query = f"SELECT value FROM meta WHERE key = '{excluded_key('x')}'"
    assert one(journal, query) == 5


def test_a_cursor_never_moves_back(journal):
    """Settling what was aside brings an old cursor along."""
    journal.append([telegram(at) for at in range(3)])
    journal.register("x")
    journal.settle("x", Outcome(3, rows(journal)))
    journal.settle_aside("x", Outcome(1))
    assert one(journal, "SELECT cursor FROM outputs") == 3


def test_a_receipt_stays_until_there_is_another(journal):
    """Batches without one do not take it away."""
    journal.append([telegram(at) for at in range(3)])
    journal.register("x")
    first, *others = rows(journal)
    journal.settle("x", Outcome(1, [first], "one"))
    journal.settle("x", Outcome(3, others))
    assert journal.register("x") == (3, "one")


def test_what_an_earlier_engine_was_connected_to_is_not_known(tmp_path):
    """With the first output that starts, and only then."""
    earlier = Journal(tmp_path / "journal.db")
    for name in ("x", "y"):
        earlier.register(name)
        earlier.recovered(name, 0)
    earlier.close()
    journal = Journal(tmp_path / "journal.db")
    journal.register("x")
    first = values(journal, "SELECT name, connected FROM outputs ORDER BY name")
    journal.recovered("x", 0)
    journal.register("y")
    second = values(journal, "SELECT name, connected FROM outputs ORDER BY name")
    journal.close()
    assert (first, second) == ([("x", None), ("y", None)], [("x", 1), ("y", None)])


def aside(journal):
    """Four telegrams that wait at x, and the same at y; their entries at x by number."""
    journal.append([telegram(at) for at in range(4)])
    for name in ("x", "y"):
        journal.register(name)
        journal.settle(name, Outcome(4, held=[(row, "waits") for row in rows(journal)]))
    return [row._replace(seq=number) for number, row in enumerate(rows(journal), 1)]


def test_what_was_aside_is_settled_one_by_one(journal):
    """Accepted, still waiting, refused for good, not for this output; the other has its own."""
    first, second, third, fourth = aside(journal)
    journal.settle_aside(
        "x", Outcome(4, [first], held=[(second, "still")], dead=[(third, "no")], excluded=[fourth])
    )
    left = values(journal, "SELECT id, output, state, reason FROM aside WHERE id < 6")
    counted = one(journal, "SELECT acknowledged FROM outputs WHERE name = 'x'")
    excluded = one(journal, f"SELECT value FROM meta WHERE key = '{excluded_key('x')}'")
    assert left == [(2, "x", "held", "still"), (3, "x", "dead", "no"), (5, "y", "held", "waits")]
    assert (counted, excluded) == (1, 1)


def test_what_is_only_put_elsewhere_is_not_acknowledged(journal):
    """Nothing of it has arrived."""
    first, *_ = aside(journal)
    journal.settle_aside("x", Outcome(4, dead=[(first, "no")]))
    query = "SELECT acknowledged, last_ok FROM outputs WHERE name = 'x'"
    assert values(journal, query) == [(0, None)]
    assert values(journal, "SELECT count(*) FROM aside") == [(8,)]


def test_an_output_that_runs_is_not_forgotten(journal, caplog):
    """That is said, and does not keep the other requests from being carried out."""
    with journal.transaction() as db:
        db.execute("INSERT INTO outputs (name, cursor) VALUES ('y', 0), ('z', 0)")
    journal.register("x")
    for verb, name in (("forget", "x"), ("forget", "y"), ("later", "z"), ("pause", "x")):
        request(journal.path, verb, [name])
    assert journal.obey() == [("forget", "y"), ("later", "z"), ("pause", "x")]
    assert (journal.paused("x"), journal.obey()) == (True, [])
    assert values(journal, "SELECT name FROM outputs ORDER BY name") == [("x",), ("z",)]
    assert caplog.messages == ["x is not forgotten: it is one of the outputs that run"]


def test_an_output_that_is_no_longer_configured_holds_up_nobody(tmp_path, journal):
    """Where none runs, each may come back; and the journal itself is no output."""
    earlier = Journal(tmp_path / "other.db")
    earlier.append([telegram(1)])
    for name in ("x", "y"):
        earlier.register(name)
    earlier.settle("x", Outcome(1, rows(earlier)))
    earlier.close()
    later = Journal(tmp_path / "other.db")
    with later.transaction() as db:
        before = later.delivered(db), later.idle(["x", "y", ""])
    later.register("x")
    with later.transaction() as db:
        after = later.delivered(db), later.idle(["x", "y", ""])
    later.close()
    assert (before, after) == ((0, set()), (1, {"y"}))


def test_an_output_that_a_damage_has_lost_is_known_again(journal):
    """It runs, and is served on from the oldest telegram kept."""
    journal.register("x")
    with journal.transaction() as db:
        db.execute("DELETE FROM outputs")
    journal._remember()
    assert values(journal, "SELECT name, cursor, paused FROM outputs") == [("x", 0, 0)]
