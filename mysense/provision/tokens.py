"""Tokens of InfluxDB 2.x for one bucket, and users of its 1.x API."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus as Http

from mysense.influx.http import ServerSettings
from mysense.options import Secret
from mysense.provision.errors import ProvisionError
from mysense.provision.jsonapi import JsonApi, Thing
from mysense.provision.logins import Login, lets_in, settle
from mysense.provision.safe import Safe, long_enough
from mysense.provision.steps import Steps
from mysense.provision.wanted import Access

_LEGACY = "private/legacy/authorizations"


class Tokens:
    """Who may read or write what; arguments as for Two.

    Tokens and users are made inactive, kept, and only then switched on: what is found inactive is
    of a run that ended in between, and nobody has its secret.
    """

    def __init__(
        self, json: JsonApi, settings: ServerSettings, steps: Steps, safe: Safe, *, renew: bool
    ) -> None:
        self._json = json
        self._settings = settings
        self._steps = steps
        self._safe = safe
        self._renew = renew

    def provide(
        self, org: Thing | None, bucket: Thing | None, access: Access, what: str, *, every: bool
    ) -> None:
        """A token for one bucket, or for `every` one of the organisation."""
        title = f"{access} {what}"
        if org is None or (bucket is None and not every):  # of a run that makes nothing
            self._steps.create("token", access.name, lambda: None, title)
            return
        permissions = _permissions(org, bucket, access) + ([_sees(org)] if every else [])
        description = f"MySense {access.name}: {title}"
        found = self._authorized(org, description, permissions)
        work = partial(self._new_token, org, access.name, description, permissions, found)
        if not any(each["status"] == "active" for each in found):
            self._steps.create("token", access.name, work, title)
        elif self._renew:
            self._steps.change("token", access.name, work, f"{title}, the old one is void")
        else:
            lost = self._safe.folder and not self._safe.found(access.name, "token")
            hint = "; it is not in the folder, --renew makes another" if lost else ""
            self._steps.exists("token", access.name, title + hint)

    def _new_token(
        self,
        org: Thing,
        name: str,
        description: str,
        permissions: list[Thing],
        before: list[Thing],
    ) -> None:
        body = {"orgID": org["id"], "description": description, "status": "inactive"}
        made = self._json.post("authorizations", body | {"permissions": permissions})
        self._safe.keep(name, "token", Secret(str(made["token"])))
        self._json.call("PATCH", f"api/v2/authorizations/{made['id']}", {"status": "active"})
        for each in before:
            path = f"api/v2/authorizations/{each['id']}"
            self._json.call("DELETE", path, expected=Http.NO_CONTENT)

    def _authorized(self, org: Thing, description: str, permissions: list[Thing]) -> list[Thing]:
        """The tokens that were made for this, and can do this and nothing else."""
        return [
            each
            for each in self._json.get("authorizations", orgID=org["id"])["authorizations"]
            if each.get("description") == description
            and _rights(each["permissions"]) == _rights(permissions)
        ]

    def user_of_1x(self, org: Thing | None, bucket: Thing | None, access: Access) -> None:
        """A user by name and password for those who only speak 1.x."""
        kind, name = "user of 1.x", access.name
        if org is None:  # of a run that makes nothing
            self._steps.create(kind, name, lambda: None, str(access))
            return
        permissions = _permissions(org, bucket, access)
        user = self._user_of_1x(org, name)
        if user is None:
            new = partial(self._new_user_of_1x, org, name, permissions)
            self._steps.create(kind, name, new, str(access))
            return
        if _rights(user["permissions"]) != _rights(permissions):
            raise ProvisionError(
                f"user {name} of the 1.x API has other rights than to {access} here; take another "
                f"name, or delete it: influx v1 auth delete --username {name}"
            )
        set_to = partial(self._set_password, user)
        if user["status"] != "active":
            work = partial(self._first_password, user)
            self._steps.create(kind, name, work, str(access))
            return
        login = Login(kind, name, partial(lets_in, self._settings, name), set_to)
        settle(login, self._steps, self._safe, renew=self._renew)

    def _user_of_1x(self, org: Thing, name: str) -> Thing | None:
        found = self._json.call("GET", f"{_LEGACY}?orgID={org['id']}")["authorizations"]
        return next((one for one in found if one["token"] == name), None)

    def _new_user_of_1x(self, org: Thing, name: str, permissions: list[Thing]) -> None:
        body = {"orgID": org["id"], "token": name, "status": "inactive"}
        body |= {"description": f"MySense {name}", "permissions": permissions}
        self._first_password(self._json.call("POST", _LEGACY, body, expected=Http.CREATED))

    def _first_password(self, user: Thing) -> None:
        self._set_password(user, self._safe.password(str(user["token"])))
        self._json.call("PATCH", f"{_LEGACY}/{user['id']}", {"status": "active"})

    def _set_password(self, user: Thing, password: Secret) -> None:
        path, body = (
            f"{_LEGACY}/{user['id']}/password",
            {"password": long_enough(password).reveal()},
        )
        self._json.call("POST", path, body, password, expected=Http.NO_CONTENT)


def _permissions(org: Thing, bucket: Thing | None, access: Access) -> list[Thing]:
    resource = {"type": "buckets", "orgID": org["id"]} | ({"id": bucket["id"]} if bucket else {})
    actions = [action for action in ("read", "write") if getattr(access, action)]
    return [{"action": action, "resource": resource} for action in actions]


def _sees(org: Thing) -> Thing:
    """With it the server's own two buckets are listed, too.

    Flux's buckets() ends at the first page of 20 from which a bucket is hidden.
    """
    return {"action": "read", "resource": {"type": "orgs", "id": org["id"]}}


def _rights(permissions: list[Thing]) -> set[tuple[str, ...]]:
    keys = ("type", "orgID", "id")
    return {
        (one["action"], *(str(one["resource"].get(key) or "") for key in keys))
        for one in permissions
    }
