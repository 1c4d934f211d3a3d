"""What is on the disk when: a new journal is synced before it takes the place of another."""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from mysense.journal import Journal, salvage
from mysense.journal.formats import PAGE_SIZE
from mysense.journal.salvage import clear, finish
from mysense.journal.view import View
from tests.journal.damaging import over
from tests.pipeline import keys, telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db", now=lambda: 86_400.0)
    opened.append([telegram(1), telegram(2)])
    yield opened
    opened.close()


@pytest.fixture
def done(monkeypatch):
    """What was synced and renamed, in that order, by name."""
    done = []
    fsync, rename = os.fsync, Path.rename

    def synced(number):
        done.append(("sync", Path(f"/proc/self/fd/{number}").readlink().name))
        fsync(number)

    def renamed(path, target):
        done.append(("rename", path.name, Path(target).name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    return done


def stored(path):
    with View(path) as view:
        return keys(row.telegram for row in view.rows(0, 100, 10**6))


STAMP = "19700102T000000Z"
PLACED = [
    ("rename", "journal.db", f"journal.db.damaged-{STAMP}"),
    ("sync", "FOLDER"),
    ("rename", f"journal.db.salvaged-{STAMP}", "journal.db"),
    ("sync", "FOLDER"),
]


def test_a_salvaged_journal_is_on_the_disk_before_it_counts(journal, done, tmp_path):
    """First its contents, then that the old one has moved, then that it has its place."""
    journal.close()
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    named = [tuple("FOLDER" if part == tmp_path.name else part for part in one) for one in done]
    assert named == [
        ("sync", "journal.db.salvage"),
        ("rename", "journal.db.salvage", f"journal.db.salvaged-{STAMP}"),
        *PLACED,
    ]


def test_a_journal_that_is_put_back_is_on_the_disk_before_it_counts(journal, done, tmp_path):
    """The same way as a salvaged one."""
    journal.path.unlink()
    journal.append([telegram(3)])
    named = [tuple("FOLDER" if part == tmp_path.name else part for part in one) for one in done]
    assert [one for one in named if "wal" not in one[1]] == [
        ("sync", "journal.db.salvage"),
        ("rename", "journal.db.salvage", f"journal.db.salvaged-{STAMP}"),
        *PLACED[1:],
    ]


def test_what_was_put_back_holds_all(journal):
    """And what comes after it."""
    journal.path.unlink()
    journal.append([telegram(3)])
    assert stored(journal.path) == [("a", 1), ("a", 2), ("a", 3)]


@pytest.mark.parametrize(
    "name", ["journal.db.salvage", "journal.db.salvage-journal", "journal.db.rescue"]
)
def test_what_a_salvage_has_left_is_removed(tmp_path, name):
    """It was killed; nothing of it counts."""
    (tmp_path / name).write_bytes(b"half")
    clear(tmp_path / "journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_start_removes_what_a_salvage_has_left(tmp_path):
    """No other one may find it."""
    for name in ("journal.db.salvage", "journal.db.rescue"):
        (tmp_path / name).write_bytes(b"half")
    Journal(tmp_path / "journal.db").close()
    assert not list(tmp_path.glob("*.salvage")) + list(tmp_path.glob("*.rescue"))


def test_a_start_puts_a_complete_one_in_place(journal, tmp_path):
    """The power went between; the one that stood there is kept, its log with it."""
    journal.close()
    ready = tmp_path / f"journal.db.salvaged-{STAMP}"
    journal.path.rename(ready)
    (tmp_path / "journal.db").write_bytes(b"damaged")
    (tmp_path / "journal.db-wal").write_bytes(b"log")
    (tmp_path / "journal.db-shm").write_bytes(b"index")
    finish(tmp_path / "journal.db")
    assert not (tmp_path / "journal.db-shm").exists()  # it tells of the other one's log
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir() if ".damaged-" in path.name}
    assert (kept, stored(journal.path)) == (
        {
            f"journal.db.damaged-{STAMP}": b"damaged",
            f"journal.db.damaged-{STAMP}-wal": b"log",
        },
        [("a", 1), ("a", 2)],
    )


def test_a_start_looks_for_a_complete_one(journal, tmp_path):
    """Before it opens, or makes, a journal."""
    journal.close()
    journal.path.rename(tmp_path / f"journal.db.salvaged-{STAMP}")
    again = Journal(journal.path)
    again.close()
    assert stored(journal.path) == [("a", 1), ("a", 2)]


def test_damaged_ones_of_the_same_second_are_all_kept(journal, tmp_path):
    """Nothing is written over."""
    journal.close()
    for _ in range(3):
        salvage.salvage(journal.path, "because", lambda: 86_400.0)
    names = sorted(path.name for path in tmp_path.glob("*.damaged-*"))
    assert names == [f"journal.db.damaged-{STAMP}{end}" for end in ("", ".2", ".3")]


def test_the_damaged_one_is_whole_as_it_was(journal, tmp_path):
    """To be looked into by a person."""
    journal.close()
    before = journal.path.read_bytes()
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert (tmp_path / f"journal.db.damaged-{STAMP}").read_bytes() == before


def test_what_a_salvage_has_left_does_not_hinder_another(journal, tmp_path):
    """Whatever it is."""
    journal.close()
    (tmp_path / "journal.db.salvage").write_bytes(b"half of another one")
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert stored(journal.path) == [("a", 1), ("a", 2)]


def test_what_can_be_read_is_not_copied_first(journal, monkeypatch):
    """That would take as much room again."""
    journal.close()
    monkeypatch.setattr(salvage, "rescue", lambda *_: pytest.fail("it was copied"))
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert stored(journal.path) == [("a", 1), ("a", 2)]


def test_a_log_that_a_reader_makes_meanwhile_is_not_the_new_one_s(journal, tmp_path, monkeypatch):
    """It would be worked into it."""
    journal.close()
    wal, rename = tmp_path / "journal.db-wal", Path.rename

    def renamed(path, target):
        rename(path, target)
        if path == journal.path:
            wal.write_bytes(b"log")

    monkeypatch.setattr(Path, "rename", renamed)
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert not wal.exists()
    assert (tmp_path / f"journal.db.damaged-{STAMP}-wal").read_bytes() == b"log"


def test_an_empty_log_is_not_kept(journal, tmp_path):
    """Nothing stands in it; but a journal that is empty is kept, as it was one."""
    journal.close()
    ready = tmp_path / f"journal.db.salvaged-{STAMP}"
    journal.path.rename(ready)
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).write_bytes(b"")
    finish(journal.path)
    assert [path.name for path in tmp_path.glob("*.damaged-*")] == [f"journal.db.damaged-{STAMP}"]


def test_a_salvage_that_fails_leaves_all_as_it_was(journal, tmp_path, monkeypatch):
    """And nothing beside it."""
    journal.close()
    before = journal.path.read_bytes()
    monkeypatch.setattr(salvage, "fill", lambda *_: (_ for _ in ()).throw(sqlite3.Error("full")))
    with pytest.raises(sqlite3.Error, match="full"):
        salvage.salvage(journal.path, "because", lambda: 86_400.0)
    beside = {path.name for path in tmp_path.iterdir()} - {"journal.db-wal", "journal.db-shm"}
    assert (journal.path.read_bytes(), beside) == (before, {"journal.db", "journal.db.lock"})


def test_only_where_there_is_no_room_older_copies_go(journal, tmp_path, monkeypatch):
    """Another error would not be helped by that."""
    journal.close()
    copy = tmp_path / "journal.db.damaged-19690101T000000Z"
    copy.write_bytes(b"old")
    monkeypatch.setattr(salvage, "fill", lambda *_: (_ for _ in ()).throw(sqlite3.Error("bad")))
    with pytest.raises(sqlite3.Error, match="bad"):
        salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert copy.exists()


@pytest.mark.parametrize("more", [0, 1])
def test_the_oldest_copy_goes_where_that_may_help(journal, tmp_path, monkeypatch, more):
    """Without it, and the others, there has to be room; else none is worth it."""
    journal.close()
    names = [f"journal.db.damaged-1969010{day}T000000Z" for day in (1, 2)]
    for name in names:
        (tmp_path / name).write_bytes(b"0123456789")
    fill, tried = salvage.fill, []

    def once(*values):
        tried.append(values)
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "no room")
        return fill(*values)

    monkeypatch.setattr(salvage, "fill", once)
    room = journal.path.stat().st_size - 20 + more
    monkeypatch.setattr(salvage, "free", lambda _: room)
    with pytest.raises(OSError, match="no room") if not more else nullcontext():
        salvage.salvage(journal.path, "because", lambda: 86_400.0)
    left = sorted(path.name for path in tmp_path.glob("*.damaged-1969*"))
    assert left == (names[1:] if more else names)


