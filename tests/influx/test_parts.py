"""Large batches, of which a part goes over a second connection."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.influx.parts import LARGE
from mysense.plugin import Refused, RetryLater
from mysense.telegram import Ident, Telegram
from tests.influx.stub import Stub, answer

NOW = 1_494_777_772
LATE = LARGE - 3  # an index in the second part


@pytest.fixture
def ident(project):
    return Ident(project=project, serial="s", label="alphaTest")


@pytest.fixture
def name(influxd, ident):
    yield ident.kit
    influxd.query(f'DROP DATABASE "{ident.kit}"')


def opened(port, **options):
    publisher = PLUGIN(PLUGIN.Settings(hostname="127.0.0.1", port=port, **options), "influxpub")
    publisher.open(None)
    return publisher


def telegrams(ident, **late):
    """A large batch, and one that makes the database known; `late` is in the second part."""
    made = [Telegram(ident, {"time": NOW + at, "v": float(at)}) for at in range(LARGE + 1)]
    if late:
        made[LATE + 1] = Telegram(ident, {"time": NOW + LATE + 1} | late)
    return made[:1], made[1:]


def values(influxd, name):
    return [row["v"] for row in influxd.rows("SELECT v FROM data", database=name)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_large_batch_arrives_whole(influxd, ident, name, compressed):
    """Both parts, and the connection beside was used."""
    first, rest = telegrams(ident)
    with opened(influxd.port, gzip=compressed) as publisher:
        publisher.publish(first)
        publisher.publish(rest)
        assert publisher._beside._session.answer.status_code == 204
    assert values(influxd, name) == list(range(LARGE + 1))


def test_what_is_refused_is_told_by_its_place_in_the_batch(influxd, ident, name):
    """Also when it is in the second part."""
    first, rest = telegrams(ident, v=None)
    with opened(influxd.port) as publisher:
        publisher.publish(first)
        with pytest.raises(Refused) as caught:
            publisher.publish(rest)
    assert list(caught.value.reasons) == [LATE]
    assert len(values(influxd, name)) == LARGE


def test_what_does_not_fit_its_column_is_looked_at_again(influxd, ident, name):
    """Somebody has dropped the column meanwhile, so the text is stored after all."""
    _, rest = telegrams(ident, w="text")
    with opened(influxd.port) as publisher:
        publisher.publish([Telegram(ident, {"time": NOW, "w": 1.0})])
        influxd.query('DROP MEASUREMENT "data"', database=name)
        publisher.publish(rest)
    assert influxd.rows("SELECT w FROM data", database=name)[0]["w"] == "text"
    assert len(values(influxd, name)) == LARGE - 1


def test_a_database_dropped_in_between_is_made_again(influxd, ident, name):
    """With all of the batch, and its info."""
    first, rest = telegrams(ident)
    with opened(influxd.port) as publisher:
        publisher.publish(first)
        influxd.query(f'DROP DATABASE "{name}"')
        publisher.publish(rest)
    assert len(values(influxd, name)) == LARGE
    assert len(influxd.rows("SELECT * FROM info", database=name)) == 1


def test_without_a_second_connection_everything_goes_over_the_first(influxd, ident, name):
    """As where a proxy allows one for each client."""
    first, rest = telegrams(ident)
    with opened(influxd.port) as publisher:
        publisher.publish(first)
        publisher._beside.close()
        publisher.publish(rest)
    assert len(values(influxd, name)) == LARGE + 1


def test_a_server_of_one_connection_at_a_time_gets_one(ident):
    """The first try takes its time; from then on one part goes after the other."""
    first, rest = telegrams(ident)
    stored = answer("204 No Content")
    with Stub(answer("403 Forbidden"), stored) as stub, opened(stub.port, timeout=1) as publisher:
        publisher.publish(first)
        with pytest.raises(RetryLater, match="no complete answer within 1 s"):
            publisher.publish(rest)
        publisher.publish(rest)
    sent = [request.partition(b"\r\n\r\n")[2] for request in stub.requests[-2:]]
    assert sum(body.count(b"\n") + 1 for body in sent) == LARGE


class Recorder(ThreadingHTTPServer):
    """Answers writes with `status`, and keeps their bodies."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Recording)
        self.status = 204
        self.bodies = []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Recording(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(403)

    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(self.server.status)

    def reply(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Not into the output of tests."""


def test_a_retry_is_the_same_bytes(ident):
    """In the same two parts."""
    first, rest = telegrams(ident)
    with Recorder() as server, opened(server.server_port) as publisher:
        publisher.publish(first)
        publisher.publish(rest)
        publisher.publish(rest)
    _, *once = server.bodies[:3]
    assert sorted(once) == sorted(server.bodies[3:])
    assert sum(body.count(b"\n") + 1 for body in once) == LARGE


def test_an_overloaded_server_is_not_asked_once_more(ident):
    """Two parts, and no third request; the next try ends with the first part."""
    first, rest = telegrams(ident)
    with Recorder() as server, opened(server.server_port) as publisher:
        publisher.publish(first)
        server.status = 503
        for expected in (3, 4):
            with pytest.raises(RetryLater, match="503"):
                publisher.publish(rest)
            assert len(server.bodies) == expected


def test_interrupt_ends_both_requests(new_influxd, ident):
    """At once, while the server hangs."""
    influxd = new_influxd()
    first, rest = telegrams(ident)
    with opened(influxd.port, timeout=20) as publisher:
        publisher.publish(first)
        influxd.hang()
        threading.Timer(0.5, publisher.interrupt).start()
        with pytest.raises(RetryLater, match="interrupted"):
            publisher.publish(rest)
