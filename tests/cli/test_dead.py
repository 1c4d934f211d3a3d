"""`mysense dead`: what an output refused, why, and another try."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from mysense.journal import Journal, Outcome
from mysense.journal.view import View
from tests.dropins import PUBLISHER, SUBSCRIBER
from tests.pipeline import telegram as measured
from tests.telegrams import data, kits_and_seconds, telegram


@pytest.fixture
def refused(mysense, write, tmp_path):
    """A station whose output foo refused two telegrams that its output jsonl has."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/MyFOO.py").write_text(PUBLISHER)
    mysense("replay", write("in.jsonl", telegram(0), data(1)), "--to", "sqlitepub")
    (tmp_path / "MySense.conf").write_text(
        "[process]\nplugins = plugins\n[sqlitesub]\ninput = true\n[jsonl]\noutput = true\n"
        "[foo]\noutput = true\n"
    )
    mysense("run", "--once", "-o", "foo.refuse=true")
    return mysense


def test_list_has_number_output_kit_time_and_reason(refused):
    """One line a letter."""
    first, second = refused("dead", "list").stdout.splitlines()
    assert first.split(maxsplit=2) == ["1", "foo", "BdP_k1 1494777772: not today"]
    assert second.split()[0] == "2"


def test_list_as_json_lines(refused):
    """--json has the whole telegram."""
    letters = [json.loads(line) for line in refused("dead", "list", "--json").stdout.splitlines()]
    assert [(one["output"], one["telegram"]["data"]["temp"]) for one in letters] == [
        ("foo", 1.5),
        ("foo", 1.5),
    ]


def test_list_of_one_output(refused):
    """An output that refused nothing has no letters."""
    assert refused("dead", "list", "jsonl").stdout == ""


@pytest.mark.parametrize("action", ["list", "retry", "export"])
def test_unknown_output_is_refused(refused, action):
    """A misspelt output is not an output without letters."""
    told = refused("dead", action, "fooo", code=1).stderr
    assert told == "mysense dead: no output is called 'fooo' in this journal (did you mean foo?)\n"


def test_export_is_replayed_elsewhere(refused, mysense, tmp_path):
    """What one output refused goes to another as a telegram file."""
    (tmp_path / "dead.jsonl").write_text(refused("dead", "export").stdout)
    done = mysense("replay", "dead.jsonl", "--to", "jsonl", "-o", "jsonl.file=-")
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 1)]


def test_retry_is_obeyed_by_the_next_engine(refused):
    """Once the output accepts them, no letters are left."""
    told = refused("dead", "retry", "foo").stderr
    assert "2 dead letters of foo are to be tried again" in told
    refused("run", "--once")
    assert refused("dead", "list").stdout == ""


def test_retry_of_one_letter(refused):
    """--id leaves the others where they are."""
    refused("dead", "retry", "--id", "2")
    refused("run", "--once")
    assert [line.split()[0] for line in refused("dead", "list").stdout.splitlines()] == ["1"]


def test_retry_of_a_letter_that_is_not_there(refused):
    """A wrong number is a failure, not a success with nothing."""
    done = refused("dead", "retry", "--id", "99", code=1)
    assert "there is nothing to be tried again" in done.stderr


def test_retry_without_letters_is_good(refused):
    """Nothing to do is done."""
    assert "there is nothing to be tried again" in refused("dead", "retry", "jsonl").stderr


def test_what_an_input_refused_is_only_listed(mysense, tmp_path):
    """A text that was no telegram is in the list, not in the export."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/MySUB.py").write_text(SUBSCRIBER)
    conf = "[process]\nplugins = plugins\n[sub]\ninput = true\n[jsonl]\noutput = true\n"
    (tmp_path / "MySense.conf").write_text(conf)
    mysense("run", "--once")
    assert "(journal)      sub: line 4: it is odd" in mysense("dead", "list").stdout
    exported = mysense("dead", "export")
    assert exported.stdout == ""
    assert "is not a telegram and only listed: line 4: it is odd" in exported.stderr


def test_no_journal_is_said(mysense):
    """Before the first run there are no letters to list."""
    assert "there is none yet" in mysense("dead", "list", code=1).stderr


def test_an_empty_list_says_so(refused):
    """On stderr: the data are none."""
    done = refused("dead", "list", "jsonl")
    assert (done.stdout, done.stderr) == ("", "no dead letters\n")


def test_retry_has_held_telegrams_tried_as_well(mysense, tmp_path):
    """Also of an output that has no dead letter."""
    path = tmp_path / "j.db"
    with closing(Journal(path)) as journal:
        journal.append([measured(1)])
        journal.register("foo")
        with View(path) as view:
            (row,) = view.rows(0, 1, 1000)
        journal.settle("foo", Outcome(1, held=[(row, "no database")]))
    told = mysense("dead", "retry", "--journal", path).stderr
    assert "1 held telegrams of foo are tried as well" in told
    with closing(Journal(path)) as journal:
        assert journal.obey() == [("retry", "foo")]
