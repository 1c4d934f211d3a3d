"""Copies of damaged journals: bounded, and none goes without a word."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from mysense.cli import check, status
from mysense.journal import Journal
from mysense.journal.copies import KEPT, NOTES, Copy, bound, copies, note, remove, surplus
from mysense.journal.salvage import salvage
from mysense.journal.view import View
from tests.journal.damaging import PAGE, make, over

BIG = 1000.0


class Ruined:
    """A journal that is damaged again and again, one day after the other."""

    def __init__(self, path):
        self.path, self.day = path, 0

    def happen(self, *, harm):
        """Salvage it; `harm` is whether anything is lost by that. Returns the copy's name."""
        self.day += 1
        if harm:
            at = self.path.read_bytes().index(f"note {1200 + 20 * self.day:0100}".encode())
            over(self.path, at - at % PAGE, bytes(PAGE))
        salvage(self.path, "a test says so", lambda: self.day * 86_400.0)
        return max(copy.name for copy in copies(self.path))

    def bound(self, max_mb=BIG):
        """As an engine does; returns the names of the copies that are left."""
        journal = Journal(self.path)
        bound(journal, max_mb)
        journal.close()
        return [copy.name for copy in copies(self.path)]

    def told(self, query="SELECT text FROM events WHERE kind = 'removed'"):
        return [row[0] for row in self.rows(query)]

    def rows(self, query):
        with View(self.path) as view:
            return [tuple(row) for row in view.all(query)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "journal.db"
    make(path).close()
    return path


@pytest.fixture
def ruined(tmp_path, whole):
    shutil.copy(whole, tmp_path)
    return Ruined(tmp_path / "journal.db")


def test_the_oldest_goes_and_that_is_told(ruined, caplog):
    """With what could not be saved of it."""
    names = [ruined.happen(harm=True) for _ in range(KEPT + 2)]
    assert ruined.bound() == names[2:]
    first, second = ruined.told()
    assert names[0] in first
    assert "telegrams are lost, see the gaps" in first
    assert names[1] in second
    assert first in caplog.text
    assert ruined.told("SELECT key FROM meta WHERE key GLOB 'kept *' ORDER BY key") == [
        f"kept {name}" for name in names[2:]
    ]


def test_first_goes_one_of_which_all_was_saved(ruined):
    """Nothing is lost with it."""
    names = [ruined.happen(harm=at != 1) for at in range(KEPT + 1)]
    assert ruined.bound() == [names[0], *names[2:]]


def test_together_they_are_as_large_as_the_journal_at_most(ruined):
    """The newest stays whatever its size is."""
    names = [ruined.happen(harm=True) for _ in range(KEPT)]
    size = copies(ruined.path)[-1].size / 1e6
    assert ruined.bound(2.5 * size) == names[1:]
    assert ruined.bound(0.001) == names[2:]


def test_the_log_of_a_journal_goes_with_it(ruined):
    """And whatever else stood there under its name."""
    first = ruined.happen(harm=True)
    for more in ("-wal", "-wal.2"):
        (ruined.path.parent / f"{first}{more}").write_bytes(b"x")
    for _ in range(KEPT):
        ruined.happen(harm=True)
    ruined.bound()
    assert not list(ruined.path.parent.glob(f"{first}*"))


def test_other_files_are_left_alone(ruined):
    """What somebody has named otherwise is not ours to remove."""
    own = ruined.path.with_name("journal.db.damaged-by-the-cat")
    own.write_bytes(b"x")
    for _ in range(KEPT + 1):
        ruined.happen(harm=True)
    ruined.bound()
    assert own.exists()


def test_what_somebody_has_removed_is_forgotten(ruined):
    """Nobody tells of copies that are not there."""
    ruined.happen(harm=True)
    for copy in copies(ruined.path):
        copy.files[0].unlink()
    ruined.bound()
    assert ruined.told(NOTES) == []


def test_status_lists_them(ruined, capsys):
    """By name, with what is missing."""
    name = ruined.happen(harm=True)
    status.main(["--journal", str(ruined.path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("damaged")]
    assert name in line
    assert "telegrams are lost, see the gaps" in line


@pytest.mark.parametrize(("harm", "mark"), [(True, "FAIL"), (False, "ok  ")])
def test_check_fails_where_only_a_copy_may_have_something(ruined, tmp_path, capsys, harm, mark):
    """It says what to do with it."""
    name = ruined.happen(harm=harm)
    conf = tmp_path / "MySense.conf"
    conf.write_text(f"[journal]\nfile = {ruined.path}\n")
    check.main(["-c", str(conf)])
    lines = capsys.readouterr().out.splitlines()
    (at,) = [at for at, line in enumerate(lines) if name in line and "is kept" in line]
    assert lines[at].startswith(mark)
    assert (f"move {ruined.path.parent}" in lines[at + 1]) is harm
    assert any("; copies of damaged ones have " in line for line in lines)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"told": "all", "lost": "x"}', "7"])
def test_a_note_that_cannot_be_read_is_none(ruined, note):
    """It stands in the journal, which may be damaged again."""
    name = ruined.happen(harm=False)
    (copy,) = copies(ruined.path, [(f"kept {name}", note)])
    assert (copy.lost, "not known" in copy.told) == (None, True)


def of(*sizes, lost=()):
    """Copies of so many bytes, the oldest first."""
    found = dict(enumerate(lost))
    return [Copy(str(at), (), size, lost=found.get(at)) for at, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("found", "max_mb", "gone"),
    [
        (of(), 0, ""),
        (of(9), 0, ""),
        (of(9, 9), 0, "0"),
        (of(1, 1, 1), 1, ""),
        (of(1, 1, 1, 1, 1, 1), 1, "012"),
        (of(1_000_000, 2_000_000), 3, ""),
        (of(1_000_000, 2_000_001), 3, "0"),
        (of(1, 1, 1, 1, 1, lost=(1, 0, 0, 1, 1)), 1, "12"),
        (of(1, 1, 1, 1, lost=(1, None, 1, 0)), 1, "0"),
    ],
)
def test_which_have_to_go(found, max_mb, gone):
    """Those without which nothing is lost, then the oldest, and not one more than needs be."""
    assert "".join(one.name for one in surplus(found, max_mb)) == gone


@pytest.mark.parametrize(("size", "told"), [(1_250_000, "1.2"), (1_350_000, "1.4")])
def test_its_line(size, told):
    """Name, size and what is noted of it."""
    assert Copy("x", (), size, "all was saved").line == f"x, {told} MB: all was saved"


def test_files_that_go_meanwhile(tmp_path):
    """Somebody makes room by hand: what is left is counted, and can still be removed."""
    name = "journal.db.damaged-20200101T000000Z"
    (tmp_path / name).symlink_to("nowhere")
    (tmp_path / f"{name}-wal").write_bytes(b"12345")
    (copy,) = copies(tmp_path / "journal.db")
    assert copy.size == 5
    (tmp_path / name).unlink()
    remove(copy, "asked")
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_removed_stays_and_others_go(ruined, caplog):
    """It will be tried again."""
    folder = Path(f"{ruined.path}.damaged-19700101T000000Z")
    folder.mkdir()
    names = [ruined.happen(harm=True) for _ in range(KEPT + 1)]
    assert ruined.bound() == [folder.name, *names[1:]]
    assert f"cannot remove {folder.name}: " in caplog.text


def test_a_disk_that_cannot_be_read_is_looked_at_again(ruined, caplog):
    """The engine goes on meanwhile."""
    odd = Path(f"{ruined.path}.damaged-20200101T000000Z")
    odd.symlink_to(odd)
    journal = Journal(ruined.path)
    with caplog.at_level(logging.DEBUG, "mysense.journal"):
        bound(journal, BIG)
    journal.close()
    assert "copies of damaged journals: " in caplog.text


def test_what_was_noted_last_is_told(ruined):
    """Of a copy that is made again under its name."""
    journal = Journal(ruined.path)
    with journal.transaction() as db:
        for told in ("nothing is lost", "two are lost"):
            note(db, "x", told, 2)
    journal.close()
    ((_, value),) = [row for row in ruined.rows(NOTES) if row[0] == "kept x"]
    assert "two are lost" in value
