"""A fake InfluxDB 2.7 on a real TCP port, for tests: it knows tenants, scopes and strict lines.

Every request is judged by InfluxData's OpenAPI file where that is at hand; what breaks it is
answered with 400 and kept in `violations`. Points live in a real influxd 1.x, which answers
InfluxQL. There is no Flux, and no task ever runs.

>>> with Fake(influxd) as fake:
...     fake.set_up()
...     fake.request("POST", "/api/v2/write?org=first&bucket=first&precision=s", b"data v=1 1")
(204, None)
"""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.influx2.api import Api
from tests.influx2.compat import Compat
from tests.influx2.contract import Contract
from tests.influx2.engine import Engine
from tests.influx2.errors import Refusal
from tests.influx2.routes import Asked
from tests.influx2.server import Server
from tests.influx2.state import State
from tests.influxd import Influxd

VERSION = "v2.7.12"
MAX_BODY = 25_000_000  # bytes, as they come over the wire


class Fake(Server):
    """One fake server.

    Attributes:
        state: all it knows, to look at.
        violations: what broke the contract, in the order it came; a test that means to empties it.
        judged: whether there is a contract at all.
        max_body: more bytes are 413.
        unwell: a status that all paths but /ping and /health answer instead, None in good health.
        requests: method and path of all that was asked.
    """

    kind = "fake"

    def __init__(self, influxd: Influxd) -> None:
        self.state = State()
        self.violations: list[str] = []
        self.max_body = MAX_BODY
        self.unwell: int | None = None
        self.requests: list[tuple[str, str]] = []
        self._contract = Contract.load()
        self.judged = self._contract is not None
        self._api = Api(self.state, Engine(influxd))
        self._compat = Compat(self._api)
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.fake = self
        super().__init__("127.0.0.1", self._http.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        for bucket in self.state.buckets:
            self._api.engine.drop(bucket)

    def handle(self, asked: Asked) -> tuple[int, Any]:
        """The answer to a request: status, and an object, bytes or None."""
        self.requests.append((asked.method, asked.path))
        try:
            return self._handle(asked)
        except Refusal as refusal:
            return refusal.status, refusal.body

    def _handle(self, asked: Asked) -> tuple[int, Any]:
        if asked.path == "/ping" and asked.method in {"GET", "HEAD"}:
            return 204, None
        if asked.path == "/health":
            health = {"name": "influxdb", "message": "ready for queries and writes"}
            return 200, health | {"status": "pass", "checks": [], "version": VERSION}
        if self.unwell:
            code = "unavailable" if self.unwell == 503 else "internal error"
            raise Refusal(self.unwell, code, "not now")
        self._judge(asked)
        if len(asked.body) > self.max_body:
            raise Refusal(413, "request too large", "request body is too large")
        if asked.headers.get("Content-Encoding") == "gzip":
            asked.body = gzip.decompress(asked.body)
        with self.state.lock:
            if asked.path == "/write" and asked.method == "POST":
                return self._compat.write(asked)
            if asked.path == "/query" and asked.method in {"GET", "POST"}:
                return self._compat.query(asked)
            if asked.headers.get("Content-Type", "").startswith("application/json"):
                asked.json = json.loads(asked.body or b"null")
            return self._api.answer(asked)

    def _judge(self, asked: Asked) -> None:
        if self._contract is None:
            return
        wrong = self._contract.wrong(
            asked.method, asked.path, asked.query, asked.headers, asked.body
        )
        if wrong:
            self.violations.append(f"{asked.method} {asked.path}: {wrong}")
            raise Refusal(400, "invalid", f"not what the OpenAPI file describes: {wrong}")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    fake: Fake


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    server: _Http

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        asked = Asked(self.command, parts.path, query, self.headers, body)
        status, content = self.server.fake.handle(asked)
        self._send(status, content)

    def _send(self, status: int, content: Any) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-Influxdb-Build", "OSS")
        self.send_header("X-Influxdb-Version", VERSION)
        if content is not None:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                raw = gzip.compress(raw, 1)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if content is not None and self.command != "HEAD":
            self.wfile.write(raw)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815  # so asked for

    def log_message(self, *_: Any) -> None:
        """Nothing: tests say what matters."""
