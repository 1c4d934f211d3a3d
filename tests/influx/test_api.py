"""Which InfluxDB is it, who logs in how, and what the two kinds of servers are asked."""

from __future__ import annotations

import contextlib
import json

import pytest

from mysense.influx.answers import told_apart
from mysense.influx.http import Answer, Server, ServerSettings
from mysense.options import Secret
from mysense.plugin import RetryLater
from tests.influx.stub import Stub, answer

LINE = b"data temp=21.5 1494777772"
STORED = answer("204 No Content")
NEW = answer("204 No Content", b"", "X-Influxdb-Version: v2.7.12", "X-Influxdb-Build: OSS")
OLD = answer("204 No Content", b"", "X-Influxdb-Version: 1.8.10")
TOKEN = {"token": Secret("tok-en==")}
USER = {"user": "me", "password": Secret("pw")}


@contextlib.contextmanager
def opened(**options):
    server = Server(ServerSettings(**({"hostname": "127.0.0.1", "timeout": 5} | options)))
    server.open()
    try:
        yield server
    finally:
        server.close()


def heads(stub):
    return [request.partition(b"\r\n\r\n")[0].decode() for request in stub.requests]


@pytest.mark.parametrize(
    ("version", "api"),
    [
        ("1.6.7", 1),
        ("1.8.10", 1),
        ("v2.7.12", 2),
        ("2.0.4", 2),
        ("3.10.1", 2),
        ("", None),
        ("dev", None),
        ("0.9.6", None),
    ],
)
def test_versions_tell_servers_apart(version, api):
    """What each says of itself; InfluxDB 3 takes the requests of 2.x."""
    assert told_apart(version) == api


def test_2x_is_asked_as_2x():
    """Organisation and bucket, a policy as part of its name, the token in a header alone."""
    with Stub(STORED) as stub, opened(port=stub.port, api="2", org="o", **TOKEN) as server:
        server.write("x", LINE)
        server.write("x", LINE, "raw", org="other")
    first, second = heads(stub)
    assert first.startswith("POST /api/v2/write?org=o&bucket=x&precision=s HTTP/1.1")
    assert second.startswith("POST /api/v2/write?org=other&bucket=x%2Fraw&precision=s HTTP/1.1")
    assert "Authorization: Token tok-en==\r\n" in first + "\r\n"


@pytest.mark.parametrize(
    ("api", "given", "header"),
    [
        ("1", TOKEN | USER, "Basic bWU6cHc="),
        ("2", TOKEN | USER, "Token tok-en=="),
        ("1", TOKEN, "Token tok-en=="),
        ("2", USER, "Basic bWU6cHc="),
    ],
)
def test_who_logs_in(api, given, header):
    """Each API has its own way, the other is taken where there is nothing else; for queries too."""
    with Stub(answer("200 OK", b"{}")) as stub, opened(port=stub.port, api=api, **given) as server:
        server.query("SHOW DATABASES")
    (head,) = heads(stub)
    assert f"Authorization: {header}" in head.split("\r\n")


def test_auto_asks_once():
    """Then it is remembered."""
    with Stub(NEW, STORED) as stub, opened(port=stub.port, api="auto", **TOKEN) as server:
        server.write("x", LINE)
        server.write("x", LINE)
    assert [head.split("?")[0].split(" HTTP")[0] for head in heads(stub)] == [
        "GET /ping",
        "POST /api/v2/write",
        "POST /api/v2/write",
    ]


def test_auto_finds_a_real_server(influxd, database):
    """InfluxDB 1.6.7 says it is one."""
    with opened(port=influxd.port, api="auto") as server:
        server.write(database, LINE)
    assert len(influxd.rows("SELECT * FROM data", database=database)) == 1


def test_auto_finds_out_who_is_to_log_in(influxd_auth):
    """InfluxDB 1.x wants the user where a token is at hand as well."""
    user = {"user": "admin", "password": Secret("admin-secret")}
    with opened(port=influxd_auth.port, api="auto", **TOKEN | user) as server:
        assert b"databases" in server.query("SHOW DATABASES")


