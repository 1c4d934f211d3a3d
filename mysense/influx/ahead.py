"""Requests of several statements, under way while the answers before them are being read."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from mysense.influx.answers import told_apart
from mysense.influx.collector import paused
from mysense.influx.http import Answer, Server, ServerSettings
from mysense.plugin import RetryLater

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

CONNECTIONS = 2  # reach about twice of what one does; more gain nothing (measured)


@attrs.frozen
class Reply:
    """The results of one request, a statement each, and the server's clock when it answered."""

    results: Sequence[Any]
    now: float


class Ahead:
    """Sends requests by threads of its own; replies come in the order of the requests.

    Args:
        settings: the server; each thread has a connection of its own.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._servers: list[Server] = []
        self._idle: deque[Server] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[Any, Future[Reply]]] = deque()
        self._loads: Callable[[bytes], Any] = json.loads
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._version = ""

    @property
    def api(self) -> int | None:
        """1 or 2, as the server's last answer says; None before it, and where none does."""
        return told_apart(self._version)

    @property
    def who(self) -> str:
        """Who logs in: "the token", "user x" or "nobody"."""
        return Server(self._settings).who

    def open(self) -> None:
        """Get ready. Raises Misconfigured."""
        from concurrent.futures import ThreadPoolExecutor

        self.close()
        self._stopped.clear()
        self._loads = _decoder()
        self._servers = [Server(self._settings) for _ in range(CONNECTIONS)]
        for server in self._servers:
            server.open()
        self._idle = deque(self._servers)
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="influxsub")

    def close(self) -> None:
        """Drop what is under way; may be called twice."""
        self.interrupt()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
        for server in self._servers:
            server.close()
        self._servers = []

    def interrupt(self) -> None:
        """From any thread: whoever waits for a reply gets RetryLater soon."""
        self._stopped.set()
        for server in self._servers:
            server.interrupt()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether every connection has its request."""
        return len(self._waiting) >= CONNECTIONS

    def send(self, label: Any, statements: Sequence[str]) -> None:
        """Send a request; `label` comes back with its reply."""
        if self._pool is None:
            raise RetryLater("not open")
        self._waiting.append((label, self._pool.submit(self._ask, ";".join(statements))))

    def receive(self) -> tuple[Any, Reply | Answer]:
        """The label and reply of the oldest request.

        Raises:
            RetryLater: the server gave no answer; the requests after it are dropped.
        """
        label, future = self._waiting.popleft()
        try:
            return label, future.result()
        except Answer as answer:
            return label, answer
        except RetryLater:
            self.drop()
            raise

    def ask(self, statements: Sequence[str]) -> Reply:
        """One request by itself. Raises Answer, RetryLater."""
        if self._pool is None:
            raise RetryLater("not open")
        return self._pool.submit(self._ask, ";".join(statements)).result()

    def rest(self, seconds: float) -> None:
        """Wait so long, or until somebody interrupts. Raises RetryLater then."""
        if self._stopped.wait(max(seconds, 0)):
            raise RetryLater("interrupted")

    def drop(self) -> None:
        """Forget the requests under way."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()

    def _ask(self, text: str) -> Reply:
        server = self._idle.popleft()  # there is one for each thread
        try:
            content = server.query(text, post=True)
            now = server.server_time() or time.time()
        finally:
            self._version = server.version() or self._version
            self._idle.append(server)
        try:
            with paused():
                return Reply(self._loads(content)["results"], now)
        except (ValueError, KeyError, TypeError) as wrong:
            raise RetryLater(f"{server}: the answer is not that of an InfluxDB: {wrong}") from wrong


def _decoder() -> Callable[[bytes], Any]:
    try:
        import orjson
    except ImportError:  # it comes with the extra `fast`
        return json.loads
    return orjson.loads
