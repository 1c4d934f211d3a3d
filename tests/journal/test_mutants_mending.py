"""After errors of the disk: opened anew, put back, looked over; what mutants would get wrong."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from types import SimpleNamespace

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, damage, disk, file, missing
from mysense.journal.disk import Hindered, hinders, hindrance
from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE
from mysense.journal.opening import Opening
from mysense.journal.view import View
from tests.pipeline import keys, telegram


@pytest.fixture
def path(tmp_path):
    return tmp_path / "far" / "away" / "journal.db"


@pytest.fixture
def journal(path):
    opened = Journal(path)
    opened.append([telegram(1), telegram(2)])
    yield opened
    opened.close()


def error(code):
    wrong = sqlite3.OperationalError("disk I/O error")
    wrong.sqlite_errorcode = code
    return wrong


IO, FULL = error(sqlite3.SQLITE_IOERR_FSYNC), error(sqlite3.SQLITE_FULL)


def meets(journal, wrong):
    """As if this came up in a transaction."""
    with suppress(sqlite3.OperationalError), journal.transaction():
        raise wrong


def stored(journal):
    with View(journal.path) as view:
        return keys(row.telegram for row in view.rows(0, 100, 10**6))


@pytest.fixture
def connects(monkeypatch):
    """How often a journal was opened, and whether it fails."""
    connect, seen = Opening.connect, SimpleNamespace(count=0, fails=False)

    def counted(self):
        seen.count += 1
        if seen.fails:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(self)

    monkeypatch.setattr(Opening, "connect", counted)
    return seen


@pytest.mark.parametrize(
    ("bulk", "sizes"), [(False, (PAGE_SIZE, 250)), (True, (BULK_PAGE_SIZE, 1000))]
)
def test_pages_are_as_large_as_its_use_asks_for(tmp_path, bulk, sizes):
    """Small ones wear a card less, large ones are quicker."""
    journal = Journal(tmp_path / "journal.db", **({"bulk": True} if bulk else {}))
    names = ("page_size", "wal_autocheckpoint")
    found = tuple(journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    journal.close()
    assert found == sizes


# -- errors of the disk -------------------------------------------------------------------------


def test_after_an_error_of_the_disk_it_is_opened_anew(journal, connects, caplog):
    """At once, and once; the old connection is closed; nothing was lost, so nothing is said."""
    old = journal._db
    meets(journal, IO)
    journal.append([telegram(3)])
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        old.execute("SELECT 1")
    assert (connects.count, journal._doubted, caplog.text) == (1, False, "")


def test_an_error_that_is_not_of_the_disk_opens_nothing(journal, connects):
    """A foreign writer, or a fault of ours."""
    for wrong in (error(sqlite3.SQLITE_BUSY), error(sqlite3.SQLITE_CONSTRAINT), FULL):
        meets(journal, wrong)
    assert connects.count == 0


def test_what_cannot_be_opened_is_opened_before_the_next_transaction(journal, connects):
    """Until it can be; the error that came up first is the one that is told."""
    connects.fails = True
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"), journal.transaction():
        raise IO
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            journal.append([telegram(3)])
    connects.fails = False
    journal.append([telegram(3)])
    assert (stored(journal), connects.count) == ([("a", 1), ("a", 2), ("a", 3)], 4)


@pytest.mark.parametrize("kind", [JournalError, damage.Failed])
def test_whatever_keeps_it_from_being_opened_is_an_error_that_passes(journal, monkeypatch, kind):
    """Who writes tries again after those of SQLite."""

    def fail(_):
        raise kind("too many open files")

    monkeypatch.setattr(Opening, "connect", fail)
    journal._doubted = True
    with pytest.raises(sqlite3.OperationalError, match="too many open files") as told:
        journal.append([telegram(3)])
    assert ("opened again" in str(told.value)) is (kind is JournalError)
    monkeypatch.undo()
    assert journal.append([telegram(3)]).stored == 1


def test_while_it_is_doubted_another_error_opens_nothing(journal, connects):
    """The next transaction does."""
    journal._doubted = True
    journal._look_into(IO)
    assert connects.count == 0


def test_what_is_remembered_is_read_anew(journal):
    """Others may be in the file now."""
    journal.ids(telegram(1).ident)
    meets(journal, IO)
    assert journal._sources == {}


def forgetful(journal, upto):
    """As if the disk had lost what came after number `upto`."""
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        db.execute("DELETE FROM telegrams WHERE seq > ?", (upto,))
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'telegrams'")
        if upto:  # SQLite knows of no number before the first
            db.execute("INSERT INTO sqlite_sequence VALUES ('telegrams', ?)", (upto,))


def gaps(journal):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all("SELECT output, count FROM gaps")]


def numbers(journal):
    with View(journal.path) as view:
        return [row.seq for row in view.rows(0, 100, 10**6)]


@pytest.mark.parametrize("upto", [1, 0])
def test_what_was_acknowledged_and_is_lost_is_a_gap(journal, caplog, upto):
    """Its numbers are not given again, and it is said; also where all is lost."""
    journal.register("x")
    forgetful(journal, upto)
    meets(journal, IO)
    journal.append([telegram(3)])
    said = caplog.text.count(f"has lost {2 - upto} telegrams")
    found = gaps(journal), numbers(journal), said
    assert found == ([("x", 2 - upto)], [*range(1, upto + 1), 3], 1)


def test_what_an_earlier_engine_was_acknowledged_may_be_lost_too(path):
    """Whatever stood in the file when it was opened."""
    earlier = Journal(path)
    earlier.register("x")
    earlier.append([telegram(1)])
    earlier.close()
    journal = Journal(path)
    forgetful(journal, 0)
    meets(journal, IO)
    journal.append([telegram(2)])
    found = gaps(journal), numbers(journal)
    journal.close()
    assert found == ([("x", 1)], [2])


def test_nothing_is_lost_of_a_journal_without_telegrams(path, caplog):
    """A disk may fail before the first."""
    journal = Journal(path)
    meets(journal, IO)
    journal.append([telegram(1)])
    found = numbers(journal)
    journal.close()
    assert (found, caplog.text) == ([1], "")


def test_a_loss_is_looked_for_until_it_could_be(journal, monkeypatch):
    """Where the file is opened, and cannot be read just then."""
    journal.register("x")
    forgetful(journal, 1)
    given = journal._given
    monkeypatch.setattr(journal, "_given", lambda: (_ for _ in ()).throw(sqlite3.Error("no")))
    meets(journal, IO)
    monkeypatch.setattr(journal, "_given", given)
    journal.append([telegram(3)])
    assert (gaps(journal), numbers(journal)) == ([("x", 1)], [1, 3])


def without_ident(journal):
    """As if the disk had lost the ident of kit a, and what belongs to it."""
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        for table in ("telegrams", "kits", "idents", "sources"):
            db.execute(f"DELETE FROM {table}")


def test_an_ident_that_is_lost_is_written_again(journal):
    """Also where one who only reads met the error."""
    without_ident(journal)
    journal._look_into(IO)
    journal.append([telegram(3, "b"), telegram(3)])
    assert stored(journal) == [("b", 3), ("a", 3)]


def test_an_ident_that_a_salvage_did_not_find_is_written_again(journal, connects):
    """What was remembered before it belongs to another file; that is opened once."""
    without_ident(journal)
    journal.mend(damage.Damaged("a row that cannot be"))
    opened = connects.count
    journal.append([telegram(3, "b"), telegram(3)])
    assert (stored(journal), connects.count) == ([("b", 3), ("a", 3)], opened)


@pytest.mark.parametrize("met", [IO, damage.Damaged("a row that cannot be")])
def test_how_far_it_goes_is_known_at_once(journal, met):
    """Outputs do not ask for telegrams that are gone, nor wait for those of another number."""
    without_ident(journal)
    journal._look_into(met)
    assert (journal.head, stored(journal)) == (0, [])


def test_a_loss_that_could_not_be_written_down_is_written_down_later(journal, monkeypatch):
    """All of it, or not yet."""
    journal.register("x")
    forgetful(journal, 1)
    record = missing.record

    def half(*values):
        record(*values)
        raise sqlite3.OperationalError("full")

    monkeypatch.setattr(file.missing, "record", half)
    meets(journal, IO)
    before = gaps(journal)
    monkeypatch.setattr(file.missing, "record", record)
    journal.append([telegram(3)])
    assert (before, gaps(journal)) == ([], [("x", 1)])


def test_after_a_full_disk_the_log_is_emptied_once(journal):
    """Before anything is written; else what becomes free goes into the log."""
    said = []
    journal._db.set_trace_callback(said.append)
    meets(journal, FULL)
    journal.append([telegram(3)])
    journal.append([telegram(4)])
    emptied = [at for at, text in enumerate(said) if "wal_checkpoint(TRUNCATE)" in text]
    begun = [at for at, text in enumerate(said) if text.startswith("BEGIN")]
    assert len(emptied) == 1
    assert begun[0] < emptied[0] < begun[1]


def test_a_new_one_empties_no_log(tmp_path):
    """Nothing was full."""
    journal, said = Journal(tmp_path / "journal.db"), []
    journal._db.set_trace_callback(said.append)
    journal.append([telegram(1)])
    journal.close()
    assert not [text for text in said if "checkpoint" in text]


def test_what_a_reader_finds_damaged_is_mended(journal):
    """The one that met it gets the error; the next finds all that is whole."""
    with journal.transaction() as db:
        db.execute("UPDATE telegrams SET data = CAST(x'ff' AS TEXT) WHERE seq = 1")
    query = "SELECT seq, data FROM telegrams"
    with pytest.raises(sqlite3.OperationalError, match="UTF-8"):
        journal.read(query)
    assert (2, '{"time":2,"temp":2.0}') in journal.read(query)


def test_what_cannot_be_read_again_after_a_salvage_is_read_later(journal, monkeypatch):
    """Before anything is written: the numbers that are remembered are those of another file."""
    without_ident(journal)
    remember = journal._remember
    monkeypatch.setattr(journal, "_remember", lambda: (_ for _ in ()).throw(sqlite3.Error("no")))
    journal.mend(damage.Damaged("a row that cannot be"))
    monkeypatch.setattr(journal, "_remember", remember)
    journal.append([telegram(3, "b"), telegram(3)])
    assert stored(journal) == [("b", 3), ("a", 3)]


# -- removed under the engine -------------------------------------------------------------------


def test_a_folder_that_was_removed_is_made_again(journal, path, tmp_path):
    """With all folders above it, and all that the engine had."""
    shutil.rmtree(tmp_path / "far")
    journal.append([telegram(3)])
    assert stored(journal) == [("a", 1), ("a", 2), ("a", 3)]


def test_a_lock_that_was_removed_is_taken_again(journal, path):
    """As often as it is; a second engine is refused as before."""
    for at in (3, 5):
        path.with_name("journal.db.lock").unlink()
        for time in (at, at + 1):
            journal.append([telegram(time)])
            with pytest.raises(JournalError, match="another engine"):
                Journal(path)
    assert len(stored(journal)) == 6


def test_a_folder_to_which_a_link_leads_is_made_again(tmp_path):
    """The lock stays where the link is."""
    link, far = tmp_path / "journal.db", tmp_path / "far"
    (far / "away").mkdir(parents=True)
    link.symlink_to(far / "away" / "journal.db")
    journal = Journal(link)
    journal.append([telegram(1)])
    shutil.rmtree(far)
    journal.append([telegram(2)])
    found = stored(journal)
    journal.close()
    assert (found, link.is_symlink()) == ([("a", 1), ("a", 2)], True)


def test_a_file_that_is_removed_before_the_end_is_put_back(journal, path):
    """Closing is the last chance."""
    path.unlink()
    journal.close()
    assert stored(journal) == [("a", 1), ("a", 2)]


def test_it_can_be_closed_where_nothing_can_be_put_back(journal, monkeypatch):
    """The engine ends all the same, and lets go of file and lock."""
    monkeypatch.setattr(journal, "_stay", lambda: (_ for _ in ()).throw(sqlite3.Error("no")))
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        journal._db.execute("SELECT 1")
    Journal(journal.path).close()


def test_an_error_of_the_disk_while_the_file_is_gone(journal, path):
    """It is put back before it is opened: an empty one in its place would be a loss."""
    with suppress(sqlite3.OperationalError), journal.transaction():
        path.unlink()
        raise IO
    journal.append([telegram(3)])
    assert stored(journal) == [("a", 1), ("a", 2), ("a", 3)]


# -- looking over -------------------------------------------------------------------------------


def looked(journal):
    """What a look for damage asks of SQLite."""
    said = []
    with closing(sqlite3.connect(journal.path)) as db:
        db.set_trace_callback(said.append)
        damage.look_over(db)
    checks = [text.removeprefix("PRAGMA quick_check") for text in said if "quick_check" in text]
    return checks, [text for text in said if "FROM telegrams" in text]


def size(journal):
    pages, page = (
        journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return pages * page


def test_a_small_one_is_looked_over_in_full(journal, monkeypatch):
    """Up to a size that takes a second, and it ends at the first thing found."""
    monkeypatch.setattr(damage, "_SMALL", size(journal))
    assert looked(journal) == (["(1)"], [])


def test_a_large_one_is_looked_over_where_it_is_used_most(journal, monkeypatch):
    """All tables but that of telegrams, and its ends."""
    monkeypatch.setattr(damage, "_SMALL", size(journal) - 1)
    checks, ends = looked(journal)
    tables = damage.TABLES - {"telegrams"}
    ordered = [text.partition("ORDER BY ")[2] for text in ends]
    assert (tables <= {text[2:-2] for text in checks}, "('telegrams')" in checks, ordered) == (
        True,
        False,
        ["seq  LIMIT 200", "seq DESC LIMIT 200"],
    )


@pytest.mark.parametrize("large", [False, True])
def test_a_table_that_is_gone_is_damage(journal, monkeypatch, large):
    """Nothing else would tell."""
    monkeypatch.setattr(damage, "_SMALL", 0 if large else 10**9)
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("DROP TABLE gaps")
        with pytest.raises(damage.Damaged, match="no table gaps"):
            damage.look_over(db)


# -- what hinders -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, ""),
        ({"f_flag": os.ST_RDONLY}, "; its disk is read-only"),
        ({"f_favail": 0}, "; its disk has no inodes left"),
        ({"f_favail": 0, "f_files": 0}, ""),
        ({"f_bavail": 0}, "; its disk is full"),
    ],
)
def test_what_hinders_is_said(tmp_path, monkeypatch, found, said):
    """As a person can mend it; nothing where it is not known."""
    whole = {"f_flag": 0, "f_files": 10, "f_favail": 5, "f_bavail": 10**6, "f_frsize": 4096}
    monkeypatch.setattr(disk.os, "statvfs", lambda _: SimpleNamespace(**whole | found))
    assert hindrance(tmp_path).partition(":")[0] == said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EMFILE, "; too many open files"),
        (errno.ENFILE, "; too many open files"),
        (errno.EIO, ""),
    ],
)
def test_too_many_open_files_are_said(tmp_path, monkeypatch, code, said):
    """Of the process or of the machine; another error says nothing of them."""

    def fail(*_):
        raise OSError(code, "no")

    monkeypatch.setattr(disk.os, "open", fail)
    assert hindrance(tmp_path).partition(":")[0] == said


@pytest.mark.parametrize(
    ("wrong", "writable", "read_only"),
    [
        (Hindered("no"), True, True),
        (JournalError("another engine has it"), False, False),
        (FULL, True, True),
        (IO, True, True),
        (error(sqlite3.SQLITE_CANTOPEN), False, True),
        (error(sqlite3.SQLITE_READONLY_DIRECTORY), False, True),
        (error(sqlite3.SQLITE_CONSTRAINT), False, False),
        (error(sqlite3.SQLITE_CORRUPT), False, False),
        (sqlite3.ProgrammingError("closed"), False, False),
        (OSError(errno.ENOSPC, "no room"), True, True),
        (OSError(errno.EDQUOT, "no room for you"), True, True),
        (OSError(errno.EROFS, "read-only"), True, True),
        (OSError(errno.EIO, "failed"), True, True),
        (OSError(errno.EACCES, "not yours"), False, False),
    ],
    ids=repr,
)
def test_what_a_disk_hinders(tmp_path, monkeypatch, wrong, writable, read_only):
    """It is waited for; where SQLite does not say why, the disk is asked."""
    found = [hinders(wrong, tmp_path)]
    flags = os.statvfs(tmp_path).f_flag | os.ST_RDONLY
    monkeypatch.setattr(disk.os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
    assert [*found, hinders(wrong, tmp_path)] == [writable, read_only]
