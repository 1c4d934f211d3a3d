"""`mysense grafana`: files by which a Grafana shows the telegrams, without a click."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from mysense.application import Configured
from mysense.cli.common import Parser, VerbError, load
from mysense.errors import PluginError
from mysense.grafana.dashboards import dashboards
from mysense.grafana.places import own, shared
from mysense.grafana.queries import Flux, InfluxQL, Language
from mysense.grafana.sources import Server, providers, sources
from mysense.influx.http import ServerSettings

HERE = "/var/lib/grafana/dashboards/mysense"


@attrs.frozen
class Ways:
    """Where Grafana finds things: InfluxDB, its dashboards, and the secret, if in a file."""

    url: str | None = None
    dashboards: str = HERE
    secret_file: str | None = None


def main(words: list[str]) -> int:
    """Write the files; returns the exit code."""
    parser = Parser("grafana", "Data sources and dashboards for Grafana, as provisioning files.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write them")
    about = "the section that says where the InfluxDB is; default: influxpub"
    parser.add_argument("--section", default="influxpub", help=about)
    parser.add_argument("--url", help="the InfluxDB as Grafana reaches it, if otherwise than we do")
    about = f"where Grafana will find the folder dashboards; default: {HERE}"
    parser.add_argument("--dashboards", default=HERE, metavar="FOLDER", help=about)
    about = "where Grafana finds the password or token; default: a variable of its environment"
    parser.add_argument("--secret-file", metavar="FILE", help=about)
    args = parser.parse_args(words)
    ways = Ways(args.url, args.dashboards, args.secret_file)
    try:
        settings = _settings(load(args).section(args.section))
    except PluginError as wrong:
        raise VerbError(str(wrong)) from wrong
    for name, text in files(settings, ways):
        path = args.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    print(_hint(settings, ways), file=sys.stderr)
    return 0


def _settings(configured: Configured) -> ServerSettings:
    settings = configured.settings
    if not isinstance(settings, ServerSettings):
        raise VerbError(f"[{configured.section}] is no InfluxDB; name influxpub or influxsub")
    return settings


def files(settings: ServerSettings, ways: Ways) -> Iterator[tuple[str, str]]:
    """Every file with its name below the folder."""
    version = 2 if str(getattr(settings, "api", "1")) == "2" else 1
    layout = getattr(settings, "layout", "kit")
    name = {"shared": getattr(settings, "database", "mysense"), "org": "signals"}.get(layout, "")
    place = shared(name) if name else own()
    server = Server(
        url=ways.url or _url(settings),
        version=version,
        user=settings.user,
        org=getattr(settings, "org", ""),
        database=name or "mysense",
        verify=settings.verify_ssl,
        secret=_secret(version, ways),
    )
    yield "provisioning/datasources/mysense.yaml", sources(server)
    yield "provisioning/dashboards/mysense.yaml", providers(ways.dashboards)
    languages: list[Language] = [InfluxQL(place)]
    if version == 2:
        languages.append(Flux(place))
    for language in languages:
        for title, dashboard in dashboards(language).items():
            text = json.dumps(dashboard, indent=2, ensure_ascii=False)
            yield f"dashboards/{title}-{language.name}.json", text + "\n"


def _url(settings: ServerSettings) -> str:
    name = settings.hostname
    host = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"{'https' if settings.ssl else 'http'}://{host}:{settings.port}"


def _secret(version: int, ways: Ways) -> str:
    if ways.secret_file:
        return f"$__file{{{ways.secret_file}}}"
    return "$INFLUX_PASSWORD" if version == 1 else "$INFLUX_TOKEN"


def _hint(settings: ServerSettings, ways: Ways) -> str:
    name = "INFLUX_TOKEN" if str(getattr(settings, "api", "1")) == "2" else "INFLUX_PASSWORD"
    secret = ways.secret_file or f"{name} in its environment"
    return (
        "copy provisioning/ to /etc/grafana/provisioning and dashboards/ to "
        f"{ways.dashboards}, give Grafana {secret}, and restart it"
    )
