"""An InfluxDB server over HTTP, through the `influxdb` package with bodies of our own."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from mysense.influx.answers import Answer, answered, date, reason
from mysense.options import Secret, option
from mysense.plugin import Misconfigured, RetryLater

__all__ = ["Answer", "Server", "ServerSettings"]

if TYPE_CHECKING:
    from mysense.influx.session import Session


def _hostname(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f:.]+(%\w+)?\]?", text):
        return None
    return "a host name or address alone; port, ssl and user are options of their own"


def _user(text: str) -> str | None:
    return "a user name without a colon" if ":" in text else None


@attrs.frozen(kw_only=True, slots=False)  # slots could not be mixed with those of other settings
class ServerSettings:
    """How to reach an InfluxDB server."""

    hostname: str = option("localhost", "host name or address of the server", check=_hostname)
    port: int = option(8086, "TCP port of the server", low=1, high=65535)
    user: str = option("", "user name; empty: log in as nobody", check=_user)
    password: Secret = option(Secret(), "password of the user")
    ssl: bool = option(False, "speak https")
    verify_ssl: bool = option(True, "insist on a valid certificate of the server")
    ca_file: Path | None = option(None, "PEM file of who signed the server's certificate")
    client_cert: Path | None = option(None, "PEM file of the certificate to show to the server")
    client_key: Path | None = option(None, "PEM file of its key, when not in the same file")
    timeout: float = option(30.0, "seconds a request may take in all", low=0.1, high=600)
    gzip: bool = option(False, "compress what is sent: a fifth of the bytes for some CPU time")


class Server:
    """One InfluxDB server; for one thread, except `interrupt`.

    server = Server(settings)
    server.open()
    server.write("BdP_test_sense", b"data temp=21.5 1494777772")
    server.query('SHOW FIELD KEYS ON "BdP_test_sense"')
    server.close()
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._client: Any = None
        self._session: Session | None = None

    def __str__(self) -> str:
        scheme = "https" if self._settings.ssl else "http"
        return f"{scheme}://{self._host}:{self._settings.port}"

    @property
    def _host(self) -> str:
        name = self._settings.hostname
        return f"[{name}]" if ":" in name and not name.startswith("[") else name

    def open(self) -> None:
        """Get ready to send; nothing is sent yet.

        Raises:
            Misconfigured: a file of certificates that is not there.
        """
        from influxdb import InfluxDBClient

        from mysense.influx.session import Session

        self.close()
        options = self._settings
        self._check_files()
        session = Session(options.timeout)
        session.headers.update({"User-Agent": "MySense"})
        if options.ssl and options.client_cert:
            key = options.client_key
            session.cert = (str(options.client_cert), str(key)) if key else str(options.client_cert)
        self._client = InfluxDBClient(
            host=self._host,
            port=options.port,
            username=None,  # its defaults are root and root; ours go into a header
            password=None,
            ssl=options.ssl,
            verify_ssl=str(options.ca_file) if self._uses_ca_file else options.verify_ssl,
            timeout=options.timeout,
            retries=1,
            pool_size=1,
            session=session,
        )
        session.mount_own()  # after the client has mounted its own
        self._session = session

    @property
    def _uses_ca_file(self) -> bool:
        return self._settings.verify_ssl and self._settings.ca_file is not None

    def _check_files(self) -> None:
        for name in ("ca_file", "client_cert", "client_key"):
            path = getattr(self._settings, name)
            if path is not None and not self._settings.ssl:
                raise Misconfigured(f"{name} is for https; add ssl = true or remove {name}")
            if path is not None and not path.is_file():
                raise Misconfigured(f"{name}: there is no file {path}")

    def close(self) -> None:
        """Close the connection; may be called twice."""
        session, self._session, self._client = self._session, None, None
        if session is not None:
            session.close()

    def hang_up(self) -> None:
        """Close the connection; the next request makes another."""
        if self._session is not None:
            self._session.close()

    def interrupt(self) -> None:
        """From another thread: end the request in flight, and every later one until `open`."""
        session = self._session
        if session is not None:
            session.interrupt()

    def write(
        self,
        database: str,
        body: bytes,
        rp: str | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Write lines with timestamps in seconds; returns when the server has stored them.

        Args:
            database: where to.
            body: the lines.
            rp: retention policy; None for the database's default.
            meanwhile: called at most once, when the request was sent, before its answer is read;
                its time counts as the request's.

        Raises:
            Answer: any answer but 204.
            RetryLater: no answer.
        """
        params = {"db": database, "precision": "s"}
        if rp:
            params["rp"] = rp
        headers = {"Content-Type": "application/octet-stream"}
        if self._settings.gzip:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: in the form of gzip, without time
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        if self._session is not None:
            self._session.meanwhile(meanwhile)
        self._request("write", 204, "POST", params, body, headers)

    def query(
        self,
        text: str,
        *,
        epoch: str | None = "s",
        database: str | None = None,
        post: bool = False,
    ) -> bytes:
        """What the server answers to the InfluxQL statements of `text`: JSON, as it came.

        Errors of single statements are inside; see InfluxDB's HTTP API.

        Args:
            text: one or more statements.
            epoch: precision of times in the answer.
            database: for statements that do not name one.
            post: needed for statements that change something, and for long ones.

        Raises:
            Answer: any answer but 200.
            RetryLater: no answer.
        """
        params = {"q": text}
        if epoch:
            params["epoch"] = epoch
        if database:
            params["db"] = database
        if not post:
            return self._request("query", 200, "GET", params, None, {})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("query", 200, "POST", {}, urlencode(params).encode(), headers)

    def ping(self) -> str:
        """The server's version, by a request that needs no user. Raises as `write` does."""
        self._request("ping", 204, "GET", {}, None, {})
        answer = self._session.answer if self._session else None
        return answer.headers.get("X-Influxdb-Version", "unknown") if answer is not None else ""

    def server_time(self) -> float | None:
        """Unix seconds by the server's clock when it gave its last answer, if it said so."""
        answer = self._session.answer if self._session else None
        return date(answer.headers.get("Date")) if answer is not None else None

    def _request(  # noqa: PLR0913, PLR0917  # what a request consists of
        self,
        path: str,
        expected: int,
        method: str,
        params: dict[str, str],
        body: bytes | None,
        headers: dict[str, str],
    ) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        if self._client is None or self._session is None:
            raise RetryLater(f"{self}: not open")
        self._session.answer = None
        options = self._settings
        try:
            response = self._client.request(
                path, method, params, body, False, expected, self._headers() | headers
            )
        except (requests.RequestException, HTTPError, OSError) as wrong:
            # without its cause, which holds the request and so the password
            raise RetryLater(
                f"{self}: {reason(wrong, options.hostname, options.timeout)}"
            ) from None
        except Exception as wrong:
            # the library's two errors share no base and lose the status; what was kept has it
            answer: Any = self._session.answer
            if answer is None or not type(wrong).__module__.startswith("influxdb."):
                raise
            raise answered(answer, options.password.reveal()) from None
        content: bytes = response.content
        return content

    def _headers(self) -> dict[str, str]:
        options = self._settings
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip" if options.gzip else "identity",
        }
        if options.user:
            pair = f"{options.user}:{options.password.reveal()}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return headers
