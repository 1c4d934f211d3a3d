"""Every InfluxQL query of every dashboard, asked of a real InfluxDB in every layout and dialect."""

from __future__ import annotations

import re

import attrs
import pytest

from channels.MyINFLUXPUB import InfluxPub, InfluxPubSettings
from mysense.grafana.dashboards import dashboards
from mysense.grafana.places import own, place_of, shared
from mysense.grafana.queries import InfluxQL
from mysense.provision.rollups import continuous_query
from mysense.telegram import Ident, Telegram
from tests.grafana.filling import chosen, filled, panels, query_of

START = 1494774000  # a full hour
HOUR = 3600
NAMES = ("fleet", "kit", "quality", "delivery", "history")
ODD = "a.b/c (d)"  # a field that means something in a regular expression
LAYOUTS = [("kit", "classic"), ("kit", "clean"), ("shared", "clean")]


@attrs.frozen
class Stored:
    """What lies on the server, and the dashboards for it."""

    influxd: object
    project: str
    place: object
    kit: str
    options: dict

    def dashboard(self, name):
        return dashboards(InfluxQL(self.place))[name]

    def rows(self, query, *, kit=None, field="temp", hours=4):
        """What Grafana gets."""
        values = {"project": self.project, "kit": kit or self.kit, "field": field}
        times = f"time >= {START}s AND time < {START + hours * HOUR}s"
        macros = {"$timeFilter": times, "$__interval": "10m"}
        return self.influxd.rows(filled(query, values, macros))

    def offered(self, name, *, of="kit"):
        """What a variable offers."""
        (found,) = [one for one in self.dashboard(of)["templating"]["list"] if one["name"] == name]
        values = {"project": self.project, "kit": self.kit}
        rows = self.influxd.rows(filled(found["query"], values, {}))
        return chosen(rows, found["regex"], values)

    @property
    def both(self):
        """The kits that a fleet dashboard asks for, as it does."""
        return [self.kit, self.kit.replace("k.1", "k.2")] if self.place.shared else self.kit


def day(ident, *, flagged=True):
    """Four hours, a telegram a minute, with a gap of an hour and one flag."""
    telegrams = []
    for at, minute in enumerate([*range(120), *range(180, 240)]):
        one = {"time": START + 60 * minute, "temp": 21.5, "rh": 50.0, "hpa": 1013.0, "pm_25": 7.0}
        one |= {ODD: 1.0, "axb/c (d)": 2.0}
        one |= {"quality": "temp stuck"} if flagged and minute == 5 else {}
        telegrams.append(Telegram(ident, one, at == 0))
    return telegrams


def published(influxd, telegrams, **options):
    settings = InfluxPubSettings(port=influxd.port, output=True, **options)
    output = InfluxPub(settings, "influxpub")
    output.open(None)
    output.publish(telegrams)
    output.close()
    return settings


def roll_up(influxd, database, *, of_many):
    """What the continuous query would have made by now."""
    influxd.query(f'CREATE RETENTION POLICY "1h" ON "{database}" DURATION INF REPLICATION 1')
    text = continuous_query(database, "autogen", shared=of_many)
    (select,) = re.findall(r"BEGIN (.*) GROUP BY (.*) END", text)
    times = f"time >= {START}s AND time < {START + 4 * HOUR}s"
    influxd.query(f"{select[0]} WHERE {times} GROUP BY {select[1]}")


@pytest.fixture(params=LAYOUTS, ids="-".join)
def stored(request, influxd, project):
    """Two kits with dots in their names, with roll-ups."""
    layout, dialect = request.param
    options = {"layout": layout, "dialect": dialect, "database": f"{project}all"}
    for serial in ("k.1", "k.2"):
        ident = Ident(project=project, serial=serial, label="a b,c")
        settings = published(influxd, day(ident), **options)
    of_many = layout == "shared"
    databases = [f"{project}all"] if of_many else [f"{project}_k.1", f"{project}_k.2"]
    for name in databases:
        roll_up(influxd, name, of_many=of_many)
    kit = "k.1" if of_many else f"{project}_k.1"
    yield Stored(influxd, project, place_of(settings.where), kit, options)
    for name in databases:
        influxd.query(f'DROP DATABASE "{name}"')


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_gets_rows(stored, name):
    """InfluxDB understands what each asks, and the kits have it."""
    for panel in panels(stored.dashboard(name)):
        kit = stored.both if name == "fleet" else stored.kit
        (target,) = panel["targets"]
        assert stored.rows(target["query"], kit=kit), panel["title"]


