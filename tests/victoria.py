"""A private VictoriaMetrics for tests, as somebody else's listener for line protocol.

It judges nothing: whatever comes is 204. What it read of it, it gives back.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tests.influxd import _GUARD, START_SECONDS, _free_port

_MISSING = (
    "victoria-metrics was not found, and some tests need it; on Debian and Ubuntu "
    "`sudo apt-get install victoria-metrics` (the service that this starts may be stopped)"
)


class Victoria:
    """A running victoria-metrics with its own temporary folder and loopback port."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        program = shutil.which("victoria-metrics", path="/usr/bin:/usr/local/bin:/usr/sbin")
        if program is None:
            raise AssertionError(_MISSING)
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="mysense-victoria-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        for _ in range(5):  # another process may take the free port first
            self.port = _free_port()
            self._launch()
            if self._ready():
                return self
            self.close()
        raise AssertionError(f"victoria-metrics did not start on port {self.port}")

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Kill the process; may be called twice."""
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if process is None or guard is None:
            return
        guard.kill()
        guard.communicate()
        process.kill()
        process.wait()

    def samples(self, **labels: str) -> list[tuple[dict[str, str], list[float], list[int]]]:
        """Labels, values and times in seconds of all series with these labels."""
        self._ask("/internal/force_flush")
        match = ",".join(f'{name}="{text}"' for name, text in labels.items())
        answer = self._ask("/api/v1/export?" + urlencode({"match[]": f"{{{match}}}"}))
        found = [json.loads(line) for line in answer.splitlines()]
        return [
            (each["metric"], each["values"], [time // 1000 for time in each["timestamps"]])
            for each in found
        ]

    def _ask(self, target: str) -> str:
        link = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(link):
            link.request("GET", target)
            return link.getresponse().read().decode()

    def _launch(self) -> None:
        self._process = subprocess.Popen(
            [
                self._program,
                f"-storageDataPath={self._folder}",
                f"-httpListenAddr={self.host}:{self.port}",
                "-retentionPeriod=100y",
                "-memory.allowedBytes=100MB",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
        )
        self._guard = subprocess.Popen(  # ends it however this process ends
            ["/bin/sh", "-c", _GUARD, str(self._process.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask("/health") == "OK":
                    return True
            time.sleep(0.02)
        return False


def fields(samples: Any) -> dict[str, list[float]]:
    """The values of each field, by the name that the listener makes of it."""
    return {labels["__name__"]: values for labels, values, _ in samples}
