"""Hints by a SUBSCRIPTION of a real influxd: they make it quick, and nothing else."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.influx.hints import address, check_address, statement
from mysense.influx.push import Listener
from mysense.intake import Intake
from mysense.journal import Journal
from mysense.options import Secret

T = 1_494_777_772
LONG = 3600.0  # seconds between two polls, if nobody ended the pause
PATIENCE = 60.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def plugin(server, database, **options):
    options = {"databases": (database,), "interval": LONG} | options
    settings = MyINFLUXSUB.Settings(hostname=server.host, port=server.port, **options)
    return MyINFLUXSUB(settings, "influxsub")


@contextmanager
def running(subscriber, journal):
    """An intake in a thread, as the engine runs it."""
    intake, stop = Intake(subscriber, journal), threading.Event()
    thread = threading.Thread(target=intake.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield intake
    finally:
        stop.set()
        subscriber.interrupt()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def until(reached):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def listening(**options):
    """A listener, its port, and the names that it hands on."""
    names, port = [], free_port()
    with closing(Listener("127.0.0.1", port, names.append, **options)):
        yield port, names


def post(port, target, body=b"data t=1 1", method="POST", **headers):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(link):
        link.request(method, target, body, headers)
        return link.getresponse().status


def test_a_subscription_ends_the_pause(influxd, database, tmp_path):
    """Without it, each of these telegrams would take an hour; they come by reading, as ever."""
    port = free_port()
    subscriber = plugin(influxd, database, push=f"127.0.0.1:{port}")
    influxd.query(statement(database, "autogen", "127.0.0.1", port))
    influxd.write(database, f"data t=0 {T}")
    with closing(Journal(tmp_path / "journal.db")) as journal, running(subscriber, journal) as one:
        until(lambda: one.read == 1)
        for at in range(1, 6):
            influxd.write(database, f"data t={at} {T + at}")
            until(lambda wanted=at + 1: one.read == wanted)
        assert (one.repeats, one.error) == (0, None)


def test_what_is_posted_is_no_telegram(influxd, database, tmp_path):
    """Whoever posts there can end a pause, not more."""
    port = free_port()
    subscriber = plugin(influxd, database, push=str(port))
    influxd.write(database, f"data t=0 {T}")
    with closing(Journal(tmp_path / "journal.db")) as journal, running(subscriber, journal) as one:
        until(lambda: one.read == 1)
        assert post(port, f"/write?db={database}&precision=ns", b"data t=666 1") == 204
        influxd.write(database, f"data t=1 {T + 1}")
        post(port, f"/write?db={database}")
        until(lambda: one.read == 2)
        assert one.error is None


def test_where_nobody_can_listen_polling_goes_on(influxd, database, caplog):
    """A hint is never needed."""
    influxd.write(database, f"data t=0 {T}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = plugin(influxd, database, push=str(taken.getsockname()[1]))
        with closing(made):
            made.open()
            items, _ = made.poll(None)
    assert (len(items), "cannot listen" in caplog.text) == (1, True)


def test_stopping_ends_a_pause(influxd, database, tmp_path):
    """Though nobody gives a hint."""
    subscriber = plugin(influxd, database, push=str(free_port()))
    influxd.write(database, f"data t=0 {T}")
    with closing(Journal(tmp_path / "journal.db")) as journal, running(subscriber, journal) as one:
        until(lambda: one.read == 1)
    assert one.read == 1


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/write?db=A_1", "POST", 204),
        ("/write?precision=ns&db=A_1&consistency=", "POST", 204),
        ("/write", "POST", 404),
        ("/query?db=A_1", "POST", 404),
        ("/write?db=A_1", "GET", 501),
    ],
)
def test_only_posts_of_a_subscription_are_taken(target, method, status):
    """The name of the database is all that is handed on."""
    with listening() as (port, names):
        assert (post(port, target, method=method), names) == (status, ["A_1"] * (status == 204))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0\xff\n\n",
        b"POST",
        b"POST /write?db=A_1 HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /write?db=A_1 HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx",
        b"POST /write?db=A_1 HTTP/1.1\r\nContent-Length: 50\r\n\r\nx",
        b"POST /write?db=%00%ff HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST http://[/write HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST /" + b"x" * 100_000,
        b"POST /write HTTP/1.1\r\n" + b"A: b\r\n" * 1000,
    ],
)
def test_whatever_is_sent_does_no_harm(text, capfd):
    """It is told no one, and the next one is served."""
    with listening() as (port, names):
        with socket.create_connection(("127.0.0.1", port)) as link, suppress(OSError):
            link.sendall(text)
            link.shutdown(socket.SHUT_WR)
            link.recv(1000)
        assert (post(port, "/write?db=B_2"), names[-1]) == (204, "B_2")
    assert capfd.readouterr() == ("", "")


def test_who_takes_all_connections_does_not_keep_them():
    """Each has its time in all, however it drips."""
    with listening(patience=0.3) as (port, names):
        links = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]

        def reaches():
            for link in links:
                with suppress(OSError):
                    link.send(b"P")
            with suppress(OSError, http.client.HTTPException):
                post(port, "/write?db=B_2")
            return bool(names)

        until(reaches)
        for link in links:
            link.close()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", None),
        ("8189", ("127.0.0.1", 8189)),
        (":8189", ("127.0.0.1", 8189)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:8189", ("::1", 8189)),
        ("kit.local:65535", ("kit.local", 65535)),
    ],
)
def test_an_address_is_this_machine_unless_told_otherwise(text, where):
    """A port alone is enough."""
    assert address(text) == where


@pytest.mark.parametrize("text", ["x", "a:b", "a:0", "a:65536", "a b:1", "http://a:1", "[::z]:1"])
def test_another_address_is_explained(text):
    """The settings say what was expected."""
    assert "host:port" in (check_address(text) or "")


def test_check_prints_what_the_server_must_be_told(influxd, database):
    """The very statement works, with the policy that is the default."""
    influxd.query(
        f'CREATE RETENTION POLICY "raw x" ON "{database}" DURATION INF REPLICATION 1 DEFAULT'
    )
    with closing(plugin(influxd, database, push="8189")) as made:
        texts = [finding.what for finding in made.check()]
    _, _, wanted = texts[-1].partition(": ")
    influxd.query(wanted)
    (row,) = [
        row for row in influxd.rows("SHOW SUBSCRIPTIONS") if row["retention_policy"] == "raw x"
    ]
    assert row["destinations"] == ["http://127.0.0.1:8189"]


def test_with_authentication_a_reader_needs_no_more(influxd_auth, project, tmp_path):
    """The administrator makes the subscription, the reader reads."""
    name, port = f"{project}_kit", free_port()
    influxd_auth.query(f'CREATE DATABASE "{name}"')
    influxd_auth.query(f"CREATE USER {project} WITH PASSWORD 'secret'")
    influxd_auth.query(f'GRANT READ ON "{name}" TO {project}')
    influxd_auth.query(statement(name, "autogen", "127.0.0.1", port))
    user = {"user": project, "password": Secret("secret")}
    subscriber = plugin(influxd_auth, name, push=str(port), **user)
    influxd_auth.write(name, f"data t=0 {T}")
    with closing(Journal(tmp_path / "journal.db")) as journal, running(subscriber, journal) as one:
        until(lambda: one.read == 1)
        influxd_auth.write(name, f"data t=1 {T + 1}")
        until(lambda: one.read == 2)
    influxd_auth.query(f'DROP SUBSCRIPTION "mysense" ON "{name}"."autogen"')
