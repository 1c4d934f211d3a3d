"""What stands in a journal, for tests."""

from __future__ import annotations

from mysense.journal.view import View

START = 10**9


def values(journal, query):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all(query)]


def kept(journal):
    return [row[0] for row in values(journal, "SELECT time FROM telegrams ORDER BY seq")]
