"""Set-up, organisations and users."""

from __future__ import annotations

from tests.influx2.buckets import Buckets
from tests.influx2.errors import Refusal, conflict, not_found, unauthorized
from tests.influx2.routes import Answer, Asked, basic, route
from tests.influx2.state import Thing, operator, password_good, unique
from tests.influx2.tokens import Tokens


class Tenants(Buckets, Tokens):
    """Who there is."""

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
        name, _, password = basic(asked.headers)
        for user in self.state.users.values():
            if user["name"] == name and self.state.passwords.get(user["id"]) == password:
                return 204, None
        raise unauthorized()

    @route("GET", "/api/v2/orgs")
    def orgs(self, asked: Asked) -> Answer:
        found = [
            one
            for one in self.state.orgs.values()
            if asked.query.get("org") in {None, one["name"]}
            and asked.query.get("orgID") in {None, one["id"]}
        ]
        if "org" in asked.query and not found:
            raise not_found(f'organization name "{asked.query["org"]}" not found')
        page = self.page(asked, found)  # of which what may not be seen is left out
        seen = [one for one in page if self.may(asked, "read", "orgs", one["id"], one["id"])]
        return 200, {"orgs": seen, "links": {"self": "/api/v2/orgs"}}

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
            told = "Unexpected error when assigning user to a resource: "
            told += f"mapping for user {user['id']} already exists"
            raise Refusal(500, "internal error", told)
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
        return 200, {"users": self.page(asked, found), "links": {"self": "/api/v2/users"}}

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
