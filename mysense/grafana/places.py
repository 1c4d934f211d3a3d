"""Where the telegrams of a kit lie, as the query languages name it."""

from __future__ import annotations

import json

import attrs

NAME = r"[A-Za-z0-9][A-Za-z0-9.-]*"


@attrs.frozen(kw_only=True)
class Place:
    """What a dashboard must know of a layout.

    In its texts stand Grafana's variables, `${project}` and `${kit}`.

    Attributes:
        projects: InfluxQL that lists what has the projects in it.
        projects_regex: which part of that is one.
        kits: InfluxQL that lists the kits of a project.
        kits_regex: which of that are kits.
        database: the database, as an InfluxQL identifier.
        where: what picks the kit, in InfluxQL, with AND behind it; or nothing.
        flux_projects: as `projects`, in Flux.
        flux_kits: as `kits`, in Flux.
        bucket: the bucket, as a Flux text.
        flux_where: a Flux filter that picks the kit, or nothing.
    """

    projects: str
    projects_regex: str = ""
    kits: str
    kits_regex: str = ""
    database: str
    where: str = ""
    flux_projects: str
    flux_kits: str
    bucket: str
    flux_where: str = ""


def own() -> Place:
    """Each kit has a database or bucket of its own, `<project>_<serial>`."""
    buckets = (
        "buckets()\n  |> filter(fn: (r) => r.name =~ /^{}_[^\\/]+$/)\n"
        "  |> map(fn: (r) => ({{_value: r.name}}))"
    )
    return Place(
        projects="SHOW DATABASES",
        projects_regex=f"/^({NAME})_[^/]+$/",
        kits="SHOW DATABASES",
        kits_regex="/^${project}_[^/]+$/",
        database='"${kit}"',
        flux_projects=buckets.format(NAME),
        flux_kits=buckets.format("${project}"),
        bucket='"${kit}"',
    )


def shared(name: str) -> Place:
    """One database or bucket `name` for all kits, which are told apart by tags."""
    quoted = json.dumps(name, ensure_ascii=False)
    values = f'SHOW TAG VALUES ON {quoted} FROM "data" WITH KEY = '
    tags = f'import "influxdata/influxdb/schema"\nschema.tagValues(bucket: {quoted}, tag: '
    return Place(
        projects=f'{values}"project"',
        kits=f'{values}"serial" WHERE "project" = \'${{project}}\'',
        database=quoted,
        where="\"project\" = '${project}' AND \"serial\" = '${kit}' AND ",
        flux_projects=f'{tags}"project")',
        flux_kits=f'{tags}"serial", predicate: (r) => r.project == "${{project}}")',
        bucket=quoted,
        flux_where='  |> filter(fn: (r) => r.project == "${project}" and r.serial == "${kit}")\n',
    )
