"""The journal's file to the letter: what mutants of it would get wrong."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from types import SimpleNamespace

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal, file, opening
from mysense.journal.disk import Hindered
from mysense.journal.view import View
from tests.pipeline import keys, telegram


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    opened = Journal(path)
    yield opened
    opened.close()


def pragma(journal, name):
    return journal._db.execute(f"PRAGMA {name}").fetchone()[0]


def stored(journal):
    with View(journal.path) as view:
        return keys(row.telegram for row in view.rows(0, 100, 10**6))


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("auto_vacuum", 2), ("wal_autocheckpoint", 250)],
)
def test_how_a_new_one_is_kept(journal, name, value):
    """Safe at every commit, and able to shrink."""
    assert pragma(journal, name) == value


@pytest.mark.parametrize("name", ["journal_mode", "synchronous"])
def test_what_is_not_safe_is_refused(path, monkeypatch, name):
    """Where SQLite does not do as it is told, it is read back and said."""

    class Deaf(sqlite3.Connection):
        def execute(self, text, *values):
            if text.startswith("PRAGMA synchronous ="):
                text = "PRAGMA synchronous = NORMAL" if name == "synchronous" else text
            if text.startswith("PRAGMA journal_mode ="):
                text = "PRAGMA journal_mode = DELETE" if name == "journal_mode" else text
            return super().execute(text, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Deaf, **k))
    with pytest.raises(JournalError, match="does not do what a journal needs"):
        Journal(path)


def test_others_on_the_machine_may_not_read_it(journal):
    """Idents hold addresses."""
    files = [journal.path, journal.path.with_name("journal.db-wal")]
    modes = {stat.S_IMODE(file.stat().st_mode) & 0o007 for file in files}
    assert modes == {0}


def test_a_transaction_may_write_from_its_beginning(journal):
    """Nobody can come between what it reads and what it writes."""
    with (
        journal.transaction(),
        closing(sqlite3.connect(journal.path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_transaction_is_there_when_it_ends(journal):
    """Another connection sees it at once."""
    with journal.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 1)")
    with closing(sqlite3.connect(journal.path)) as other:
        assert other.execute("SELECT value FROM meta WHERE key = 'a'").fetchone() == (1,)


def test_a_transaction_that_fails_has_not_been(journal):
    """All of it, and the next one can begin."""
    with suppress(ZeroDivisionError), journal.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 1)")
        raise ZeroDivisionError
    with journal.transaction() as db:
        assert db.execute("SELECT count(*) FROM meta WHERE key = 'a'").fetchone() == (0,)


def test_one_that_sqlite_has_rolled_back_itself(journal):
    """Its own error is the one that is told."""
    with pytest.raises(ZeroDivisionError), journal.transaction() as db:
        raise ZeroDivisionError(db.execute("ROLLBACK"))


def test_what_was_rolled_back_is_forgotten_later_if_need_be(journal, monkeypatch):
    """Also where the file cannot be read just then: before the next transaction."""
    remember = journal._remember
    monkeypatch.setattr(journal, "_remember", lambda: (_ for _ in ()).throw(sqlite3.Error("no")))
    with suppress(ZeroDivisionError), journal.transaction():
        journal.ids(telegram(1, "lost").ident)
        raise ZeroDivisionError
    monkeypatch.setattr(journal, "_remember", remember)
    journal.append([telegram(1, "other"), telegram(1, "lost")])
    assert stored(journal) == [("other", 1), ("lost", 1)]


def test_after_one_that_failed_all_is_as_before(journal):
    """What is remembered is read again once, not for each telegram from then on."""
    with suppress(ZeroDivisionError), journal.transaction():
        raise ZeroDivisionError
    said = []
    journal._db.set_trace_callback(said.append)
    journal.append([telegram(1)])
    assert not [text for text in said if "FROM kits" in text]


def test_another_thread_may_write(journal):
    """Each output has one."""
    thread = threading.Thread(target=journal.append, args=([telegram(1)],))
    thread.start()
    thread.join()
    assert stored(journal) == [("a", 1)]


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (1, 2), (2, 3), (3, 3)])
def test_what_nobody_would_try_again_is_tried_three_times(journal, failures, calls):
    """Then it is an error that tells which journal."""
    called = []

    def work():
        called.append(1)
        if len(called) <= failures:
            raise sqlite3.OperationalError("busy")

    if failures == 3:
        with pytest.raises(JournalError, match=r"journal\.db: busy"):
            journal.insist(work)
    else:
        journal.insist(work)
    assert len(called) == calls


@pytest.mark.parametrize("before", ["", "99999999"])
def test_the_lock_tells_who_has_it(path, before):
    """And only that, also where one that was killed has left its own number."""
    lock = path.with_name("journal.db.lock")
    lock.write_text(before, encoding="ascii")
    journal = Journal(path)
    told = lock.read_text(encoding="ascii")
    with pytest.raises(JournalError, match=rf"another engine \(process {os.getpid()}\) has it"):
        Journal(path)
    journal.close()
    assert told == str(os.getpid())


def test_who_has_never_had_it_leaves_no_name(tmp_path):
    """An engine that was refused a foreign file leaves no trace of an engine."""
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    with pytest.raises(JournalError, match="of something else"):
        Journal(path)
    assert path.with_name("foreign.db.lock").read_text(encoding="ascii") == ""


def test_one_that_could_not_be_opened_is_let_go_of(tmp_path):
    """The lock with it."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    with pytest.raises(JournalError) as told:
        Journal(path)
    assert str(told.value).count(str(path)) == 1
    path.unlink()
    Journal(path).close()


