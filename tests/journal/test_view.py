"""Reading a journal beside a running engine, and where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, Outcome
from mysense.journal.damage import Damaged
from mysense.journal.view import View, request
from tests.pipeline import keys, python, telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def times(view, after=0, limit=100, max_bytes=10**6):
    return [row.telegram.time for row in view.rows(after, limit, max_bytes)]


def test_there_is_none(tmp_path):
    """Said clearly, and none is made."""
    with pytest.raises(JournalError, match="there is none yet"):
        View(tmp_path / "journal.db")
    assert not (tmp_path / "journal.db").exists()


def test_sees_what_comes(journal):
    """A view that is open sees what is committed afterwards."""
    with View(journal.path) as view:
        journal.append([telegram(1)])
        first = times(view)
        journal.append([telegram(2)])
        assert (first, times(view)) == ([1], [1, 2])


def test_it_lets_go_of_the_file(journal):
    """A kit has few files to open."""
    with View(journal.path) as view:
        pass
    assert closed(view._db)


def test_reads_while_the_engine_writes(journal):
    """Readers do not wait for a transaction, and do not see half of one."""
    journal.append([telegram(1)])
    with View(journal.path) as view, journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
        assert times(view) == [1]


def test_cannot_write(journal):
    """A view changes nothing."""
    with View(journal.path) as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view.all("DELETE FROM telegrams")


def test_after_limit_and_bytes(journal):
    """At most so many, of so many bytes, but one at least."""
    journal.append([telegram(at, text="x" * 100) for at in range(5)])
    with View(journal.path) as view:
        assert times(view, after=1, limit=2) == [1, 2]
        length = view.all("SELECT length(data) AS n FROM telegrams")[0]["n"]
        assert times(view, max_bytes=3 * length) == [0, 1, 2]
        assert times(view, max_bytes=3 * length - 1) == [0, 1]
        assert times(view, max_bytes=1) == [0]


def test_another_thread_may_read(journal):
    """Whoever opens it, a delivery has a thread of its own."""
    journal.append([telegram(1)])
    with View(journal.path) as view, ThreadPoolExecutor() as threads:
        assert threads.submit(times, view).result() == [1]


def test_idents_are_kept_in_memory_within_bounds(journal, monkeypatch):
    """A kit that moves has a new one with every telegram."""
    monkeypatch.setattr("mysense.journal.view._IDENTS_KNOWN", 2)
    journal.append([telegram(at, village=f"v{at}") for at in range(5)])
    counts = []
    with View(journal.path) as view:
        for number in range(1, 6):
            view.ident(number)
            counts.append(len(view._idents))
    assert counts == [1, 2, 1, 2, 1]


def test_a_moment_is_one_moment(journal):
    """What the engine does meanwhile is not seen in half of the numbers."""
    journal.append([telegram(1)])
    with View(journal.path) as view:
        with view.moment():
            first = times(view)
            journal.append([telegram(2)])
            assert times(view) == first
        assert times(view) == [1, 2]


def test_aside_is_per_output_and_kit_in_order(journal):
    """Held and to be retried, not dead; the oldest first."""
    journal.append([telegram(at, kit) for at in range(4) for kit in "ab"])
    with View(journal.path) as view:
        rows = view.rows(0, 100, 10**6)
        for output in ("x", "y"):
            journal.register(output)
        journal.settle("x", Outcome(8, held=[(r, "h") for r in rows[:6]], dead=[(rows[6], "d")]))
        journal.settle("y", Outcome(8, held=[(rows[0], "h")]))
        with journal.transaction() as db:
            db.execute("UPDATE aside SET state = 'retry' WHERE time = 1")
        aside = view.aside("x", "p_a", 2, 10**6)
        others = view.aside("x", "p_a", 2, 10**6, after=aside[0].seq)
    found = [keys(row.telegram for row in rows) for rows in (aside, others)]
    assert found == [[("a", 0), ("a", 1)], [("a", 1), ("a", 2)]]


def test_dead_letters_with_their_ident(journal):
    """Oldest first."""
    journal.append([telegram(1, village="Here")])
    journal.register("x")
    with View(journal.path) as view:
        journal.settle("x", Outcome(1, dead=[(row, "bad") for row in view.rows(0, 9, 999)]))
        ((row, ident),) = list(view.dead())
    assert (row["reason"], ident.village) == ("bad", "Here")


def test_a_request_needs_a_journal(tmp_path):
    """No journal is made only to leave a request in it."""
    with pytest.raises(JournalError, match="there is none yet"):
        request(tmp_path / "journal.db", "pause", ["x"])


def test_a_request_that_cannot_be_left_is_an_error(journal, monkeypatch):
    """Another program's lock on the journal: a sentence, not a traceback."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.1}))
    with (
        journal.transaction(),
        pytest.raises(JournalError, match="cannot leave a request in it: database is locked"),
    ):
        request(journal.path, "pause", ["x"])


