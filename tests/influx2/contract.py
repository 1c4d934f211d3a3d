"""InfluxData's OpenAPI file as a judge of requests.

Where the file is not there, `Contract.load()` is None: then requests go unjudged.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[3] / "shared/data/influxdb-openapi/oss.yml"
_ANY = {"schema": {}}


class Contract:
    """What a client may ask of InfluxDB 2.x.

    >>> contract.wrong("POST", "/api/v2/orgs", {}, {"Content-Type": "application/json"}, b"{}")
    "Request body validation error: 'name' is a required property"
    """

    def __init__(self, document: dict[str, Any]) -> None:
        from openapi_core import Config, OpenAPI

        # the file itself lacks info.version, which matters to nobody here
        self._api = OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))

    @classmethod
    @functools.cache  # half a second, and it never changes
    def load(cls) -> Contract | None:
        """The contract, or None where there is no file of it."""
        if not FILE.exists():
            return None
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast
        return cls(_patched(yaml.load(FILE.read_text(encoding="utf-8"), loader)))

    def wrong(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> str | None:
        """Why the request breaks the contract; None when it does not."""
        from openapi_core.exceptions import OpenAPIError
        from openapi_core.testing import MockRequest

        kind = headers.get("Content-Type", "").partition(";")[0].strip()
        request = MockRequest(
            "http://localhost",
            method.lower(),
            path,
            args=dict(query),
            headers=dict(headers),
            data=body or None,
            content_type=kind,
        )
        try:
            self._api.validate_request(request)
        except OpenAPIError as wrong:
            return ": ".join(_reasons(wrong))
        return None


def _reasons(wrong: BaseException) -> list[str]:
    more = [each.message for each in getattr(wrong, "schema_errors", ())]
    inner = _reasons(wrong.__cause__) if wrong.__cause__ is not None else []
    return [str(wrong).split("\n")[0], *more, *inner]


def _patched(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the server behaves, where the two are known to differ."""
    _plain(document)
    paths = document["paths"]
    document.pop("security", None)  # who may do it is not the contract's business
    for item in paths.values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    query = paths["/query"]["get"]  # the server takes it by POST too, and SHOW DATABASES without db
    for parameter in query["parameters"]:
        if parameter.get("name") in {"db", "q"}:
            parameter["required"] = False
        if parameter.get("name") == "Content-Type":
            parameter["schema"] = {"type": "string"}
    form = {"application/x-www-form-urlencoded": _ANY}
    paths["/query"]["post"] = query | {"requestBody": {"content": form}, "operationId": "PostQuery"}
    content = paths["/write"]["post"]["requestBody"]["content"]
    content["application/octet-stream"] = _ANY  # as clients of 1.x send it; nobody looks
    return document


def _plain(node: Any) -> None:
    """Take away `format: byte`, as tokens and passwords are no base64, and impossible defaults."""
    if isinstance(node, dict):
        if node.get("format") == "byte":
            del node["format"]
        if "enum" in node and node.get("default", node["enum"][0]) not in node["enum"]:
            del node["default"]  # of GET /tasks; it would be taken for what was sent
        for value in node.values():
            _plain(value)
    elif isinstance(node, list):
        for value in node:
            _plain(value)
