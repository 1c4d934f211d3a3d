"""What Grafana would be given: by its own published schema, and asked of a real InfluxDB."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from channels.MyINFLUXPUB import InfluxPub, InfluxPubSettings
from mysense.cli.grafana import Ways, files
from mysense.grafana.dashboards import dashboards
from mysense.grafana.places import own, shared
from mysense.grafana.queries import Flux, InfluxQL
from mysense.influx.http import ServerSettings
from mysense.telegram import Ident, Telegram

START = 1494774000  # a full hour
HOUR = 3600
LANGUAGES = [InfluxQL(own()), InfluxQL(shared("all")), Flux(own()), Flux(shared("all"))]
NAMES = ("fleet", "kit", "quality", "delivery")
OPTIONS = {"timeseries": timeseries, "table": table}


@pytest.fixture
def kit(influxd, project):
    """Four hours of a kit, a telegram a minute, with a gap of an hour and one flag."""
    ident = Ident(project=project, serial="1", label="a")
    output = InfluxPub(InfluxPubSettings(port=influxd.port, output=True), "influxpub")
    output.open(None)
    data = []
    for minute in [*range(120), *range(180, 240)]:
        one = {"time": START + 60 * minute, "temp": 21.5, "rh": 50.0, "hpa": 1013.0, "pm_25": 7.0}
        data.append(one | ({"quality": "temp stuck"} if minute == 5 else {}))
    output.publish([Telegram(ident, one, at == 0) for at, one in enumerate(data)])
    output.close()
    yield f"{project}_1"
    influxd.query(f'DROP DATABASE "{project}_1"')


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asked(query, kit, *, field="temp"):
    """The query as Grafana sends it, with its variables and macros filled in."""
    given = {
        "${kit}": kit,
        "${project}": kit.partition("_")[0],
        "${field}": field,
        "$timeFilter": f"time >= {START}s AND time < {START + 4 * HOUR}s",
        "$__interval": "10m",
    }
    for name, value in given.items():
        query = query.replace(name, value)
    assert "$_" not in query
    assert "${" not in query
    return query


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_asks_what_influxdb_understands(influxd, kit, name):
    """Each gets rows of this kit."""
    for panel in panels(dashboards(InfluxQL(own()))[name]):
        for target in panel["targets"]:
            rows = influxd.rows(asked(target["query"], kit))
            assert rows, panel["title"]


def test_a_gap_stays_a_gap(influxd, kit):
    """Windows without a telegram are null, and null is not drawn over."""
    (panel,) = [p for p in panels(dashboards(InfluxQL(own()))["kit"]) if p["title"] == "${field}"]
    rows = influxd.rows(asked(panel["targets"][0]["query"], kit))
    assert [row["mean_temp"] for row in rows] == [21.5] * 12 + [None] * 6 + [21.5] * 6
    assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False


def test_completeness_and_flags_are_counted(influxd, kit):
    """An hour in which nothing was measured has none."""
    found = {p["title"]: p for p in panels(dashboards(InfluxQL(own()))["quality"])}
    counts = influxd.rows(
        asked(found["Telegrams an hour with ${field}"]["targets"][0]["query"], kit)
    )
    flagged = influxd.rows(asked(found["Flagged telegrams an hour"]["targets"][0]["query"], kit))
    assert [row["telegrams"] for row in counts] == [60, 60, 0, 60]
    assert [row["flagged"] for row in flagged] == [1, 0, 0, 0]


def test_variables_list_what_there_is(influxd, kit):
    """Projects out of the names of databases, kits of that project, fields of that kit."""
    project = kit.partition("_")[0]
    found = {}
    for variable in dashboards(InfluxQL(own()))["kit"]["templating"]["list"]:
        rows = influxd.rows(asked(variable["query"], kit))
        values = [next(iter(row.values())) for row in rows]
        pattern = asked(variable["regex"], kit).strip("/")
        matches = [re.match(pattern, value) for value in values]
        found[variable["name"]] = {m[1] if m.re.groups else m[0] for m in matches if m}
        if not pattern:
            found[variable["name"]] = set(values)
    assert project in found["project"]
    assert found["kit"] == {kit}
    assert found["field"] == {"temp", "rh", "hpa", "pm_25", "quality"}


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: f"{one.name}-{one.place.database}")
@pytest.mark.parametrize("name", NAMES)
def test_dashboards_are_those_of_grafana(language, name):
    """Grafana's own classes for its schema know every key that is written, and keep its value."""
    dashboard = dashboards(language)[name]
    read = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert lost(dashboard, read) == []
    for panel in panels(dashboard):
        options = OPTIONS[panel["type"]].Options.from_json(panel["options"])
        assert lost(panel["options"], json.loads(json.dumps(options, cls=JSONEncoder))) == []
        custom = panel["fieldConfig"]["defaults"]["custom"]
        kept = timeseries.FieldConfig.from_json(custom)
        assert lost(custom, json.loads(json.dumps(kept, cls=JSONEncoder))) == []


