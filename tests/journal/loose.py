"""A journal without any rule, for rows that are damaged."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

from mysense.journal.copies import NOTES
from mysense.journal.formats import orders
from mysense.journal.saved import Case, fill
from mysense.journal.tables import Tables

HOUR = 3600
IDENTS = {  # number, source
    1: (1, {"project": "p", "serial": "a"}),
    2: (2, {"project": "p", "serial": "b"}),
    3: (3, {"project": "p", "serial": "a", "label": "roof"}),
}


class Damaged:
    """A journal without any rule: whatever damage makes of rows can be put into it."""

    def __init__(self, folder):
        self.new, self.looked = folder / "new.db", False
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for text in orders()[0]:
            rules = r" NOT NULL| CHECK \([^)]*\)\)| TEXT| REAL| INTEGER(?! PRIMARY)"
            loose = re.sub(rules, "", text)
            self.db.execute(loose.replace("UNIQUE INDEX", "INDEX"))
        self.put("sources", (1, "p_a", ""), (2, "p_b", ""), (3, "p_a", "roof"))
        self.put("idents", *((n, s, json.dumps(body)) for n, (s, body) in IDENTS.items()))

    def put(self, table, *rows):
        for row in rows:
            self.db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)

    def put_everything(self):
        """Something into every table."""
        for name, rows in TABLES.items():
            self.put(name, *rows)
        self.number(telegrams=3, aside=7)

    def telegrams(self, *numbers, **values):
        self.put("telegrams", *(telegram(number, **values) for number in numbers))

    def outputs(self, *cursors):
        for name, cursor in zip("xyz", cursors, strict=False):
            self.db.execute("INSERT INTO outputs (name, cursor) VALUES (?, ?)", (name, cursor))
            self.db.execute("UPDATE outputs SET paused = 0, acknowledged = 0, retries = 0")

    def number(self, **last):
        for name, number in last.items():
            self.db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            self.put("sqlite_sequence", (name, number))

    def salvage(self, *leaves, settled=0):
        """Returns what is told."""

        def found():
            self.looked = True
            return list(leaves)

        self.new.unlink(missing_ok=True)
        return fill(self.new, Tables(self.db), found, Case("because", "kept", 9.5, settled))

    def rows(self, query):
        with closing(sqlite3.connect(self.new)) as db:
            return db.execute(query).fetchall()

    def only_there(self):
        """What is noted of telegrams that only the copy may hold."""
        ((_, note),) = self.rows(NOTES)
        return json.loads(note)["lost"]

    def numbers(self):
        return [number for (number,) in self.rows("SELECT seq FROM telegrams ORDER BY seq")]


def telegram(seq, ident=1, *, source=None, time=None, data=None):
    """A row of `telegrams`."""
    time = seq if time is None else time
    data = data or json.dumps({"time": time, "temp": 1.5})
    source = IDENTS[ident][0] if source is None else source
    return (seq, "telegram", source, time, ident, 0, 5.5, data)


TABLES = {
    "telegrams": [telegram(1), telegram(2, 2), telegram(3, 3)],
    "kits": [("p_a", 1), ("p_b", 2)],
    "outputs": [
        ("x", 1, "r", 1, 5, 6, 7.5, "bad", 8.5, 1, 1, 0, 2.5, 9.5),
        ("y", 3, None, 0, 0, 0, None, None, None, None, None, None, None, None),
    ],
    "aside": [
        (4, "x", "held", "p_a", 1, 1, 0, 5.5, "no", '{"time":1}'),
        (5, "", "dead", "feed", None, None, None, 5.5, "no telegram", "???"),
    ],
    "gaps": [(1, "x", "p_a", 5, 6, 7, 8, 5.5, "full")],
    "hours": [(1, 4, 5), (2, 4, 5)],
    "undated": [(1, "boot", 5.5, 6, 1, 7.5, "{}")],
    "positions": [("feed", "next", "5")],
    "requests": [(1, "pause", "x", "", 5.5)],
    "meta": [("pruned", 5.5)],
    "events": [(1, 5.5, None, "clock", "jump", "by an hour")],
}
