"""The dashboards: all kits, one kit, the quality of its data, and how late they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mysense.grafana.panels import WIDTH, placed, series, table
from mysense.grafana.queries import UID, Language

SCHEMA = 39  # of Grafana 11; newer ones read older dashboards
HALF = WIDTH // 2
KINDS = {  # title, field
    "Temperature": "^d?temp$",
    "Humidity": "^d?rh$",
    "Air pressure": "^hpa$",
    "Particles": "^pm_[0-9]+$",
}


def dashboards(language: Language) -> dict[str, dict[str, Any]]:
    """All of them by name."""
    return {
        "fleet": _dashboard("fleet", "MySense fleet", language, _fleet(language), many=True),
        "kit": _dashboard("kit", "MySense kit", language, _kit(language)),
        "quality": _dashboard("quality", "MySense data quality", language, _quality(language)),
        "delivery": _dashboard("delivery", "MySense delivery lag", language, _delivery(language)),
    }


def _fleet(language: Language) -> list[dict[str, Any]]:
    """A row of panels for each kit that is chosen."""
    panels = [
        (table("${kit}: newest telegram", language.newest(), ago=True), 8, 5),
        (series("${kit}: ${field}", language.means("^${field}$")), 10, 5),
        (series("${kit}: telegrams an hour", language.rows("1h"), unit="short", bars=True), 6, 5),
    ]
    row = {"type": "row", "title": "${kit}", "repeat": "kit", "collapsed": False, "panels": []}
    return [
        {**row, "id": 100, "gridPos": {"x": 0, "y": 0, "w": WIDTH, "h": 1}},
        *({**p, "gridPos": {**p["gridPos"], "y": p["gridPos"]["y"] + 1}} for p in placed(panels)),
    ]


def _kit(language: Language) -> list[dict[str, Any]]:
    panels = [(series(name, language.means(one)), HALF, 8) for name, one in KINDS.items()]
    panels.append((series("${field}", language.means("^${field}$")), WIDTH, 8))
    panels.append((table("Newest telegram", language.newest(), ago=True), WIDTH, 5))
    return placed(panels)


def _quality(language: Language) -> list[dict[str, Any]]:
    why = "needs quality = true under [process] of the kit"
    return placed(
        [
            (
                series(
                    "Telegrams an hour with ${field}",
                    language.rows("1h"),
                    unit="short",
                    bars=True,
                    text="Fewer than usual: intervals in which nothing was measured.",
                ),
                HALF,
                8,
            ),
            (
                series(
                    "Flagged telegrams an hour",
                    language.flags("1h"),
                    unit="short",
                    bars=True,
                    text=why,
                ),
                HALF,
                8,
            ),
            (series("${field}", language.means("^${field}$")), WIDTH, 8),
            (table("What speaks against them", language.flagged(), text=why), WIDTH, 9),
        ]
    )


def _delivery(language: Language) -> list[dict[str, Any]]:
    late = "How long ago the newest telegram was measured: an outage shows here first."
    apart = "More than the kit's interval: telegrams that are missing, or have not arrived yet."
    return placed(
        [
            (table("Newest telegram", language.newest(), ago=True, text=late), WIDTH, 5),
            (
                series(
                    "Seconds from one telegram to the next",
                    language.spacing(),
                    unit="s",
                    text=apart,
                ),
                WIDTH,
                8,
            ),
            (
                series("Telegrams in ten minutes", language.rows("10m"), unit="short", bars=True),
                WIDTH,
                8,
            ),
        ]
    )


def _dashboard(
    name: str, title: str, language: Language, panels: list[dict[str, Any]], *, many: bool = False
) -> dict[str, Any]:
    return {
        "uid": f"{UID}-{name}-{language.name}",
        "title": f"{title} ({'InfluxQL' if language.name == 'influxql' else 'Flux'})",
        "tags": ["mysense"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "annotations": {"list": []},
        "links": list(_links(name)),
        "templating": {"list": list(_variables(language, many=many))},
        "panels": panels,
    }


def _links(name: str) -> Iterable[dict[str, Any]]:
    yield {
        "type": "dashboards",
        "title": "MySense",
        "tags": ["mysense"],
        "asDropdown": True,
        "includeVars": name != "fleet",
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _variables(language: Language, *, many: bool) -> Iterable[dict[str, Any]]:
    for name in ("project", "kit", "field"):
        several = many and name == "kit"
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": language.source,
            **language.variable(name),
            "refresh": 2,  # with every change of the time range: kits come and go
            "sort": 1,
            "multi": several,
            "includeAll": several,
            "hide": 0,
            "skipUrlSync": False,
            "current": {"selected": True, "text": "All", "value": "$__all"} if several else {},
            "options": [],
        }
