"""`mysense forget`: an output that was removed leaves the journal, and its account is closed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import environment
from tests.cli.test_pause import until
from tests.dropins import PUBLISHER
from tests.telegrams import data, telegram

BOTH = "[process]\nplugins = plugins\n[sqlitesub]\ninput = true\n[jsonl]\noutput = true\n"


@pytest.fixture
def station(mysense, write, tmp_path):
    """A server whose output foo refused two telegrams, and was switched off before the third."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/MyFOO.py").write_text(PUBLISHER)
    mysense("replay", write("in.jsonl", telegram(0), data(1)), "--to", "sqlitepub")
    conf = tmp_path / "MySense.conf"
    conf.write_text(f"{BOTH}[foo]\noutput = true\nrefuse = true\n")
    mysense("run", "--once")
    conf.write_text(BOTH)
    mysense("replay", write("more.jsonl", telegram(2)), "--to", "sqlitepub")
    mysense("run", "--once")
    return mysense


def status(mysense):
    return json.loads(mysense("status", "--json").stdout)


def test_it_says_what_would_go_and_changes_nothing(station):
    """Nobody forgets an output by a slip."""
    told = station("forget", "foo").stderr
    assert "foo: 0 acknowledged, 1 waited, 2 dead\n" in told
    assert "1 telegram never went to it, and never will" in told
    assert "with it: 2 dead letters, which `mysense dead export foo` prints before" in told
    assert "nothing was changed" in told
    station("run", "--once")
    assert status(station)["outputs"]["foo"]["dead"] == 2


def test_it_leaves_a_line_of_its_account(station):
    """What it never got is noted for good, and told as an event."""
    assert "the next that starts obeys" in station("forget", "FOO", "--yes").stderr
    station("run", "--once")
    found = status(station)
    assert "foo" not in found["outputs"]
    kept = {key: found["forgotten"]["foo"][key] for key in ("waiting", "dead", "acknowledged")}
    assert kept == {"waiting": 1, "dead": 2, "acknowledged": 0}
    assert any(event["kind"] == "forgotten" for event in found["events"])
    told = station("status").stdout
    assert "forgotten foo, " in told
    assert "output    foo" not in told


def test_others_keep_theirs(station):
    """Their telegrams, cursors and accounts are as before."""
    before = status(station)["outputs"]["jsonl"]
    station("forget", "foo", "--yes")
    station("run", "--once")
    after = status(station)
    assert after["outputs"]["jsonl"]["acknowledged"] == before["acknowledged"] == 3
    assert after["telegrams"] == 3


def test_one_that_is_switched_on_is_not_forgotten(station):
    """It would begin with the oldest telegram again at the next start."""
    told = station("forget", "jsonl", "--yes", code=1).stderr
    assert "jsonl is switched on; set `output = false` in its section first" in told


def test_an_unknown_one_is_refused(station):
    """With the one that was probably meant."""
    assert "did you mean foo?" in station("forget", "fo", code=1).stderr


def test_a_running_engine_forgets_at_once_but_nothing_that_it_runs(station, tmp_path):
    """Whatever the configuration says by now."""
    words = [sys.executable, "-m", "mysense", "run"]
    engine = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path))
    try:
        until(lambda: status(station)["outputs"]["jsonl"]["connected"] is not None)
        until(lambda: status(station)["engine"]["running"])
        (tmp_path / "MySense.conf").write_text("")
        journal = tmp_path / "state/mysense/journal.db"
        assert "foo is forgotten" in station("forget", "foo", "--yes").stderr
        told = station("forget", "jsonl", "--yes", "--journal", journal, code=1).stderr
        assert "has jsonl among its outputs" in told
    finally:
        engine.terminate()
        engine.wait(30)
    assert status(station)["outputs"].keys() == {"jsonl"}
