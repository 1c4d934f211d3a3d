"""`mysense grafana`: files by which a Grafana shows the telegrams, without a click."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mysense.cli.common import Parser, VerbError, load
from mysense.errors import MySenseError

if TYPE_CHECKING:
    from mysense.grafana.queries import Language
    from mysense.influx.access import ServerSettings
    from mysense.influx.layouts import Layout

HERE = "/var/lib/grafana/dashboards/mysense"


@attrs.frozen(kw_only=True)
class Ways:
    """How Grafana finds things, where it cannot be told by the section.

    Attributes:
        url: of InfluxDB.
        dashboards: the folder of the dashboards.
        secret_file: the file with password or token; None for a variable of its environment.
        api: 1 or 2; None for that of the section, where `auto` asks the server.
        org: the organisation of 2.x.
        prometheus: URL of a Prometheus that asks MySense for its figures.
    """

    url: str | None = None
    dashboards: str = HERE
    secret_file: str | None = None
    api: int | None = None
    org: str = ""
    prometheus: str | None = None


def main(words: list[str]) -> int:
    """Write the files; returns the exit code."""
    args = _parsed(words)
    ways = Ways(**{field.name: getattr(args, field.name) for field in attrs.fields(Ways)})
    try:
        settings = load(args).section(args.section).settings
        written = dict(files(settings, ways, args.section))
    except MySenseError as wrong:
        raise VerbError(str(wrong)) from wrong
    for name, text in written.items():
        path = args.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    secret = ways.secret_file or "what the data sources name, in its environment"
    print(
        "copy provisioning/ to /etc/grafana/provisioning and dashboards/ to "
        f"{ways.dashboards}, give Grafana its secret ({secret}), and restart it",
        file=sys.stderr,
    )
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = Parser("grafana", "Data sources and dashboards for Grafana, as provisioning files.")
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="where to write them")
    about = "the section that says where the InfluxDB is; default: influxpub"
    add("--section", default="influxpub", help=about)
    add("--url", help="the InfluxDB as Grafana reaches it, if otherwise than we do")
    about = "where Grafana will find the folder dashboards; default: %(default)s"
    add("--dashboards", default=HERE, metavar="FOLDER", help=about)
    about = "where Grafana finds the password or token; default: a variable of its environment"
    add("--secret-file", metavar="FILE", help=about)
    about = "InfluxDB 1.x or 2.x; default: as the section has it, where auto asks the server"
    add("--api", type=int, choices=(1, 2), help=about)
    about = "2.x: the organisation, if not that of the section; with layout = org each has its own"
    add("--org", default="", metavar="NAME", help=about)
    about = "a Prometheus that asks MySense for its figures: adds the dashboard of the server"
    add("--prometheus", metavar="URL", help=about)
    return parser.parse_args(words)


def files(settings: object, ways: Ways, section: str = "influxpub") -> Iterator[tuple[str, str]]:
    """Every file with its name below the folder.

    Raises:
        VerbError: something that dashboards need is not known.
        RetryLater: with `api = auto`, no answer.
    """
    from mysense.grafana.places import place_of
    from mysense.grafana.queries import UID, Flux, InfluxQL
    from mysense.grafana.sources import providers
    from mysense.influx.access import ServerSettings
    from mysense.influx.layouts import Layout

    if not isinstance(settings, ServerSettings):
        raise VerbError(f"[{section}] is no InfluxDB; name influxpub or influxsub")
    found = getattr(settings, "where", None)  # of outputs; inputs read what a kit's layout says
    layout = found if isinstance(found, Layout) else Layout(rp=getattr(settings, "rp", ""))
    ways = attrs.evolve(ways, api=ways.api or _version(settings))
    tenant = _tenant(layout, ways)
    suffix = f"-{_short(tenant)}" if tenant else ""
    uid, place = f"{UID}{suffix}", place_of(layout)
    yield f"provisioning/datasources/mysense{suffix}.yaml", _sources(settings, layout, ways, uid)
    yield "provisioning/dashboards/mysense.yaml", providers(ways.dashboards)
    languages: list[Language] = [InfluxQL(place, uid, tenant)]
    if ways.api == 2:
        languages.append(Flux(place, uid, tenant))
    yield from _dashboards(languages, suffix)
    if ways.prometheus:
        yield from _server(ways.prometheus)


def _sources(settings: ServerSettings, layout: Layout, ways: Ways, uid: str) -> str:
    from mysense.grafana.sources import Server, sources
    from mysense.influx.layouts import ORG_BUCKET

    version, org = ways.api or 1, ways.org or settings.org
    if version == 2 and not org:
        raise VerbError("name the organisation: --org")
    buckets = {"shared": layout.database, "org": ORG_BUCKET}
    return sources(
        Server(
            url=ways.url or _url(settings),
            version=version,
            user=settings.user,
            org=org,
            database=buckets.get(layout.name, "mysense"),
            verify=settings.verify_ssl,
            ca_file=str(settings.ca_file or ""),
            secret=_secret(version, ways),
            uid=uid,
            tenant=_tenant(layout, ways),
        )
    )


def _dashboards(languages: list[Language], suffix: str) -> Iterator[tuple[str, str]]:
    from mysense.grafana.dashboards import dashboards

    for language in languages:
        for name, dashboard in dashboards(language).items():
            yield f"dashboards/{name}{suffix}-{language.name}.json", _json(dashboard)


def _server(url: str) -> Iterator[tuple[str, str]]:
    from mysense.grafana.server import server
    from mysense.grafana.sources import prometheus

    yield "provisioning/datasources/mysense-prometheus.yaml", prometheus(url)
    yield "dashboards/server-prometheus.json", _json(server())


def _version(settings: ServerSettings) -> int:
    """1 or 2, as the section says, or the server."""
    from mysense.influx.http import Server

    if settings.api != "auto":
        return int(settings.api)
    server = Server(settings)
    server.open()
    try:
        return server.api()
    except MySenseError as wrong:
        raise VerbError(f"api = auto: {wrong}; or say it here: --api 2") from wrong
    finally:
        server.close()


def _tenant(layout: Layout, ways: Ways) -> str:
    """Whose data these are, where each organisation has a data source of its own."""
    if layout.name != "org":
        return ""
    if not ways.org:
        raise VerbError("with layout = org each project has its own files: name it with --org")
    return ways.org


def _short(name: str) -> str:
    """A part of identifiers, which hold 40 letters, digits, `-` and `_` in all."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,12}", name):
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _url(settings: ServerSettings) -> str:
    name = settings.hostname
    host = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"{'https' if settings.ssl else 'http'}://{host}:{settings.port}"


def _secret(version: int, ways: Ways) -> str:
    if ways.secret_file:
        return f"$__file{{{ways.secret_file}}}"
    return "$INFLUX_PASSWORD" if version == 1 else "$INFLUX_TOKEN"


def _json(dashboard: dict[str, object]) -> str:
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
