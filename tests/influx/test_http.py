"""The transport, against real servers and against one that misbehaves."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from mysense.influx.http import Answer, Server, ServerSettings
from mysense.influx.naming import NameRefused, database, quote_identifier, quote_string
from mysense.options import Secret
from mysense.plugin import Misconfigured, RetryLater
from tests.influx.scripted import Scripted, closing
from tests.influx.stub import Stub, answer
from tests.influxd import Influxd

LINE = b"data temp=21.5 1494777772"
STORED = answer("204 No Content")


@contextlib.contextmanager
def opened(**options):
    server = Server(ServerSettings(**({"hostname": "127.0.0.1"} | options)))
    server.open()
    try:
        yield server
    finally:
        server.close()


def seconds_until_given_up(call):
    start = time.monotonic()
    with pytest.raises(RetryLater):
        call()
    return time.monotonic() - start


def test_what_is_written_can_be_read(influxd, database):
    """Lines with seconds go in, JSON comes out."""
    with opened(port=influxd.port) as server:
        server.write(database, LINE)
        result = json.loads(server.query("SELECT * FROM data", database=database))
    assert result["results"][0]["series"][0]["values"] == [[1494777772, 21.5]]


@pytest.mark.parametrize("post", [True, False])
def test_queries_go_either_way(influxd, post):
    """By GET, and by POST where they change something or are long."""
    with opened(port=influxd.port) as server:
        assert b"databases" in server.query("SHOW DATABASES", post=post)


def test_bodies_may_be_compressed(influxd, database):
    """With gzip the server gets the same lines."""
    with opened(port=influxd.port, gzip=True) as server:
        server.write(database, LINE)
    assert influxd.rows("SELECT temp FROM data", database=database)[0]["temp"] == 21.5


def test_the_server_says_who_it_is_and_what_time_it_has(influxd):
    """Its clock is this machine's."""
    with opened(port=influxd.port) as server:
        assert server.server_time() is None
        assert server.ping().startswith("1.")
        assert abs(server.server_time() - time.time()) < 5


def test_other_answers_are_raised(influxd):
    """With status and the server's own words."""
    with opened(port=influxd.port) as server, pytest.raises(Answer) as caught:
        server.write("nix", LINE)
    assert (caught.value.status, caught.value.message) == (404, 'database not found: "nix"')


def test_user_and_password_open_the_door(influxd_auth):
    """They go into a header, as Basic."""
    options = {"port": influxd_auth.port, "user": "admin", "password": Secret("admin-secret")}
    with opened(**options) as server:
        assert b"databases" in server.query("SHOW DATABASES")


@pytest.mark.parametrize("options", [{}, {"user": "x", "password": Secret("secret-x")}])
def test_a_wrong_user_is_401_and_the_password_is_not_told(influxd_auth, options):
    """Nobody, and one who is not known."""
    with opened(port=influxd_auth.port, **options) as server, pytest.raises(Answer) as caught:
        server.query("SHOW DATABASES")
    assert (caught.value.status, "secret-x" in str(caught.value)) == (401, False)


def test_a_password_need_not_be_latin(influxd_auth):
    """It travels as UTF-8."""
    influxd_auth.query("CREATE USER \"jürgen\" WITH PASSWORD 'пароль€'")
    options = {"port": influxd_auth.port, "user": "jürgen", "password": Secret("пароль€")}
    with opened(**options) as server:
        assert b"results" in server.query("SHOW DATABASES")


