"""What Grafana would be given, by its own published schema."""

from __future__ import annotations

import json
import re

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import stat, table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from mysense.grafana.dashboards import dashboards
from mysense.grafana.places import own, shared
from mysense.grafana.queries import Flux, InfluxQL
from mysense.grafana.server import server
from tests.grafana.filling import filled, panels

LANGUAGES = [InfluxQL(own()), InfluxQL(shared("all")), Flux(own()), Flux(shared("all"))]
ALL = {
    f"{name}-{language.name}-{'shared' if language.place.shared else 'own'}": dashboard
    for language in LANGUAGES
    for name, dashboard in dashboards(language).items()
} | {"server": server()}
NEWER = {"maxPerRow"}  # in the schema since Grafana 10.2; the classes are those of 10.1
OPTIONS = {"timeseries": timeseries, "table": table, "stat": stat}


@pytest.fixture(params=ALL)
def dashboard(request):
    return ALL[request.param]


def encoded(thing):
    return json.loads(json.dumps(thing, cls=JSONEncoder))


def test_dashboards_are_those_of_grafana(dashboard):
    """Grafana's own classes for its schema know every key that is written, and keep its value."""
    assert lost(dashboard, encoded(Dashboard.from_json(dashboard))) == []
    for panel in panels(dashboard):
        options = OPTIONS[panel["type"]].Options.from_json(panel["options"])
        assert lost(panel["options"], encoded(options)) == []
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        assert lost(custom, encoded(timeseries.FieldConfig.from_json(custom))) == []


def lost(given, read, where=""):
    """What was given and is not there after reading."""
    if isinstance(given, dict) and isinstance(read, dict):
        keys = given.keys() - NEWER
        return [x for key in keys for x in lost(given[key], read.get(key), f"{where}.{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [
            x
            for at, pair in enumerate(zip(given, read, strict=True))
            for x in lost(*pair, f"{where}[{at}]")
        ]
    return [] if given == read or given in ([], {}) else [f"{where}: {given!r} -> {read!r}"]


def test_units_are_set(dashboard):
    """Standard fields have theirs, however the column is called."""
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        units = {
            o["matcher"]["options"].strip("/"): o["properties"][0]["value"]
            for o in config["overrides"]
        }
        for name in ("dtemp", "mean_temp", "mean_mean_temp", "kit_1 temp"):
            matched = {unit for regex, unit in units.items() if re.search(regex, name)}
            assert matched == {"celsius"} or config["defaults"]["unit"], panel["title"]


def test_gaps_are_not_drawn_over(dashboard):
    """In no panel with lines."""
    lines = [panel for panel in panels(dashboard) if panel["type"] == "timeseries"]
    customs = [panel["fieldConfig"]["defaults"]["custom"] for panel in lines]
    assert {custom["spanNulls"] for custom in customs} <= {False}


def test_panels_do_not_lie_on_each_other(dashboard):
    """Each has a number and a place of its own."""
    places = [
        (x, y)
        for one in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_all_identifiers_differ():
    """Of languages and dashboards; Grafana takes 40 characters."""
    found = [dashboard["uid"] for language in LANGUAGES[1:3] for dashboard in _of(language)]
    found.append(server()["uid"])
    assert len(found) == len(set(found))
    longest = Flux(own(), "mysense-" + 12 * "x")
    assert max(len(one["uid"]) for one in _of(longest)) <= 40


def _of(language):
    return dashboards(language).values()


def test_a_fleet_of_many_kits_asks_little():
    """One query for all in a shared database, else two a kit, of those that can be seen."""
    asked = {
        language.place.shared: [
            panel.get("repeat") for panel in panels(dashboards(language)["fleet"])
        ]
        for language in LANGUAGES
    }
    assert asked == {True: [None] * 3, False: ["kit"] * 2}


@pytest.mark.parametrize("language", LANGUAGES[2:], ids=["own", "shared"])
def test_flux_is_balanced_and_names_no_other_bucket(language):
    """What can be said of Flux without a server; tests/influx2/test_grafana.py asks a real one."""
    values = {"project": "p", "kit": "k", "field": "temp"}
    for dashboard in _of(language):
        for panel in panels(dashboard):
            query = filled(panel["targets"][0]["query"], values, {})
            for pair in ("()", "{}", "[]"):
                assert query.count(pair[0]) == query.count(pair[1])
            assert query.count('"') % 2 == 0
            bucket = "all" if language.place.shared else "k"
            assert re.findall(r'from\(bucket: "([^"]*)"\)', query)[0] in {bucket, f"{bucket}/1h"}
            for line in query[query.index("from(") :].splitlines()[1:]:
                assert line.startswith("  |> ")
