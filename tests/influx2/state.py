"""What the fake knows: organisations, users, buckets, tokens and all that hangs on them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tests.influx2.errors import Refusal, conflict, invalid, not_found

Thing = dict[str, Any]

RESOURCES = [
    "authorizations",
    "buckets",
    "dashboards",
    "orgs",
    "tasks",
    "telegrafs",
    "users",
    "variables",
    "secrets",
    "labels",
    "views",
    "documents",
    "notificationRules",
    "notificationEndpoints",
    "checks",
    "dbrp",
    "annotations",
    "sources",
    "scrapers",
    "notebooks",
    "remotes",
    "replications",
]


class State:
    """Tables of things by id; `lock` is held by whoever reads or changes several of them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.virtual = True  # buckets answer to the names of databases, as since 2.4
        self.orgs: dict[str, Thing] = {}
        self.users: dict[str, Thing] = {}
        self.passwords: dict[str, str] = {}  # user id -> password
        self.members: dict[tuple[str, str], str] = {}  # organisation, user -> role
        self.buckets: dict[str, Thing] = {}
        self.authorizations: dict[str, Thing] = {}
        self.legacy: dict[str, Thing] = {}  # its `token` is the user's name
        self.legacy_passwords: dict[str, str] = {}  # legacy authorization id -> password
        self.dbrps: dict[str, Thing] = {}
        self.secrets: dict[str, dict[str, str]] = {}  # organisation -> key -> value
        self.stored: dict[str, dict[str, Thing]] = {
            kind: {} for kind in ("tasks", "checks", "notificationEndpoints", "notificationRules")
        }

    def add(self, table: dict[str, Thing], thing: Thing) -> Thing:
        """Store `thing` under a new id, with the times that all things have."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        thing = {"id": new_id(), "createdAt": now, "updatedAt": now} | thing
        table[thing["id"]] = thing
        return thing

    def org(self, text: str | None) -> Thing:
        """The organisation of this name or id."""
        for org in self.orgs.values():
            if text in {org["id"], org["name"]}:
                return org
        raise not_found(f'organization name "{text}" not found')

    def bucket(self, org: Thing, text: str) -> Thing:
        """The bucket of this name or id in `org`."""
        for bucket in self.buckets.values():
            if bucket["orgID"] == org["id"] and text in {bucket["id"], bucket["name"]}:
                return bucket
        raise not_found(f'bucket "{text}" not found')

    def by_token(self, token: str) -> Thing | None:
        """The authorization that a token belongs to, also one that is not active."""
        for one in self.authorizations.values():
            if one["token"] == token:
                return one
        return None

    def by_legacy_user(self, name: str) -> Thing | None:
        """The authorization of a 1.x user."""
        return next((one for one in self.legacy.values() if one["token"] == name), None)

    def mappings(self, org: Thing) -> list[Thing]:
        """Database and retention policy -> bucket: the explicit ones, then those by name."""
        explicit = [one for one in self.dbrps.values() if one["orgID"] == org["id"]]
        taken = {(one["database"], one["retention_policy"]) for one in explicit}
        defaults = {one["database"] for one in explicit if one["default"]}
        found = [*explicit]
        for bucket in self.buckets.values():
            database, _, policy = bucket["name"].partition("/")
            pair = (database, policy or "autogen")
            if bucket["orgID"] != org["id"] or pair in taken or not self.virtual:
                continue
            default = not policy and database not in defaults
            found.append(_virtual(bucket, pair, default=default))
        return found


def _virtual(bucket: Thing, pair: tuple[str, str], *, default: bool) -> Thing:
    return {
        "id": bucket["id"],
        "orgID": bucket["orgID"],
        "bucketID": bucket["id"],
        "database": pair[0],
        "retention_policy": pair[1],
        "default": default,
        "virtual": True,
    }


def new_id() -> str:
    """16 hexadecimal digits, as InfluxDB numbers everything."""
    return secrets.token_hex(8)


def unique(table: Iterable[Thing], what: str, **wanted: Any) -> None:
    """Refuse a second thing with the same `wanted` values."""
    if any(all(thing.get(k) == v for k, v in wanted.items()) for thing in table):
        raise conflict(f"{what} with name {wanted['name']} already exists")


def password_good(password: str) -> str:
    """A password of a user, 8 to 72 bytes."""
    if not 8 <= len(password.encode()) <= 72:
        raise invalid("passwords must be between 8 and 72 characters long")
    return password


def bucket_name_good(name: str) -> str:
    """A name that a bucket of a user may have."""
    if not name.strip():
        raise invalid(f"bucket name {name} is invalid")
    if name.startswith("_"):
        raise invalid(f"bucket name {name} is invalid. Buckets may not start with underscore")
    if '"' in name:
        why = "Bucket names may not include quotation marks"
        raise invalid(f"bucket name {name} is invalid. {why}")
    return name


def retention_good(rules: list[Thing], before: int) -> list[Thing]:
    """Retention rules as the server completes them; at most one, an hour at least, or for ever.

    `before` is the length of a shard until now, 0 for a new bucket, which is refused with 500.
    """
    if len(rules) > 1:
        raise invalid("buckets cannot have more than one retention rule at this time")
    rule = rules[0] if rules else {"everySeconds": 0}
    every = int(rule["everySeconds"])
    if 0 < every < 3600:
        raise _unfit("retention policy duration must be at least 1h0m0s", before)
    shard = int(rule.get("shardGroupDurationSeconds") or _shard(every))
    if every and shard > every:
        told = "retention policy duration must be greater than the shard duration"
        if before:
            told = "shard-group duration must also be updated to be smaller than new retention"
            told += " duration"
        raise _unfit(told, before)
    return [{"type": "expire", "everySeconds": every, "shardGroupDurationSeconds": shard}]


def _unfit(told: str, before: int) -> Refusal:
    if before:
        return Refusal(422, "unprocessable entity", told)
    return Refusal(500, "internal error", told)


def _shard(every: int) -> int:
    if every and every < 2 * 86_400:
        return 3600
    return 86_400 if every and every <= 180 * 86_400 else 7 * 86_400


def allowed(permissions: list[Thing], action: str, kind: str, org: str, of: str | None) -> bool:
    """Whether the permissions allow `action` on the resource `of`, or on all of its kind."""
    for one in permissions:
        resource = one["resource"]
        if one["action"] != action or resource["type"] != kind:
            continue
        if resource.get("orgID") not in {None, org} or resource.get("id") not in {None, of}:
            continue
        return True
    return False


def operator() -> list[Thing]:
    """The permissions of the token that the first set-up makes: all of all organisations."""
    return [
        {"action": action, "resource": {"type": kind}}
        for kind in RESOURCES
        for action in ("read", "write")
    ]