def test_netrc_and_proxies_of_the_environment_are_not_used(tmp_path, monkeypatch):
    """Only the configuration says who logs in, and where."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Stub(STORED) as stub, opened(port=stub.port) as server:
        server.write("x", LINE)
    assert b"Authorization" not in stub.requests[0]


def test_the_password_is_in_the_header_alone():
    """Not in the URL, which ends in logs."""
    options = {"user": "me", "password": Secret("hidden")}
    with Stub(STORED) as stub, opened(port=stub.port, **options) as server:
        server.write("x", LINE)
    head = stub.requests[0].partition(b"\r\n\r\n")[0]
    assert b"Authorization: Basic bWU6aGlkZGVu" in head
    assert b"hidden" not in head


def test_the_request_is_what_influxdb_wants():
    """Precision in seconds, the policy asked for, nothing compressed."""
    with Stub(STORED) as stub, opened(port=stub.port) as server:
        server.write("x", LINE, "raw")
    head, _, body = stub.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /write?db=x&precision=s&rp=raw HTTP/1.1")
    assert b"Accept-Encoding: identity" in head
    assert body == LINE


def test_a_compressed_retry_is_the_same_bytes():
    """No time goes into the gzip header."""
    with Stub(STORED) as stub, opened(port=stub.port, gzip=True) as server:
        server.write("x", LINE)
        server.write("x", LINE)
    assert stub.requests[0] == stub.requests[1]
    assert gzip.decompress(stub.requests[0].partition(b"\r\n\r\n")[2]) == LINE


def test_the_connection_is_used_again(influxd, database):
    """One connection for many requests."""
    with opened(port=influxd.port) as server:
        server.write(database, LINE)
        before = server._session._wire._socket
        server.write(database, LINE)
        assert server._session._wire._socket is before


def test_nobody_is_followed():
    """A captive portal's redirect is an answer, and no acknowledgement."""
    with Stub(answer("302 Found", b"", "Location: http://127.0.0.1:9/log-in")) as stub:
        with opened(port=stub.port) as server, pytest.raises(Answer) as caught:
            server.write("x", LINE)
        assert len(stub.requests) == 1
    assert (caught.value.status, "log-in" in str(caught.value)) == (302, True)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("Retry-After: 7", 7.0),
        ("Retry-After: 0", 1.0),
        ("Retry-After: 99999", 3600.0),
        ("Retry-After: Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Retry-After: soon", None),
        ("X: y", None),
    ],
)
def test_retry_after_is_read(header, after):
    """Seconds or a date by the server's clock, from a second to an hour."""
    date = "Date: Thu, 01 Jan 2026 00:00:00 GMT"
    with (
        Stub(answer("429 Too Many Requests", b"slow down", header, date)) as stub,
        opened(port=stub.port) as server,
        pytest.raises(Answer) as caught,
    ):
        server.write("x", LINE)
    assert (caught.value.message, caught.value.retry_after) == ("slow down", after)


def test_what_a_server_says_cannot_play_with_the_terminal():
    """Control characters and line ends are taken out."""
    with (
        Stub(answer("503 No", b"\x1b[31mred\r\nline")) as stub,
        opened(port=stub.port) as server,
        pytest.raises(Answer) as caught,
    ):
        server.write("x", LINE)
    assert caught.value.message == "[31mred line"


def test_msgpack_that_nobody_asked_for_is_not_decoded():
    """The library would."""
    bad = answer("500 No", b"\xc1", "Content-Type: application/x-msgpack")
    with Stub(bad) as stub, opened(port=stub.port) as server, pytest.raises(Answer):
        server.write("x", LINE)


@pytest.mark.parametrize(
    "drip",
    [
        answer("204 No Content", b"", "X: " + "y" * 400),
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 400,
    ],
)
def test_a_server_that_drips_does_not_hold_us(drip):
    """The deadline is for the whole request, whatever bytes still come."""
    with Stub(drip, pause=0.05) as stub, opened(port=stub.port, timeout=1) as server:
        assert 0.9 < seconds_until_given_up(lambda: server.query("x")) < 2


@pytest.mark.parametrize("chunked", [False, True])
def test_of_a_refusal_without_end_the_beginning_is_read(chunked):
    """It neither fills the memory nor hides what the server begins with."""
    part = b'{"error":"partial write: unable to parse ' + b"x" * 1_000_000
    if chunked:
        body = b"%x\r\n%s\r\n" % (len(part), part)  # and no last chunk
        endless = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    else:
        endless = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500000000\r\n\r\n" + part
    with Stub(endless, STORED) as stub, opened(port=stub.port, timeout=30) as server:
        with pytest.raises(Answer, match=r"^400: partial write: unable to parse x"):
            server.write("x", LINE)
        server.write("x", LINE)


