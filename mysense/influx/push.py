"""Listens to the posts of InfluxDB SUBSCRIPTIONs; see hints.py for what they are good for."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PATIENCE = 5.0  # seconds for a whole request
_LARGEST = 32_000_000  # bytes of a body; the server itself takes 25 million
_PIECE = 65_536
_TOGETHER = 16  # connections


class Listener:
    """Takes the posts of a server and hands on which database they are about.

    Args:
        host: a name or address of this machine.
        port: TCP port.
        hint: called with what is said to be the name of a database, by threads of the listener.
        patience: seconds that a whole request may take.

    Raises:
        OSError: that address cannot be listened on.
    """

    def __init__(
        self, host: str, port: int, hint: Callable[[str], None], patience: float = _PATIENCE
    ) -> None:
        self._server = (_Server6 if ":" in host else _Server)((host, port), _Handler)
        self._server.hint, self._server.patience = hint, patience
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="influxsub-push", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    """A thread a connection, a few at once, none for long."""

    allow_reuse_address = True
    block_on_close = False
    daemon_threads = True
    request_queue_size = 64
    hint: Callable[[str], None]
    patience = _PATIENCE

    def __init__(self, *given: Any) -> None:
        self._open: dict[Any, float] = {}
        super().__init__(*given)

    def verify_request(self, request: Any, _client: Any) -> bool:
        """Whether there is room for one more."""
        if len(self._open) >= _TOGETHER:
            return False
        self._open[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Several times a second: end what takes too long."""
        for request, since in [*self._open.items()]:
            if time.monotonic() - since > self.patience:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is just being closed

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Whoever hangs up, or writes what is no HTTP, is no concern of ours."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE

    def do_POST(self) -> None:  # so http.server calls it
        """`POST /write?db=...`; the body is dropped."""
        target = urlsplit(self.path)
        (name, *_) = parse_qs(target.query).get("db", [""])
        if target.path != "/write" or not name:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        self.server.hint(name)
        self._answer(HTTPStatus.NO_CONTENT if self._drop() else HTTPStatus.BAD_REQUEST)

    def _drop(self) -> bool:
        """Read the body away; whether it was one."""
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()) or int(size) > _LARGEST:
            return False
        left = int(size)
        while left:
            read = len(self.rfile.read(min(left, _PIECE)))
            if not read:
                return False
            left -= read
        return True

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response_only(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody wants to read of every post."""
