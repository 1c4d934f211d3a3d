"""`mysense status`: what is in the journal and how each output is doing, without harm."""

from __future__ import annotations

import json

import pytest

from mysense.journal import Journal
from tests.dropins import PUBLISHER
from tests.telegrams import START, data, telegram


@pytest.fixture
def ran(mysense, write, tmp_path):
    """A server that has taken over a store into two outputs, one of which refuses everything."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/MyFOO.py").write_text(PUBLISHER)
    mysense("replay", write("in.jsonl", telegram(0), data(1)), "--to", "sqlitepub")
    (tmp_path / "MySense.conf").write_text(
        "[process]\nplugins = plugins\n[sqlitesub]\ninput = true\n[jsonl]\noutput = true\n"
        "[foo]\noutput = true\nrefuse = true\n"
    )
    mysense("run", "--once")
    return mysense


def test_no_journal_is_said(mysense, tmp_path):
    """Before the first run there is nothing to tell."""
    told = mysense("status", code=1).stderr
    assert told == (
        f"mysense status: journal {tmp_path}/state/mysense/journal.db: "
        "there is none yet; nothing has run with it\n"
    )


def test_status_for_a_person(ran):
    """Telegrams, outputs, and what was refused, in a few lines."""
    told = ran("status").stdout
    assert "telegrams 2 kept of 1 kits, 2017-05-14T16:02:52Z to 2017-05-14T16:02:53Z" in told
    assert "2 acknowledged, 0 waiting\n" in told
    assert "0 acknowledged, 0 waiting, 2 dead" in told


def test_status_for_a_program(ran):
    """--json has the same as one object, times in Unix seconds."""
    told = json.loads(ran("status", "--json").stdout)
    assert (told["telegrams"], told["first"], told["last"]) == (2, START, START + 1)
    assert (told["outputs"]["jsonl"]["acknowledged"], told["outputs"]["foo"]["dead"]) == (2, 2)


def test_status_of_another_journal(ran, mysense, tmp_path):
    """--journal needs no configuration at all."""
    (tmp_path / "MySense.conf").write_text("[broken")
    journal = tmp_path / "state/mysense/journal.db"
    assert "telegrams 2 kept" in mysense("status", "--journal", journal).stdout


def test_status_works_with_a_broken_section(ran, tmp_path):
    """A fault in some output's section does not hide how the others are doing."""
    with (tmp_path / "MySense.conf").open("a") as conf:
        conf.write("[csv]\nfoldr = x\n[nonsense]\n")
    assert "telegrams 2 kept" in ran("status").stdout


def test_status_needs_the_journals_own_section(ran, tmp_path):
    """A fault where the journal is named is not guessed around."""
    with (tmp_path / "MySense.conf").open("a") as conf:
        conf.write("[journal]\nfiel = x\n")
    assert "[journal] fiel: expected a known option" in ran("status", code=78).stderr


@pytest.mark.parametrize("content", [b"no database", bytes(range(256)) * 100])
def test_journal_that_is_none_is_refused(mysense, tmp_path, content):
    """Another file is not taken for a journal."""
    (tmp_path / "j.db").write_bytes(content)
    told = mysense("status", "--journal", "j.db", code=1).stderr
    assert "journal j.db: file is not a database; if it was a journal, `mysense run`" in told


@pytest.mark.parametrize("content", [None, b""])
def test_folder_or_empty_file_is_no_journal(mysense, tmp_path, content):
    """What SQLite would take for an empty database is refused in words."""
    path = tmp_path / "j.db"
    path.mkdir() if content is None else path.write_bytes(content)
    assert (
        "mysense status: journal j.db: " in mysense("status", "--journal", path.name, code=1).stderr
    )


def test_status_changes_nothing(ran, tmp_path):
    """The journal is opened read-only."""
    journal = tmp_path / "state/mysense/journal.db"
    before = journal.read_bytes()
    ran("status")
    assert journal.read_bytes() == before


def test_unfinished_replay_is_mentioned(ran, write, tmp_path):
    """What a replay left is found again."""
    ran("replay", write("more.jsonl", telegram(5)), "--to", "foo", code=1)
    assert "replay    unfinished, its journal is " in ran("status").stdout


def test_what_happened_to_a_sensor_is_told(ran, tmp_path):
    """Why a sensor is silent stands in the status; flags of single values do not."""
    journal = Journal(tmp_path / "state/mysense/journal.db", now=lambda: START)
    journal.note("dylos", "silent", "nothing accepted in 3 intervals: unplugged")
    journal.note("quality", "flags", "pm_25:humid", START)
    journal.close()
    told = ran("status").stdout
    assert "dylos silent: nothing accepted in 3 intervals: unplugged" in told
    assert "humid" not in told
