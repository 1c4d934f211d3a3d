"""A disk that returns errors: what was acknowledged is there, the rest is said and tried again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, opening
from mysense.journal.view import View
from tests.journal.damaging import numbered, numbers
from tests.pipeline import python, telegram

APPEND = """
import pathlib, sqlite3
from mysense.journal import Journal, opening
from tests.journal.damaging import numbered
journal = Journal(pathlib.Path(sys.argv[1]))
for number in range(40):
    while True:
        try:
            kept = journal.append([numbered(number)])
        except sqlite3.Error as wrong:
            print("failed", number, wrong, flush=True)
        else:
            print("kept", number, kept.stored, kept.repeats, flush=True)
            break
journal.close()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to inject errors")
@pytest.mark.parametrize(
    ("call", "when"),
    [("fdatasync", "9"), ("fdatasync", "9..12"), ("fdatasync", "8+5"), ("pwrite64", "60..63")],
)
def test_errors_of_the_disk(tmp_path, call, when):
    """A commit that failed is not counted, and tried again it is there once."""
    path = tmp_path / "journal.db"
    Journal(path).close()
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={when}")
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *inject, *python(APPEND), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [line for line in told if line[0] == "failed"]
    assert [line[1] for line in told if line[0] == "kept"] == [str(n) for n in range(40)]
    assert all(int(line[2]) + int(line[3]) == 1 for line in told if line[0] == "kept")
    assert numbers(path) == set(range(1, 41))


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    opened.append([numbered(number) for number in range(10)])
    yield opened
    opened.close()


def test_what_the_disk_has_lost_after_all(journal, caplog):
    """Numbers that were acknowledged and are gone are in a gap, and not given again."""
    journal.register("far")
    journal._acknowledged, journal._doubted = 15, True  # as after an fsync that had lied
    journal.append([numbered(15)])
    with View(journal.path) as view:
        gaps = [tuple(row) for row in view.all("SELECT output, kit, since, count FROM gaps")]
    assert (gaps, journal.head) == ([("far", "?", 11, 5)], 16)
    assert "lost 5 telegrams that it had acknowledged" in caplog.text


def test_a_file_that_cannot_be_opened_again(journal, monkeypatch):
    """While it cannot be looked at, nothing is written; then it goes on."""

    def fails(_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(opening.Opening, "connect", fails)
    journal._doubted = True
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        journal.append([numbered(10)])
    monkeypatch.undo()
    assert journal.append([numbered(10)]).stored == 1


def test_at_the_start_it_is_tried_again(journal):
    """What no worker would repeat is done a few times before it is given up."""
    tries = []

    def work():
        tries.append(1)
        if len(tries) < 3:
            raise sqlite3.OperationalError("disk I/O error")
        return "done"

    assert journal.insist(work) == "done"
    with pytest.raises(JournalError, match="syntax error"):
        journal.insist(lambda: journal._db.execute("nonsense"))


def test_what_keeps_it_from_being_opened_again_passes(tmp_path, monkeypatch):
    """Whatever it is, who writes tries again as after any error of the disk."""
    journal = Journal(tmp_path / "journal.db")
    journal.append([telegram(1)])

    def fail(_):
        raise JournalError("its file system does not do what a journal needs")

    with monkeypatch.context() as broken:
        broken.setattr(opening.Opening, "connect", fail)
        journal._doubted = True
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="what a journal needs"):
                journal.append([telegram(2)])
    assert journal.append([telegram(2)]).stored == 1
    journal.close()
