"""Journals of older formats: upgraded whole, or left as they were."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, formats
from mysense.journal.damage import Damaged
from mysense.journal.pages import MAGIC
from mysense.journal.view import View
from tests.pipeline import keys, python, telegram

COUNT = 400


@pytest.fixture
def path(tmp_path):
    """A journal of format 1, as the MySense that wrote it left it: telegrams, outputs, the rest."""
    path = tmp_path / "journal.db"
    schema = Path(__file__).with_name("format1.sql").read_text()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        marks = f"PRAGMA application_id = {formats.APPLICATION}; PRAGMA user_version = 1;"
        db.executescript(f"BEGIN;{schema}{marks}COMMIT;")
        db.execute("BEGIN")
        ident = json.dumps(telegram(0).ident.to_json(), separators=(",", ":"))
        db.execute("INSERT INTO sources VALUES (1, 'p_a', '')")
        db.execute("INSERT INTO idents VALUES (1, 1, ?)", (ident,))
        db.execute("INSERT INTO kits VALUES ('p_a', 1)")
        insert = (
            "INSERT INTO telegrams (kind, source, time, ident, new, at, data)"
            " VALUES ('telegram', 1, ?, 1, ?, 5.0, ?)"
        )
        rows = [(at, at == 0, json.dumps({"time": at, "temp": at / 7})) for at in range(COUNT)]
        db.executemany(insert, rows)
        db.execute("INSERT INTO outputs (name, cursor, receipt) VALUES ('shelf', 300, 'r')")
        db.execute(
            "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
            " VALUES ('shelf', 'dead', 'p_a', 7, 1, 0, 5.0, 'bad', '{\"time\":7}')"
        )
        db.execute("INSERT INTO gaps VALUES (1, 'shelf', 'p_a', 0, 1, 2, 2, 5.0, 'full')")
        db.execute("INSERT INTO positions VALUES ('feed', 'next', '400')")
        db.execute("COMMIT")
    return path


def version(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def everything(path):
    """What a journal holds, the columns and tables of format 1 only."""
    with closing(sqlite3.connect(path)) as db:
        found = {
            name: db.execute(f"SELECT * FROM {name}").fetchall()
            for name in ("sources", "idents", "kits", "telegrams", "aside", "gaps", "positions")
        }
        found["outputs"] = db.execute("SELECT name, cursor, receipt FROM outputs").fetchall()
    return found


def shape(path):
    """Tables and indexes, and the columns of each."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema")]
        return {name: db.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}


def test_keeps_all(path):
    """Telegrams, cursor, receipt, dead letters, gaps and positions are as they were."""
    before = everything(path)
    journal = Journal(path)
    assert journal.register("shelf") == (300, "r")
    journal.append([telegram(COUNT)])
    journal.close()
    after = everything(path)
    assert (after["telegrams"].pop()[0], after) == (COUNT + 1, before)


def test_has_the_shape_of_a_new_one(path, tmp_path):
    """An upgraded journal has all tables, indexes and columns of a new one."""
    Journal(path).close()
    Journal(tmp_path / "new.db").close()
    assert shape(path) == shape(tmp_path / "new.db")


def test_its_mark_is_that_of_all_journals(tmp_path):
    """Another one, and no journal out there could be opened."""
    Journal(tmp_path / "new.db").close()
    assert (tmp_path / "new.db").read_bytes()[68:72] == b"MySJ"


def test_readers_are_told_to_run_it(path):
    """Verbs that only read say what upgrades it, and leave it alone."""
    with pytest.raises(JournalError, match=r"format 1 is of an older MySense; `mysense run`"):
        View(path)
    assert version(path) == 1


def test_all_or_nothing(path, monkeypatch):
    """A step that fails half way leaves the old format, whole and usable."""
    before = everything(path)
    step = formats._STEPS[1] + "CREATE TABLE events (taken);"
    monkeypatch.setitem(formats._STEPS, 1, step)
    with pytest.raises(JournalError, match="already exists"):
        Journal(path)
    assert (version(path), everything(path)) == (1, before)
    monkeypatch.undo()
    Journal(path).close()
    assert (version(path), everything(path)) == (formats.FORMAT, before)


