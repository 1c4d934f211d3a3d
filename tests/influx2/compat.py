"""`/write` and `/query` of 1.x, as 2.x answers them: buckets by the names of databases."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from tests.influx2 import influxql
from tests.influx2.api import Api
from tests.influx2.errors import Refusal, not_found, unauthorized
from tests.influx2.routes import Answer, Asked, basic
from tests.influx2.state import Thing

_PRECISIONS = {"": "ns", "n": "ns", "ns": "ns", "u": "us", "us": "us", "ms": "ms", "s": "s"}
_FORWARDED = ("SELECT", "SHOW MEASUREMENTS", "SHOW FIELD KEYS", "SHOW TAG", "SHOW SERIES")


class NotExecuted(Exception):
    """A statement that fails before it runs: those after it are not run either."""


class Compat:
    """The 1.x paths over the same state."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._state = api.state

    def who(self, asked: Asked) -> Thing:
        """Token, or user and password; the password of an unknown user may be a token."""
        header = asked.headers.get("Authorization", "")
        if header.startswith("Token "):
            return self._active(self._state.by_token(header[6:].strip()))
        if not header and "p" not in asked.query:
            raise unauthorized()
        name, _, password = basic(asked.headers)
        if "u" in asked.query or "p" in asked.query:
            name, password = asked.query.get("u", ""), asked.query.get("p", "")
        if legacy := self._state.by_legacy_user(name):
            good = self._state.legacy_passwords.get(legacy["id"]) == password
            return self._active(legacy if good else None)
        return self._active(self._state.by_token(password))

    @staticmethod
    def _active(found: Thing | None) -> Thing:
        if found is None or found["status"] != "active":
            raise Refusal(401, "unauthorized", "Unauthorized")
        return found

    def write(self, asked: Asked) -> Answer:
        """Points into the bucket that database and retention policy mean."""
        asked.who = self.who(asked)
        precision = _PRECISIONS.get(asked.query.get("precision", ""))
        if precision is None:
            raise Refusal(400, "invalid", "invalid precision")
        org = self._state.org(asked.who["orgID"])
        database, policy = asked.query.get("db", ""), asked.query.get("rp") or None
        if not database:
            raise Refusal(400, "invalid", "missing db")
        mine = self._visible(asked, org, "read", "write")
        found = self._mapping(mine, database, policy)
        if found is None:
            raise not_found("no dbrp mapping found")
        return self._api.store_points(asked, self._state.buckets[found["bucketID"]], precision)

    def query(self, asked: Asked) -> Answer:
        """Statements of InfluxQL over the buckets that the asker may read."""
        if asked.method == "POST":
            form = asked.headers.get("Content-Type", "").startswith("application/x-www-form")
            if form:
                asked.query |= dict(parse_qsl(asked.body.decode()))
        asked.who = self.who(asked)
        org = self._state.org(asked.who["orgID"])
        if not asked.query.get("q"):
            raise Refusal(400, "invalid", "missing required parameter q")
        visible = self._visible(asked, org, "read")
        results = self._results(asked, visible)
        if asked.query.get("chunked") == "true":
            return 200, b"".join(json.dumps({"results": [one]}).encode() + b"\n" for one in results)
        return 200, {"results": results} if results else {}

    def _visible(self, asked: Asked, org: Thing, *actions: str) -> list[Thing]:
        """The mappings to buckets that may be read, or for who writes: written."""
        buckets = self._state.buckets
        return [
            one
            for one in self._state.mappings(org)
            if one["bucketID"] in buckets
            and any(self._api.sees(asked, buckets[one["bucketID"]], action) for action in actions)
        ]

    def _results(self, asked: Asked, visible: list[Thing]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        statements = influxql.statements(asked.query["q"])
        for number, statement in enumerate(statements):
            try:
                answers = self._one(asked, statement, visible)
            except NotExecuted as wrong:  # what follows is not answered, and hides the reason
                told = "not executed" if statement is not statements[-1] else str(wrong)
                return [*results, {"statement_id": number, "error": told}]
            results += [one | {"statement_id": number} for one in answers]
        return results

    def _one(
        self, asked: Asked, statement: list[influxql.Token], visible: list[Thing]
    ) -> list[dict[str, Any]]:
        words = influxql.words(statement)
        if words == "SHOW DATABASES":
            names = dict.fromkeys(one["database"] for one in visible)
            return [_table("databases", ["name"], [[name] for name in names])]
        if words.startswith("SHOW RETENTION POLICIES"):
            return [self._policies(asked, statement, visible)]
        if words.startswith("DELETE FROM"):
            return self._delete(asked, statement, visible)
        if not words.startswith(_FORWARDED) or " INTO " in words:
            return [{"error": f"not implemented: {' '.join(words.split()[:2])}"}]
        return self._forward(asked, statement, visible)

    def _delete(
        self, asked: Asked, statement: list[influxql.Token], visible: list[Thing]
    ) -> list[dict[str, Any]]:
        """Points of the default bucket; its sources cannot be qualified. Success has no result."""
        database = asked.query.get("db", "")
        found = self._mapping(visible, database, None)
        if found is None:
            raise NotExecuted(f"default retention policy not set for: {database}")
        if not self._api.may(asked, "write", "buckets", found["orgID"], found["bucketID"]):
            return [{"error": "insufficient permissions"}]
        answers = self._api.engine.query("".join(statement), {"db": found["bucketID"]})
        return [one for one in answers if "error" in one]

    def _forward(
        self, asked: Asked, statement: list[influxql.Token], visible: list[Thing]
    ) -> list[dict[str, Any]]:
        words = influxql.words(statement)
        default = asked.query.get("db") or None

        def place(database: str | None, policy: str | None) -> str:
            name = database or default
            if name is None:
                raise NotExecuted("database name required")
            found = self._mapping(visible, name, policy)
            if all(one["database"] != name for one in visible):  # or it may not be read
                raise NotExecuted(f"database not found: {name}")
            if found is None and policy is None:
                raise NotExecuted(f"default retention policy not set for: {name}")
            if found is None:
                raise NotExecuted(f"retention policy not found: {policy}")
            return f'"{found["bucketID"]}"."autogen"'

        text = influxql.moved(statement, place)
        keys = ("epoch", "chunked", "chunk_size")
        options = {key: asked.query[key] for key in keys if key in asked.query}
        if words.startswith("SHOW") and influxql.database_of(statement) is None:
            options["db"] = place(None, None).partition(".")[0].strip('"')
        return self._api.engine.query(text, options)

    def _policies(
        self, asked: Asked, statement: list[influxql.Token], visible: list[Thing]
    ) -> dict[str, Any]:
        database = influxql.database_of(statement) or asked.query.get("db")
        mine = [one for one in visible if one["database"] == database]
        columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
        rows = []
        for one in mine:
            rule = self._state.buckets[one["bucketID"]]["retentionRules"][0]
            lengths = [rule["everySeconds"], rule["shardGroupDurationSeconds"]]
            texts = [f"{length // 3600}h0m0s" if length else "0s" for length in lengths]
            rows.append([one["retention_policy"], *texts, 1, one["default"]])
        return _table("", columns, rows)

    @staticmethod
    def _mapping(mappings: list[Thing], database: str, policy: str | None) -> Thing | None:
        for one in mappings:
            if one["database"] == database and (
                one["default"] if policy is None else one["retention_policy"] == policy
            ):
                return one
        return None


def _table(name: str, columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    series: dict[str, Any] = {"columns": columns}
    if name:
        series["name"] = name
    if rows:
        series["values"] = rows
    return {"series": [series]}