def test_an_answer_that_does_not_fit_into_memory_is_not_read(monkeypatch):
    """A query whose answer has no end is given up, and the next one is answered."""
    monkeypatch.setattr("mysense.influx.session.MAX_ANSWER", 200_000)
    much, little = answer("200 OK", b"x" * 1_000_000), answer("200 OK", b"{}")
    with Stub(much, little) as stub, opened(port=stub.port) as server:
        with pytest.raises(RetryLater, match="an answer of more than 0 MB"):
            server.query("SHOW DATABASES")
        assert server.query("SHOW DATABASES") == b"{}"


def test_a_server_that_never_answers_is_given_up(new_influxd):
    """It takes the connection and stands still."""
    influxd = new_influxd()
    influxd.hang()
    with opened(port=influxd.port, timeout=1) as server:
        assert seconds_until_given_up(lambda: server.write("x", LINE)) < 2


def test_the_next_request_works_after_a_late_one():
    """The connection that was cut is not used again."""
    with (
        Stub(answer("204 No", b"", "X: " + "y" * 99), pause=0.05) as stub,
        opened(port=stub.port, timeout=0.5) as server,
    ):
        with pytest.raises(RetryLater, match=r"no complete answer within 0.5 s"):
            server.write("x", LINE)
        stub._pause = 0
        server.write("x", LINE)


def test_a_lost_answer_is_to_be_tried_again():
    """Nobody knows whether it was stored."""
    with Stub(None) as stub, opened(port=stub.port) as server:
        with pytest.raises(RetryLater, match=f"127.0.0.1:{stub.port}"):
            server.write("x", LINE)
        assert len(stub.requests) == 1, "the library tried again by itself"


def test_nobody_there_is_said_with_host_and_port():
    """As is a name that is not known."""
    with opened(port=1) as server, pytest.raises(RetryLater, match=r"127.0.0.1:1: .*refused"):
        server.write("x", LINE)
    with (
        opened(hostname="no.such.host.invalid") as server,
        pytest.raises(RetryLater, match=r"name no.such.host.invalid is unknown"),
    ):
        server.write("x", LINE)


def test_interrupt_ends_a_request_at_once(new_influxd):
    """And every later one, until it is opened again."""
    influxd = new_influxd()
    with opened(port=influxd.port) as server:
        server.query("SHOW DATABASES")
        influxd.hang()
        threading.Timer(0.3, server.interrupt).start()
        assert seconds_until_given_up(lambda: server.query("SHOW DATABASES")) < 1
        assert seconds_until_given_up(lambda: server.query("SHOW DATABASES")) < 0.1
        influxd.resume()
        server.open()
        assert b"results" in server.query("SHOW DATABASES")


def test_interrupt_ends_a_connection_that_does_not_come_about():
    """A listener with a full queue: the packets that ask for a connection are dropped."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with opened(port=full.getsockname()[1]) as server:
            threading.Timer(0.3, server.interrupt).start()
            assert seconds_until_given_up(server.ping) < 1


def test_interrupt_ends_a_name_that_is_not_resolved(monkeypatch):
    """A name server that does not answer takes half a minute."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
    with opened(hostname="slow.example") as server:
        threading.Timer(0.2, server.interrupt).start()
        assert seconds_until_given_up(server.ping) < 1


