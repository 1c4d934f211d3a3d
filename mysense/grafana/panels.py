"""Panels, as Grafana's dashboard schema has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

UNITS = {  # of the standard field names, wherever they stand in a column's name
    r"(^|[_ ])d?temp$": "celsius",
    r"(^|[_ ])d?rh$": "humidity",
    r"(^|[_ ])hpa$": "pressurehpa",
    r"(^|[_ ])pm_\d+$": "suffix: pcs/qf",
}
WIDTH = 24
_TIME = r"^(Time|time|_time)$"
_AGO = "dateTimeFromNow"

Panel = dict[str, Any]


def series(  # noqa: PLR0913  # what a reader of a dashboard sees of a panel
    title: str,
    target: Panel,
    *,
    unit: str = "",
    bars: bool = False,
    text: str = "",
    name: str = "",
    least: str = "",
) -> Panel:
    """Values over time; a gap in them is a gap in the line.

    Args:
        title: of the panel.
        target: what is asked.
        unit: of all values; empty for those of the standard fields.
        bars: in place of a line.
        text: says more, where the mouse is over the title.
        name: of each series, where it is not that of the column.
        least: how long a window is at least, such as 1h.
    """
    custom: dict[str, Any] = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else 0,
        "spanNulls": False,
        "showPoints": "auto",
    }
    defaults = {"custom": custom} | _given(unit=unit, displayName=name)
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    found = _panel(title, "timeseries", target, text) | _given(interval=least)
    return found | {
        "fieldConfig": {"defaults": defaults, "overrides": [] if unit else list(_overrides())},
        "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "none"}},
    }


def table(title: str, target: Panel, *, ago: bool = False, unit: str = "", text: str = "") -> Panel:
    """Rows; with `ago` their time is told as how long ago it was; `unit` is that of `Value`."""
    units = [_override(_TIME, _AGO)] if ago else []
    units += [_override("^Value$", unit)] if unit else []
    return _panel(title, "table", target, text) | {
        "fieldConfig": {"defaults": {"custom": {}}, "overrides": [*units, *_overrides()]},
        "options": {"showHeader": True},
    }


def age(title: str, target: Panel, *, text: str = "") -> Panel:
    """How long ago the one row is whose time `target` asks for."""
    return stat(title, target, unit=_AGO, text=text, fields=f"/{_TIME}/")


def stat(title: str, target: Panel, *, unit: str, text: str = "", fields: str = "") -> Panel:
    """The newest value as a number; `fields` is a regular expression that picks it."""
    return _panel(title, "stat", target, text) | {
        "fieldConfig": {"defaults": {"unit": unit, "noValue": "nothing"}, "overrides": []},
        "options": {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": fields},
            "colorMode": "none",
            "graphMode": "none",
            "textMode": "value",
        },
    }


def repeated(panel: Panel, beside: int) -> Panel:
    """One for each kit that is chosen, at most `beside` of them beside each other."""
    return panel | {"repeat": "kit", "repeatDirection": "h", "maxPerRow": beside}


def placed(panels: Iterable[tuple[Panel, int, int]]) -> list[Panel]:
    """Panels beside and below each other, each given with its width and height."""
    found, x, y, high = [], 0, 0, 0
    for number, (panel, wide, tall) in enumerate(panels, 1):
        if x + wide > WIDTH:
            x, y, high = 0, y + high, 0
        found.append({**panel, "id": number, "gridPos": {"x": x, "y": y, "w": wide, "h": tall}})
        x, high = x + wide, max(high, tall)
    return found


def _panel(title: str, of: str, target: Panel, text: str) -> Panel:
    found = {"title": title, "type": of, "datasource": target["datasource"], "targets": [target]}
    return found | _given(description=text)


def _given(**entries: str) -> dict[str, Any]:
    return {key: text for key, text in entries.items() if text}


def _overrides() -> Iterable[Panel]:
    return (_override(name, unit) for name, unit in UNITS.items())


def _override(names: str, unit: str) -> Panel:
    return {
        "matcher": {"id": "byRegexp", "options": f"/{names}/"},
        "properties": [{"id": "unit", "value": unit}],
    }