def test_auto_asks_again_after_a_server_was_away():
    """It may have become another meanwhile."""
    with Stub(OLD, None, NEW, STORED) as stub, opened(port=stub.port, api="auto") as server:
        with pytest.raises(RetryLater):
            server.write("x", LINE)
        server.write("x", LINE)
    assert [head.split("?")[0].split(" HTTP")[0] for head in heads(stub)] == [
        "GET /ping",
        "POST /write",
        "GET /ping",
        "POST /api/v2/write",
    ]


@pytest.mark.parametrize("headers", [(), ("X-Influxdb-Version: dev",)])
def test_auto_says_when_it_cannot_tell(headers):
    """And what to set then."""
    silent = answer("204 No Content", b"", *headers)
    with (
        Stub(silent) as stub,
        opened(port=stub.port, api="auto") as server,
        pytest.raises(RetryLater, match=r"cannot be told .* set api = 1 or api = 2"),
    ):
        server.write("x", LINE)


def test_auto_knows_influxdb_3_by_an_answer_other_than_yes():
    """Its /ping wants a token."""
    asked = answer("401 Unauthorized", b"", "X-Influxdb-Version: 3.10.1")
    with Stub(asked) as stub, opened(port=stub.port, api="auto") as server:
        assert server.api() == 2


def test_what_is_to_be_done_meanwhile_is_done_with_the_write():
    """And not while the server is asked who it is."""
    done = []
    with Stub(NEW, STORED) as stub, opened(port=stub.port, api="auto") as server:
        server.write("x", LINE, meanwhile=lambda: done.append(len(stub.requests)))
    assert done
    assert done[0] >= 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "not found", "message": 'bucket "x" not found'}, 'bucket "x" not found'),
        ({"code": "invalid", "message": "unable to parse", "line": 2}, "unable to parse"),
        ({"error": "database not found"}, "database not found"),
        (
            {"error": "partial write", "data": [{"error_message": "bad", "line_number": 1}]},
            "partial write: bad",
        ),
        ({"error": "other", "data": None}, "other"),
        (["nothing"], '["nothing"]'),
    ],
)
def test_each_server_has_a_form_for_errors(body, message):
    """1.x, 2.x and 3."""
    with (
        Stub(answer("400 No", json.dumps(body).encode())) as stub,
        opened(port=stub.port) as server,
        pytest.raises(Answer) as caught,
    ):
        server.write("x", LINE)
    assert caught.value.message == message


def test_no_token_is_told_again():
    """Not in what the server repeats, in a repr, nor in a URL."""
    said = answer("401 No", b'{"code":"unauthorized","message":"no token tok-en== here"}')
    with Stub(said) as stub, opened(port=stub.port, api="2", **TOKEN) as server:
        with pytest.raises(Answer) as caught:
            server.write("x", LINE)
        assert "tok-en" not in f"{caught.value!r} {server} {server._settings!r}"
    assert "tok-en" not in heads(stub)[0].split("\r\n")[0]


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "nül"])
def test_a_token_fits_into_a_header(token):
    """Else the library would repeat it when it refuses."""
    with pytest.raises(ValueError, match="a token") as caught:
        ServerSettings(token=Secret(token))
    assert token not in str(caught.value)


def test_the_json_api_is_called():
    """A body goes there as JSON, and comes back so."""
    with Stub(answer("201 Created", b'{"id":"7"}')) as stub, opened(port=stub.port) as server:
        made = server.call("POST", "api/v2/orgs", body={"name": "ü"}, expected=201)
    assert made == {"id": "7"}
    assert json.loads(stub.requests[0].partition(b"\r\n\r\n")[2]) == {"name": "ü"}


def test_an_answer_that_is_not_json_is_an_error():
    """Something else answers."""
    with (
        Stub(answer("200 OK", b"<html>")) as stub,
        opened(port=stub.port) as server,
        pytest.raises(Answer, match="not JSON"),
    ):
        server.call("GET", "api/v2/orgs")
