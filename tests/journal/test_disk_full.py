"""Disks without room, without inodes, read-only, and too few descriptors: named, and survived."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import contextmanager

import pytest

from mysense.clock import Clock
from mysense.errors import JournalError
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.sampling import outbox
from tests.disks import remount
from tests.journal.damaging import numbered, numbers
from tests.pipeline import python, telegram


def fill(journal):
    """Append one telegram after the other until there is no room; returns how many were taken."""
    for number in range(100_000):
        try:
            journal.append([numbered(number)])
        except sqlite3.OperationalError:
            return number
    pytest.fail("the disk was never full")


@pytest.mark.parametrize("size", [150, 400, 2000])
def test_goes_on_with_a_little_room(disk, size):
    """Some kilobytes are enough: they do not go into a log that is many times what is in it."""
    folder = disk(f"size={size}k")
    journal = Journal(folder / "journal.db")
    taken = fill(journal)
    assert taken * 1000 > (size - 150) * 300
    for _ in range(5):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            journal.append([numbered(taken)])
    remount(folder, f"size={size + 40}k")
    for number in range(taken, taken + 20):
        journal.append([numbered(number)])
    journal.close()
    assert numbers(folder / "journal.db") == set(range(1, taken + 21))


def test_it_goes_on_when_part_of_the_room_came_before(disk):
    """Each bit of room is used to make more of it: no bit is too small."""
    folder = disk("size=1000k")
    journal = Journal(folder / "journal.db")
    taken, tries = fill(journal), 0
    for tries in range(1, 100):
        remount(folder, f"size={1000 + 4 * tries}k")
        try:
            journal.append([numbered(taken)])
            break
        except sqlite3.OperationalError:
            continue
    assert tries < 20
    journal.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [("size=1m,nr_inodes=3", "has no inodes left"), ("size=32k", "is full"), ("ro", "read-only")],
)
def test_where_it_cannot_begin(disk, options, said):
    """What the disk lacks is named, SQLite's own words tell it badly."""
    with pytest.raises(JournalError, match=said):
        Journal(disk(options) / "journal.db")


def test_read_only_for_a_while(disk):
    """As a disk with errors is remounted, and mended: said, then it goes on."""
    folder = disk("size=2m")
    path = folder / "journal.db"
    Journal(path).close()
    remount(folder, "ro")
    with pytest.raises(JournalError, match="its disk is read-only: look for errors"):
        Journal(path)
    remount(folder, "rw")
    journal = Journal(path)
    assert journal.append([numbered(0)]).stored == 1
    journal.close()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
@pytest.mark.parametrize("limit", [6, 7, 8, 9])
def test_out_of_descriptors(tmp_path, limit):
    """With too few descriptors the error names them, or it works; no traceback of SQLite's."""
    code = (
        "import os, sys; from pathlib import Path; from mysense.errors import JournalError\n"
        "import mysense.journal.view, mysense.service, _strptime\n"
        "from mysense.journal import Journal\n"
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]),) * 2)\n"
        "try: Journal(Path(sys.argv[1]))\n"
        "except JournalError as wrong: print(wrong)\n"
    )
    command = [*python(code), tmp_path / "journal.db", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pen files" in done.stdout or (done.stdout == "" and limit > 6)


@contextmanager
def refusing(journal):
    """A journal that takes nothing for a while."""
    limit = "PRAGMA max_page_count = {}"
    journal._db.execute(limit.format(journal._db.execute("PRAGMA page_count").fetchone()[0]))
    yield
    journal._db.execute(limit.format(1_000_000))


def test_what_memory_cannot_keep_is_in_a_gap(tmp_path, monkeypatch):
    """Measuring goes on without the journal; what was too much is written down afterwards."""
    monkeypatch.setattr(outbox, "KEPT", 5)
    journal = Journal(tmp_path / "journal.db")
    journal.append([telegram(1, "b", note="x" * 500)])
    box = outbox.Outbox(telegram(0).ident, "sampling", Clock(), None, lambda *_: None)
    box.attach(journal, once=True, max_mb=100)
    with refusing(journal):
        for number in range(8):
            box.put({"temp": float(number), "note": "x" * 2000})
            assert not box.save()
    assert box.save()
    with View(journal.path) as view:
        (kept,) = view.all(
            "SELECT count(*) AS n FROM telegrams JOIN sources ON id = source WHERE kit = 'p_a'"
        )
        gaps = [tuple(row) for row in view.all("SELECT output, kit, count FROM gaps")]
    assert (kept["n"], gaps) == (5, [("", "p_a", 3)])
    journal.close()
