"""Where the fake keeps its points: a database of a real influxd 1.x for every bucket."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from tests.influx2.errors import Refusal
from tests.influxd import Influxd

_PRECISIONS = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}
_TOO_OLD = re.compile(r"points beyond retention policy dropped=(\d+)")
_AS_2X = r"dropped \1 points outside retention policy of duration 1h0m0s - oldest point dropped=\1"
_DROPPED = ("field type conflict", "beyond retention policy")


class Engine:
    """Points by bucket, and InfluxQL over them."""

    def __init__(self, influxd: Influxd) -> None:
        self._influxd = influxd

    def create(self, bucket: str, seconds: int) -> None:
        """Make room for `bucket`; its points live `seconds`, 0 for ever."""
        duration = f"{seconds}s" if seconds else "INF"
        self._influxd.query(f'CREATE DATABASE "{bucket}" WITH DURATION {duration} NAME "autogen"')

    def alter(self, bucket: str, seconds: int, shard: int) -> None:
        """Another life time for the points of `bucket`, and other shards, in seconds."""
        duration = f"{seconds}s SHARD DURATION {shard}s" if seconds else "INF"
        self._influxd.query(f'ALTER RETENTION POLICY "autogen" ON "{bucket}" DURATION {duration}')

    def drop(self, bucket: str) -> None:
        """Forget `bucket`."""
        self._influxd.query(f'DROP DATABASE "{bucket}"')

    def write(self, bucket: str, body: bytes, precision: str) -> None:
        """Store points; raises what 2.x answers to those that the engine drops."""
        target = {"db": bucket, "precision": _PRECISIONS[precision]}
        status, answer = self._influxd.request(
            "/write?" + urlencode(target), body, kind="text/plain"
        )
        if status == 204:
            return
        message = json.loads(answer).get("error", answer)
        if any(reason in message for reason in _DROPPED):
            message = _TOO_OLD.sub(_AS_2X, message)
            told = f"failure writing points to database: {message}"
            raise Refusal(422, "unprocessable entity", told)
        raise Refusal(400 if status == 400 else 500, "invalid", message)

    def query(self, text: str, options: dict[str, str]) -> list[dict[str, Any]]:
        """The answers to one statement, as many as it came in chunks."""
        form = urlencode({"q": text} | options)
        status, answer = self._influxd.request("/query", form)
        if status != 200:
            raise Refusal(400, "invalid", json.loads(answer).get("error", answer))
        return [result for line in answer.splitlines() for result in json.loads(line)["results"]]
