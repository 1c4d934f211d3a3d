"""`mysense pause` and `mysense resume`, and how an output begins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from mysense.journal import Journal
from tests.cli.conftest import environment
from tests.telegrams import data, telegram


@pytest.fixture
def station(mysense, write, tmp_path):
    """A server with one telegram delivered by its output jsonl, and one waiting in its input."""
    mysense("replay", write("in.jsonl", telegram(0)), "--to", "sqlitepub")
    (tmp_path / "MySense.conf").write_text(
        "[sqlitesub]\ninput = true\n[jsonl]\noutput = true\n[csv]\noutput = true\n"
    )
    mysense("run", "--once")
    mysense("replay", write("more.jsonl", data(1) | telegram(1)), "--to", "sqlitepub")
    return mysense


def output(mysense, name="jsonl"):
    return json.loads(mysense("status", "--json").stdout)["outputs"][name]


def test_a_paused_output_waits_and_others_go_on(station):
    """Over a restart, too, and nobody waits for it."""
    told = station("pause", "jsonl").stderr
    assert told == "pause jsonl: no engine runs; the next that starts obeys\n"
    station("run", "--once")
    assert (output(station)["paused"], output(station)["waiting"]) == (True, 1)
    assert output(station, "csv")["acknowledged"] == 2
    assert "jsonl: paused" in station("status").stdout


def test_resume_lets_it_go_on(station):
    """What waited is delivered."""
    station("pause", "JSONL")
    station("run", "--once")
    station("resume", "jsonl")
    station("run", "--once")
    assert (output(station)["paused"], output(station)["acknowledged"]) == (False, 2)


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_an_unknown_output_is_refused(station, verb):
    """With the one that was probably meant."""
    told = station(verb, "jsnol", code=1).stderr
    assert f"mysense {verb}: no output is called 'jsnol' in this journal" in told
    assert "did you mean jsonl?" in told


def test_without_a_journal_there_is_nothing_to_pause(mysense):
    """As status says."""
    assert "there is none yet" in mysense("pause", "jsonl", code=1).stderr


def test_an_idle_output_waits_until_it_is_resumed(station):
    """Whatever the option says afterwards, what was asked for wins."""
    idle = ("-o", "jsonl.state=idle")
    station("run", "--once", *idle)
    assert (output(station)["paused"], output(station)["waiting"]) == (True, 1)
    station("resume", "jsonl")
    station("run", "--once", *idle)
    assert (output(station)["paused"], output(station)["waiting"]) == (False, 0)
    station("pause", "jsonl")
    station("run", "--once", "-o", "jsonl.state=record")
    assert output(station)["paused"]


def test_record_ends_idle_where_nobody_has_asked(station):
    """The option alone decides then."""
    station("run", "--once", "-o", "jsonl.state=idle")
    station("run", "--once")
    assert (output(station)["paused"], output(station)["waiting"]) == (False, 0)


def test_replay_sends_to_an_idle_output(mysense, write):
    """Who names files and an output wants them sent."""
    mysense("replay", write("in.jsonl", telegram(0)), "--to", "jsonl", "-o", "jsonl.state=idle")


def test_a_running_engine_is_told_and_obeys(station, tmp_path):
    """Status says that it runs, and since when; after its end it says that, too."""
    words = [sys.executable, "-m", "mysense", "run"]
    engine = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path))
    try:
        until(lambda: json.loads(station("status", "--json").stdout)["engine"]["running"])
        status = json.loads(station("status", "--json").stdout)["engine"]
        assert status["pid"] == engine.pid
        assert abs(status["since"] - time.time()) < 120
        until(lambda: output(station)["waiting"] == 0 and output(station)["connected"])
        assert f"(process {engine.pid}) obeys" in station("pause", "jsonl").stderr
        until(lambda: output(station)["paused"])
        assert not output(station)["connected"]
    finally:
        engine.terminate()
        engine.wait(30)
    assert json.loads(station("status", "--json").stdout)["engine"] == {"running": False}
    assert not output(station, "csv")["connected"]
    assert "engine    not running" in station("status").stdout


def test_a_number_left_in_the_lock_file_is_no_engine(station, tmp_path):
    """It may be that of another process by now."""
    (tmp_path / "state/mysense/journal.db.lock").write_text(str(os.getpid()))
    assert json.loads(station("status", "--json").stdout)["engine"] == {"running": False}


def test_a_journal_open_in_this_process_is_seen(station, tmp_path):
    """The lock's file is open, that is what counts."""
    journal = Journal(tmp_path / "state/mysense/journal.db")
    found = json.loads(station("status", "--json").stdout)["engine"]
    journal.close()
    assert found["pid"] == os.getpid()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
