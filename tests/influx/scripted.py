"""A server on a plain socket that does to each write what a test says, well or badly."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
from urllib.parse import parse_qs, unquote_plus

STORED = b"HTTP/1.1 204 No Content\r\n\r\n"


def reply(status, body=b"", *headers):
    """A whole answer: `reply(429, b"", "Retry-After: 7")`."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def error(status, message, *headers):
    """An answer as InfluxDB 1.x gives it."""
    text = message.replace("\\", "\\\\").replace('"', '\\"')
    return reply(status, f'{{"error":"{text}"}}'.encode(), *headers)


def packed(status, message):
    """The same, compressed though nobody asked for it."""
    return reply(
        status, gzip.compress(f'{{"error":"{message}"}}'.encode()), "Content-Encoding: gzip"
    )


class Scripted:
    """Answers writes with the next of `script`, and with `rule` when that has run out.

    A step is what to send, None to hang up without an answer, or a function of server, link and
    the request's body, which says so itself; what it returns is a step again, True to go on with
    the connection, or False to close it. Queries are answered as by an empty server.
    """

    def __init__(self, *script, rule=STORED, create=b'{"results":[{}]}'):
        self.script, self.rule, self.create = list(script), rule, create
        self.writes, self.bodies, self.queries, self.links = [], [], [], 0
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._lock = threading.Lock()

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _listen(self):
        while True:
            link, _ = self._listener.accept()
            if self.over.is_set():
                link.close()
                return
            self.links += 1
            thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link):
        link.settimeout(0.05)
        with link, contextlib.suppress(OSError):
            stream = _Stream(link, self.over)
            while (head := stream.upto(b"\r\n\r\n")) is not None:
                if not self._request(link, stream, head):
                    return

    def _request(self, link, stream, head):
        target = head.split(b" ")[1].decode()
        if not target.startswith("/write"):
            return self._query(link, stream, head, target)
        with self._lock:
            step = self.script.pop(0) if self.script else self.rule
            self.writes.append(head)
        if getattr(step, "before_the_body", False):
            return step(self, link)
        body = stream.exactly(_length(head))
        with self._lock:
            self.bodies.append(body)
        while callable(step):
            step = step(self, link, body)
        if isinstance(step, bytes):
            link.sendall(step)
            return True
        return bool(step)

    def _query(self, link, stream, head, target):
        body = stream.exactly(_length(head)).decode()
        query = parse_qs(target.partition("?")[2] or body).get("q", [unquote_plus(body)])[0]
        self.queries.append(query)
        if query.startswith("CREATE"):
            link.sendall(
                self.create if self.create.startswith(b"HTTP") else reply(200, self.create)
            )
        else:
            link.sendall(reply(200, b'{"results":[{}]}'))
        return True


class _Stream:
    def __init__(self, link, over):
        self._link, self._over, self._buffer = link, over, b""

    def _more(self):
        while not self._over.is_set():
            try:
                found = self._link.recv(65536)
            except TimeoutError:
                continue
            self._buffer += found
            return bool(found)
        return False

    def upto(self, end):
        while end not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    def exactly(self, size):
        while len(self._buffer) < size and self._more():
            pass
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found


def _length(head):
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


# -- ways to misbehave --------------------------------------------------------------------------


def reset(_server, link, _body=b"", sent=b""):
    """Send `sent`, then break the connection off."""
    link.sendall(sent)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def half(answer):
    """The first half of an answer, then a reset."""
    return lambda server, link, body: reset(server, link, body, answer[: len(answer) // 2])


def closing(answer):
    """A good answer, after which the server closes the connection without a word."""

    def step(_server, link, _body):
        link.sendall(answer)
        return False

    return step


def dripping(answer, every=0.05):
    """A byte now and then, for ever so long."""

    def step(server, link, _body):
        for at in range(len(answer)):
            link.sendall(answer[at : at + 1])
            if server.over.wait(every):
                return False
        server.over.wait(30)
        return False

    return step


def silent(server, _link, _body):
    """The request is taken, and nothing comes back."""
    server.over.wait(30)
    return False


def sipping(server, link):
    """The request itself is read a byte at a time."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.settimeout(30)
    with contextlib.suppress(OSError):
        while not server.over.wait(0.05) and link.recv(1):
            pass
    return False


sipping.before_the_body = True
