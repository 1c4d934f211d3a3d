"""Making the database, bucket or organisation that is not there yet."""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus as Http
from typing import Any

import attrs

from mysense.influx.answers import Answer
from mysense.influx.http import Server
from mysense.influx.layouts import Place
from mysense.influx.naming import quote_identifier

_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_DENIED = (Http.UNAUTHORIZED, Http.FORBIDDEN)  # 2.x says 401 also where a token may not


@attrs.frozen(kw_only=True)
class Creator:
    """Makes what is missing, as far as the server lets this user.

    Attributes:
        server: where.
        shard: SHARD DURATION, as InfluxQL has it, or empty for the server's own.
        orgs: whether organisations may be made too.
        log: for what was done.
    """

    server: Server
    shard: str
    orgs: bool
    log: logging.Logger

    def database(self, place: Place) -> str:
        """Create a database of 1.x; returns why that did not work, or nothing.

        Raises:
            Answer, RetryLater
        """
        parts = [f"CREATE DATABASE {quote_identifier(place.database)}"]
        if self.shard or place.rp:
            parts.append("WITH")
        if self.shard:
            parts.append(f"SHARD DURATION {self.shard}")
        if place.rp:
            parts.append(f"NAME {quote_identifier(place.rp)}")
        try:
            answer = self.server.query(" ".join(parts), post=True)
        except Answer as refused:
            if refused.status == Http.FORBIDDEN:
                return f"{self.server.who} may not create it ({refused.message})"
            raise
        wrong = _error(answer)
        if not wrong:
            self.log.info("database %s created", place.database)
        return wrong

    def bucket(self, place: Place) -> str:
        """Create a bucket of 2.x, and its organisation where that may be; else as `database`."""
        try:
            org = self._org_id(place.org) or (self._new_org(place.org) if self.orgs else "")
            if not org:
                return f"there is no organisation {place.org} that {self.server.who} may see"
            rules = [{"type": "expire", "everySeconds": 0} | self._shard_rule()]
            wanted = {"orgID": org, "name": place.bucket, "retentionRules": rules}
            self.server.call("POST", "api/v2/buckets", body=wanted, expected=Http.CREATED)
        except Answer as refused:
            if refused.status in _DENIED:
                return f"{self.server.who} may not create it ({refused.message})"
            if refused.status == Http.UNPROCESSABLE_ENTITY and "already exists" in refused.message:
                return ""  # somebody was faster
            raise
        self.log.info("bucket %s created in organisation %s", place.bucket, place.org)
        return ""

    def _org_id(self, name: str) -> str:
        """The id of an organisation, or nothing where there is none to be seen."""
        try:
            found = self.server.call("GET", "api/v2/orgs", {"org": name})
        except Answer as answer:
            if answer.status == Http.NOT_FOUND:
                return ""
            raise
        return next((str(each["id"]) for each in _listed(found, "orgs", name)), "")

    def _new_org(self, name: str) -> str:
        body = {"name": name}
        made = self.server.call("POST", "api/v2/orgs", body=body, expected=Http.CREATED)
        self.log.info("organisation %s created", name)
        return str(made["id"])

    def _shard_rule(self) -> dict[str, int]:
        match = re.fullmatch(r"(\d+)([hdw])", self.shard)
        return {"shardGroupDurationSeconds": int(match[1]) * _SECONDS[match[2]]} if match else {}


def _listed(answer: Any, key: str, name: str) -> list[dict[str, Any]]:
    """Those entries of a list of the API that are called `name`."""
    entries = answer.get(key) if isinstance(answer, dict) else None
    return [each for each in entries or [] if each.get("name") == name]


def _error(answer: bytes) -> str:
    """The first error inside an answer of 200 to a query, or nothing."""
    try:
        results = json.loads(answer)["results"]
        return next((str(each["error"]) for each in results if "error" in each), "")
    except (ValueError, KeyError, TypeError):
        return "the answer was not InfluxDB's"
