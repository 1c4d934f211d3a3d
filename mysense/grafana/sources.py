"""Data sources, as Grafana's provisioning reads them: YAML, of which JSON is a part.

No secret is written: Grafana reads it from its own environment when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from mysense.grafana.queries import UID

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
    """

    url: str
    secret: str
    version: int = 1
    user: str = ""
    org: str = ""
    database: str = ""
    verify: bool = True


def sources(server: Server) -> str:
    """The file for provisioning/datasources."""
    every = [_one(server)] if server.version == 1 else [_compatible(server), _flux(server)]
    return HEAD.format(server.secret) + _yaml({"apiVersion": 1, "datasources": every})


def providers(folder: str) -> str:
    """The file for provisioning/dashboards: where Grafana finds the dashboards."""
    provider = {
        "name": "MySense",
        "type": "file",
        "allowUiUpdates": True,
        "options": {"path": folder},
    }
    return _yaml({"apiVersion": 1, "providers": [provider]})


def _one(server: Server) -> dict[str, Any]:
    found = _influxql(server, {"httpMode": "POST"})
    if server.user:
        found |= {"user": server.user, "secureJsonData": {"password": server.secret}}
    return found


def _compatible(server: Server) -> dict[str, Any]:
    found = _influxql(server, {"httpMode": "POST", "httpHeaderName1": "Authorization"})
    return found | {"secureJsonData": {"httpHeaderValue1": f"Token {server.secret}"}}


def _influxql(server: Server, more: dict[str, Any]) -> dict[str, Any]:
    data = {"dbName": server.database, "version": "InfluxQL", **more}
    return _source("MySense (InfluxQL)", "influxql", server, data)


def _flux(server: Server) -> dict[str, Any]:
    data = {"version": "Flux", "organization": server.org, "defaultBucket": server.database}
    return _source("MySense (Flux)", "flux", server, data) | {
        "secureJsonData": {"token": server.secret}
    }


def _source(name: str, language: str, server: Server, data: dict[str, Any]) -> dict[str, Any]:
    unsafe = {} if server.verify else {"tlsSkipVerify": True}
    return {
        "name": name,
        "uid": f"{UID}-{language}",
        "type": "influxdb",
        "access": "proxy",
        "url": server.url,
        "jsonData": data | unsafe,
    }


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