@pytest.fixture
def connections(monkeypatch):
    """All that were ever opened."""
    connect, made = sqlite3.connect, []

    def noted(*values, **more):
        made.append(connect(*values, **more))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    return made


def is_closed(db):
    try:
        db.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


@pytest.mark.parametrize("fails", ["look_over", "_remember"])
def test_a_file_that_could_not_be_used_is_closed(path, monkeypatch, connections, fails):
    """At whatever point of the opening; else its log stays, and a disk cannot be unmounted."""

    def fail(*_):
        raise sqlite3.OperationalError("no")

    monkeypatch.setattr(opening if fails == "look_over" else Journal, fails, fail)
    with pytest.raises(JournalError, match="no"):
        Journal(path)
    assert (len(connections), all(map(is_closed, connections))) == (1, True)


def test_how_much_of_it_holds_something(journal):
    """Without what is free, in megabytes."""
    journal.append([telegram(at, text="x" * 3000) for at in range(100)])
    full = journal.megabytes
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    pages, page = pragma(journal, "page_count"), pragma(journal, "page_size")
    free = pragma(journal, "freelist_count")
    assert (journal.megabytes, free > 50, 0.3 < full < 1) == (
        (pages - free) * page / 1e6,
        True,
        True,
    )


def test_no_more_is_given_back_than_was_asked(journal):
    """So that it takes no time that others need."""
    journal.append([telegram(at, text="x" * 3000) for at in range(100)])
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    before = pragma(journal, "freelist_count")
    journal.shrink(10)
    assert pragma(journal, "freelist_count") == before - 10


# -- damage -------------------------------------------------------------------------------------


def corrupt():
    """An error that may be of damage, which a look at the file has to tell."""
    wrong = sqlite3.DatabaseError("database disk image is malformed")
    wrong.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return wrong


def kept(journal):
    names = {file.name.removesuffix("-wal") for file in journal.path.parent.glob("*.damaged-*")}
    return len(names)


