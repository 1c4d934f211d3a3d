"""A journal as a place to compare: what it keeps, what it let go of, and what is not delivered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mysense import jsontext
from mysense.comparing.sides import HOUR, NO_VALUES, Counted, Found, Told
from mysense.journal.view import View
from mysense.telegram import Telegram

_OF_KIT = (
    " FROM sources s JOIN telegrams t ON t.source = s.id AND t.kind = 'telegram'"
    " AND t.time >= ? AND t.time < ?"
)
_HOURS = (
    "SELECT s.label, t.time / 3600 AS hour, t.new, j.key AS field, count(*) AS count"
    f"{_OF_KIT} JOIN json_each(t.data) j ON j.type != 'null' WHERE s.kit = ? GROUP BY 1, 2, 3, 4"
)
_LET_GO = (
    "SELECT s.label, h.hour, h.count FROM sources s JOIN hours h ON h.source = s.id"
    " AND h.hour >= ? AND h.hour < ? WHERE s.kit = ?"
)
_TELEGRAMS = (
    f"SELECT s.label, t.seq, t.time, t.ident, t.new, t.data{_OF_KIT} WHERE s.kit = ?"
    " ORDER BY t.time, t.source"
)
_FIRST_LAST = f"SELECT min(t.time) AS a, max(t.time) AS b{_OF_KIT} WHERE s.kit = ?"
_FIRST_LAST_GO = (
    "SELECT min(h.hour) * 3600 AS a, max(h.hour) * 3600 + 3599 AS b FROM sources s"
    " JOIN hours h ON h.source = s.id AND h.hour >= ? AND h.hour < ? WHERE s.kit = ?"
)
_FIRST_LAST_ASIDE = (
    "SELECT min(time) AS a, max(time) AS b FROM aside WHERE time >= ? AND time < ? AND kit = ?"
)
_ASIDE = (  # what the journal itself refused is a dead letter for whatever output
    "SELECT s.label, a.output, a.state, a.time, a.ident, a.new, a.data FROM aside a"
    " JOIN idents i ON i.id = a.ident JOIN sources s ON s.id = i.source"
    " WHERE a.output IN (?, '') AND a.kit = ? AND a.time >= ? AND a.time < ? ORDER BY a.id"
)


class JournalSide:
    """A journal.

    Args:
        path: its file.
        output: the output with which it is compared; "" for none.
        name: as the user calls it.

    Raises:
        JournalError: there is none, or it cannot be read.
    """

    knows_kits = True

    def __init__(self, path: Path, output: str = "", name: str = "journal") -> None:
        self.name = name
        self.told = Told()
        self.output = output
        self.view = View(path)

    def close(self) -> None:
        """Close the file."""
        self.view.close()

    def kits(self) -> list[str]:
        """The kits of which there was ever a telegram."""
        return [row["kit"] for row in self.view.all("SELECT DISTINCT kit FROM sources ORDER BY 1")]

    def span(self, kit: str, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last second of telegrams here, set aside, or let go of."""
        hours = (low // HOUR, -(-high // HOUR))
        spans = (
            (_FIRST_LAST, (low, high)),
            (_FIRST_LAST_GO, hours),
            (_FIRST_LAST_ASIDE, (low, high)),
        )
        rows = [self.view.all(query, *bounds, kit)[0] for query, bounds in spans]
        some = [row for row in rows if row["a"] is not None]
        return (min(r["a"] for r in some), max(r["b"] for r in some)) if some else None

    def hours(self, kit: str, low: int, high: int) -> dict[int, Counted]:
        """What is here and what was let go of."""
        found: defaultdict[int, Counted] = defaultdict(Counted)
        with self.view.moment():
            values = self.view.all(_HOURS, low, high, kit)
            let_go = self.view.all(_LET_GO, low // HOUR, -(-high // HOUR), kit)
            aside = self._aside(kit, low, high)
        for row in values:
            hour = found[row["hour"]]
            if row["field"] not in NO_VALUES:
                hour.values[row["label"], row["field"], row["new"]] += row["count"]
        for row in let_go:
            found[row["hour"]].let_go[row["label"]] += row["count"]
        for row in aside:  # so that this hour is looked at
            found[row["time"] // HOUR].values[row["label"], "", None] += 1
        return dict(found)

    def telegrams(self, kit: str, low: int, high: int) -> Iterator[Found]:
        """What is here, and what is held or dead for the output."""
        with self.view.moment():
            cursor = self._cursor()
            rows = self.view.all(_TELEGRAMS, low, high, kit)
            aside = self._aside(kit, low, high)
        states = {
            (row["label"], row["time"]): "dead" if row["state"] == "dead" else "held"
            for row in aside
            if row["output"]
        }
        for row in rows:
            waits = "waiting" if cursor is not None and row["seq"] > cursor else ""
            state = states.pop((row["label"], row["time"]), waits)
            yield Found(self._telegram(row), state)
        for row in aside:
            if not row["output"] or (row["label"], row["time"]) in states:
                state = "dead" if row["state"] == "dead" else "held"
                yield Found(self._telegram(row), state, aside=bool(row["output"]))

    def _aside(self, kit: str, low: int, high: int) -> list[Any]:
        return self.view.all(_ASIDE, self.output, kit, low, high)

    def _cursor(self) -> int | None:
        query = "SELECT cursor FROM outputs WHERE name = ?"
        return next((row["cursor"] for row in self.view.all(query, self.output)), None)

    def _telegram(self, row: Any) -> Telegram:
        data = MappingProxyType(jsontext.loads(row["data"]))
        return Telegram(self.view.ident(row["ident"]), data, bool(row["new"]))

    def given_up(self, kit: str, low: int, high: int) -> int:
        """What recorded gaps of the output tell about these times."""
        query = (
            "SELECT coalesce(sum(count), 0) AS n FROM gaps"
            " WHERE output = ? AND kit = ? AND first < ? AND last >= ?"
        )
        return int(self.view.all(query, self.output, kit, high, low)[0]["n"])
