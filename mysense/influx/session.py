"""The requests session below the `influxdb` package: one deadline a request, no redirects.

Imported only by those who open a connection: it brings requests and urllib3 with it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

from mysense.influx.answers import Cut

MSGPACK = "application/x-msgpack"
MAX_ANSWER = 100_000_000  # bytes, of what was asked for; a small machine has not much more
MAX_REFUSAL = 262_144  # bytes; a server repeats what it refuses, which may be long


class Wire:
    """The one socket in use, so that another thread can end whatever blocks on it."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ends = 0.0
        self._over = threading.Event()  # wakes who waits for a name to be resolved
        self._closed = False
        self.reason = ""  # why the request was cut; empty while it was not
        self.stale = False  # whether urllib3 has closed the connection
        self.meanwhile: Callable[[], None] | None = None  # to do once, between request and answer

    def begin(self) -> threading.Timer:
        """Start the clock of a request."""
        with self._lock:
            self._refuse_when_closed()
            self.reason = ""
            self._over = threading.Event()
            self._ends = time.monotonic() + self._deadline
        timer = threading.Timer(self._deadline, self._late, [self._over])
        timer.daemon = True
        timer.start()
        return timer

    def wait(self) -> None:
        """Do what there is to do while the other side works on the request that was sent."""
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            work()

    def close(self) -> None:
        """End the request in flight; every later one ends at once."""
        with self._lock:
            self._closed = True
            self._cut("interrupted, this side is stopping")

    def verify(self) -> None:
        """Raise Cut when the request was ended from this side."""
        if self.reason:
            raise Cut(self.reason)

    def connect(self, host: str, port: int, options: Any) -> socket.socket:
        """A connected socket; tries every address of `host` until the time is up."""
        problem: OSError = OSError("it has no address")
        for family, kind, protocol, _, address in self._resolve(host, port):
            connection = socket.socket(family, kind, protocol)
            try:
                for choice in options or ():
                    connection.setsockopt(*choice)
                self._watch(connection)
                connection.settimeout(max(self._ends - time.monotonic(), 0.001))
                connection.connect(address)
                self.verify()  # a socket that is shut while it connects counts as connected
                return connection
            except OSError as wrong:
                connection.close()
                self.verify()
                problem = wrong
        raise problem

    def _watch(self, connection: socket.socket) -> None:
        # a duplicate, because TLS takes the descriptor away from the socket it is given
        with self._lock:
            self._refuse_when_closed()
            self._release()
            self._socket = connection.dup()
            self.stale = False

    def end(self) -> None:
        """The answer was read; a closed connection's duplicate would keep the other side waiting.

        Not before: a connection may be closed while its answer is still being read.
        """
        with self._lock:
            if self.stale:
                self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def drop(self) -> None:
        """Close the connection, whoever still holds its pool."""
        with self._lock:
            self._shut()
            self._release()

    def _resolve(self, host: str, port: int) -> list[Any]:
        """getaddrinfo, in a thread of its own because nothing can interrupt it."""
        found: list[Any] = []

        def look_up() -> None:
            try:
                found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as wrong:  # the latter: a label that IDNA refuses
                found.append(wrong)
            over.set()

        over = self._over
        threading.Thread(target=look_up, daemon=True, name="resolve").start()
        over.wait()
        self.verify()
        if isinstance(found[0], UnicodeError):
            raise socket.gaierror(socket.EAI_NONAME, str(found[0]))
        if isinstance(found[0], OSError):
            raise found[0]
        return list(found[0])

    def _late(self, request: threading.Event) -> None:
        with self._lock:
            if self._over is request:  # and not the one after it
                self._cut(f"no complete answer within {self._deadline:g} s")

    def _cut(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._over.set()
        self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # not connected any more: all the better
                self._socket.shutdown(socket.SHUT_RDWR)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise Cut("interrupted, this side is stopping")


class Session(requests.Session):
    """A session for one thread; any other thread may call `interrupt`.

    Attributes:
        answer: the last answer that arrived whole, or None.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.trust_env = False  # ~/.netrc must not answer for the configuration, nor a proxy
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.answer: requests.Response | None = None
        self._wire = Wire(deadline)

    def mount_own(self) -> None:
        """Mount the adapter that knows its socket, over any mounted before."""
        self.adapters.clear()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._wire))

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        super().close()
        self._wire.drop()

    def interrupt(self) -> None:
        """End the request in flight, and every later one."""
        self._wire.close()

    def meanwhile(self, work: Callable[[], None] | None) -> None:
        """Do `work` in the next request, once it was sent and before its answer is read.

        A request that cannot be sent leaves it undone. Its time counts as the request's.
        """
        self._wire.meanwhile = work

    def get_redirect_target(self, _response: Any) -> None:
        """Nobody is followed: a portal's log-in page is not the database."""
        return

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send one request and read its whole answer, within the deadline."""
        timer = self._wire.begin()
        try:
            response = super().send(request, **options | {"stream": True})
            _read(response)
            self._wire.verify()  # an answer that ends where its socket does looks complete
            self._wire.end()
        except BaseException:
            self.close()
            self._wire.verify()
            raise
        finally:
            timer.cancel()
        if response.headers.get("Content-Type") == MSGPACK:
            del response.headers["Content-Type"]  # or the library would decode it, and may fail
        self.answer = response
        return response


def _read(response: requests.Response) -> None:
    """Read the whole answer, but no more than fits: of a refusal the beginning is enough.

    Of a refusal that cannot be decoded the status alone counts.
    """
    good = response.status_code < HTTPStatus.MULTIPLE_CHOICES
    try:
        content = _at_most(response, MAX_ANSWER if good else MAX_REFUSAL)
    except requests.exceptions.ContentDecodingError:
        if good:
            raise
        content = b"(an answer that cannot be decoded)"
        response.close()
    if good and len(content) > MAX_ANSWER:
        raise Cut(f"an answer of more than {MAX_ANSWER / 1e6:.0f} MB, which is too much")
    response._content = content  # there is no public way to say it
    response._content_consumed = True  # type: ignore[attr-defined]  # as its own method does


def _at_most(response: requests.Response, most: int) -> bytes:
    """The answer, or where it is longer a beginning of more than `most` bytes."""
    content = bytearray()
    for chunk in response.iter_content(65_536):
        content += chunk
        if len(content) > most:
            response.close()
            break
    return bytes(content)


class _Adapter(HTTPAdapter):
    """Makes connections through a Wire; one is kept for the next request."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wire)


def _pools(wire: Wire) -> dict[str, Any]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return wire.connect(self._dns_host, self.port, self.socket_options)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            wire.wait()
            return super().getresponse()

        def close(self) -> None:
            super().close()
            wire.stale = True

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return wire.connect(self._dns_host, self.port, self.socket_options)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            wire.wait()
            return super().getresponse()

        def close(self) -> None:
            super().close()
            wire.stale = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

        def _validate_conn(self, conn: Any) -> None:
            # connects as the original does; its warning at every request is given once, at open
            if not getattr(conn, "sock", None):
                conn.connect()

    return {"http": PlainPool, "https": EncryptedPool}