def lost(given, read, where=""):
    """What was given and is not there after reading."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [x for key in given for x in lost(given[key], read.get(key), f"{where}.{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [
            x
            for at, pair in enumerate(zip(given, read, strict=True))
            for x in lost(*pair, f"{where}[{at}]")
        ]
    return [] if given == read or given in ([], {}) else [f"{where}: {given!r} -> {read!r}"]


@pytest.mark.parametrize("name", NAMES)
def test_units_are_set(name):
    """Standard fields have theirs, however the column is called."""
    for panel in panels(dashboards(LANGUAGES[0])[name]):
        config = panel["fieldConfig"]
        units = {
            o["matcher"]["options"].strip("/"): o["properties"][0]["value"]
            for o in config["overrides"]
        }
        matched = {unit for regex, unit in units.items() if re.search(regex, "mean_dtemp")}
        assert matched == {"celsius"} or config["defaults"]["unit"] in ("s", "short")


def test_flux_is_balanced_and_names_no_other_bucket():
    """What can be said of Flux without a server that speaks it; see tests/influx2 for the rest."""
    for language in LANGUAGES[2:]:
        for dashboard in dashboards(language).values():
            for panel in panels(dashboard):
                query = panel["targets"][0]["query"]
                assert query.count("(") == query.count(")")
                assert f"from(bucket: {language.place.bucket})" in query


def test_sources_say_where_and_tell_no_secret(tmp_path):
    """YAML that reads back, for 1.x by user and password out of Grafana's environment."""
    settings = ServerSettings(hostname="db.example.org", user="grafana", ssl=True)
    written = dict(files(settings, Ways(dashboards="/dashboards")))
    (source,) = yaml.safe_load(written["provisioning/datasources/mysense.yaml"])["datasources"]
    assert source == {
        "name": "MySense (InfluxQL)",
        "uid": "mysense-influxql",
        "type": "influxdb",
        "access": "proxy",
        "url": "https://db.example.org:8086",
        "user": "grafana",
        "jsonData": {"dbName": "mysense", "version": "InfluxQL", "httpMode": "POST"},
        "secureJsonData": {"password": "$INFLUX_PASSWORD"},
    }
    providers = yaml.safe_load(written["provisioning/dashboards/mysense.yaml"])
    assert providers["providers"][0]["options"]["path"] == "/dashboards"


def test_a_secret_may_be_in_a_file():
    """Grafana reads it when it starts; it is not read here."""
    ways = Ways(secret_file="/run/secrets/grafana")
    written = dict(files(ServerSettings(user="grafana"), ways))
    (source,) = yaml.safe_load(written["provisioning/datasources/mysense.yaml"])["datasources"]
    assert source["secureJsonData"] == {"password": "$__file{/run/secrets/grafana}"}


@pytest.mark.parametrize("name", NAMES)
def test_uids_are_fixed(name):
    """A dashboard that is written again replaces the one before."""
    uids = [dashboards(language)[name]["uid"] for language in LANGUAGES[1:3]]
    assert uids == [f"mysense-{name}-influxql", f"mysense-{name}-flux"]
