"""InfluxDB 1.x: databases, retention policies, users, grants and continuous queries."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus as Http
from typing import Any

import attrs

from mysense.influx.http import Answer, ServerSettings
from mysense.influx.naming import quote_identifier as name_of
from mysense.influx.naming import quote_string
from mysense.options import Secret
from mysense.provision import rollups
from mysense.provision.influxql import InfluxQL
from mysense.provision.safe import Safe
from mysense.provision.steps import Steps
from mysense.provision.users import Users
from mysense.provision.wanted import Access, Wanted, check_retention, go_seconds, in_words

_DEFAULT = "autogen"


class One:
    """One server of version 1, asked by an administrator.

    Args:
        settings: how to reach it, with the administrator's user and password.
        steps: does and notes what is to be done.
        safe: where passwords go.
        renew: whether users get a new password.
    """

    def __init__(
        self, settings: ServerSettings, steps: Steps, safe: Safe, *, renew: bool = False
    ) -> None:
        self._settings = settings
        self._steps = steps
        self._safe = safe
        self._server = InfluxQL(settings)
        self._users = Users(self._server, settings, steps, safe, renew=renew)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def set_up(self, name: str, given: Secret) -> None:
        """The first administrator; only possible as long as there is none.

        Args:
            name: of the administrator.
            given: the password, or nothing for a new one.
        """
        if self._has_administrator():
            self._steps.exists("administrator", self._settings.user or "of this server")
            return

        def make() -> None:
            password = given or self._safe.password(name)
            text = f"CREATE USER {name_of(name)} WITH PASSWORD {quote_string(password.reveal())}"
            nobody = InfluxQL(attrs.evolve(self._settings, user="", password=Secret()))
            try:
                nobody.ask(f"{text} WITH ALL PRIVILEGES", password)
            finally:
                nobody.close()

        self._steps.create("administrator", name, make)

    def _has_administrator(self) -> bool:
        try:
            users = self._server.rows("SHOW USERS")
        except Answer as answer:
            if answer.status == Http.FORBIDDEN and "create admin user" in answer.message:
                return False
            raise
        return any(row["admin"] for row in users)

    def provide(self, wanted: Wanted) -> None:
        """Make the database with all that hangs on it, as far as it is missing."""
        there = self._database(wanted)
        if wanted.mapping and wanted.mapping != wanted.place.rp:
            self._policy(wanted, wanted.mapping, there=there, default=True)
        for access in wanted.access:
            self._users.provide(wanted.place.database, access)
        if wanted.rollup is not None:
            self._rollup(wanted, there=there)

    def read_all(self, access: Access, databases: list[str]) -> None:
        """Let somebody read every one of `databases`."""
        for name in databases:
            self._users.provide(name, access)

    def databases(self) -> list[str]:
        """The names of the databases there are."""
        return [
            row["name"] for row in self._server.rows("SHOW DATABASES") if row["name"] != "_internal"
        ]

    # -- database and policies

    def _database(self, wanted: Wanted) -> bool:
        """Make it or look it over; returns whether it was there."""
        name, policy = wanted.place.database, wanted.place.rp or wanted.mapping or _DEFAULT
        if name not in self.databases():
            parts = [f"CREATE DATABASE {name_of(name)} WITH", _lengths(wanted, creating=True)]
            text = " ".join([*parts, f"NAME {name_of(policy)}"])
            detail = f"retention policy {policy}, {in_words(wanted.retention or 0)}"
            self._steps.create("database", name, lambda: self._server.ask(text), detail)
            return False
        self._steps.exists("database", name)
        if wanted.mapping and not wanted.place.rp:
            return True  # retention is meant for that policy, and others stay as they are
        default = next((p["name"] for p in self._policies(name) if p["default"]), _DEFAULT)
        self._policy(wanted, wanted.place.rp or default, there=True)
        return True

    def _policy(self, wanted: Wanted, policy: str, *, there: bool, default: bool = False) -> None:
        name = wanted.place.database
        on = f"RETENTION POLICY {name_of(policy)} ON {name_of(name)}"
        last = " DEFAULT" if default else ""
        title = f"{name} {policy}"
        policies = {p["name"]: p for p in self._policies(name)} if there else {}
        if policy not in policies:
            if not there and not wanted.place.rp:  # it came with the database
                return
            text = f"CREATE {on} {_lengths(wanted, creating=True)}{last}"
            self._steps.create("retention policy", title, lambda: self._server.ask(text))
            return
        found = policies[policy]
        now = go_seconds(found["duration"])
        longer = check_retention(f"retention policy {title}", now, wanted)
        becomes = default and not found["default"]
        if not longer and not becomes:
            self._steps.exists("retention policy", title, in_words(now))
            return
        shard = go_seconds(found["shardGroupDuration"])
        lengths = _lengths(wanted, creating=False, shard=shard) if longer else ""
        text = f"ALTER {on} {lengths}{last}"
        detail = "the default" if becomes else in_words(now)
        if longer:
            detail += f" -> {in_words(wanted.retention or 0)}"
        self._steps.change("retention policy", title, lambda: self._server.ask(text), detail)

    def _policies(self, database: str) -> list[dict[str, Any]]:
        return self._server.rows(f"SHOW RETENTION POLICIES ON {name_of(database)}")

    # -- roll-ups

    def _rollup(self, wanted: Wanted, *, there: bool) -> None:
        name = wanted.place.database
        policies = {p["name"]: p for p in self._policies(name)} if there else {}
        self._rollup_policy(name, policies)
        default = next((p for p in policies if policies[p]["default"]), _DEFAULT)
        source = wanted.place.rp or wanted.mapping or default
        late = wanted.rollup or rollups.LATE
        text = rollups.continuous_query(name, source, late=late, shared=wanted.shared)
        title = f"{rollups.CONTINUOUS_QUERY} on {name}"
        now = self._continuous_query(name) if there else None
        if now is None:
            self._steps.create("continuous query", title, lambda: self._server.ask(text))
        elif _same(now, text):
            self._steps.exists("continuous query", title)
        else:
            drop = f"DROP CONTINUOUS QUERY {name_of(rollups.CONTINUOUS_QUERY)} ON {name_of(name)}"
            work = partial(self._server.ask, f"{drop}; {text}")
            self._steps.change("continuous query", title, work, "made anew")

    def _rollup_policy(self, name: str, policies: dict[str, Any]) -> None:
        title = f"{name} {rollups.POLICY}"
        if rollups.POLICY in policies:
            self._steps.exists("retention policy", title)
            return
        text = f"CREATE RETENTION POLICY {name_of(rollups.POLICY)} ON {name_of(name)}"
        text += " DURATION INF REPLICATION 1 SHARD DURATION 520w"
        self._steps.create("retention policy", title, lambda: self._server.ask(text))

    def _continuous_query(self, database: str) -> str | None:
        for result in self._server.ask("SHOW CONTINUOUS QUERIES"):
            for series in result.get("series", ()):
                if series["name"] == database:
                    found = dict(series.get("values", ()))
                    return found.get(rollups.CONTINUOUS_QUERY)
        return None


def _lengths(wanted: Wanted, *, creating: bool, shard: int = 0) -> str:
    parts = [f"DURATION {in_words(wanted.retention or 0)}"]
    if creating:
        parts.append("REPLICATION 1")
    shard = wanted.shard_after(shard)
    if shard:
        parts.append(f"SHARD DURATION {in_words(shard)}")
    return " ".join(parts)


def _same(one: str, other: str) -> bool:
    """Whether two statements differ in blanks and quotes alone, as servers write them anew."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return re.sub(r'["\s]', "", text).lower()
