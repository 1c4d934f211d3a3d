"""Hints by an InfluxDB SUBSCRIPTION: the server posts what it is given, and that ends a pause.

What is posted is not used, not even looked at: it comes before the server has stored it, without
order, and never again when somebody was not there. Reading is what counts.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Container, Iterable, Mapping

import attrs

from mysense.influx.naming import quote_identifier

_LOOPBACK = "127.0.0.1"
_AGAIN = (0.003, 0.01, 0.03, 0.1, 0.3)  # seconds until the server shows what it has announced


def address(text: str) -> tuple[str, int] | None:
    """Host and port to listen on; None where nobody is to listen.

    Raises:
        ValueError: it is neither `host:port` nor a port alone, which is one of this machine.
    """
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or _LOOPBACK
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise ValueError(text)
    if ":" in host:
        ipaddress.IPv6Address(host)
    elif not re.fullmatch(r"[A-Za-z0-9_.-]+", host):
        raise ValueError(text)
    return host, int(port)


def check_address(text: str) -> str | None:
    """What was expected instead, where nobody can listen on `text`."""
    try:
        address(text)
    except ValueError:
        return "host:port, such as 127.0.0.1:8189, or empty"
    return None


def statement(database: str, rp: str, host: str, port: int) -> str:
    """What makes the server give hints about one database."""
    shown = f"[{host}]" if ":" in host else host
    return (
        f'CREATE SUBSCRIPTION "mysense" ON {quote_identifier(database)}.{quote_identifier(rp)} '
        f"DESTINATIONS ANY 'http://{shown}:{port}'"
    )


@attrs.define(eq=False)
class Hint:
    """Somebody said that there is something new; how often that was looked for since."""

    looks: int = 0


class Hints:
    """Which databases have news, as far as somebody said so; for several threads."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._hinted: dict[str, Hint] = {}

    def expect(self, databases: Iterable[str]) -> None:
        """Take hints about these alone."""
        self._known = frozenset(databases)

    def give(self, database: str) -> None:
        """Something may have been written there."""
        if database in self._known:
            with self._lock:
                self._hinted[database] = Hint()
            self._news.set()

    def take(self) -> Mapping[str, Hint]:
        """The databases to look at now."""
        with self._lock:
            return dict(self._hinted)

    def looked(self, hints: Mapping[str, Hint], found: Container[str]) -> None:
        """These were followed; nothing more is expected of databases where something was found."""
        with self._lock:
            for name, hint in hints.items():
                hint.looks += 1
                over = name in found or hint.looks > len(_AGAIN)
                if over and self._hinted.get(name) is hint:  # there may be another one by now
                    del self._hinted[name]

    def wait(self, seconds: float) -> None:
        """Wait so long, or until there is a hint, or until what was announced may be there."""
        with self._lock:
            looks = min((hint.looks for hint in self._hinted.values()), default=None)
        if looks is not None:
            seconds = min(seconds, _AGAIN[looks - 1]) if looks else 0
        self._news.wait(seconds)
        self._news.clear()

    def wake(self) -> None:
        """End whatever waits."""
        self._news.set()