def test_a_gap_stays_a_gap(stored):
    """Windows without a telegram are null."""
    rows = stored.rows(query_of(stored.dashboard("kit"), "${field}"))
    assert [row["mean_temp"] for row in rows] == [21.5] * 12 + [None] * 6 + [21.5] * 6


def test_a_field_is_meant_to_the_letter(stored):
    """Whatever its name would mean in a regular expression."""
    rows = stored.rows(query_of(stored.dashboard("kit"), "${field}"), field=ODD)
    assert set(rows[0]) == {"time", f"mean_{ODD}"}


def test_completeness_and_flags_are_counted(stored):
    """An hour in which nothing was measured has none; another kit's are not counted."""
    quality = stored.dashboard("quality")
    counts = stored.rows(query_of(quality, "Telegrams an hour with ${field}"), field=ODD)
    flagged = stored.rows(query_of(quality, "Flagged telegrams an hour"))
    assert [row["telegrams"] for row in counts] == [60, 60, 0, 60]
    assert [row["flagged"] for row in flagged] == [1, 0, 0, 0]


def test_the_longest_pause_shows(stored):
    """Where telegrams are missing."""
    query = query_of(stored.dashboard("delivery"), "Seconds from one telegram to the next")
    seconds = [row["seconds"] for row in stored.rows(query)]
    assert (max(filter(None, seconds)), min(filter(None, seconds))) == (HOUR + 60, 60)


def test_history_is_that_of_roll_ups(stored):
    """A mean for each hour with telegrams."""
    query = query_of(stored.dashboard("history"), "Temperature")
    rows = stored.rows(query.replace("$__interval", "1h"))
    assert [row["mean_mean_temp"] for row in rows] == [21.5, 21.5, None, 21.5]


def test_variables_list_what_there_is(stored):
    """Projects, kits of that project, fields of that kit without those of roll-ups."""
    kits = {"k.1", "k.2"} if stored.place.shared else {f"{stored.project}_k.{n}" for n in (1, 2)}
    assert stored.project in stored.offered("project")
    assert stored.offered("kit", of="fleet") == kits
    measured = {"temp", "rh", "hpa", "pm_25", ODD, "axb/c (d)", "quality"}
    assert stored.offered("field") == measured


def test_a_fleet_is_told_apart(influxd, project):
    """In a shared database one query gives each kit a series of its own."""
    name = f"{project}all"
    for serial in ("k.1", "kx1", "k.2"):
        ident = Ident(project=project, serial=serial)
        published(influxd, day(ident), layout="shared", database=name)
    stored = Stored(influxd, project, shared(name), "", {})
    fleet = stored.dashboard("fleet")
    for title in ("Newest telegram", "Telegrams an hour", "${field}"):
        rows = stored.rows(query_of(fleet, title), kit=["k.1", "k.2"])
        assert {row["serial"] for row in rows} == {"k.1", "k.2"}, title
    influxd.query(f'DROP DATABASE "{name}"')


def test_a_kit_that_has_neither_flags_nor_fields(influxd, project):
    """Its panels are empty, and none is an error."""
    published(influxd, day(Ident(project=project, serial="k"), flagged=False)[:1])
    stored = Stored(influxd, project, own(), f"{project}_k", {})
    asked = [query_of(stored.dashboard("quality"), "Flagged telegrams an hour")]
    asked.append(query_of(stored.dashboard("quality"), "What speaks against them"))
    assert [stored.rows(query) for query in asked] == [[], []]
    assert stored.rows(query_of(stored.dashboard("kit"), "${field}"), field="gone") == []
    influxd.query(f'DROP DATABASE "{project}_k"')


def test_a_retention_policy_is_asked_for(influxd, project):
    """What is written to another than the default one is read there."""
    name = f"{project}_k"
    influxd.query(f'CREATE DATABASE "{name}"')
    influxd.query(f'CREATE RETENTION POLICY "raw" ON "{name}" DURATION INF REPLICATION 1')
    settings = published(influxd, day(Ident(project=project, serial="k")), rp="raw")
    stored = Stored(influxd, project, place_of(settings.where), name, {})
    assert len(stored.rows(query_of(stored.dashboard("kit"), "Newest telegram"))) == 1
    influxd.query(f'DROP DATABASE "{name}"')
