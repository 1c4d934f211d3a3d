"""An InfluxDB 2.x server as tests see it, the fake or a real one."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any
from urllib.parse import urlencode

USER, PASSWORD, TOKEN = "operator", "operator-secret", "operator-token"


class Server:
    """Where it listens, and the operator's token.

    Attributes:
        kind: `fake`, `own` (a binary that the tests started) or `given` (somebody else's).
        token: of an operator, who may do everything; empty before the set-up.
    """

    kind = "given"

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self.host = host
        self.port = port
        self.token = token
        self.made: list[str] = []  # organisations of tests

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def set_up(self) -> None:
        """The first set-up, with user, organisation and bucket of set names."""
        wanted = {"username": USER, "password": PASSWORD, "token": TOKEN}
        wanted |= {"org": "first", "bucket": "first"}
        status, answer = self.request("POST", "/api/v2/setup", wanted, token="")
        assert status == 201, answer
        self.token = answer["auth"]["token"]

    def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """One request: bytes go as lines, anything else as JSON; returns status and answer.

        The operator asks unless `token` is given; "" is nobody.
        """
        token = self.token if token is None else token
        if token:
            headers.setdefault("Authorization", f"Token {token}")
        if isinstance(body, bytes):
            headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        elif body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        link = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(link):
            link.request(method, path, body, headers)
            answer = link.getresponse()
            raw = answer.read()
        kind = answer.headers.get("Content-Type", "")
        return answer.status, json.loads(raw) if raw and "json" in kind else raw.decode() or None

    def make(self, what: str, **body: Any) -> dict[str, Any]:
        """Create a thing, `make("orgs", name="x")`; returns it as the server describes it."""
        status, answer = self.request("POST", f"/api/v2/{what}", body)
        assert status == 201, (what, status, answer)
        made: dict[str, Any] = answer
        return made

    def org(self, name: str) -> dict[str, Any]:
        """A new organisation; the fixture takes it away after the test."""
        self.made.append(name)
        return self.make("orgs", name=name)

    def drop_org(self, name: str) -> None:
        """Take an organisation away, if it is there, with all its buckets."""
        status, answer = self.request("GET", f"/api/v2/orgs?{urlencode({'org': name})}")
        for org in answer["orgs"] if status == 200 else ():
            self.request("DELETE", f"/api/v2/orgs/{org['id']}")

    def bucket(self, org: dict[str, Any], name: str, seconds: int = 0) -> dict[str, Any]:
        """A new bucket that keeps points for `seconds`, 0 for ever."""
        rules = [{"type": "expire", "everySeconds": seconds}] if seconds else []
        return self.make("buckets", orgID=org["id"], name=name, retentionRules=rules)

    def authorize(self, org: dict[str, Any], *grants: tuple[str, dict[str, Any]]) -> str:
        """A new token for ("read" or "write", bucket) pairs."""
        permissions = [
            {"action": action, "resource": resource_of(bucket)} for action, bucket in grants
        ]
        made = self.make("authorizations", orgID=org["id"], permissions=permissions)
        return str(made["token"])

    def write(
        self, org: str, bucket: str, lines: str, *, token: str | None = None, precision: str = "s"
    ) -> tuple[int, Any]:
        """Line protocol to /api/v2/write."""
        target = urlencode({"org": org, "bucket": bucket, "precision": precision})
        return self.request("POST", f"/api/v2/write?{target}", lines.encode(), token=token)

    def query(
        self, text: str, *, token: str | None = None, **options: str
    ) -> tuple[int, list[dict[str, Any]]]:
        """InfluxQL to /query: status and results."""
        target = urlencode({"q": text, "epoch": "s"} | options)
        status, answer = self.request("GET", f"/query?{target}", token=token)
        return status, answer["results"] if status == 200 else [answer]

    def rows(self, text: str, *, token: str | None = None, **options: str) -> list[dict[str, Any]]:
        """The rows of all results and series."""
        status, results = self.query(text, token=token, **options)
        assert status == 200, results
        return [
            series.get("tags", {}) | dict(zip(series["columns"], values, strict=True))
            for result in results
            for series in _series(result)
            for values in series.get("values", ())
        ]


def _series(result: dict[str, Any]) -> list[dict[str, Any]]:
    assert "error" not in result, result
    found: list[dict[str, Any]] = result.get("series", [])
    return found


def resource_of(bucket: dict[str, Any]) -> dict[str, Any]:
    """A bucket as permissions name it."""
    return {"type": "buckets", "id": bucket["id"], "orgID": bucket["orgID"]}
