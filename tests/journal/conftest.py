"""A journal with a clock of its own, for the tests of what it keeps and lets go."""

from __future__ import annotations

import pytest

from mysense.journal import Journal
from tests.journal.looking import START


class Now:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def journal(tmp_path, now):
    opened = Journal(tmp_path / "journal.db", now=now)
    yield opened
    opened.close()
