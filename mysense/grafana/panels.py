"""Panels, as Grafana's dashboard schema has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

UNITS = {  # of the standard field names, wherever they stand in a column's name
    r"(^|_)d?temp$": "celsius",
    r"(^|_)d?rh$": "humidity",
    r"(^|_)hpa$": "pressurehpa",
    r"(^|_)pm_\d+$": "suffix: pcs/qf",
}
WIDTH = 24


def series(
    title: str, target: dict[str, Any], *, unit: str = "", bars: bool = False, text: str = ""
) -> dict[str, Any]:
    """Values over time; a gap in them is a gap in the line."""
    custom: dict[str, Any] = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else 0,
        "spanNulls": False,
        "showPoints": "auto",
    }
    return _panel(title, "timeseries", target, text) | {
        "fieldConfig": {
            "defaults": {"custom": custom, **({"unit": unit} if unit else {})},
            "overrides": [] if unit else list(_overrides()),
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def table(
    title: str, target: dict[str, Any], *, ago: bool = False, text: str = ""
) -> dict[str, Any]:
    """Rows; with `ago` their time is told as how long ago it was."""
    names = r"^(Time|time|_time)$"
    units = [_override(names, "dateTimeFromNow")] if ago else []
    return _panel(title, "table", target, text) | {
        "fieldConfig": {"defaults": {"custom": {}}, "overrides": [*units, *_overrides()]},
        "options": {"showHeader": True},
    }


def placed(panels: Iterable[tuple[dict[str, Any], int, int]]) -> list[dict[str, Any]]:
    """Panels beside and below each other, each given with its width and height."""
    found, x, y, high = [], 0, 0, 0
    for number, (panel, wide, tall) in enumerate(panels, 1):
        if x + wide > WIDTH:
            x, y, high = 0, y + high, 0
        found.append({**panel, "id": number, "gridPos": {"x": x, "y": y, "w": wide, "h": tall}})
        x, high = x + wide, max(high, tall)
    return found


def _panel(title: str, of: str, target: dict[str, Any], text: str) -> dict[str, Any]:
    found = {"title": title, "type": of, "datasource": target["datasource"], "targets": [target]}
    return found | ({"description": text} if text else {})


def _overrides() -> Iterable[dict[str, Any]]:
    return (_override(name, unit) for name, unit in UNITS.items())


def _override(names: str, unit: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byRegexp", "options": f"/{names}/"},
        "properties": [{"id": "unit", "value": unit}],
    }
