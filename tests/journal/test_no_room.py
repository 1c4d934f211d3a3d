"""A damaged journal on a disk without room for what is whole of it: nothing is lost for that."""

from __future__ import annotations

import re
import shutil

import pytest

from mysense.comparing.ledger import entries
from mysense.journal import Journal
from mysense.journal.copies import NOTES, copies
from mysense.journal.disk import Hindered
from mysense.journal.holder import holder
from mysense.journal.view import View
from tests.disks import fill_up, remount
from tests.journal.damaging import COUNT, PAGE, cursors, make, numbers, over, unaccounted

EVERY = set(range(1, COUNT + 1))
SETTLED = 1400  # telegrams that both outputs have had
STAYS = 400  # of these stay behind: the newest thousand are saved in any case


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal of which all outputs have had most."""
    path = tmp_path_factory.mktemp("whole") / "journal.db"
    journal = make(path)
    with journal.transaction() as db:
        db.execute("UPDATE outputs SET cursor = ?", (SETTLED,))
    journal.close()
    return path


@pytest.fixture
def damaged(disk, whole):
    """Puts it, damaged, on a disk with so many bytes of room beside it."""

    def make_damaged(room):
        size = whole.stat().st_size
        folder = disk(f"size={(size + room) // 1024 + 60}k")
        shutil.copy(whole, folder)
        path = folder / "journal.db"
        path.with_name("journal.db.lock").write_text("1")
        with View(path) as view:
            (row,) = view.all("SELECT rootpage FROM sqlite_schema WHERE name = 'identity'")
        over(path, (row["rootpage"] - 1) * PAGE, bytes(PAGE))
        return path

    return make_damaged


def ledger(path):
    """(made, kept, let go) of all telegrams."""
    with View(path) as view:
        found = [one for kit in "abc" for one in entries(view, f"p_{kit}", 86_400, 0, 10**9)]
    return tuple(sum(getattr(one, name) for one in found) for name in ("made", "kept", "let_go"))


def test_what_was_delivered_stays_behind(damaged):
    """Where there is no room for all, what somebody still waits for is saved, and all that was."""
    path = damaged(1_200_000)
    before = path.read_bytes()
    Journal(path).close()
    (copy,) = copies(path)
    assert numbers(path) == set(range(STAYS + 1, COUNT + 1))
    assert (cursors(path), unaccounted(path)) == (
        {"far": SETTLED, "near": SETTLED},
        {"far": 0, "near": 0},
    )
    assert ledger(path) == (COUNT, COUNT - STAYS, STAYS)
    assert copy.files[0].read_bytes() == before


def test_what_stayed_behind_is_told(damaged):
    """In events and with the copy."""
    path = damaged(1_200_000)
    Journal(path).close()
    with View(path) as view:
        (event,) = view.all("SELECT text FROM events WHERE kind = 'salvaged'")
        (copy,) = copies(path, view.all(NOTES))
    told = f"{STAYS} that every output has had stay there, for want of room"
    assert told in event["text"]
    assert told in copy.line
    assert copy.lost == STAYS


def test_without_any_room_nothing_is_touched(damaged):
    """It is said how much is needed, and left as it was."""
    path = damaged(0)
    fill_up(path.parent)
    before = path.read_bytes()
    with pytest.raises(Hindered, match=r"cannot be saved: .*MB are enough to save it"):
        Journal(path)
    assert (path.read_bytes(), copies(path)) == (before, [])


def test_it_waits_for_room_and_goes_on(damaged):
    """Its lock says what it waits for; nothing is written as long as there is no more room."""
    path = damaged(3_000_000)
    ballast, told = fill_up(path.parent), []

    def wait(reason):
        told.append((reason, holder(path).waits))
        if len(told) == 3:
            ballast.unlink()
        return True

    journal = Journal(path, wait=wait)
    after = holder(path)
    journal.close()
    assert numbers(path) == EVERY
    assert all(waits == reason for reason, waits in told)
    assert ["cannot be saved" in reason for reason, _ in told] == [True, False, False]
    assert after.waits == ""


def test_who_does_not_want_to_wait_any_longer(damaged):
    """The error is what was waited for, and another engine may have the journal."""
    path = damaged(0)
    fill_up(path.parent)
    with pytest.raises(Hindered):
        Journal(path, wait=lambda _: False)
    assert holder(path) is None


def test_a_whole_journal_waits_as_well(disk, whole):
    """Outputs could not begin where nothing can be written."""
    folder = disk("size=4m")
    shutil.copy(whole, folder)
    ballast, told = fill_up(folder), []

    def wait(reason):
        told.append(reason)
        ballast.unlink()
        return True

    journal = Journal(folder / "journal.db", wait=wait)
    journal.register("new")
    journal.close()
    assert len(told) == 1
    assert "full" in told[0]


def test_older_copies_make_room(damaged):
    """Where nothing else helps the oldest goes, and that is told."""
    path = damaged(1_500_000)
    for day in (1, 2):
        old = path.with_name(f"journal.db.damaged-2020010{day}T000000Z")
        old.write_bytes(bytes(700_000))
    Journal(path).close()
    with View(path) as view:
        (event,) = view.all("SELECT text FROM events WHERE kind = 'salvaged'")
    assert "removed journal.db.damaged-20200101T000000Z, 0.7 MB" in event["text"]
    assert "20200102T000000Z" not in event["text"]


def test_older_copies_stay_where_that_would_not_help(damaged):
    """None is given up in vain."""
    path = damaged(100_000)
    old = path.with_name("journal.db.damaged-20200101T000000Z")
    old.write_bytes(bytes(100_000))
    fill_up(path.parent)
    with pytest.raises(Hindered):
        Journal(path)
    assert old.exists()


def test_as_much_as_is_said_to_be_enough_is_enough(damaged):
    """Also where SQLite cannot read it, and a mended copy is made first."""
    path = damaged(100_000)
    over(path, 0, bytes(100))
    asked = []

    def wait(reason):
        asked.append(float(re.search(r"and ([0-9.]+) MB are enough", reason)[1]))
        kilobytes = int((asked[-1] + 0.1) * 1000) + path.stat().st_size // 1024 + 60
        remount(path.parent, f"size={kilobytes}k")
        return True

    Journal(path, wait=wait).close()
    assert numbers(path) == EVERY
    assert len(asked) == 1
