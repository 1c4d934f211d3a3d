"""Where the telegrams of a kit lie, as the query languages name it.

Grafana's variables `${project}` and `${kit}` stand in these texts with a format behind them, such
as `${kit:raw}`: without one its InfluxDB plugin escapes a value as if it were in a regular
expression wherever several values may be chosen, and a name with a dot would not be found.
"""

from __future__ import annotations

import json
import re

import attrs

from mysense.influx.layouts import ORG_BUCKET, Layout
from mysense.influx.naming import quote_identifier
from mysense.provision.rollups import POLICY

_NAME = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_KIT = '"${kit:raw}"'
ALWAYS = "start: 0"  # else those of the last 30 days: a kit that is silent would not be offered
_SEVERAL = "/^(${kit:regex})$/"


@attrs.frozen(kw_only=True)
class Place:
    """What a dashboard must know of a layout.

    Attributes:
        shared: whether one query can ask for several kits.
        projects: InfluxQL that lists what has the projects in it.
        projects_regex: which part of that is one.
        kits: InfluxQL that lists the kits of a project.
        kits_regex: which of that are kits.
        database: the database, as an InfluxQL identifier.
        policy: its retention policy, as an InfluxQL identifier; empty for the default one.
        where: what picks the kit, in InfluxQL, with AND behind it; or nothing.
        where_many: what picks the kits that are chosen, likewise.
        flux_projects: as `projects`, in Flux.
        flux_projects_regex: which part of that is one.
        flux_kits: as `kits`, in Flux.
        flux_kits_regex: which of that are kits.
        bucket: the bucket, as a Flux text.
        bucket_1h: that of the roll-ups.
        flux_where: a Flux filter that picks the kit, or nothing.
        flux_where_many: one that picks the kits that are chosen, or nothing.
    """

    shared: bool = False
    projects: str
    projects_regex: str = ""
    kits: str
    kits_regex: str = ""
    database: str
    policy: str = ""
    where: str = ""
    where_many: str = ""
    flux_projects: str
    flux_projects_regex: str = ""
    flux_kits: str
    flux_kits_regex: str = ""
    bucket: str
    bucket_1h: str
    flux_where: str = ""
    flux_where_many: str = ""

    @property
    def data(self) -> str:
        """The series `data`, in InfluxQL."""
        return f'{self.database}.{self.policy}."data"'

    @property
    def data_1h(self) -> str:
        """That of the roll-ups."""
        return f'{self.database}."{POLICY}"."data"'


def place_of(layout: Layout) -> Place:
    """Where dashboards find what was written in this layout."""
    if layout.name == "kit":
        return own(layout.rp)
    return shared(ORG_BUCKET if layout.name == "org" else layout.database, layout.rp)


def own(rp: str = "") -> Place:
    """Each kit has a database or bucket of its own, `<project>_<serial>`.

    Roll-ups in the bucket `<kit>/1h` are told apart by the slash, which is in no kit's name.
    """
    below = re.escape(f"/{rp}").replace("/", "\\/") if rp else ""
    buckets = 'buckets()\n  |> keep(columns: ["name"])\n  |> rename(columns: {name: "_value"})'
    bucket = f"${{kit:raw}}/{rp}" if rp else "${kit:raw}"
    return Place(
        projects="SHOW DATABASES",
        projects_regex=f"/^({_NAME})_[^/]+$/",
        kits="SHOW DATABASES",
        kits_regex="/^${project:regex}_[^/]+$/",
        database=_KIT,
        policy=quote_identifier(rp) if rp else "",
        flux_projects=buckets,
        flux_projects_regex=f"/^({_NAME})_[^/]+{below}$/",
        flux_kits=buckets,
        flux_kits_regex=f"/^(${{project:regex}}_[^/]+){below}$/",
        bucket=f'"{bucket}"',
        bucket_1h=f'"{bucket}/{POLICY}"',
    )


def shared(name: str, rp: str = "") -> Place:
    """One database or bucket `name` for all kits, which are told apart by tags."""
    quoted = quote_identifier(name)
    values = f'SHOW TAG VALUES ON {quoted} FROM "data" WITH KEY = '
    bucket = f"{name}/{rp}" if rp else name
    tags = f'import "influxdata/influxdb/schema"\n\nschema.tagValues(bucket: {_text(bucket)}, tag: '
    project = "r.project == ${project:doublequote}"
    return Place(
        shared=True,
        projects=f'{values}"project"',
        kits=f'{values}"serial" WHERE "project" = ${{project:singlequote}}',
        database=quoted,
        policy=quote_identifier(rp) if rp else "",
        where='"project" = ${project:singlequote} AND "serial" = ${kit:singlequote} AND ',
        where_many=f'"project" = ${{project:singlequote}} AND "serial" =~ {_SEVERAL} AND ',
        flux_projects=f'{tags}"project", {ALWAYS})',
        flux_kits=f'{tags}"serial", predicate: (r) => {project}, {ALWAYS})',
        bucket=_text(bucket),
        bucket_1h=_text(f"{bucket}/{POLICY}"),
        flux_where=f"  |> filter(fn: (r) => {project} and r.serial == ${{kit:doublequote}})\n",
        flux_where_many=f"  |> filter(fn: (r) => {project} and r.serial =~ {_SEVERAL})\n",
    )


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a name holds nothing that Flux would replace