# -- another file in its place -------------------------------------------------------------------


@pytest.fixture
def other(tmp_path):
    """Another journal, of another kit."""
    opened = Journal(tmp_path / "other.db")
    opened.append([telegram(at, "b") for at in (7, 8)])
    opened.close()
    return opened.path


def stored(view):
    return keys(row.telegram for row in view.rows(0, 100, 10**6))


def closed(connection):
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_it_follows(journal, other):
    """Ident 1 is another one there; the file that is gone is let go of."""
    journal.append([telegram(1)])
    journal.close()
    with View(journal.path) as view:
        before, old = stored(view), view._db
        again = (stored(view), view._db is old)
        other.replace(journal.path)
        assert (before, again, stored(view)) == (
            [("a", 1)],
            ([("a", 1)], True),
            [("b", 7), ("b", 8)],
        )
        assert closed(old)


def test_a_moment_is_of_one_file(journal, other):
    """It follows afterwards."""
    journal.append([telegram(1)])
    journal.close()
    with View(journal.path) as view:
        with view.moment():
            other.replace(journal.path)
            within = stored(view)
        assert (within, stored(view)) == ([("a", 1)], [("b", 7), ("b", 8)])


def test_a_file_that_is_just_being_put_in_place(journal):
    """As with any error that passes; the next read finds it."""
    journal.append([telegram(1)])
    aside = journal.path.with_name("aside")
    with View(journal.path) as view:
        journal.path.rename(aside)
        with pytest.raises(sqlite3.OperationalError, match="No such file"):
            stored(view)
        aside.rename(journal.path)
        assert stored(view) == [("a", 1)]


def test_one_that_cannot_be_opened_yet_is_tried_again(journal, other):
    """It is the same file, whole by now; else an output would fail until the next start."""
    journal.close()
    with View(journal.path) as view:
        whole = other.read_bytes()
        other.write_text("not yet")
        other.replace(journal.path)
        with pytest.raises(sqlite3.OperationalError, match="not a database"):
            stored(view)
        journal.path.write_bytes(whole)
        assert stored(view) == [("b", 7), ("b", 8)]


# -- what is damaged ----------------------------------------------------------------------------


@pytest.fixture
def garbled(journal):
    """A journal with an ident that is none."""
    journal.append([telegram(1)])
    with journal.transaction() as db:
        db.execute("UPDATE idents SET body = '{'")
    return journal.path


def test_damage_is_told_to_who_asked_and_to_people(garbled):
    """Each time it is met, until it is mended."""
    told = []
    with View(garbled, told.append) as view:
        for _ in range(2):
            with pytest.raises(Damaged, match=r"is damaged: ident 1 .* `mysense run` with this"):
                view.ident(1)
    assert [str(wrong).partition(" is ")[0] for wrong in told] == ["ident 1", "ident 1"]


@pytest.mark.parametrize("replaced", [True, False])
def test_damage_of_a_file_that_is_gone_is_nobody_s(garbled, other, replaced):
    """What stands there now is not to be salvaged for it."""
    told = []
    with View(garbled, told.append) as view, view.moment():
        other.replace(garbled) if replaced else garbled.unlink()
        with pytest.raises(Damaged):
            view.ident(1)
    assert told == []


def test_an_ident_that_is_gone_is_damage(journal):
    """Nobody can tell whose the telegram is."""
    with View(journal.path) as view, pytest.raises(Damaged, match="ident 5 is gone"):
        view.ident(5)