def test_a_mended_copy_needs_room_as_well(journal):
    """As much again."""
    journal.close()
    over(journal.path, 0, bytes(100))
    assert salvage.needed(journal.path) == 2 * journal.path.stat().st_size + 1_000_000


def test_so_much_room_is_needed(journal):
    """As all there is takes, and a million bytes."""
    sizes = [path.stat().st_size for path in (journal.path, log_of(journal))]
    both = salvage.needed(journal.path)
    journal.close()
    assert both == sum(sizes) + 1_000_000
    assert salvage.needed(journal.path) == journal.path.stat().st_size + 1_000_000


def log_of(journal):
    return journal.path.with_name("journal.db-wal")


@pytest.mark.parametrize(
    ("cursors", "limits", "left"),
    [
        ([2, 1], (0, 0), [2]),
        ([2, 1], (0, 1), [1, 2]),
        ([2, 2], (0, 0), []),
        ([2, 2], (1, 0), [2]),
        ([2, 0], (0, 0), [1, 2]),
        ([], (0, 0), [1, 2]),
    ],
)
def test_what_stays_behind_where_there_is_not_as_much(journal, monkeypatch, cursors, limits, left):
    """What every output has had, but for the newest; nothing where there is."""
    newest, more = limits
    for name, cursor in zip("xy", cursors, strict=False):
        journal.register(name)
        with journal.transaction() as db:
            db.execute("UPDATE outputs SET cursor = ? WHERE name = ?", (cursor, name))
    journal.close()
    monkeypatch.setattr(salvage, "_NEWEST", newest)
    monkeypatch.setattr(salvage, "free", lambda _: salvage.needed(journal.path) + more)
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert stored(journal.path) == [("a", at) for at in left]