@pytest.mark.parametrize("statement", range(1, 8))
def test_killed_half_way(path, statement):
    """Killed with -9 after any statement, the next start finds the old format and upgrades it."""
    before = everything(path)
    code = (
        "import os, signal, sqlite3; from pathlib import Path\n"
        "from mysense.journal import Journal, formats, opening\n"
        "seen = []\n"
        "def kill(text):\n"
        "    seen.append(text)\n"
        f"    if len(seen) == {statement} + 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "def upgrade(db, version):\n"
        "    db.set_trace_callback(kill)\n"
        "    formats.upgrade(db, version)\n"
        "opening.upgrade = upgrade\n"
        "Journal(Path(sys.argv[1]))"
    )
    done = subprocess.run([*python(code), path], check=False)
    assert (done.returncode, version(path)) == (-9, 1)
    Journal(path).close()
    assert (version(path), everything(path)) == (formats.FORMAT, before)


def test_a_newer_statement_of_the_schema_stands_alone():
    """The scripts are cut where their statements end, also at a semicolon in a comment."""
    assert formats.statements("CREATE TABLE a (x); -- one; two\nCREATE TABLE b (y);\n") == [
        "CREATE TABLE a (x); -- one; two",
        "CREATE TABLE b (y);",
    ]


def test_a_damaged_one_is_saved_in_the_format_of_today(path):
    """Salvage reads what an older format has; where its tables begin is known, too."""
    Journal(path).close()
    before = everything(path)
    shutil.copy(path, path.with_name("upgraded.db"))
    data = bytearray(path.read_bytes())
    assert data.startswith(MAGIC)
    data[:4096] = bytes(4096)
    path.write_bytes(data)
    journal = Journal(path)
    assert keys([row.telegram for row in _rows(journal)]) == [("a", at) for at in range(COUNT)]
    journal.close()
    assert everything(path) == before


def _rows(journal):
    with View(journal.path) as view:
        return view.rows(0, 10**6, 10**9)


def test_an_older_one_without_its_number_is_saved(path):
    """It is not taken for one that is still to be made."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
    journal = Journal(path)
    assert keys([row.telegram for row in _rows(journal)]) == [("a", at) for at in range(COUNT)]
    journal.close()


def changed(path, statement, *values):
    """Whether its list of tables can be used, and what is said of its format, after a change."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(statement, values)
    with closing(sqlite3.connect(path)) as db:
        try:
            return formats.lists_tables(db), formats.format_of(db, path)
        except (Damaged, JournalError) as wrong:
            return formats.lists_tables(db), f"{type(wrong).__name__}: {wrong}"


@pytest.fixture
def new(tmp_path):
    """A journal of this format."""
    path = tmp_path / "new.db"
    Journal(path).close()
    return path


def test_whole_ones_are_known(path, new):
    """Of this format or an older one."""
    found = [changed(one, "SELECT ?", 1) for one in (path, new)]
    assert found == [(True, 1), (True, formats.FORMAT)]


@pytest.mark.parametrize("mark", [0, 1, 3])
def test_a_header_that_is_damaged_is_not_of_another_format(new, mark):
    """Its columns are those of this one, and no other has them."""
    _, told = changed(new, f"PRAGMA user_version = {mark}")
    assert told == f"Damaged: its header says format {mark} of {formats.APPLICATION:#x}"


def test_a_header_of_somebody_else_over_our_columns_is_damaged(new):
    """The file is ours whatever it says."""
    _, told = changed(new, "PRAGMA application_id = 7")
    assert told == f"Damaged: its header says format {formats.FORMAT} of 0x7"


def test_an_older_one_of_somebody_else_is_left_alone(path):
    """Its columns are not those of a journal of today, so that it may be another database."""
    _, told = changed(path, "PRAGMA application_id = 7")
    assert told.startswith("JournalError: ")
    assert "this is the database of something else" in told


def test_a_newer_one_is_left_alone(path):
    """It is of a MySense to come."""
    _, told = changed(path, f"PRAGMA user_version = {formats.FORMAT + 1}")
    assert "is newer than this MySense knows" in told


def test_a_table_that_has_not_its_columns_is_damaged(new):
    """The first that differs is named; what is in it can be read by another list of tables."""
    rename = "UPDATE sqlite_schema SET sql = replace(sql, ' rate ', ' rats ') WHERE name = ?"
    usable, told = changed(new, rename, "outputs")
    assert (usable, told) == (False, "Damaged: its table outputs has no column rate as it was made")


def test_a_table_that_is_gone_is_found_elsewhere(new):
    """By those who know which ones can be done without."""
    found = [
        changed(new, "DELETE FROM sqlite_schema WHERE tbl_name = ?", name)
        for name in ("events", "positions")
    ]
    assert found == [(False, formats.FORMAT), (False, formats.FORMAT)]


def test_an_older_one_without_a_table_cannot_be_read_by_its_list(path):
    """But by that of an empty journal."""
    usable, _ = changed(path, "DELETE FROM sqlite_schema WHERE tbl_name = ?", "telegrams")
    assert not usable
