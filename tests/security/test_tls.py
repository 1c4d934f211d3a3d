"""A certification authority of one's own and client certificates, before a real server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading

import pytest

from mysense.influx.http import Server, ServerSettings
from mysense.plugin import RetryLater

CONF = "[{0}]\nbasicConstraints=CA:{1}\nsubjectAltName=DNS:localhost\n"


class Gate:
    """Ends TLS before a server, and lets only those in who show a certificate of the authority."""

    def __init__(self, server, folder, cert="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{cert}.pem", folder / f"{cert}.key")
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._context, self._server = context, server
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._let_in, args=self._door.accept()[:1]).start()

    def _let_in(self, guest):
        with (
            guest,
            contextlib.suppress(OSError, ssl.SSLError),
            self._context.wrap_socket(guest, server_side=True) as inside,
            socket.create_connection((self._server.host, self._server.port)) as server,
        ):
            back = threading.Thread(target=self._carry, args=(server, inside))
            back.start()
            self._carry(inside, server)
            back.join()

    @staticmethod
    def _carry(from_, to):
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := from_.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def close(self):
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """ca.pem, and certificates that it signed: server and kit; no.pem is a stranger's."""
    folder = tmp_path_factory.mktemp("ca")

    def openssl(words):
        subprocess.run(["openssl", *words.split()], check=True, capture_output=True, cwd=folder)

    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ours")
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout no.key -out no.pem -subj /CN=theirs")
    (folder / "ext").write_text(CONF.format("v3", "FALSE"))
    for name in ("server", "kit"):
        openssl(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
        openssl(f"{sign} -out {name}.pem -days 2 -extfile ext -extensions v3")
    return folder


def reached(gate, **options):
    """Whether a server could be reached through the gate."""
    settings = ServerSettings(hostname="localhost", port=gate.port, ssl=True, timeout=5, **options)
    server = Server(settings)
    server.open()
    try:
        server.query("SHOW DATABASES")
        return "reached"
    except RetryLater as wrong:
        return str(wrong)
    finally:
        server.close()


@pytest.fixture
def gate(influxd, papers):
    made = Gate(influxd, papers)
    yield made
    made.close()


def test_who_shows_a_certificate_is_let_in(gate, papers):
    """`client_cert` with its key beside it or in it."""
    options = {"ca_file": papers / "ca.pem", "client_cert": papers / "kit.pem"}
    assert reached(gate, **options, client_key=papers / "kit.key") == "reached"
    both = papers / "both.pem"
    both.write_text((papers / "kit.pem").read_text() + (papers / "kit.key").read_text())
    assert reached(gate, ca_file=papers / "ca.pem", client_cert=both) == "reached"


def test_who_shows_none_or_a_strangers_is_not(gate, papers):
    """It is said that this has to do with certificates."""
    none = reached(gate, ca_file=papers / "ca.pem")
    options = {"client_cert": papers / "no.pem", "client_key": papers / "no.key"}
    strange = reached(gate, ca_file=papers / "ca.pem", **options)
    assert "reached" not in (none, strange)
    assert "certificate" in none.lower(), none


def test_a_server_of_another_authority_is_refused(gate, papers):
    """Before anything is sent to it."""
    said = reached(
        gate,
        ca_file=papers / "no.pem",
        client_cert=papers / "kit.pem",
        client_key=papers / "kit.key",
    )
    assert "wrong certificate" in said
    assert "ca_file" in said
