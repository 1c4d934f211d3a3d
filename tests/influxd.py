"""A private influxd for tests: own folders, own port, nothing of the machine's own server.

>>> with Influxd() as influxd:
...     influxd.query('CREATE DATABASE "x"')
...     influxd.write("x", "data temp=21.5 1494777772")
...     influxd.rows("SELECT * FROM data", database="x")
[{'statement_id': 0}]
(204, '')
[{'time': 1494777772, 'temp': 21.5}]
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

ADMIN = "admin"
ADMIN_PASSWORD = "admin-secret"  # of servers that live for one test run, on loopback
START_SECONDS = 60.0  # a server with many databases on a busy machine takes its time

_GUARD = 'cat >/dev/null; kill -9 "$0"; rm -rf "$1"'
_MISSING = (
    "influxd was not found, and the tests need a real one; install InfluxDB 1.x: "
    "on Debian, Raspberry Pi OS and Ubuntu `sudo apt-get install influxdb` "
    "(the service that this starts may be stopped; tests run private servers)"
)


class InfluxdError(AssertionError):
    """influxd is missing, does not start, or answered a query with an error."""


class Influxd:
    """A running influxd 1.x with its own temporary folder and loopback port.

    Args:
        auth: ask for user and password; an administrator `ADMIN` is made.
        config: more options by section, `{"http": {"max-body-size": 1000}}`; they win over ours.
    """

    host = "127.0.0.1"

    def __init__(
        self, *, auth: bool = False, config: Mapping[str, Mapping[str, object]] | None = None
    ) -> None:
        program = shutil.which("influxd") or shutil.which("influxd", path="/usr/bin:/usr/sbin")
        if program is None:
            raise InfluxdError(_MISSING)
        self._program = program
        self._auth = auth
        self._more = config or {}
        self._folder = Path(tempfile.mkdtemp(prefix="mysense-influxd-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, `http://127.0.0.1:port`."""
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "influxd is not running"
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
            if self._auth:
                self.query(
                    f"CREATE USER {ADMIN} WITH PASSWORD '{ADMIN_PASSWORD}' WITH ALL PRIVILEGES",
                    user="",
                )
        except BaseException:  # also on Ctrl-C: no server and no folder stays behind
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start, again after `stop` or `kill` with the same data and port; return when ready."""
        assert self._process is None, "influxd is running already"
        for _ in range(5):  # another process may take the free port before influxd does
            self.port = self.port or _free_port()
            self._launch()
            if self._ready():
                return
            self._reap()
            if "address already in use" not in self.log():
                break
            if not (self._folder / "data").exists():
                self.port = 0
        raise InfluxdError(f"influxd did not start on port {self.port}:\n{self.log()[-2000:]}")

    def stop(self) -> None:
        """Stop in good order (SIGTERM); data and port are kept."""
        self._signal(signal.SIGTERM)
        self._reap(patience=20)

    def kill(self) -> None:
        """Stop at once (SIGKILL), as a power cut would; data and port are kept."""
        self._signal(signal.SIGKILL)
        self._reap()

    def hang(self) -> None:
        """Let the process stand still (SIGSTOP): connections are taken, answers never come."""
        self._signal(signal.SIGSTOP)
        while not self._stands_still():  # it takes a while until the last thread does
            time.sleep(0.005)

    def _stands_still(self) -> bool:
        assert self._process is not None, "influxd is not running"
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        try:
            return all("State:\tT" in (each / "status").read_text() for each in threads)
        except OSError:  # one has just come to its end
            return False

    def resume(self) -> None:
        """Go on after `hang`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the process and remove its folder; may be called twice."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """What influxd wrote since it was last started."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def query(
        self,
        text: str,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        epoch: str = "s",
    ) -> list[dict[str, Any]]:
        """The results of one or more statements, one object each, as influxd's JSON has them.

        With authentication on, the administrator asks unless `user` is given; "" is nobody.

        Raises:
            InfluxdError: a status other than 200, or an error inside one of the results.
        """
        form = {"q": text, "epoch": epoch} | ({"db": database} if database else {})
        status, answer = self.request("/query", urlencode(form), user=user, password=password)
        if status != http.client.OK:
            raise InfluxdError(f"{status} {answer.strip()}: {text}")
        results: list[dict[str, Any]] = json.loads(answer)["results"]
        for result in results:
            if "error" in result:
                raise InfluxdError(f"{result['error']}: {text}")
        return results

    def rows(self, text: str, **given: Any) -> list[dict[str, Any]]:
        """The rows of all results and series: columns, and tags where the query groups by them."""
        return [
            series.get("tags", {}) | dict(zip(series["columns"], values, strict=True))
            for result in self.query(text, **given)
            for series in result.get("series", ())
            for values in series.get("values", ())
        ]

    def write(
        self,
        database: str,
        lines: str | bytes,
        precision: str = "s",
        user: str | None = None,
        password: str | None = None,
    ) -> tuple[int, str]:
        """Post line protocol; returns the HTTP status and the text of the answer."""
        target = "/write?" + urlencode({"db": database, "precision": precision})
        return self.request(target, lines, user=user, password=password, kind="text/plain")

    def databases(self) -> list[str]:
        """The names of all databases but the server's own."""
        names = [row["name"] for row in self.rows("SHOW DATABASES")]
        return sorted(name for name in names if name != "_internal")

    def request(
        self,
        target: str,
        body: str | bytes | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        kind: str = "application/x-www-form-urlencoded",
    ) -> tuple[int, str]:
        """One HTTP request, a POST where there is a body; returns status and text."""
        headers = self._credentials(user, password)
        if body is not None:
            headers["Content-Type"] = kind
            body = body.encode() if isinstance(body, str) else body
        link = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(link):
            link.request("GET" if body is None else "POST", target, body, headers)
            answer = link.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def _credentials(self, user: str | None, password: str | None) -> dict[str, str]:
        if user is None and self._auth:
            user, password = ADMIN, ADMIN_PASSWORD
        if not user:
            return {}
        pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def _launch(self) -> None:
        conf = self._folder / "influxdb.conf"
        conf.write_text("\n".join(_config(self._sections())))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "run", "-config", str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={"HOME": str(self._folder), "PATH": "/usr/bin:/bin"},  # no INFLUXDB_* of ours
                start_new_session=True,  # Ctrl-C in pytest stops the tests first
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self._process.pid), str(self._folder)],
            stdin=subprocess.PIPE,  # its end comes with the end of this process, however it ends
            start_new_session=True,
        )

    def _sections(self) -> dict[str, dict[str, object]]:
        folder = self._folder
        ours: dict[str, dict[str, object]] = {
            "": {"reporting-disabled": True, "bind-address": "127.0.0.1:0"},
            "meta": {"dir": str(folder / "meta"), "logging-enabled": False},
            "data": {
                "dir": str(folder / "data"),
                "wal-dir": str(folder / "wal"),
                "query-log-enabled": False,
            },
            "coordinator": {},
            "retention": {},
            "monitor": {"store-enabled": False},
            "http": {
                "bind-address": f"{self.host}:{self.port}",
                "auth-enabled": self._auth,
                "log-enabled": False,
            },
            "continuous_queries": {"log-enabled": False},
        }
        for section, options in self._more.items():
            ours.setdefault(section, {}).update(options)
        return ours

    def _ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.request("/ping", user="")[0] == http.client.NO_CONTENT:
                    return True
            time.sleep(0.02)
        return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "influxd is not running"
        self._process.send_signal(number)

    def _reap(self, patience: float = 0) -> None:
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        assert process is not None, "influxd is not running"
        assert guard is not None, "a guard is started with every server"
        guard.kill()  # before the process id can be another's
        guard.communicate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()  # what stands still under SIGSTOP ends by this too
            process.wait()


def _config(sections: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for section, options in sections.items():
        if section:
            yield f"[{section}]"
        for name, value in options.items():
            yield f"{name} = {json.dumps(value)}"  # TOML writes texts, numbers, booleans the same


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