def test_close_may_be_called_twice_and_before_open():
    """As the contract of plugins says."""
    server = Server(ServerSettings())
    server.close()
    server.interrupt()
    server.close()
    with pytest.raises(RetryLater, match="not open"):
        server.ping()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `localhost`, not for 127.0.0.1, signed by itself."""
    path = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem"
    command += " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(command.split(), check=True, capture_output=True, cwd=path)
    return path


class Https(Influxd):
    """A real server that speaks https, for which its fixture has to ask by https too."""

    def request(self, *_, **__):
        context = ssl._create_unverified_context()
        link = http.client.HTTPSConnection(self.host, self.port, context=context)
        with contextlib.closing(link):
            link.request("GET", "/ping")
            found = link.getresponse()
            return found.status, found.read().decode()


@pytest.fixture
def https_influxd(certificate):
    """It asks for no user."""
    options = {
        "https-enabled": True,
        "https-certificate": str(certificate / "cert.pem"),
        "https-private-key": str(certificate / "key.pem"),
    }
    with Https(config={"http": options}) as server:
        yield server


def test_certificates_are_verified_and_faults_named(https_influxd, certificate):
    """Unknown signer, other name, no verification, no https: each is said as what it is."""
    ca = certificate / "cert.pem"
    port = https_influxd.port
    with opened(hostname="localhost", port=port, ssl=True, ca_file=ca) as server:
        assert server.ping()
    with opened(port=port, ssl=True, verify_ssl=False) as server:
        assert server.ping()
    with (
        opened(hostname="localhost", port=port, ssl=True) as server,
        pytest.raises(RetryLater, match=r"wrong certificate: .*ca_file"),
    ):
        server.ping()
    with (
        opened(port=port, ssl=True, ca_file=ca) as server,
        pytest.raises(RetryLater, match=r"wrong certificate: .*set hostname"),
    ):
        server.ping()
    https_influxd.hang()
    with opened(port=port, ssl=True, timeout=1) as server:  # during the handshake
        assert seconds_until_given_up(server.ping) < 2


def test_plain_http_on_an_https_port_is_named(influxd):
    """The usual slip."""
    with (
        opened(port=influxd.port, ssl=True) as server,
        pytest.raises(RetryLater, match="does not speak https"),
    ):
        server.ping()


@pytest.mark.parametrize(
    ("said", "told"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"), (closing(b"\x15\x03\x01\x00"), "https")],
)
def test_what_is_no_web_server_is_named(said, told):
    """The port of something else."""
    with (
        Scripted(rule=said) as other,
        opened(port=other.port) as server,
        pytest.raises(RetryLater, match=f"is no web server .*{told}"),
    ):
        server.write("A_1", b"data t=1 1")


@pytest.mark.parametrize(
    "options", [{"ca_file": "x"}, {"ssl": True, "ca_file": "x"}, {"ssl": True, "client_cert": "x"}]
)
def test_files_that_are_not_there_are_said_at_open(options, tmp_path):
    """Before the first request."""
    given = {key: tmp_path / value if value == "x" else value for key, value in options.items()}
    with pytest.raises(Misconfigured, match=r"ca_file|client_cert"):
        Server(ServerSettings(**given)).open()


@pytest.mark.parametrize("name", ["http://x", "x:8086", "me@x", "", "a b"])
def test_a_hostname_is_a_host_name(name):
    """Not a URL."""
    with pytest.raises(ValueError, match="host name"):
        ServerSettings(hostname=name)


def test_nothing_heavy_is_imported_before_open():
    """A start stays fast for those who do not use InfluxDB."""
    code = (
        "import sys; import channels.MyINFLUXPUB; "
        "print([name for name in ('requests', 'influxdb', 'orjson') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["", "../x", "_x", 'a"; DROP DATABASE "b', "a b", "é", "x" * 256])
def test_only_plain_names_make_a_database(name):
    """Whatever else a server would take."""
    with pytest.raises(NameRefused):
        database(name)


@pytest.mark.parametrize("name", ["plain", 'q"uote', "a'b", "ünï"])
def test_identifiers_are_quoted_as_the_server_reads_them(influxd, name):
    """A quoted name makes exactly that database, and a quoted text finds it."""
    try:
        influxd.query(f"CREATE DATABASE {quote_identifier(name)}")
        assert name in influxd.databases()
    finally:
        influxd.query(f"DROP DATABASE {quote_identifier(name)}")


def test_texts_are_quoted_as_the_server_reads_them(influxd, database):
    """Quotes and backslashes included."""
    text = 'it\'s \\ "so"'
    with opened(port=influxd.port) as server:
        server.write(database, b'd v="it\'s \\\\ \\"so\\"" 1')
    found = influxd.rows(f"SELECT v FROM d WHERE v = {quote_string(text)}", database=database)
    assert [row["v"] for row in found] == [text]
