"""What an output is not to have: patterns on kits and fields, counted and never silent."""

from __future__ import annotations

import pytest

from mysense.excluding import Exclude, not_excludable
from mysense.journal import Journal
from mysense.plugin import Hold
from mysense.telegram import Ident, Telegram
from tests.pipeline import Rig, Shelf, account, telegram

IDENT = Ident(
    project="p", serial="1.x", fields=("time", "temp", "drh", "pm_25"), units=("s", "C", "%", "pcs")
)
TELEGRAM = Telegram(IDENT, {"time": 1, "temp": 2.0, "drh": 3.0, "pm_25": None})


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("drh", "*/drh"),
        ("*.drh", "*/drh"),
        ("*", "output = false"),
        ("**", "output = false"),
        ("*/*", "output = false"),
        ("*/time", "cannot"),
        ("*/", "cannot"),
        ("/drh", "can be no kit"),
        ("a b_c", "can be no kit"),
        ('p_"x', "can be no kit"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern, hint):
    """With what to write in its place."""
    assert hint in not_excludable(("p_1", pattern))


@pytest.mark.parametrize("pattern", ["p_1", "p_*", "?_1", "*x", "p_1/temp", "*/a/b", "p_*/pm_*"])
def test_a_pattern_of_kits_or_fields_is_good(pattern):
    """A slash decides which of the two it is."""
    assert not_excludable((pattern,)) is None


@pytest.mark.parametrize(
    ("patterns", "whole"),
    [
        (("p_1.x",), True),
        (("p_*",), True),
        (("p_1?x",), True),
        (("P_*",), False),
        (("p_1",), False),
        (("q_*",), False),
        (("*/drh",), False),
        (("*/drh", "p_*/temp"), True),
        (("*/drh", "q_*/temp"), False),
        (("p_1.x/*",), True),
    ],
)
def test_a_telegram_of_which_nothing_is_left_is_excluded(patterns, whole):
    """Because of its kit, or of all its fields that hold a value."""
    assert Exclude(patterns).whole(TELEGRAM) is whole


def test_fields_are_left_out_of_data_and_ident():
    """Those of other kits stay."""
    left = Exclude(("*/drh", "q_*/temp"))(TELEGRAM)
    assert dict(left.data) == {"time": 1, "temp": 2.0, "pm_25": None}
    assert (left.ident.fields, left.ident.units) == (("time", "temp", "pm_25"), ("s", "C", "pcs"))


def test_what_is_excluded_is_counted_and_not_sent(journal, tmp_path):
    """Neither waiting nor acknowledged, and the cursor goes on."""
    rig = Rig(journal, Shelf(tmp_path / "shelf.db", exclude=("p_b", "*/rh")))
    journal.append([telegram(1, "a", temp=1.0, rh=2.0), telegram(1, "b"), telegram(2, "a", rh=2.0)])
    rig.settle()
    one = account(journal)
    assert (one.acknowledged, one.excluded, one.waiting) == (1, 2, 0)
    assert [dict(t.data) for batch in rig.shelf.batches for t in batch] == [
        {"time": 1, "temp": 1.0}
    ]
    rig.close()


def test_a_batch_of_which_nothing_is_left_is_settled(journal, tmp_path):
    """Without a call of the output."""
    rig = Rig(journal, Shelf(tmp_path / "shelf.db", exclude=("p_*",)))
    journal.append([telegram(at) for at in range(10)])
    rig.settle()
    assert (account(journal).excluded, rig.shelf.batches) == (10, [])
    assert account(journal).last_ok is None
    rig.close()


def test_what_is_held_can_be_excluded_later(journal, tmp_path):
    """It is let go of and counted, and the kit is held no longer."""

    def closed(_batch):
        raise Hold("no database")

    rig = Rig(journal, Shelf(tmp_path / "shelf.db", rule=closed))
    journal.append([telegram(at) for at in range(3)])
    rig.settle()
    rig.close()
    again = Rig(journal, Shelf(tmp_path / "shelf.db", exclude=("p_a",)))
    again.settle()
    one = account(journal)
    assert (one.held, one.excluded, again.shelf.batches) == (0, 3, [])
    again.close()
