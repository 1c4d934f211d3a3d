"""Data sources, as Grafana's provisioning reads them: YAML, of which JSON is a part.

No secret is written: Grafana reads it from its own environment when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from mysense.grafana.queries import UID
from mysense.grafana.server import SOURCE as SERVER

HEAD = """\
# Written by `mysense grafana`. Grafana puts {} in place when it starts; no secret is in here.
"""


@attrs.frozen(kw_only=True)
class Server:
    """Where the data lie, and who asks.

    Attributes:
        url: of the server, as Grafana reaches it.
        secret: what Grafana puts its password or token in place of.
        version: 1 or 2.
        user: on 1.x; empty for nobody.
        org: on 2.x.
        database: which one a query means that names none.
        verify: whether its certificate must be valid.
        ca_file: who signed it, as Grafana finds the file; empty for those that it knows.
        uid: what the identifiers of its sources begin with.
        tenant: whose data these are, for people; empty where there is one for all.
    """

    url: str
    secret: str
    version: int = 1
    user: str = ""
    org: str = ""
    database: str = ""
    verify: bool = True
    ca_file: str = ""
    uid: str = UID
    tenant: str = ""


def sources(server: Server) -> str:
    """The file for provisioning/datasources."""
    every = [_one(server)] if server.version == 1 else [_compatible(server), _flux(server)]
    return HEAD.format(server.secret) + _yaml({"apiVersion": 1, "datasources": every})


def prometheus(url: str) -> str:
    """The file for provisioning/datasources of a Prometheus that asks MySense for its figures."""
    source = {
        "name": "MySense (Prometheus)",
        "uid": SERVER["uid"],
        "type": SERVER["type"],
        "access": "proxy",
        "url": _literal(url),
        "jsonData": {"httpMethod": "POST"},
    }
    return "# Written by `mysense grafana`.\n" + _yaml({"apiVersion": 1, "datasources": [source]})


def providers(folder: str) -> str:
    """The file for provisioning/dashboards: where Grafana finds the dashboards."""
    provider = {
        "name": "MySense",
        "type": "file",
        "allowUiUpdates": True,
        "options": {"path": _literal(folder)},
    }
    return _yaml({"apiVersion": 1, "providers": [provider]})


def _one(server: Server) -> dict[str, Any]:
    who = {"user": _literal(server.user)} if server.user else {}
    secret = {"password": server.secret} if server.user else {}
    return _influxql(server, {}, secret) | who


def _compatible(server: Server) -> dict[str, Any]:
    header = {"httpHeaderName1": "Authorization"}
    return _influxql(server, header, {"httpHeaderValue1": f"Token {server.secret}"})


def _influxql(server: Server, more: dict[str, Any], secret: dict[str, str]) -> dict[str, Any]:
    data = {"dbName": _literal(server.database), "version": "InfluxQL", "httpMode": "POST", **more}
    return _source("InfluxQL", server, data, secret)


def _flux(server: Server) -> dict[str, Any]:
    data = {"version": "Flux", "organization": _literal(server.org)}
    data["defaultBucket"] = _literal(server.database)
    return _source("Flux", server, data, {"token": server.secret})


def _source(
    language: str, server: Server, data: dict[str, Any], secret: dict[str, str]
) -> dict[str, Any]:
    whose = f"{language}, {server.tenant}" if server.tenant else language
    if not server.verify:
        data = data | {"tlsSkipVerify": True}
    elif server.ca_file:
        data = data | {"tlsAuthWithCACert": True}
        secret = secret | {"tlsCACert": f"$__file{{{_literal(server.ca_file)}}}"}
    found = {
        "name": f"MySense ({whose})",
        "uid": f"{server.uid}-{language.lower()}",
        "type": "influxdb",
        "access": "proxy",
        "url": _literal(server.url),
        "jsonData": data,
    }
    return found | ({"secureJsonData": secret} if secret else {})


def _literal(text: str) -> str:
    """As Grafana reads it, which would take $X for a variable of its environment."""
    return text.replace("$", "$$")


def _yaml(value: Any, indent: int = 0) -> str:
    """Block style with quoted texts, which every reader of YAML takes alike."""
    return "\n".join(_lines(value, indent)) + "\n"


def _lines(value: dict[str, Any] | Sequence[Any], indent: int) -> list[str]:
    pad, lines = "  " * indent, []
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(entry, dict | list):
                lines += [f"{pad}{key}:", *_lines(entry, indent + 1)]
            else:
                lines.append(f"{pad}{key}: {json.dumps(entry)}")
        return lines
    for entry in value:
        first, *rest = _lines(entry, indent + 1)
        lines += [f"{pad}- {first.lstrip()}", *rest]
    return lines
