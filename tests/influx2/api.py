"""`/api/v2` and `/private/legacy` of the fake: one function a path."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from typing import Any

import attrs

from tests.influx2 import lines
from tests.influx2.engine import Engine
from tests.influx2.errors import Refusal, conflict, invalid, not_found, unauthorized
from tests.influx2.state import (
    State,
    Thing,
    allowed,
    bucket_name_good,
    new_id,
    operator,
    password_good,
    retention_good,
    unique,
)


@attrs.define
class Asked:
    """A request: what it wants and who sends it."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    json: Any = None
    who: Thing = attrs.field(factory=dict)  # the authorization; empty where none is needed


Answer = tuple[int, Any]  # status, and an object or bytes or None
Handler = Callable[..., Answer]
_ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Name the method of Api that answers; `{id}` in the path is its argument."""

    def note(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\{\w+\}", r"([^/]+)", path))
        _ROUTES.append((method, pattern, handler.__name__))
        return handler

    return note


class Api:
    """The paths, over a state and an engine."""

    def __init__(self, state: State, engine: Engine) -> None:
        self.state = state
        self.engine = engine

    def answer(self, asked: Asked) -> Answer:
        """Carry out a request; raises Refusal."""
        known = False
        for method, pattern, name in _ROUTES:
            match = pattern.fullmatch(asked.path)
            known = known or match is not None
            if match and method == asked.method:
                if name not in {"setup_allowed", "set_up", "signin"}:
                    asked.who = self.who(asked.headers)
                return getattr(self, name)(asked, *match.groups())  # type: ignore[no-any-return]
        if known:
            raise Refusal(405, "method not allowed", "allow other methods")
        raise not_found("path not found")

    # -- who

    def who(self, headers: Any) -> Thing:
        """The active authorization of the Token header."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        found = self.state.by_token(token.strip()) if scheme == "Token" else None
        if found is None or found["status"] != "active":
            raise unauthorized()
        return found

    def need(
        self, asked: Asked, action: str, kind: str, org: str = "", of: str | None = None
    ) -> None:
        """Refuse who may not do this."""
        if not allowed(asked.who["permissions"], action, kind, org, of):
            raise Refusal(401, "unauthorized", f"{action}:orgs/{org}/{kind} is unauthorized")

    def may(self, asked: Asked, action: str, kind: str, org: str, of: str | None) -> bool:
        """Whether who asks may do this."""
        return allowed(asked.who["permissions"], action, kind, org, of)

    def org_of(self, asked: Asked) -> Thing:
        """The organisation that the query or the body names, else that of the token."""
        named = asked.query.get("orgID") or asked.query.get("org")
        if not named and isinstance(asked.json, dict):
            named = asked.json.get("orgID") or asked.json.get("org")
        return self.state.org(named or asked.who.get("orgID"))

    # -- set-up

    @route("GET", "/api/v2/setup")
    def setup_allowed(self, asked: Asked) -> Answer:
        return 200, {"allowed": not self.state.users}

    @route("POST", "/api/v2/setup")
    def set_up(self, asked: Asked) -> Answer:
        wanted = asked.json
        if self.state.users:
            raise conflict("onboarding has already been completed")
        user = self._new_user(wanted["username"])
        if wanted.get("password"):
            self.state.passwords[user["id"]] = password_good(wanted["password"])
        org = self._new_org(wanted["org"])
        self.state.members[org["id"], user["id"]] = "owner"
        every = wanted.get("retentionPeriodSeconds") or 0
        bucket = self._new_bucket(org, wanted["bucket"], [{"everySeconds": every}])
        auth = self._new_auth(org, user, operator(), f"{user['name']}'s Token", wanted.get("token"))
        return 201, {"user": user, "org": org, "bucket": bucket, "auth": auth}

    @route("POST", "/api/v2/signin")
    def signin(self, asked: Asked) -> Answer:
        name, _, password = _basic(asked.headers)
        for user in self.state.users.values():
            if user["name"] == name and self.state.passwords.get(user["id"]) == password:
                return 204, None
        raise unauthorized()

    # -- organisations and users

    @route("GET", "/api/v2/orgs")
    def orgs(self, asked: Asked) -> Answer:
        found = [
            one
            for one in self.state.orgs.values()
            if self.may(asked, "read", "orgs", one["id"], one["id"])
            and asked.query.get("org") in {None, one["name"]}
            and asked.query.get("orgID") in {None, one["id"]}
        ]
        if "org" in asked.query and not found:
            raise not_found(f'organization name "{asked.query["org"]}" not found')
        return 200, {"orgs": self._page(asked, found), "links": {"self": "/api/v2/orgs"}}

    @route("POST", "/api/v2/orgs")
    def add_org(self, asked: Asked) -> Answer:
        self.need(asked, "write", "orgs")
        org = self._new_org(asked.json["name"], asked.json.get("description", ""))
        owner = asked.who["userID"]
        self.state.members[org["id"], owner] = "owner"
        return 201, org

    def _new_org(self, name: str, description: str = "") -> Thing:
        unique(self.state.orgs.values(), "organization", name=name)
        org = self.state.add(self.state.orgs, {"name": name, "description": description})
        for system, days in (("_monitoring", 7), ("_tasks", 3)):
            self._new_bucket(org, system, [{"everySeconds": days * 86_400}], "system")
        return org

    @route("DELETE", "/api/v2/orgs/{id}")
    def drop_org(self, asked: Asked, org: str) -> Answer:
        self.need(asked, "write", "orgs", org, org)
        del self.state.orgs[org]
        for bucket in [one for one in self.state.buckets.values() if one["orgID"] == org]:
            del self.state.buckets[bucket["id"]]
            self.engine.drop(bucket["id"])
        return 204, None

    @route("GET", "/api/v2/orgs/{id}/members")
    def members(self, asked: Asked, org: str) -> Answer:
        return 200, {"users": self._having(org, "member"), "links": {}}

    @route("GET", "/api/v2/orgs/{id}/owners")
    def owners(self, asked: Asked, org: str) -> Answer:
        return 200, {"users": self._having(org, "owner"), "links": {}}

    def _having(self, org: str, role: str) -> list[Thing]:
        self.state.org(org)
        return [
            self.state.users[user] | {"role": role}
            for (where, user), kept in self.state.members.items()
            if where == org and kept == role
        ]

    @route("POST", "/api/v2/orgs/{id}/members")
    def add_member(self, asked: Asked, org: str) -> Answer:
        return self._join(asked, org, "member")

    @route("POST", "/api/v2/orgs/{id}/owners")
    def add_owner(self, asked: Asked, org: str) -> Answer:
        return self._join(asked, org, "owner")

    def _join(self, asked: Asked, org: str, role: str) -> Answer:
        self.need(asked, "write", "orgs", org, org)
        user = self.state.users.get(asked.json["id"])
        if user is None:
            raise not_found("user not found")
        self.state.org(org)
        if (org, user["id"]) in self.state.members:
            raise Refusal(500, "internal error", f"mapping for user {user['id']} already exists")
        self.state.members[org, user["id"]] = role
        return 201, user | {"role": role}

    @route("GET", "/api/v2/users")
    def users(self, asked: Asked) -> Answer:
        self.need(asked, "read", "users")
        found = [
            one
            for one in self.state.users.values()
            if asked.query.get("name") in {None, one["name"]}
        ]
        if "name" in asked.query and not found:
            raise not_found("user not found")
        return 200, {"users": self._page(asked, found), "links": {"self": "/api/v2/users"}}

    @route("POST", "/api/v2/users")
    def add_user(self, asked: Asked) -> Answer:
        self.need(asked, "write", "users")
        return 201, self._new_user(asked.json["name"], asked.json.get("status", "active"))

    def _new_user(self, name: str, status: str = "active") -> Thing:
        unique(self.state.users.values(), "user", name=name)
        return self.state.add(self.state.users, {"name": name, "status": status})

    @route("POST", "/api/v2/users/{id}/password")
    def set_password(self, asked: Asked, user: str) -> Answer:
        self.need(asked, "write", "users", of=user)
        if user not in self.state.users:
            raise not_found("user not found")
        self.state.passwords[user] = password_good(asked.json["password"])
        return 204, None

    @route("GET", "/api/v2/me")
    def me(self, asked: Asked) -> Answer:
        return 200, self.state.users[asked.who["userID"]]

    # -- buckets

    @route("GET", "/api/v2/buckets")
    def buckets(self, asked: Asked) -> Answer:
        named = asked.query.get("orgID") or asked.query.get("org")
        org = self.state.org(named)["id"] if named else None
        name = asked.query.get("name")
        found = [
            one
            for one in self.state.buckets.values()
            if org in {None, one["orgID"]}
            and name in {None, one["name"]}
            and asked.query.get("id") in {None, one["id"]}
            and self.may(asked, "read", "buckets", one["orgID"], one["id"])
        ]
        if name and org and not found:
            raise not_found(f'bucket "{name}" not found')
        return 200, {"buckets": self._page(asked, found), "links": {"self": "/api/v2/buckets"}}

    @route("POST", "/api/v2/buckets")
    def add_bucket(self, asked: Asked) -> Answer:
        org = self.state.org(asked.json["orgID"])
        self.need(asked, "write", "buckets", org["id"])
        name = bucket_name_good(asked.json["name"])
        rules = asked.json.get("retentionRules") or []
        more = asked.json.get("description", "")
        return 201, self._new_bucket(org, name, rules, description=more)

    def _new_bucket(
        self, org: Thing, name: str, rules: list[Thing], kind: str = "user", description: str = ""
    ) -> Thing:
        unique(self.state.buckets.values(), "bucket", name=name, orgID=org["id"])
        made = {
            "orgID": org["id"],
            "name": name,
            "type": kind,
            "description": description,
            "retentionRules": retention_good(rules),
        }
        bucket = self.state.add(self.state.buckets, made)
        self.engine.create(bucket["id"], bucket["retentionRules"][0]["everySeconds"])
        return bucket

    @route("GET", "/api/v2/buckets/{id}")
    def bucket(self, asked: Asked, bucket: str) -> Answer:
        return 200, self._bucket(asked, bucket, "read")

    def _bucket(self, asked: Asked, bucket: str, action: str) -> Thing:
        found = self.state.buckets.get(bucket)
        if found is None:
            raise not_found("bucket not found")
        self.need(asked, action, "buckets", found["orgID"], bucket)
        return found

    @route("PATCH", "/api/v2/buckets/{id}")
    def change_bucket(self, asked: Asked, bucket: str) -> Answer:
        found = self._bucket(asked, bucket, "write")
        rules = asked.json.get("retentionRules")
        if rules:
            shard = found["retentionRules"][0]["shardGroupDurationSeconds"]
            rules = retention_good([{"shardGroupDurationSeconds": shard} | rules[0]])
            self.engine.alter(bucket, rules[0]["everySeconds"])
            found["retentionRules"] = rules
        found |= {k: v for k, v in asked.json.items() if k in {"name", "description"}}
        return 200, found

    @route("DELETE", "/api/v2/buckets/{id}")
    def drop_bucket(self, asked: Asked, bucket: str) -> Answer:
        self._bucket(asked, bucket, "write")
        del self.state.buckets[bucket]
        self.engine.drop(bucket)
        return 204, None

    # -- tokens

    @route("GET", "/api/v2/authorizations")
    def authorizations(self, asked: Asked) -> Answer:
        return 200, {"authorizations": self._tokens(asked, self.state.authorizations), "links": {}}

    @route("POST", "/api/v2/authorizations")
    def add_authorization(self, asked: Asked) -> Answer:
        org, user, permissions = self._grant(asked)
        made = self._new_auth(org, user, permissions, asked.json.get("description", ""))
        made["status"] = asked.json.get("status", "active")
        return 201, made

    def _grant(self, asked: Asked) -> tuple[Thing, Thing, list[Thing]]:
        org = self.state.org(asked.json["orgID"])
        self.need(asked, "write", "authorizations", org["id"])
        user = self.state.users.get(asked.json.get("userID") or asked.who["userID"])
        if user is None:
            raise not_found("user not found")
        for one in asked.json["permissions"]:
            resource = one["resource"]
            where, what = resource.get("orgID", ""), resource.get("id")
            if not self.may(asked, one["action"], resource["type"], where, what):
                raise Refusal(403, "forbidden", "permission is not allowed")
        return org, user, asked.json["permissions"]

    def _new_auth(
        self,
        org: Thing,
        user: Thing,
        permissions: list[Thing],
        description: str,
        token: str | None = None,
    ) -> Thing:
        made = {
            "token": token or base64.urlsafe_b64encode(secrets.token_bytes(64)).decode(),
            "status": "active",
            "description": description,
            "orgID": org["id"],
            "org": org["name"],
            "userID": user["id"],
            "user": user["name"],
            "permissions": permissions,
        }
        return self.state.add(self.state.authorizations, made)

    def _tokens(self, asked: Asked, table: dict[str, Thing]) -> list[Thing]:
        """Those asked for; the tokens themselves are not told again, as from 2.9 on."""
        filters = {"orgID", "userID", "org", "user", "token"} & asked.query.keys()
        return [
            {k: v for k, v in one.items() if k != "token" or table is self.state.legacy}
            for one in table.values()
            if all(one.get(key) == asked.query[key] for key in filters)
            and self.may(asked, "read", "authorizations", one["orgID"], one["id"])
        ]

    @route("PATCH", "/api/v2/authorizations/{id}")
    def change_authorization(self, asked: Asked, one: str) -> Answer:
        return self._change_token(asked, self.state.authorizations, one)

    @route("DELETE", "/api/v2/authorizations/{id}")
    def drop_authorization(self, asked: Asked, one: str) -> Answer:
        return self._drop_token(asked, self.state.authorizations, one)

    def _change_token(self, asked: Asked, table: dict[str, Thing], one: str) -> Answer:
        found = self._token(asked, table, one)
        found |= {k: v for k, v in asked.json.items() if k in {"status", "description"}}
        return 200, found

    def _drop_token(self, asked: Asked, table: dict[str, Thing], one: str) -> Answer:
        self._token(asked, table, one)
        del table[one]
        return 204, None

    def _token(self, asked: Asked, table: dict[str, Thing], one: str) -> Thing:
        if one not in table:
            raise not_found("authorization not found")
        self.need(asked, "write", "authorizations", table[one]["orgID"], one)
        return table[one]

    @route("GET", "/private/legacy/authorizations")
    def legacy(self, asked: Asked) -> Answer:
        return 200, {"authorizations": self._tokens(asked, self.state.legacy), "links": {}}

    @route("POST", "/private/legacy/authorizations")
    def add_legacy(self, asked: Asked) -> Answer:
        org, user, permissions = self._grant(asked)
        name = asked.json.get("token")
        if not name:
            raise invalid("token is required")
        if self.state.by_legacy_user(name):
            raise conflict("token already exists")
        made = {
            "token": name,
            "status": asked.json.get("status", "active"),
            "description": asked.json.get("description", ""),
            "orgID": org["id"],
            "org": org["name"],
            "userID": user["id"],
            "user": user["name"],
            "permissions": permissions,
        }
        return 201, self.state.add(self.state.legacy, made)

    @route("POST", "/private/legacy/authorizations/{id}/password")
    def legacy_password(self, asked: Asked, one: str) -> Answer:
        self._token(asked, self.state.legacy, one)
        self.state.legacy_passwords[one] = password_good(asked.json["password"])
        return 204, None

    @route("PATCH", "/private/legacy/authorizations/{id}")
    def change_legacy(self, asked: Asked, one: str) -> Answer:
        return self._change_token(asked, self.state.legacy, one)

    @route("DELETE", "/private/legacy/authorizations/{id}")
    def drop_legacy(self, asked: Asked, one: str) -> Answer:
        return self._drop_token(asked, self.state.legacy, one)

    # -- mappings and secrets

    @route("GET", "/api/v2/dbrps")
    def dbrps(self, asked: Asked) -> Answer:
        if not {"org", "orgID"} & asked.query.keys():
            raise invalid("Please provide either orgID or org")
        keys = {"db": "database", "rp": "retention_policy", "bucketID": "bucketID", "id": "id"}
        content = [
            one
            for one in self.state.mappings(self.org_of(asked))
            if all(one[keys[k]] == v for k, v in asked.query.items() if k in keys)
            and self.may(asked, "read", "buckets", one["orgID"], one["bucketID"])
        ]
        return 200, {"content": content}

    @route("POST", "/api/v2/dbrps")
    def add_dbrp(self, asked: Asked) -> Answer:
        org = self.org_of(asked)
        bucket = self.state.bucket(org, asked.json["bucketID"])
        self.need(asked, "write", "buckets", org["id"], bucket["id"])
        pair = {key: asked.json[key] for key in ("database", "retention_policy")}
        mine = [one for one in self.state.dbrps.values() if one["orgID"] == org["id"]]
        if any(one.items() >= pair.items() for one in mine):
            raise conflict("DBRP already exists")
        same = [one for one in mine if one["database"] == pair["database"]]
        default = asked.json.get("default", False) or not same
        if default:
            for one in same:
                one["default"] = False
        made = pair | {"orgID": org["id"], "bucketID": bucket["id"], "default": default}
        made["virtual"] = False
        made["id"] = new_id()
        self.state.dbrps[made["id"]] = made
        return 201, made

    @route("DELETE", "/api/v2/dbrps/{id}")
    def drop_dbrp(self, asked: Asked, one: str) -> Answer:
        self.state.dbrps.pop(one, None)
        return 204, None

    @route("GET", "/api/v2/orgs/{id}/secrets")
    def secrets(self, asked: Asked, org: str) -> Answer:
        self.need(asked, "read", "secrets", self.state.org(org)["id"])
        return 200, {"secrets": sorted(self.state.secrets.get(org, {})), "links": {}}

    @route("PATCH", "/api/v2/orgs/{id}/secrets")
    def set_secrets(self, asked: Asked, org: str) -> Answer:
        self.need(asked, "write", "secrets", self.state.org(org)["id"])
        self.state.secrets.setdefault(org, {}).update(asked.json)
        return 204, None

    # -- tasks, checks, notifications: kept, never run

    @route("GET", "/api/v2/{kind}")
    def stored(self, asked: Asked, kind: str) -> Answer:
        table = self._kept(kind)
        org = self.org_of(asked)
        self.need(asked, "read", kind, org["id"])
        found = [
            one
            for one in table.values()
            if one["orgID"] == org["id"] and asked.query.get("name") in {None, one["name"]}
        ]
        return 200, {kind: self._page(asked, found), "links": {}}

    @route("POST", "/api/v2/{kind}")
    def store(self, asked: Asked, kind: str) -> Answer:
        if kind == "write":
            return self.write(asked)
        if kind == "query":
            raise Refusal(501, "not implemented", "the fake knows no Flux: ask a real server")
        table = self._kept(kind)
        org = self.org_of(asked)
        self.need(asked, "write", kind, org["id"])
        made = {"status": "active"} | asked.json | {"orgID": org["id"], "org": org["name"]}
        made |= _task(asked.json["flux"]) if kind == "tasks" else {}
        return 201, self.state.add(table, made)

    @route("PATCH", "/api/v2/{kind}/{id}")
    def change_stored(self, asked: Asked, kind: str, one: str) -> Answer:
        table = self._kept(kind)
        if one not in table:
            raise not_found(f"{kind} not found")
        self.need(asked, "write", kind, table[one]["orgID"], one)
        table[one] |= asked.json
        table[one] |= _task(asked.json["flux"]) if "flux" in asked.json else {}
        return 200, table[one]

    @route("DELETE", "/api/v2/{kind}/{id}")
    def drop_stored(self, asked: Asked, kind: str, one: str) -> Answer:
        if self._kept(kind).pop(one, None) is None:
            raise not_found(f"{kind} not found")
        return 204, None

    def _kept(self, kind: str) -> dict[str, Thing]:
        if kind not in self.state.stored:
            raise not_found("path not found")
        return self.state.stored[kind]

    @staticmethod
    def _page(asked: Asked, found: list[Thing]) -> list[Thing]:
        limit = int(asked.query.get("limit", "20"))
        if not 1 <= limit <= 100:
            raise invalid("limit must be between 1 and 100")
        start = int(asked.query.get("offset", "0"))
        if after := asked.query.get("after"):
            start = [one["id"] for one in found].index(after) + 1
        return found[start : start + limit]

    # -- points

    def write(self, asked: Asked) -> Answer:
        precision = asked.query.get("precision", "ns")
        if precision not in {"ns", "us", "ms", "s"}:
            told = "invalid precision; valid precision units are ns, us, ms, and s"
            raise invalid(told)
        org = self.state.org(asked.query.get("orgID") or asked.query.get("org"))
        bucket = self.state.bucket(org, asked.query["bucket"])
        return self.store_points(asked, bucket, precision)

    def store_points(self, asked: Asked, bucket: Thing, precision: str) -> Answer:
        """Points into `bucket`, all or, of what can be parsed, those that fit."""
        if not self.may(asked, "write", "buckets", bucket["orgID"], bucket["id"]):
            raise Refusal(403, "forbidden", "insufficient permissions for write")
        try:
            points = lines.check(asked.body.decode(errors="surrogateescape"))
        except lines.Unparsable as wrong:
            raise Refusal(400, "invalid", str(wrong), line=wrong.number) from None
        if points:
            self.engine.write(bucket["id"], asked.body, precision)
        return 204, None


def _task(flux: str) -> Thing:
    """What a task says of itself in its script."""
    match = re.search(r"option\s+task\s*=\s*\{(.*?)\}", flux, re.DOTALL)
    if match is None:
        raise invalid("no task options defined")
    found = dict(re.findall(r"(\w+)\s*:\s*(\"(?:\\.|[^\"])*\"|[^,\s]+)", match[1]))
    if "name" not in found or not {"every", "cron"} & found.keys():
        raise invalid("task options need a name, and every or cron")
    plain = {key: value.strip('"') for key, value in found.items()}
    return {
        key: value for key, value in plain.items() if key in {"name", "every", "offset", "cron"}
    }


def _basic(headers: Any) -> tuple[str, str, str]:
    scheme, _, pair = headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return "", "", ""
    try:
        return base64.b64decode(pair).decode().partition(":")
    except ValueError:
        return "", "", ""


basic = _basic
