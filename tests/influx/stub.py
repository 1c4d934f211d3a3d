"""An HTTP server that answers whatever a test says, at whatever pace."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self


class Stub:
    """Answers request after request with the next of `answers`, the last one for ever.

    Args:
        answers: bytes of whole answers; None hangs up without one.
        pause: seconds between two bytes.
    """

    def __init__(self, *answers: bytes | None, pause: float = 0) -> None:
        self.requests: list[bytes] = []
        self._answers = list(answers)
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()  # ends its accept
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            link, _ = self._listener.accept()
            with link, contextlib.suppress(OSError):
                for request in _requests(link):
                    self.requests.append(request)
                    if not self._answer(link):
                        break

    def _answer(self, link: socket.socket) -> bool:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            return False
        if not self._pause:
            link.sendall(answer)
            return True
        for at in range(len(answer)):
            if self._over.is_set():
                return False
            link.sendall(answer[at : at + 1])
            time.sleep(self._pause)
        return True


def _requests(link: socket.socket) -> Iterator[bytes]:
    """Each request that comes over `link`: head and body."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            more = link.recv(65536)
            if not more:
                return
            buffer += more
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        size = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        while len(buffer) < size:
            more = link.recv(65536)
            if not more:
                return
            buffer += more
        yield head + b"\r\n\r\n" + buffer[:size]
        buffer = buffer[size:]


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer: `answer("429 Too Many Requests", b"", "Retry-After: 7")`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
