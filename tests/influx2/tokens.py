"""Tokens, users of the 1.x API, and secrets."""

from __future__ import annotations

import base64
import secrets

from tests.influx2.errors import Refusal, conflict, invalid, not_found
from tests.influx2.routes import Answer, Asked, Base, route
from tests.influx2.state import Thing, password_good


class Tokens(Base):
    """Who may do what."""

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

    @route("GET", "/api/v2/orgs/{id}/secrets")
    def secrets(self, asked: Asked, org: str) -> Answer:
        self.need(asked, "read", "secrets", self.state.org(org)["id"])
        return 200, {"secrets": sorted(self.state.secrets.get(org, {})), "links": {}}

    @route("PATCH", "/api/v2/orgs/{id}/secrets")
    def set_secrets(self, asked: Asked, org: str) -> Answer:
        self.need(asked, "write", "secrets", self.state.org(org)["id"])
        self.state.secrets.setdefault(org, {}).update(asked.json)
        return 204, None
