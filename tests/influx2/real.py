"""A real InfluxDB 2.x: one that the tests start from its binary, or one that somebody runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.influx2.server import Server

START_SECONDS = 120.0


class Own(Server):
    """An influxd 2.x with its own port and folder, gone afterwards.

    Args:
        program: path of the binary.
    """

    kind = "own"

    def __init__(self, program: str) -> None:
        super().__init__("127.0.0.1", _free_port())
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="mysense-influxd2-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        folder = self._folder
        arguments = {
            "bolt-path": str(folder / "influxd.bolt"),
            "engine-path": str(folder / "engine"),
            "http-bind-address": f"{self.host}:{self.port}",
        }
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    *(f"--{name}={value}" for name, value in arguments.items()),
                    "--reporting-disabled",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},  # no INFLUXD_* of ours
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if self.request("GET", "/health")[0] == 200:
                    return
            time.sleep(0.1)
        log = (self._folder / "log").read_text(errors="replace")[-2000:]
        self.__exit__()
        raise AssertionError(f"{self._program} does not start:\n{log}")


def given() -> Server:
    """The server that INFLUX2_URL and INFLUX2_TOKEN name."""
    parts = urlsplit(os.environ["INFLUX2_URL"])
    assert parts.scheme == "http", "INFLUX2_URL is http://host:port"
    assert parts.hostname, "INFLUX2_URL is http://host:port"
    return Server(parts.hostname, parts.port or 8086, os.environ["INFLUX2_TOKEN"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
