"""`mysense` with journals that are not synchronous: the negative control of the power cut."""

from __future__ import annotations

import re
import sqlite3
import sys
from typing import Any

_SET = re.compile(r"\s*PRAGMA\s+synchronous\s*=", re.IGNORECASE)
_ASK = re.compile(r"\s*PRAGMA\s+synchronous\s*;?\s*$", re.IGNORECASE)


class Careless(sqlite3.Connection):
    """Says FULL and is NORMAL."""

    def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
        if _SET.match(sql):
            sql = "PRAGMA synchronous = NORMAL"
        elif _ASK.match(sql):
            sql = "SELECT 2"
        return super().execute(sql, *more)


def main() -> int:
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **more: connect(*args, **{"factory": Careless, **more})
    from mysense.cli import main as mysense

    return mysense()


if __name__ == "__main__":
    sys.exit(main())
