"""Answers that no InfluxDB gives by itself: those of boxes between, and of busy clouds."""

from __future__ import annotations

from email.utils import formatdate

from tests.faults.bench import Bench
from tests.faults.ledger import Ledger
from tests.faults.proxy import through
from tests.faults.rows import row
from tests.influx.stub import Stub, answer


@row("429 with Retry-After in seconds", quick={"times": 1}, whole={"times": 4})
def slower(bench: Bench, times: int) -> Ledger:
    """The server says when to come again."""
    mood = answer("429 Too Many Requests", b'{"error":"slow down"}', "Retry-After: 1")
    return through(bench, mood, times)[0]


@row("429 with Retry-After as a date", whole={"times": 3})
def slower_date(bench: Bench, times: int) -> Ledger:
    """The same as a date, one that has passed and one that is no date."""
    dates = (f"Retry-After: {formatdate(usegmt=True)}", "Retry-After: soon")
    moods = [answer("429 Too Many Requests", b"", date) for date in dates]
    for mood in moods[:-1]:
        through(bench, mood, times)
        bench.project += "x"
    return through(bench, moods[-1], times)[0]


@row("captive portal, 200", quick={"times": 1}, whole={"times": 5})
def portal(bench: Bench, times: int) -> Ledger:
    """A page that says 200 to everything has stored nothing."""
    page = b"<html><body>Welcome, please log in</body></html>"
    ledger, said = through(bench, answer("200 OK", page, "Content-Type: text/html"), times)
    assert "something else" in said, said
    return ledger


@row("captive portal, 302", quick={"times": 1}, whole={"times": 5})
def redirected(bench: Bench, times: int) -> Ledger:
    """A redirection of a write is never followed: the telegrams go nowhere else."""
    with Stub(answer("204 No Content")) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere.port}/write"
        ledger = through(bench, answer("302 Found", b"", to), times)[0]
        assert not elsewhere.requests
    return ledger


@row("5xx and the like", whole={"times": 2})
def others(bench: Bench, times: int) -> Ledger:
    """408 425 500 502 503 504, and a 400 that names no telegram's fault: all tried again."""
    statuses = ("408 Request Timeout", "425 Too Early", "500 Internal Server Error",
                "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout",
                "400 Bad Request", "404 Not Found")  # fmt: skip
    ledgers = []
    for status in statuses:
        bench.project += "x"
        ledgers.append(through(bench, answer(status, b'{"error":"engine is closed"}'), times)[0])
        assert not ledgers[-1].faults, f"{status}: {ledgers[-1].faults}"
        assert not ledgers[-1].dead, status
    return ledgers[-1]


@row("nonsense in place of HTTP", whole={"times": 3})
def nonsense(bench: Bench, times: int) -> Ledger:
    """Something that does not speak HTTP answers."""
    return through(bench, b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", times)[0]