@pytest.mark.parametrize(("errors", "times"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_damage_that_is_not_certain_is_believed_the_second_time(journal, errors, times):
    """And after a salvage all is counted anew."""
    for _ in range(errors):
        journal.mend(corrupt())
    assert kept(journal) == times


@pytest.mark.parametrize(("seconds", "times"), [(1799.0, 1), (1800.0, 0)])
def test_a_disk_that_fails_to_read_now_and_then_is_not_damaged(
    journal, monkeypatch, seconds, times
):
    """Half an hour lies between."""
    now = [1000.0]
    monkeypatch.setattr(file, "time", SimpleNamespace(monotonic=lambda: now[0]))
    journal.mend(corrupt())
    now[0] += seconds
    journal.mend(corrupt())
    assert kept(journal) == times


def test_what_a_salvage_has_kept_is_there_afterwards(journal):
    """What was appended before, and the number that comes next."""
    journal.append([telegram(1), telegram(2)])
    for _ in range(2):
        journal.mend(corrupt())
    journal.append([telegram(3)])
    with View(journal.path) as view:
        rows = view.rows(0, 100, 10**6)
    assert [(row.seq, row.telegram.time) for row in rows] == [(1, 1), (2, 2), (3, 3)]


def test_a_salvage_that_fails_is_tried_again_a_minute_later(journal, monkeypatch, caplog):
    """Not at each of a thousand errors; it is said, and nothing is raised."""
    tried, now = [], [1000.0]

    def fail(*_):
        tried.append(now[0])
        raise OSError("no room")

    monkeypatch.setattr(opening, "salvage", fail)
    monkeypatch.setattr(file, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for seconds in (0.0, 0.0, 0.0, 1.0, 58.0, 1.0, 30.0):
        now[0] += seconds
        journal.mend(corrupt())
    assert (tried, caplog.text.count("cannot be salvaged now")) == ([1000.0, 1060.0], 2)


# -- opening ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "cut_off"),
    [
        ((0, 1), True),
        ((0, 0), False),
        ((0, None), False),
        ((1, 1), False),
        ((None, 1), False),
        ((None, None), False),
    ],
)
def test_only_a_log_is_left_of_it(path, sizes, cut_off):
    """An empty file beside a write-ahead log that is not."""
    for name, size in zip(("journal.db", "journal.db-wal"), sizes, strict=True):
        if size is not None:
            path.with_name(name).write_bytes(bytes(size))
    assert opening.Opening(path, lambda: 0.0, 4096, 250)._cut_off() is cut_off


def test_what_a_salvage_that_was_killed_has_left_is_removed(path):
    """It would fill the disk; the damaged journal is still in place."""
    left = [path.with_name(f"journal.db{end}") for end in (".salvage", ".rescue")]
    for one in left:
        one.write_bytes(b"half")
    Journal(path).close()
    assert not [one for one in left if one.exists()]


def test_a_salvage_that_was_killed_at_its_end_is_finished(path, tmp_path):
    """The new journal is complete, and not yet in its place."""
    ready = Journal(tmp_path / "journal.db.salvaged-20200101T000000Z")
    ready.append([telegram(1)])
    ready.close()
    ready.path.with_name(f"{ready.path.name}.lock").unlink()
    journal = Journal(path)
    found = stored(journal)
    journal.close()
    assert found == [("a", 1)]


def test_a_journal_of_which_only_the_log_is_left_is_saved(journal, tmp_path):
    """SQLite would remove it as that of an empty file."""
    journal.append([telegram(1)])
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copy(journal.path.with_name("journal.db-wal"), folder)
    (folder / "journal.db").touch()
    other = Journal(folder / "journal.db")
    found = stored(other)
    other.close()
    assert found == [("a", 1)]


def test_a_salvage_is_said_before_it_begins(journal, caplog):
    """It may take long; and after it what was saved."""
    for _ in range(2):
        journal.mend(corrupt())
    said = [record.message for record in caplog.records]
    assert ("saving what is whole" in said[0], len(said)) == (True, 2)


def test_the_service_manager_is_told_that_it_takes_time(journal, monkeypatch):
    """Else it would end the engine in the middle of a salvage; the thread that tells it ends."""
    told, told_once = [], threading.Event()

    class Service:
        def tell(self, *states):
            told.append(states)
            told_once.set()

    monkeypatch.setattr("mysense.service.Service", Service)
    with opening._signs_of_life():
        assert told_once.wait(30)
        (thread,) = [one for one in threading.enumerate() if one.name == "signs of life"]
    thread.join(30)
    assert (thread.is_alive(), thread.daemon, len(told)) == (False, True, 1)
    assert {"WATCHDOG=1", "EXTEND_TIMEOUT_USEC=60000000"} <= set(told[0])


def test_it_is_told_for_an_hour_at_most(monkeypatch):
    """What hangs longer the service manager may end."""
    told = []

    class Service:
        def tell(self, *states):
            told.append(states)

    monkeypatch.setattr("mysense.service.Service", Service)
    monkeypatch.setattr(opening, "_TELL_EVERY", 0.01)
    monkeypatch.setattr(opening, "_LONGEST", 0.055)
    with opening._signs_of_life():
        for thread in threading.enumerate():
            if thread.name == "signs of life":
                thread.join(30)
    assert len(told) == 5


def test_what_keeps_a_foreign_file_from_being_looked_into_is_said(path, monkeypatch):
    """Not what comes of it."""

    def fail(*_):
        raise OSError("No space left on device")

    path.write_text("hello " * 1000)
    monkeypatch.setattr(opening, "rescue", fail)
    with pytest.raises(JournalError, match="No space left"):
        Journal(path)


def without_room(journal, monkeypatch, wrong):
    """How a journal is opened where a salvage fails, and what it was given to try."""
    room, tried = [0], []

    def fail(*_):
        tried.append(room[0])
        raise wrong

    monkeypatch.setattr(opening, "salvage", fail)
    monkeypatch.setattr(opening, "free", lambda _: room[0])
    return opening.Opening(journal.path, lambda: 0.0, 4096, 250), room, tried


def test_a_salvage_without_room_waits_for_more(journal, monkeypatch):
    """Each try wears the disk; it is said how much is wanted, each time."""
    wrong = OSError(errno.ENOSPC, "No space left")
    one, room, tried = without_room(journal, monkeypatch, wrong)
    for free in (0, 0, 63_999, 64_000, 127_999, 128_000):
        room[0] = free
        with pytest.raises(Hindered, match=f"{free / 1e6:.1f} MB are free and 1.0 MB are enough"):
            one.salvage("torn")
    assert tried == [0, 64_000, 128_000]


@pytest.mark.parametrize(
    ("wrong", "hindered"),
    [(OSError(errno.EIO, "failed"), True), (sqlite3.DatabaseError("no such table"), False)],
)
def test_a_salvage_that_fails_otherwise_is_tried_again_at_once(
    journal, monkeypatch, wrong, hindered
):
    """Only what is of the disk is waited for."""
    one, _, tried = without_room(journal, monkeypatch, wrong)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"cannot be saved: .*(failed|no such)") as told:
            one.salvage("torn")
        assert isinstance(told.value, Hindered) is hindered
    assert tried == [0, 0]


def test_a_lock_that_cannot_be_written_is_let_go_of(path, monkeypatch):
    """The disk is full; later another engine may take it."""
    sign = opening.sign

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(opening, "sign", fail)
    with pytest.raises(Hindered, match="No space left"):
        Journal(path)
    monkeypatch.setattr(opening, "sign", sign)
    Journal(path).close()