def test_data_that_would_pass_for_those_of_others_are_damage(journal):
    """They are read in one go, and each belongs to one number."""
    journal.append([telegram(1), telegram(2)])
    with journal.transaction() as db:
        db.execute("""UPDATE telegrams SET data = '{"time":1},{"time":5}' WHERE seq = 1""")
    with View(journal.path) as view, pytest.raises(Damaged, match="are not what was written"):
        stored(view)


def test_other_errors_are_nobody_s_damage(journal):
    """A fault in a query, for one."""
    told = []
    with View(journal.path, told.append) as view, pytest.raises(sqlite3.Error, match="no such"):
        view.all("SELECT * FROM nowhere")
    assert told == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("CREATE TABLE theirs (x); PRAGMA application_id = 7", "database of something else"),
        ("CREATE TABLE later (x); PRAGMA user_version = 1000", "newer than this MySense"),
        ("DROP TABLE undated; PRAGMA user_version = 1", "of an older MySense"),
        ("PRAGMA user_version = 1000", "saves what is whole"),
    ],
)
def test_what_is_no_journal_of_today(journal, monkeypatch, change, said):
    """Said, and the file is let go of."""
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db:
        db.executescript(change)
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[-1]
    )
    with pytest.raises(JournalError, match=said) as raised:
        View(journal.path)
    told = str(raised.value).count(str(journal.path))
    assert (told, all(map(closed, opened))) == (1, True)


@pytest.mark.parametrize("text", ["hello " * 2000, ""])
def test_what_is_no_database(tmp_path, text):
    """It may have been one, and `mysense run` knows; an empty file never was."""
    path = tmp_path / "journal.db"
    path.write_text(text)
    with pytest.raises(JournalError) as raised:
        View(path)
    assert ("`mysense run` with it saves" in str(raised.value)) is bool(text)


def test_a_list_of_tables_that_makes_no_sense(journal):
    """It was a journal, and can be saved."""
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE' WHERE name = 'gaps'")
    with pytest.raises(JournalError, match=r"malformed .* `mysense run` with it saves"):
        View(journal.path)


# -- where nothing may be written ---------------------------------------------------------------

HOLD = """
import pathlib
from mysense.journal import Journal
from tests.pipeline import telegram
journal = Journal(pathlib.Path(sys.argv[1]))
journal.append([telegram(1), telegram(2)])
print("ready", flush=True)
sys.stdin.read()
journal.close()
"""


@contextmanager
def engine(path):
    """Another process that has the journal open; this one must not (SQLite shares within it)."""
    command = [*python(HOLD), path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        for file in path.parent.iterdir():
            file.chmod(0o644)
        yield


def read_as_nobody(path):
    """What a user without rights sees there: the times, or an error's text."""
    os.seteuid(65534)
    try:
        with View(path) as view:
            return str(times(view))
    except JournalError as wrong:
        return str(wrong)
    finally:
        os.seteuid(0)


@pytest.fixture
def shared():
    """A folder that everybody may read and only root may write."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to read as somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_beside_an_engine_of_somebody_else(shared):
    """Who may read the files may look, also while the engine runs."""
    with engine(shared / "journal.db"):
        assert read_as_nobody(shared / "journal.db") == "[1, 2]"


def test_in_a_read_only_folder(shared):
    """A journal that nobody has open, where no file can be made beside it."""
    with engine(shared / "journal.db"):
        pass
    assert read_as_nobody(shared / "journal.db") == "[1, 2]"


@pytest.mark.parametrize(
    ("log", "found"), [(b"", "[1, 2]"), (b"x", "unable to open database file")]
)
def test_in_a_read_only_folder_with_a_log(shared, log, found):
    """What stands in the log cannot be seen there: rather nothing than half of it."""
    with engine(shared / "journal.db"):
        pass
    (shared / "journal.db-wal").write_bytes(log)
    assert found in read_as_nobody(shared / "journal.db")


def test_files_that_may_not_be_read(shared):
    """A sentence, not a traceback."""
    with engine(shared / "journal.db"):
        pass
    (shared / "journal.db").chmod(0o600)
    assert "unable to open database file" in read_as_nobody(shared / "journal.db")