@pytest.mark.parametrize(
    "name", ["sources", "sqlite_autoindex_sources_1", "idents", "sqlite_autoindex_idents_1"]
)
def test_who_measured_is_kept_twice(journal, name):
    """In a table and its index; one will do, with all its numbers."""
    with journal.transaction() as db:
        db.execute("INSERT INTO sources VALUES (7, 'p_z', '')")  # the ledger of hours names it
        journal.ids(telegram(5, "b", village="v").ident)
    journal.close()
    tables = ("SELECT * FROM sources ORDER BY id", "SELECT * FROM idents ORDER BY id")
    with closing(sqlite3.connect(journal.path)) as db:
        before = [db.execute(query).fetchall() for query in tables]
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = db.execute(query, (name,)).fetchone()
    over(journal.path, (root - 1) * PAGE_SIZE, bytes(PAGE_SIZE))
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    with closing(sqlite3.connect(journal.path)) as db:
        assert [db.execute(query).fetchall() for query in tables] == before


def page(data, number):
    return data[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


def below(interior):
    """The pages below a page of an index, but for the last; section 1.6 of SQLite's format."""
    (cells,) = struct.unpack(">H", interior[3:5])
    places = struct.unpack(f">{cells}H", interior[12 : 12 + 2 * cells])
    return [struct.unpack(">I", interior[at : at + 4])[0] for at in places]


@pytest.mark.parametrize("whole", [False, True])
def test_a_damaged_index_is_read_from_both_ends(tmp_path, whole):
    """Only whose telegrams those were that stood on its page is not known."""
    journal = Journal(tmp_path / "journal.db")
    journal.register("x")
    journal.append([telegram(at) for at in range(1, 1001)])
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'identity'"
        (root,) = db.execute(query).fetchone()
    data = journal.path.read_bytes()
    leaf = below(page(data, root))[3]
    (gone,) = struct.unpack(">H", page(data, leaf)[3:5])
    for number in range(1, len(data) // PAGE_SIZE + 1):
        if (number == leaf and not whole) or b'{"time":' in page(data, number):
            over(journal.path, (number - 1) * PAGE_SIZE, bytes(PAGE_SIZE))
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    with View(journal.path) as view:
        gaps = {row["kit"]: row["count"] for row in view.all("SELECT * FROM gaps")}
    assert gaps == ({"p_a": 1000} if whole else {"p_a": 1000 - gone, "?": gone})


def test_a_salvaged_journal_is_private(journal):
    """Idents hold addresses."""
    journal.close()
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    assert journal.path.stat().st_mode & 0o007 == 0


def test_a_salvaged_journal_can_shrink(journal):
    """As one that is made new."""
    journal.close()
    salvage.salvage(journal.path, "because", lambda: 86_400.0)
    with closing(sqlite3.connect(journal.path)) as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)


# -- put back -----------------------------------------------------------------------------------


def told(path):
    with View(path) as view:
        return [row["text"] for row in view.all("SELECT text FROM events WHERE kind = 'put back'")]


@pytest.mark.parametrize("other", [False, True])
def test_that_it_was_put_back_is_written_down(journal, tmp_path, other):
    """And where that is which stood there."""
    journal.path.unlink()
    if other:
        journal.path.write_bytes(b"other")
    journal.append([telegram(3)])
    kept = f"what stood there is kept as journal.db.damaged-{STAMP}"
    (text,) = told(journal.path)
    assert ("is put back" in text, kept in text) == (True, other)


def test_what_was_put_back_is_private(journal):
    """Idents hold addresses."""
    journal.path.unlink()
    journal.append([telegram(3)])
    assert journal.path.stat().st_mode & 0o007 == 0


def test_what_a_salvage_has_left_is_not_put_back(journal, tmp_path):
    """It is of another time."""
    (tmp_path / "journal.db.salvage").write_bytes(b"half of another one")
    journal.path.unlink()
    journal.append([telegram(3)])
    assert stored(journal.path) == [("a", 1), ("a", 2), ("a", 3)]


def test_a_log_that_is_gone_too(journal):
    """Nothing is missed."""
    for suffix in ("", "-wal", "-shm"):
        journal.path.with_name(f"journal.db{suffix}").unlink()
    journal.append([telegram(3)])
    assert stored(journal.path) == [("a", 1), ("a", 2), ("a", 3)]
