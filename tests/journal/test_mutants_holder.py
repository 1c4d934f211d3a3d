"""Who has a journal: asked of the machine, to the letter."""

from __future__ import annotations

import os

import pytest

from mysense.journal import Journal, holder
from mysense.journal.holder import Holder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    opened = Journal(path)
    yield opened
    opened.close()


def since(path):
    return path.with_name("journal.db.lock").stat().st_mtime


def test_this_process_has_it(path, journal):
    """And since when; what is told cannot be changed."""
    found = holder.holder(path)
    assert found == Holder(os.getpid(), since(path))
    with pytest.raises(AttributeError):
        found.pid = 1


def test_nobody_has_it_any_more(path, journal):
    """The number of the process is still in the lock."""
    journal.close()
    assert holder.holder(path) is None


def test_there_is_none(path):
    """Nor a lock."""
    assert holder.holder(path) is None


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"\xff", b"999999999", b"1"])
def test_a_lock_that_names_nobody_who_has_it(path, text):
    """No number, no process of this number, or one that has nothing to do with it."""
    path.with_name("journal.db.lock").write_bytes(text)
    assert holder.holder(path) is None


class Proc:
    """A /proc in which nothing of other users can be seen but the list of locks."""

    def __init__(self, folder, locks):
        self.folder = folder
        if locks is not None:
            (folder / "locks").write_text(locks, encoding="ascii")

    def __truediv__(self, name):
        return self.folder / name if name == "locks" else Closed()


class Closed:
    def __truediv__(self, name):
        return self

    def iterdir(self):
        raise PermissionError


def line(pid, inode, kind="FLOCK"):
    return f"1: {kind}  ADVISORY  WRITE {pid} fe:00:{inode} 0 EOF\n"


@pytest.mark.parametrize(
    ("listed", "has"),
    [
        ((77, 0, "FLOCK"), True),
        ((78, 0, "FLOCK"), False),
        ((77, 1, "FLOCK"), False),
        ((77, 0, "POSIX"), False),
    ],
)
def test_a_process_of_another_user(path, tmp_path, monkeypatch, listed, has):
    """The kernel's list of locks is for all: the process, the file, and that kind of lock."""
    lock = path.with_name("journal.db.lock")
    lock.write_text("77", encoding="ascii")
    pid, change, kind = listed
    locks = line(5, 6) + line(pid, lock.stat().st_ino + change, kind)
    monkeypatch.setattr(holder, "_PROC", Proc(tmp_path, locks))
    assert (holder.holder(path) == Holder(77, since(path))) is has


def test_where_there_is_no_list_of_locks(path, tmp_path, monkeypatch):
    """It is not known, and that is nobody."""
    path.with_name("journal.db.lock").write_text("77", encoding="ascii")
    monkeypatch.setattr(holder, "_PROC", Proc(tmp_path, None))
    assert holder.holder(path) is None


def test_a_file_that_is_closed_just_now(path, journal, tmp_path, monkeypatch):
    """Its link leads nowhere; the others are looked at all the same."""
    folder = tmp_path / str(os.getpid()) / "fd"
    folder.mkdir(parents=True)
    (folder / "1").symlink_to(tmp_path / "nowhere")
    (folder / "2").symlink_to(path)
    monkeypatch.setattr(holder, "_PROC", tmp_path)
    without = holder.holder(path)
    (folder / "3").symlink_to(path.with_name("journal.db.lock"))
    assert (without, holder.holder(path)) == (None, Holder(os.getpid(), since(path)))
