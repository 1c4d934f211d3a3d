"""An InfluxDB server over HTTP, through the `influxdb` package with bodies of our own."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from mysense.influx.access import ServerSettings
from mysense.influx.answers import Answer, answered, date, reason, told_apart, version_of
from mysense.plugin import Misconfigured, RetryLater

__all__ = ["Answer", "Server", "ServerSettings"]

if TYPE_CHECKING:
    from mysense.influx.session import Session


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
        self._found: int | None = None  # the API, as the server said with api = auto

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

    @property
    def known_api(self) -> int | None:
        """Which API it speaks, 1 or 2, as far as that is known without asking."""
        return self._found if self._settings.api == "auto" else int(self._settings.api)

    @property
    def who(self) -> str:
        """Who logs in, for messages: "the token", "user x" or "nobody"."""
        if self._uses_token:
            return "the token"
        return f"user {self._settings.user}" if self._settings.user else "nobody"

    @property
    def _uses_token(self) -> bool:
        options = self._settings
        return bool(options.token) and (self.known_api != 1 or not options.user)

    def api(self) -> int:
        """Which API to use, 1 or 2; with `auto` the server is asked, once a connection.

        Raises:
            RetryLater: no answer, or one that tells neither.
            Answer: as `ping` does.
        """
        if self.known_api is None:
            version = self.ping()
            self._found = told_apart(version)
            if self._found is None:
                raise RetryLater(
                    f"{self}: it cannot be told whether this is InfluxDB 1.x or 2.x, /ping "
                    f"{f'says version {version}' if version else 'names no version'}; set api = 1 "
                    "or api = 2"
                )
        return self.known_api or 1

    def hang_up(self) -> None:
        """Close the connection; the next request makes another."""
        if self._session is not None:
            self._session.close()

    def interrupt(self) -> None:
        """From another thread: end the request in flight, and every later one until `open`."""
        session = self._session
        if session is not None:
            session.interrupt()

    def write(  # noqa: PLR0913  # all but two are keywords
        self,
        database: str,
        body: bytes,
        rp: str | None = None,
        meanwhile: Callable[[], None] | None = None,
        *,
        org: str | None = None,
        precision: Literal["s", "ns"] = "s",
    ) -> None:
        """Write lines with timestamps; returns when the server has stored them.

        Args:
            database: where to; with API 2 the bucket of that name, or `<database>/<rp>`.
            body: the lines.
            rp: retention policy; None for the database's default.
            meanwhile: called at most once, when the request was sent, before its answer is read;
                its time counts as the request's.
            org: organisation, of API 2; None for that of the settings.
            precision: of the timestamps.

        Raises:
            Answer: any answer but 204.
            RetryLater: no answer.
        """
        if self.api() == 1:  # which may ask, and that is not to count as this request
            path, params = "write", {"db": database, "precision": precision}
            params |= {"rp": rp} if rp else {}
        else:
            path = "api/v2/write"
            bucket = f"{database}/{rp}" if rp else database
            place = {"org": self._settings.org if org is None else org, "bucket": bucket}
            params = place | {"precision": precision}
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._settings.gzip:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: in the form of gzip, without time
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        if self._session is not None:
            self._session.meanwhile(meanwhile)
        self._request(path, 204, "POST", params, body, headers)

    def query(
        self,
        text: str,
        *,
        epoch: str | None = "s",
        database: str | None = None,
        post: bool = False,
    ) -> bytes:
        """What the server answers to the InfluxQL statements of `text`: JSON, as it came.

        Errors of single statements are inside; see InfluxDB's HTTP API. InfluxDB 2.x answers for
        the organisation that the token or the user belongs to, and for databases that are mapped
        to a bucket, as those are of the bucket's own name since 2.4.

        Args:
            text: one or more statements.
            epoch: precision of times in the answer.
            database: for statements that do not name one.
            post: needed for statements that change something, and for long ones.

        Raises:
            Answer: any answer but 200.
            RetryLater: no answer.
        """
        if self._settings.token and self._settings.user:
            self.api()  # which of the two is meant
        params = {"q": text}
        if epoch:
            params["epoch"] = epoch
        if database:
            params["db"] = database
        if not post:
            return self._request("query", 200, "GET", params, None, {})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("query", 200, "POST", {}, urlencode(params).encode(), headers)

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        expected: int = 200,
    ) -> Any:
        """One request to the JSON API of InfluxDB 2.x: `call("GET", "api/v2/buckets")`.

        Raises:
            Answer: any answer but `expected`, or one that is not JSON.
            RetryLater: no answer.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        sent = json.dumps(body).encode() if body is not None else None
        content = self._request(path, expected, method, dict(params or {}), sent, headers)
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise Answer(expected, "the answer was not JSON") from None

    def ping(self) -> str:
        """The server's version, empty if it names none; needs no user. Raises as `write` does."""
        try:
            self._request("ping", 204, "GET", {}, None, {})
        except Answer as other:
            if not other.version:  # InfluxDB 3 says 200, or 401, and says it
                raise
        answer = self._session.answer if self._session else None
        return version_of(answer) if answer is not None else ""

    def started(self) -> str | None:
        """What tells one start of the server from another; None where it does not say."""
        try:
            if self.api() == 1:
                found = json.loads(self._request("debug/vars", 200, "GET", {}, None, {}))
                return str(found["system"]["started"])
            text = self._request("metrics", 200, "GET", {}, None, {}).decode(errors="replace")
        except (Answer, RetryLater, ValueError, KeyError, TypeError):
            return None
        match = re.search(r"^process_start_time_seconds (\S+)", text, re.MULTILINE)
        return match[1] if match else None

    def server_time(self) -> float | None:
        """Unix seconds by the server's clock when it gave its last answer, if it said so."""
        answer = self._session.answer if self._session else None
        return date(answer.headers.get("Date")) if answer is not None else None

    def version(self) -> str:
        """What its last answer named, as "1.8.10" or "v2.7.12"; else empty."""
        answer = self._session.answer if self._session else None
        return version_of(answer) if answer is not None else ""

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
            self._found = None  # it may be another one when it is back
            # without its cause, which holds the request and so the password
            raise RetryLater(
                f"{self}: {reason(wrong, options.hostname, options.timeout)}"
            ) from None
        except Exception as wrong:
            # the library's two errors share no base and lose the status; what was kept has it
            answer: Any = self._session.answer
            if answer is None or not type(wrong).__module__.startswith("influxdb."):
                raise
            raise answered(answer, options.password.reveal(), options.token.reveal()) from None
        content: bytes = response.content
        return content

    def _headers(self) -> dict[str, str]:
        options = self._settings
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip" if options.gzip else "identity",
        }
        if self._uses_token:
            headers["Authorization"] = f"Token {options.token.reveal()}"
        elif options.user:
            pair = f"{options.user}:{options.password.reveal()}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return headers
