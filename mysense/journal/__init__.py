"""The journal: the durable log through which every telegram goes.

`log` is its file, `accounts` says how far each output is, `view` reads both beside a running
engine, `summary` adds them up for people, and `retention` lets go of what may go.
"""

from __future__ import annotations

from mysense.journal.accounts import Journal, Outcome, Row
from mysense.journal.log import Appended

__all__ = ["Appended", "Journal", "Outcome", "Row"]
