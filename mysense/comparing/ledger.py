"""The account of a journal by kit, label and hour or day."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mysense.journal.view import View

_KEPT = (
    "SELECT t.time / ?1 AS slot, s.label, count(*) AS kept, 0 AS let_go, 0 AS held, 0 AS dead"
    " FROM sources s JOIN telegrams t ON t.source = s.id AND t.kind = 'telegram'"
    " AND t.time >= ?2 AND t.time < ?3 WHERE s.kit = ?4 GROUP BY 1, 2"
)
_LET_GO = (
    "SELECT h.hour * 3600 / ?1, s.label, 0, sum(h.count), 0, 0"
    " FROM sources s JOIN hours h ON h.source = s.id AND h.hour * 3600 >= ?2"
    " AND h.hour * 3600 < ?3 WHERE s.kit = ?4 GROUP BY 1, 2"
)
_ASIDE = (  # the same telegram may be dead for several outputs
    "SELECT a.time / ?1, s.label, 0, 0,"
    " count(DISTINCT iif(a.state != 'dead', a.time, NULL)),"
    " count(DISTINCT iif(a.state = 'dead', a.time, NULL))"
    " FROM aside a JOIN idents i ON i.id = a.ident JOIN sources s ON s.id = i.source"
    " WHERE a.kit = ?4 AND a.time >= ?2 AND a.time < ?3 GROUP BY 1, 2"
)
_ALL = (
    "SELECT slot, label, sum(kept) AS kept, sum(let_go) AS let_go, sum(held) AS held,"  # noqa: S608  # all of it is above
    f" sum(dead) AS dead FROM ({_KEPT} UNION ALL {_LET_GO} UNION ALL {_ASIDE})"
    " GROUP BY slot, label ORDER BY slot, label"
)


@attrs.frozen
class Entry:
    """The telegrams of one kit and label in one hour or day.

    Attributes:
        kit, label: whose; the label "" for none.
        start: its first second.
        made: how many the journal ever took.
        kept: how many of these are in it.
        let_go: how many are not any more.
        held, dead: how many are held or dead letters for one output or several.
    """

    kit: str
    label: str
    start: int
    made: int
    kept: int
    let_go: int
    held: int
    dead: int


def kits(view: View) -> list[str]:
    """All kits that the journal knows."""
    return [str(row["kit"]) for row in view.all("SELECT DISTINCT kit FROM sources ORDER BY kit")]


def entries(view: View, kit: str, span: int, low: int, high: int) -> Iterator[Entry]:
    """The account of a kit, by slots of `span` seconds, from second `low` to before `high`."""
    for row in view.all(_ALL, span, low, high, kit):
        kept, let_go = row["kept"], row["let_go"]
        start, made = row["slot"] * span, kept + let_go
        yield Entry(kit, row["label"], start, made, kept, let_go, row["held"], row["dead"])
