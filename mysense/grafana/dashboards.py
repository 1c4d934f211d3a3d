"""The dashboards: all kits, one kit, its past, the quality of its data, and how late it arrives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mysense.grafana.panels import WIDTH, age, placed, repeated, series, table
from mysense.grafana.queries import Language
from mysense.provision.rollups import POLICY

SCHEMA = 39  # of Grafana 11; newer ones read older dashboards
HALF = WIDTH // 2
KINDS = {  # title, fields
    "Temperature": "d?temp",
    "Humidity": "d?rh",
    "Air pressure": "hpa",
    "Particles": "pm_[0-9]+",
}
FLEET_FIELDS = "temp,rh,hpa,pm_25,pm_10"  # no query lists the fields of many databases
_FIELD = "^${field:regex}$"
_OF = "${__field.labels.serial} ${field}"
_FLAGS = "Needs quality = true under [process] of the kit."
_LATE = "How long ago the newest telegram was measured: an outage shows here first."
_APART = "More than the kit's interval: telegrams that are missing, or have not arrived yet."
_FEWER = "Fewer than usual: intervals in which nothing was measured."
_PAST = f"Hourly means, of the retention policy {POLICY}: mysense provision kit ... --rollup"

Panel = dict[str, Any]


def dashboards(language: Language) -> dict[str, dict[str, Any]]:
    """All of them by name."""
    fleet = _shared_fleet if language.place.shared else _fleet
    day = {
        "fleet": ("MySense fleet", fleet(language)),
        "kit": ("MySense kit", _kit(language)),
        "quality": ("MySense data quality", _quality(language)),
        "delivery": ("MySense delivery lag", _delivery(language)),
    }
    past = _dashboard("history", "MySense history", language, _history(language), since="now-90d")
    found = {name: _dashboard(name, one[0], language, one[1]) for name, one in day.items()}
    return found | {"history": past}


def _fleet(language: Language) -> list[Panel]:
    """Two panels for each kit that is chosen; Grafana asks for those that can be seen."""
    fresh = age("${kit}", language.last(), text=_LATE)
    line = series("${kit}: ${field}", language.means(_FIELD))
    return placed([(repeated(fresh, 8), WIDTH, 3), (repeated(line, 4), WIDTH, 6)])


def _shared_fleet(language: Language) -> list[Panel]:
    """One query for all."""
    rows = language.fleet_rows("1h")
    return placed(
        [
            (table("Newest telegram", language.last(), ago=True, text=_LATE), HALF, 10),
            (series("Telegrams an hour", rows, unit="short", bars=True, name=_OF), HALF, 10),
            (series("${field}", language.fleet_means(), name=_OF), WIDTH, 12),
        ]
    )


def _kit(language: Language) -> list[Panel]:
    panels = [(series(title, language.means(f"^{one}$")), HALF, 8) for title, one in KINDS.items()]
    panels.append((series("${field}", language.means(_FIELD)), WIDTH, 8))
    panels.append((table("Newest telegram", language.newest(), ago=True), WIDTH, 5))
    return placed(panels)


def _history(language: Language) -> list[Panel]:
    """Months and years, of which single telegrams are too many to ask for."""
    kinds = {**KINDS, "${field}": "${field:regex}"}
    panels = [
        (series(title, language.means_1h(f"^mean_{one}$"), text=_PAST, least="1h"), HALF, 8)
        for title, one in kinds.items()
    ]
    panels[-1] = (panels[-1][0], WIDTH, 8)
    return placed(panels)


def _quality(language: Language) -> list[Panel]:
    rows, flags = language.rows("1h"), language.flags("1h")
    counted = "Telegrams an hour with ${field}"
    flagged = "Flagged telegrams an hour"
    return placed(
        [
            (series(counted, rows, unit="short", bars=True, text=_FEWER), HALF, 8),
            (series(flagged, flags, unit="short", bars=True, text=_FLAGS), HALF, 8),
            (series("${field}", language.means(_FIELD)), WIDTH, 8),
            (table("What speaks against them", language.flagged(), text=_FLAGS), WIDTH, 9),
        ]
    )


def _delivery(language: Language) -> list[Panel]:
    rows, between = language.rows("10m"), "Seconds from one telegram to the next"
    return placed(
        [
            (table("Newest telegram", language.newest(), ago=True, text=_LATE), WIDTH, 5),
            (series(between, language.spacing(), unit="s", bars=True, text=_APART), WIDTH, 8),
            (series("Telegrams in ten minutes", rows, unit="short", bars=True), WIDTH, 8),
        ]
    )


def _dashboard(
    name: str, title: str, language: Language, panels: list[Panel], *, since: str = "now-24h"
) -> dict[str, Any]:
    whose = language.title + (f", {language.tenant}" if language.tenant else "")
    variables = list(_variables(language, fleet=name == "fleet"))
    found = dashboard(f"{language.uid}-{name}-{language.name}", f"{title} ({whose})", panels)
    return found | {
        "time": {"from": since, "to": "now"},
        "links": [link(with_variables=name != "fleet")],
        "templating": {"list": variables},
    }


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    """A dashboard without variables."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["mysense"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "annotations": {"list": []},
        "links": [link(with_variables=False)],
        "templating": {"list": []},
        "panels": panels,
    }


def link(*, with_variables: bool) -> dict[str, Any]:
    """To the other dashboards."""
    return {
        "type": "dashboards",
        "title": "MySense",
        "tags": ["mysense"],
        "asDropdown": True,
        "includeVars": with_variables,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _variables(language: Language, *, fleet: bool) -> Iterable[dict[str, Any]]:
    yield _asked(language, "project", several=False)
    yield _asked(language, "kit", several=fleet)
    yield _listed("field", FLEET_FIELDS) if fleet else _asked(language, "field", several=False)


def _asked(language: Language, name: str, *, several: bool) -> dict[str, Any]:
    return {
        **_named(name),
        "type": "query",
        "datasource": language.source,
        **language.variable(name),
        "refresh": 2,  # with every change of the time range: kits come and go
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "current": {"selected": True, "text": "All", "value": "$__all"} if several else {},
    }


def _listed(name: str, values: str) -> dict[str, Any]:
    first = values.partition(",")[0]
    current = {"selected": True, "text": first, "value": first}
    return {**_named(name), "type": "custom", "query": values, "current": current}


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "label": name.capitalize(), "hide": 0, "skipUrlSync": False} | {
        "options": []
    }
