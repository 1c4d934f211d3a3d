"""Every Flux query of every dashboard, and InfluxQL with a token, on a real InfluxDB 2.x.

The fake has no engine of Flux; what it can answer is asked of it, too.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import attrs
import pytest

from channels.MyINFLUXPUB import InfluxPub, InfluxPubSettings
from mysense.grafana.dashboards import dashboards
from mysense.grafana.places import place_of
from mysense.grafana.queries import Flux, InfluxQL
from mysense.options import Secret
from mysense.telegram import Ident
from tests.grafana.filling import chosen, filled, panels, query_of
from tests.grafana.test_influxql import HOUR, NAMES, ODD, START, day
from tests.influx2.server import Server

pytestmark = pytest.mark.influx2


@attrs.frozen
class Stored2:
    """Two kits on a server, and the dashboards of a layout."""

    server: Server
    project: str
    org: str
    place: object
    kit: str
    token: str

    def flux(self, query, *, kit=None, field="temp", hours=4, window="10m0s"):
        """The rows of all tables, values as texts."""
        if self.server.kind == "fake":
            pytest.skip("the fake has no engine of Flux: make test-influx2 runs this")
        values = {"project": self.project, "kit": kit or self.kit, "field": field}
        macros = {
            "v.timeRangeStart": _time(START),
            "v.timeRangeStop": _time(START + hours * HOUR),
            "v.windowPeriod": window,
        }
        body = {"query": filled(query, values, macros), "type": "flux"}
        status, answer = self.server.request(
            "POST",
            f"/api/v2/query?org={self.org}",
            body,
            token=self.token,
            Accept="application/csv",
        )
        assert status == 200, (answer, body["query"])
        rows = list(_rows(answer or ""))
        assert not any("error" in row for row in rows), (rows, body["query"])
        return rows

    def influxql(self, query, *, kit=None, field="temp"):
        """The rows, as Grafana gets them by header and the 1.x-compatible path."""
        values = {"project": self.project, "kit": kit or self.kit, "field": field}
        times = f"time >= {START}s AND time < {START + 4 * HOUR}s"
        macros = {"$timeFilter": times, "$__interval": "10m"}
        return self.server.rows(filled(query, values, macros), token=self.token)

    def variable(self, language, name, *, of="kit"):
        """What a variable offers."""
        listed = dashboards(language)[of]["templating"]["list"]
        (found,) = [one for one in listed if one["name"] == name]
        values = {"project": self.project, "kit": self.kit}
        if isinstance(language, Flux):
            rows = [{"value": row["_value"]} for row in self.flux(found["query"])]
        else:
            rows = self.influxql(found["query"])
        return chosen(rows, found["regex"], values)

    @property
    def serials(self):
        """The kits, as the fleet dashboard names them."""
        if self.place.shared:
            return {"k.1", "k.2"}
        return {f"{self.project}_k.1", f"{self.project}_k.2"}

    @property
    def both(self):
        return sorted(self.serials) if self.place.shared else self.kit


def _time(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rows(text):
    """Of annotated CSV: tables follow each other after empty lines, each with its header."""
    header = None
    for line in csv.reader(io.StringIO(text)):
        if not line or not any(line):
            header = None
        elif line[0].startswith("#"):
            continue
        elif header is None:
            header = line
        else:
            yield dict(zip(header[3:] or header, line[3:] or line, strict=True))


@pytest.fixture(params=["kit", "shared", "org"])
def stored(request, influx2, org, project):
    """Two kits, one flag, a gap; a token that may read all buckets of the organisation."""
    layout = request.param
    options = {"layout": layout, "database": f"{project}all"}
    options |= {} if layout == "org" else {"org": project}
    settings = InfluxPubSettings(
        hostname=influx2.host,
        port=influx2.port,
        api="2",
        token=Secret(influx2.token),
        output=True,
        **options,
    )
    output = InfluxPub(settings, "influxpub")
    output.open(None)
    for serial in ("k.1", "k.2"):
        output.publish(day(Ident(project=project, serial=serial, label="a")))
    output.close()
    _, found = influx2.request("GET", f"/api/v2/buckets?org={project}&limit=100")
    mine = [one for one in found["buckets"] if not one["name"].startswith("_")]
    rolled = [influx2.bucket(org, f"{one['name']}/1h") for one in mine]
    for bucket in rolled:
        tags = f",project={project},serial=k.1" if layout != "kit" else ""
        lines = f"data{tags} mean_temp=21.5,mean_rh=50,mean_hpa=1013,mean_pm_25=7 {START}"
        assert influx2.write(project, bucket["name"], lines)[0] == 204
    token = influx2.authorize(org, *(("read", bucket) for bucket in [*mine, *rolled]))
    kit = "k.1" if layout != "kit" else f"{project}_k.1"
    return Stored2(influx2, project, project, place_of(settings.where), kit, token)


@pytest.mark.parametrize("name", NAMES)
def test_flux_of_each_panel_gets_rows(stored, name):
    """The server understands what each asks, and the kits have it."""
    for panel in panels(dashboards(Flux(stored.place))[name]):
        kit = stored.both if name == "fleet" else stored.kit
        assert stored.flux(panel["targets"][0]["query"], kit=kit), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_influxql_of_each_panel_gets_rows(stored, name):
    """With the token, by virtual mappings of buckets."""
    for panel in panels(dashboards(InfluxQL(stored.place))[name]):
        kit = stored.both if name == "fleet" else stored.kit
        assert stored.influxql(panel["targets"][0]["query"], kit=kit), panel["title"]


def test_a_gap_stays_a_gap_in_flux(stored):
    """Windows without a telegram are null, and begin where InfluxQL has them begin."""
    query = query_of(dashboards(Flux(stored.place))["kit"], "${field}")
    rows = stored.flux(query)
    assert [row["_value"] for row in rows] == ["21.5"] * 12 + [""] * 6 + ["21.5"] * 6
    assert rows[0]["_time"] == _time(START)


def test_a_field_is_meant_to_the_letter_in_flux(stored):
    """Whatever its name would mean in a regular expression."""
    kit = dashboards(Flux(stored.place))["kit"]
    assert {row["_field"] for row in stored.flux(query_of(kit, "${field}"), field=ODD)} == {ODD}


def test_flux_counts_hours_and_flags(stored):
    """As InfluxQL does."""
    quality = dashboards(Flux(stored.place))["quality"]
    counts = stored.flux(query_of(quality, "Telegrams an hour with ${field}"))
    flagged = stored.flux(query_of(quality, "Flagged telegrams an hour"))
    assert [row["_value"] for row in counts] == ["60", "60", "0", "60"]
    assert [row["_value"] for row in flagged] == ["1", "0", "0", "0"]


def test_flux_shows_the_newest_telegram_whole(stored):
    """Numbers and texts in one row."""
    (row,) = stored.flux(query_of(dashboards(Flux(stored.place))["kit"], "Newest telegram"))
    assert (row["_time"], row["temp"], row["hpa"]) == (
        _time(START + 239 * 60),
        "21.5",
        "1013",
    )


def test_flux_finds_the_longest_pause(stored):
    """Where telegrams are missing."""
    delivery = dashboards(Flux(stored.place))["delivery"]
    rows = stored.flux(query_of(delivery, "Seconds from one telegram to the next"))
    assert max(int(row["seconds"]) for row in rows) == HOUR + 60


@pytest.mark.parametrize("language", [Flux, InfluxQL])
def test_variables_list_what_there_is(stored, language):
    """Projects, kits of that project without roll-ups, fields of that kit without theirs."""
    asked = language(stored.place)
    assert stored.project in stored.variable(asked, "project")
    assert stored.variable(asked, "kit", of="fleet") == stored.serials
    measured = {"temp", "rh", "hpa", "pm_25", ODD, "axb/c (d)", "quality"}
    assert stored.variable(asked, "field") == measured


def test_a_kit_without_flags_is_no_error_in_flux(stored):
    """Its panels are empty."""
    quality = dashboards(Flux(stored.place))["quality"]
    query = query_of(quality, "What speaks against them").replace('"quality")', '"none")')
    assert stored.flux(query) == []


def test_all_buckets_are_offered(stored, org, command):
    """To a reader of all, more than one page of the API; to others `buckets()` ends earlier."""
    if stored.place.shared:
        return
    made = [stored.server.bucket(org, f"{stored.project}_more{at}") for at in range(25)]
    conf = [f"hostname = {stored.server.host}", f"port = {stored.server.port}", "api = 2"]
    name = f"{stored.project}-viewer"
    conf += [f"org = {stored.org}"]
    ran = command(conf, "reader", name, PROVISION_TOKEN=stored.server.token)
    viewing = attrs.evolve(stored, token=ran.secret(name, "token"))
    offered = viewing.variable(Flux(stored.place), "kit", of="fleet")
    assert {bucket["name"] for bucket in made} <= offered
