"""The journal: the durable log through which every telegram goes.

`log` writes it, `view` reads it beside a running engine, `summary` gives the account of each
output, and `retention` lets go of what may go.
"""

from __future__ import annotations

from mysense.journal.log import Appended, Journal, Outcome, Row

__all__ = ["Appended", "Journal", "Outcome", "Row"]
