"""Reading a journal beside a running engine, and where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, Outcome
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
        assert times(view, max_bytes=300) == [0, 1]
        assert times(view, max_bytes=1) == [0]


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
        aside = view.aside("x", "p_a", 2, 10**6)
    assert keys(row.telegram for row in aside) == [("a", 0), ("a", 1)]


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
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            with View(path) as view:
                text = str(times(view))
        except JournalError as wrong:
            text = str(wrong)
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


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


def test_files_that_may_not_be_read(shared):
    """A sentence, not a traceback."""
    with engine(shared / "journal.db"):
        pass
    (shared / "journal.db").chmod(0o600)
    assert "unable to open database file" in read_as_nobody(shared / "journal.db")
