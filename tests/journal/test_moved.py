"""A journal that somebody removes or replaces while an engine runs on it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal
from mysense.journal.copies import NOTES, copies
from mysense.journal.moved import Place, put_back
from mysense.journal.view import View
from tests.pipeline import keys, telegram


def remove(path):
    path.unlink()


def remove_all(path):
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def remove_folder(path):
    shutil.rmtree(path.parent)


def replace_by_a_journal(path):
    with closing(Journal(path.with_name("other.db"))) as other:
        other.append([telegram(99)])
    path.with_name("other.db").rename(path)


def replace_by_something(path):
    with closing(sqlite3.connect(path.with_name("other.db"))) as other:
        other.execute("CREATE TABLE something (a)")
    path.with_name("other.db").rename(path)


ALL = [remove, remove_all, remove_folder, replace_by_a_journal, replace_by_something]


def seconds(path):
    with View(path) as view:
        return [time for _, time in keys(row.telegram for row in view.rows(0, 10, 10_000))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.db"


@pytest.mark.parametrize("do", ALL)
def test_what_it_had_is_put_back_before_more_is_taken(path, do, caplog):
    """Nothing is committed to a file that nobody finds any more."""
    with closing(Journal(path)) as journal:
        journal.append([telegram(1), telegram(2)])
        do(path)
        journal.append([telegram(3)])
        assert seconds(path) == [1, 2, 3]
    assert "stop the engine before you do that" in caplog.text


@pytest.mark.parametrize("do", ALL)
def test_what_it_had_is_there_after_it_ended(path, do):
    """Also where nothing was written in between."""
    journal = Journal(path)
    journal.append([telegram(1), telegram(2)])
    do(path)
    journal.close()
    with closing(Journal(path)):
        assert seconds(path) == [1, 2]


def test_a_reader_follows(path):
    """One that was open reads on in the file that was put back."""
    with closing(Journal(path)) as journal:
        journal.append([telegram(1)])
        with View(path) as view:
            assert len(view.rows(0, 10, 10_000)) == 1
            replace_by_a_journal(path)
            journal.append([telegram(2)])
            assert [row.telegram.time for row in view.rows(0, 10, 10_000)] == [1, 2]


def test_what_stood_in_its_place_is_kept(path):
    """Somebody may have put it there for a reason."""
    with closing(Journal(path)) as journal:
        journal.append([telegram(1)])
        replace_by_a_journal(path)
        journal.append([telegram(2)])
        (kept,) = path.parent.glob("*.damaged-*")
        assert seconds(kept) == [99]


def test_what_stood_in_its_place_is_told(path):
    """As long as it is there."""
    with closing(Journal(path)) as journal:
        replace_by_a_journal(path)
        journal.append([telegram(2)])
        (copy,) = copies(path, journal.read(NOTES))
    assert (copy.told, copy.lost) == ("stood in the place of a journal that was removed", None)


def test_where_there_was_no_log(path):
    """None is removed."""
    with closing(Journal(path)) as journal:
        journal.append([telegram(1)])
        remove_all(path)
        put_back(journal._db, path, Place(path.with_name("journal.db-wal")), lambda: 0.0)
        assert seconds(path) == [1]


def test_a_link_stays_a_link(path, tmp_path):
    """What it leads to is put back on the disk where it was."""
    disk = tmp_path / "disk"
    disk.mkdir()
    path.parent.mkdir()
    path.symlink_to(disk / "journal.db")
    with closing(Journal(path)) as journal:
        journal.append([telegram(1)])
        replace_by_a_journal(disk / "journal.db")
        journal.append([telegram(2)])
    assert path.is_symlink()
    assert seconds(disk / "journal.db") == [1, 2]


def test_a_lock_that_was_removed_is_taken_again(path):
    """A second engine is refused all the same."""
    with closing(Journal(path)) as journal:
        path.with_name("journal.db.lock").unlink()
        journal.append([telegram(1)])
        with pytest.raises(JournalError, match="another engine"):
            Journal(path)


def test_where_another_engine_has_taken_its_place_it_takes_no_more(path):
    """Its lock was removed, and another has one by now."""
    with closing(Journal(path)) as journal:
        path.with_name("journal.db.lock").unlink()
        refused = pytest.raises(sqlite3.OperationalError, match="another engine")
        with closing(Journal(path)), refused:
            journal.append([telegram(1)])


def test_where_it_cannot_be_put_back_it_takes_no_more_until_it_can(path):
    """What it has is still whole, and is put back later."""
    with closing(Journal(path)) as journal:
        journal.append([telegram(1)])
        remove_folder(path)
        path.parent.touch()
        with pytest.raises(sqlite3.OperationalError, match="cannot be put back"):
            journal.append([telegram(2)])
        path.parent.unlink()
        journal.append([telegram(2)])
        assert seconds(path) == [1, 2]
