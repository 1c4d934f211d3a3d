"""A journal, and deliveries over it that are driven step by step."""

from __future__ import annotations

import pytest

from mysense.journal import Journal
from tests.pipeline import Rig, Shelf


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def rig(journal, tmp_path):
    """Makes rigs over the one journal; they are closed after the test."""
    made = []

    def make(shelf=None, clock=None, jitter=lambda most: most, **settings):
        shelf = shelf or Shelf(tmp_path / "shelf.db", **settings)
        made.append(Rig(journal, shelf, clock, jitter))
        return made[-1]

    yield make
    for one in made:
        one.close()
