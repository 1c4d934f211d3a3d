"""Waiting for a disk while a journal is opened: how long, for what, and what is said of it."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal
from mysense.journal.disk import Hindered
from mysense.journal.holder import holder
from mysense.journal.opening import Opening, lock_file
from mysense.journal.patience import Patience
from mysense.journal.view import View


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def lock(path):
    guard, _ = lock_file(path)
    yield guard
    guard.close()


def fails(*wrong):
    """Work that fails with each of these, and is done then."""
    errors = list(wrong)

    def work():
        if errors:
            raise errors.pop(0)
        return "done"

    return work


def no_room():
    return OSError(errno.ENOSPC, "No space left on device")


def text(path):
    return path.with_name("journal.db.lock").read_text(encoding="utf-8")


def test_it_is_tried_until_it_is_done(path, lock):
    """As long as the disk is in the way the lock says so, and no longer."""
    seen = []

    def wait(reason):
        seen.append((reason, text(path)))
        return True

    done = Patience(path, wait, lock).until(fails(no_room(), no_room()))
    reason = f"journal {path}: [Errno 28] No space left on device"
    assert (done, seen) == ("done", [(reason, f"{os.getpid()}\n{reason}")] * 2)
    assert text(path) == str(os.getpid())


def test_before_the_lock_is_held_nothing_is_written_into_it(path):
    """The disk may keep the lock itself from being made."""
    assert Patience(path, lambda _: True).until(fails(no_room())) == "done"


def test_what_goes_well_writes_nothing(path, lock):
    """A start wears no card more than it has to."""
    lock.close()  # who writes into it fails
    assert Patience(path, lambda _: True, lock).until(fails()) == "done"


def test_a_lock_that_cannot_be_written_is_no_hindrance(path):
    """What is waited for stands in the log as well."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123  # as a lock is opened
        patience = Patience(path, lambda _: True, full)
        assert patience.until(fails(no_room())) == "done"


@pytest.mark.parametrize("wait", [None, lambda _: False])
def test_nobody_waits_any_longer(path, wait):
    """The error is that of the disk."""
    with pytest.raises(Hindered, match="No space left"):
        Patience(path, wait).until(fails(no_room()))


@pytest.mark.parametrize(
    "wrong", [sqlite3.OperationalError("no such table"), JournalError("another engine has it")]
)
def test_what_is_not_of_the_disk_is_not_waited_for(path, wrong):
    """It would not go away; said as it is."""
    with pytest.raises(JournalError, match=str(wrong)) as told:
        Patience(path, lambda _: True).until(fails(wrong))
    assert not isinstance(told.value, Hindered)


def test_whoever_asks_is_told_what_an_engine_waits_for(path, monkeypatch):
    """Its journal is being opened, and its lock says so."""
    first, errors, seen = Opening.first, [no_room()], []

    def opens(self, *, used):
        if errors:
            raise errors.pop()
        return first(self, used=used)

    def wait(reason):
        seen.append((reason, holder(path).waits))
        return True

    monkeypatch.setattr(Opening, "first", opens)
    Journal(path, wait=wait).close()
    assert [waits for _, waits in seen] == [reason for reason, _ in seen] != []


@pytest.mark.parametrize(("wait", "proofs"), [(None, []), (lambda _: False, [(2.0,)])])
def test_who_would_wait_sees_at_once_that_it_can_be_written(path, wait, proofs):
    """At each start; others see it with the first thing that they write."""
    for at in (1.0, 2.0):
        Journal(path, now=lambda at=at: at, wait=wait).close()
    with View(path) as view:
        found = view.all("SELECT value FROM meta WHERE key = 'opened'")
    assert [tuple(row) for row in found] == proofs
