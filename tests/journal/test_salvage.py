"""Damage to the journal's file: what is whole goes on, what is lost is in a gap, nothing loops."""

from __future__ import annotations

import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mysense.errors import JournalError
from mysense.journal import Journal, Outcome, salvage
from mysense.journal.formats import BULK_PAGE_SIZE
from mysense.journal.pages import frames, lost_frames
from mysense.journal.view import View
from tests.journal.damaging import COUNT, PAGE, cursors, make, numbered, numbers, over, unaccounted
from tests.pipeline import Shelf

EVERY = set(range(1, COUNT + 1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal that was closed, to be copied."""
    path = tmp_path_factory.mktemp("whole") / "journal.db"
    make(path).close()
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A journal as a kill leaves it: with its write-ahead log, from a file that is behind."""
    path = tmp_path_factory.mktemp("killed") / "journal.db"
    journal = make(path)
    folder = tmp_path_factory.mktemp("copied")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", folder)
    journal.close()
    return folder / path.name


@pytest.fixture
def path(tmp_path, whole):
    """A copy to be damaged, which was a journal before as its lock says."""
    shutil.copy(whole, tmp_path)
    (tmp_path / "journal.db.lock").write_text("1")
    return tmp_path / "journal.db"


@pytest.fixture
def behind(tmp_path, killed):
    for suffix in ("", "-wal"):
        shutil.copy(f"{killed}{suffix}", tmp_path)
    return tmp_path / "journal.db"


def root(path, name):
    """Where the first page of a table or index is."""
    with View(path) as view:
        (row,) = view.all("SELECT rootpage FROM sqlite_schema WHERE name = ?", name)
    return (row["rootpage"] - 1) * PAGE


def leaf(path, number):
    """Where the page is on which a telegram stands."""
    at = path.read_bytes().index(f"note {number:0100}".encode())
    return at - at % PAGE


def log(path):
    """The write-ahead log, and how many bytes of it are in use."""
    wal = path.with_name(path.name + "-wal")
    whole = list(takewhile(lambda frame: frame.whole, frames(path, PAGE)))
    return wal, 32 + len(whole) * (24 + PAGE)


def reopened(path):
    """Open it as an engine does; returns what can be read then."""
    journal = Journal(path)
    journal.close()
    return numbers(path)


def damaged(path):
    return sorted(found.name for found in path.parent.glob("journal.db.damaged-*"))


def events(path):
    with View(path) as view:
        return [row["text"] for row in view.all("SELECT text FROM events WHERE who = 'journal'")]


# -- at the start -------------------------------------------------------------------------------


def test_an_undamaged_journal_is_left_alone(path):
    """Nothing is moved, nothing is told."""
    assert (reopened(path), damaged(path), events(path)) == (EVERY, [], [])


@pytest.mark.parametrize("garbage", [bytes(PAGE), random.Random(1).randbytes(PAGE)])
def test_a_page_of_telegrams(path, garbage):
    """Its telegrams are lost, and in a gap for each output that had not had them."""
    over(path, leaf(path, 1200), garbage)
    found = reopened(path)
    lost = EVERY - found
    with View(path) as view:
        gaps = view.all("SELECT output, kit, sum(count) AS n FROM gaps GROUP BY output, kit")
    told = {(row["output"], row["kit"]) for row in gaps}
    assert 0 < len(lost) < 40
    assert 1201 in lost
    assert sum(row["n"] for row in gaps if row["output"] == "far") == len(lost)
    assert told == {(name, f"p_{kit}") for name in ("far", "near") for kit in "abc"}


def test_what_was_delivered_is_in_no_gap(path):
    """What an output has had before the damage is not lost for it."""
    over(path, leaf(path, 500), bytes(PAGE))
    reopened(path)
    with View(path) as view:
        assert {row["output"] for row in view.all("SELECT output FROM gaps")} == {"near"}
    assert unaccounted(path) == {"far": 0, "near": 0}


def test_all_else_stays_as_it_was(path):
    """Cursors, receipts, positions, what was set aside, events and the next number."""
    over(path, leaf(path, 1200), bytes(PAGE))
    journal = Journal(path)
    with View(path) as view:
        aside = view.all("SELECT state, kit FROM aside ORDER BY id")
        jumps = view.all("SELECT text FROM events WHERE who = 'clock'")
    assert (cursors(path), journal.register("far")) == ({"far": 1000, "near": 10}, (1000, "r"))
    assert journal.position("feed") == {"next": COUNT}
    assert [tuple(row) for row in aside] == [("dead", "feed"), ("held", "p_a"), ("dead", "p_c")]
    assert [row["text"] for row in jumps] == ["by an hour"]
    journal.append([numbered(COUNT)])
    assert journal.head == COUNT + 1
    journal.close()


def test_the_damaged_file_is_kept_and_told(path, caplog):
    """As it was found, and never over an earlier one; log and events say what was saved."""
    start = leaf(path, 1200)
    for _ in range(2):
        over(path, start, b"x" * PAGE)
        kept = path.read_bytes()
        reopened(path)
        newest = max(
            path.parent.glob("journal.db.damaged-*"), key=lambda file: file.stat().st_ctime_ns
        )
        assert newest.read_bytes() == kept
    assert len(damaged(path)) == 2
    assert "saved 1" in events(path)[0]
    assert events(path)[0] in caplog.text


@pytest.mark.parametrize(
    "name", ["telegrams", "identity", "idents", "sqlite_autoindex_idents_1", "sources", "kits"]
)
def test_the_first_page_of_a_table(path, name):
    """The pages below are found all the same; idents and sources are there a second time."""
    over(path, root(path, name), bytes(PAGE))
    assert reopened(path) == EVERY
    assert unaccounted(path) == {"far": 0, "near": 0}


@pytest.mark.parametrize("garbage", [bytes(PAGE), random.Random(1).randbytes(PAGE), bytes(100)])
def test_the_header(path, garbage):
    """Where every table begins is known without it."""
    over(path, 0, garbage)
    assert (reopened(path), cursors(path)) == (EVERY, {"far": 1000, "near": 10})


def test_the_header_of_one_with_large_pages(tmp_path):
    """How large its pages are stands in it, and is seen without it."""
    path = tmp_path / "journal.db"
    journal = Journal(path, bulk=True)
    journal.append([numbered(number) for number in range(COUNT)])
    journal.close()
    over(path, 0, bytes(BULK_PAGE_SIZE))
    assert reopened(path) == EVERY


def test_the_beginning(path):
    """Where nothing tells any more whose telegrams they are, they are dead letters."""
    over(path, 0, bytes(14 * PAGE))
    Journal(path).close()
    with View(path) as view:
        found = view.all("SELECT json_extract(data, '$.time') AS n FROM aside WHERE kit = '?'")
    assert {row["n"] + 1 for row in found} == EVERY


def test_the_header_of_a_journal_without_its_lock(path):
    """What is in it tells that it was a journal."""
    (path.parent / "journal.db.lock").unlink()
    over(path, 0, bytes(PAGE))
    assert reopened(path) == EVERY


@pytest.mark.parametrize("part", [0.03, 0.3, 0.7, 0.99])
def test_truncated(path, part):
    """What is left goes on, and every output's account is complete."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    reopened(path)
    assert unaccounted(path) in ({"far": 0, "near": 0}, {})


def test_cursors_lost(path):
    """Outputs begin with the oldest telegram kept: more than once, rather than never."""
    over(path, root(path, "outputs"), b"\xff" * PAGE)
    journal = Journal(path)
    assert journal.register("far") == (0, None)
    journal.close()


def test_zeros(path):
    """A file of zeros, as some file systems leave after a power cut, is no reason not to start."""
    path.write_bytes(bytes(path.stat().st_size))
    assert (reopened(path), len(damaged(path))) == (set(), 1)


def test_one_row_that_nobody_can_decode(path):
    """SQLite finds no fault in a text that is none: the reader does, and all others are saved."""
    at = path.read_bytes().index(f"note {1200:0100}".encode())
    over(path, at, b"\xff\xfe\xfd")
    journal = Journal(path)
    with View(path, journal.mend) as view:
        with pytest.raises(JournalError, match=r"is damaged"):
            view.rows(0, 10**6, 10**9)
        assert len(view.rows(0, 10**6, 10**9)) == COUNT - 1
    journal.close()


def test_where_there_is_no_room_for_a_salvage_it_is_said_and_nothing_touched(path):
    """The bare number of an error of the system tells nobody that the journal is damaged."""
    over(path, 0, bytes(4096))
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(JournalError, match="what is whole cannot be saved"):
            Journal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before


def test_somebody_else_s_file_is_not_moved(tmp_path):
    """However often it is tried."""
    path = tmp_path / "journal.db"
    path.write_text("hello " * 2000)
    for _ in range(2):
        with pytest.raises(JournalError, match="not a database"):
            Journal(path)
    assert path.read_text() == "hello " * 2000


@pytest.mark.parametrize("seed", range(12))
def test_garbage_anywhere(path, seed):
    """Whatever is hit, it starts, starts again, and accounts for every number."""
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 5, 40])):
        at, length = chance.randrange(len(data) - 200), chance.choice([1, 20, 200])
        data[at : at + length] = chance.randbytes(length)
    path.write_bytes(data)
    journal = Journal(path)
    with View(path, journal.mend) as view:
        for _ in range(2):
            with suppress(sqlite3.Error):  # it is mended meanwhile
                view.rows(0, 10**6, 10**9)
        view.rows(0, 10**6, 10**9)
    journal.close()
    Journal(path).close()
    with View(path) as view:
        (kept,) = view.all("SELECT (SELECT count(*) FROM telegrams) + count(*) AS n FROM aside")
    assert kept["n"] > COUNT / 2
    assert set(unaccounted(path).values()) <= {0}


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["journal.db", "journal.db-wal"]),
        st.floats(0, 1),
        st.sampled_from([512, 4096, 20_000]),
        st.sampled_from(["zeros", "ones", "noise", "page", "cut"]),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=4,
)


def hurt(path, part, length, how, seed):
    """Damage a piece of a file, as disks do."""
    data = bytearray(path.read_bytes())
    at = int(part * len(data)) // length * length
    if how == "cut":
        del data[at:]
    else:
        chance = random.Random(seed)
        page = chance.randrange(len(data) // PAGE + 1) * PAGE
        content = {
            "zeros": bytes(length),
            "ones": b"\xff" * length,
            "noise": chance.randbytes(length),
            "page": data[page : page + length],  # written to the wrong place
        }
        data[at : at + length] = content[how][: len(data) - at]
    path.write_bytes(data)


@given(damage=DAMAGE)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_whatever_is_damaged(small, damage):
    """It starts, and starts again: each telegram is as it was, or is accounted for; none is new."""
    folder = small.with_name("hurt")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(small, folder)
    path = folder / "journal.db"
    for name, *how in damage:
        hurt(folder / name, *how)
    for _ in range(2):
        journal = Journal(path)
        with View(path, journal.mend) as view, suppress(sqlite3.Error):
            view.rows(0, 10**6, 10**9)
        journal.close()
    assert numbers(path) <= set(range(1, 201))
    assert set(unaccounted(path).values()) <= {0}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with a journal as a kill leaves it: half of it is in its log."""
    path = tmp_path_factory.mktemp("used") / "journal.db"
    journal = Journal(path)
    journal.register("far")
    for start in range(0, 200, 10):
        journal.append([numbered(number) for number in range(start, start + 10)])
        if start == 100:
            journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    small = tmp_path_factory.mktemp("small") / "whole"
    shutil.copytree(path.parent, small, ignore=shutil.ignore_patterns("*-shm"))
    journal.close()
    return small


# -- the write-ahead log ------------------------------------------------------------------------


def test_frames_behind_a_bad_one(behind):
    """SQLite would not see them: all but the damaged page is found."""
    wal, length = log(behind)
    over(wal, length // 2, b"garbage" * 10)
    assert lost_frames(behind)
    assert len(EVERY - reopened(behind)) < 40
    assert unaccounted(behind) == {"far": 0, "near": 0}


def test_the_log_s_header(behind):
    """It stands in each frame as well."""
    over(behind.with_name("journal.db-wal"), 0, bytes(32))
    assert len(EVERY - reopened(behind)) < 40


def test_a_transaction_that_was_cut_off_is_no_damage(behind):
    """The last one was not acknowledged yet: a power cut leaves it in parts."""
    wal, length = log(behind)
    over(wal, length - 100, b"garbage")
    assert (reopened(behind), damaged(behind), cursors(behind)["near"]) == (EVERY, [], 0)


def test_only_the_log_is_left(behind):
    """An empty file in front of a log that holds everything since it was last emptied."""
    behind.write_bytes(b"")
    Journal(behind).close()
    with View(behind) as view:  # whose they are stood in the file
        (found,) = view.all("SELECT count(*) AS n FROM aside WHERE reason LIKE '%ident%is lost'")
    assert found["n"] > COUNT / 10
    assert len(damaged(behind)) == 2


# -- interrupted --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fill", "finish", "_sync_folder"])
def test_killed_while_salvaging(path, step):
    """Killed at any point, the next start ends up with the same."""
    over(path, leaf(path, 1200), bytes(PAGE))
    reference = path.with_name("other.db")
    shutil.copy(path, reference)
    code = (
        "import os, sys; from pathlib import Path; from mysense.journal import Journal, salvage\n"
        f"salvage.{step} = lambda *_: os._exit(9)\n"
        "Journal(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    assert done.returncode == 9
    assert reopened(path) == reopened(reference)


def test_no_room_to_salvage(path, monkeypatch):
    """Said, and all is as before: it goes well as soon as there is room."""
    over(path, leaf(path, 1200), bytes(PAGE))
    before = path.read_bytes()

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(salvage, "fill", full)
    with pytest.raises(JournalError, match=r"is damaged .* cannot be saved: .* full"):
        Journal(path)
    monkeypatch.undo()
    assert (path.read_bytes(), damaged(path)) == (before, [])
    assert len(reopened(path)) > COUNT - 40


# -- while it runs ------------------------------------------------------------------------------


def test_readers_follow(path):
    """One who has the old file open reads the new one from then on."""
    with View(path) as view:
        over(path, leaf(path, 1200), bytes(PAGE))
        Journal(path).close()
        assert len(view.rows(0, 10**6, 10**9)) == len(numbers(path))


def test_writing_goes_on_after_damage(path):
    """The write that met the damage is told so; tried again, it goes well, with the next number."""
    journal = Journal(path)
    over(path, root(path, "telegrams"), bytes(PAGE))
    journal._db.execute("PRAGMA cache_size = 0")
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            journal.append([numbered(COUNT)])
    assert journal.append([numbered(COUNT)]).stored == 1
    journal.close()
    assert numbers(path) == EVERY | {COUNT + 1}


@pytest.mark.parametrize("name", ["positions", "outputs", "aside_order", "requests"])
def test_what_the_engine_reads(path, name):
    """Whatever it asks of the journal, damage is mended: the next time it gets an answer."""
    journal = Journal(path)
    over(path, root(path, name), bytes(PAGE))
    journal._db.execute("PRAGMA cache_size = 0")
    for _ in range(3):
        with suppress(sqlite3.Error):
            journal.obey()
        with suppress(sqlite3.Error):
            journal.paused("far")
    assert journal.position("feed") in ({"next": COUNT}, None)
    assert journal.held_kits("near") == {"p_a": "waits"}
    assert len(damaged(path)) == 1
    journal.close()


def test_outputs_that_run_are_known_again(path):
    """Else none of them could settle anything, and `status` would not show them."""
    journal = Journal(path)
    journal.register("near")
    journal.register("new", idle=True)
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    over(path, root(path, "outputs"), bytes(PAGE))
    journal._db.execute("PRAGMA cache_size = 0")
    for _ in range(3):
        with suppress(sqlite3.Error):
            journal.settle("near", Outcome(COUNT))
    with journal.transaction() as db:
        assert journal.delivered(db) == 0
    assert (cursors(path), journal.paused("new")) == ({"near": COUNT, "new": 0}, True)
    journal.close()


def test_a_position_that_is_none(path):
    """What an input has read is not believed when it is garbled: it reads again."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE positions SET value = '{\"next'")
    journal = Journal(path)
    assert journal.position("feed") is None
    journal.close()


def test_requests_and_status_say_it(path):
    """Beside an engine, or without one, people are told what to do."""
    over(path, root(path, "aside"), bytes(PAGE))
    with View(path) as view, pytest.raises(JournalError, match=r"`mysense run` .* saves what is"):
        view.all("SELECT * FROM aside")


def test_delivery_goes_on_after_damage(path, tmp_path):
    """A running output that meets damage gets all that is whole."""
    from mysense.engine import Engine

    journal = Journal(path)
    over(path, leaf(path, 1200), bytes(PAGE))
    shelf = Shelf(tmp_path / "shelf.db", "far", bufsize=100)
    engine = Engine(journal, publishers=[shelf], once=True, max_backoff=0.1)
    assert engine.run(timeout=30)
    journal.close()
    (got,) = sqlite3.connect(tmp_path / "shelf.db").execute("SELECT count(*) FROM got").fetchone()
    assert got == len([number for number in numbers(path) if number > 1000])


@pytest.mark.parametrize("at", [*range(44, 48), *range(60, 64), *range(68, 72)])
@pytest.mark.parametrize("bits", [0xFF, 0x01, 0x80])
def test_a_header_that_names_another_format_or_owner(path, at, bits):
    """A byte that makes a journal look as of another program, or of a newer one, costs nothing."""
    over(path, at, bytes([path.read_bytes()[at] ^ bits]))
    Journal(path).close()
    assert numbers(path) == EVERY
