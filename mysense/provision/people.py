"""Persons of an organisation of InfluxDB 2.x, and its secrets."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus as Http

from mysense.influx.http import ServerSettings
from mysense.options import Secret
from mysense.provision.jsonapi import JsonApi, Thing
from mysense.provision.logins import Login, settle, signs_in
from mysense.provision.safe import Safe, long_enough
from mysense.provision.steps import Steps
from mysense.provision.wanted import checked


class People:
    """Who may log in, and what only the server itself may read; arguments as for Two."""

    def __init__(
        self, json: JsonApi, settings: ServerSettings, steps: Steps, safe: Safe, *, renew: bool
    ) -> None:
        self._json = json
        self._settings = settings
        self._steps = steps
        self._safe = safe
        self._renew = renew

    def member(self, org: Thing | None, name: str) -> None:
        """A person who may log in and belongs to the organisation."""
        user = self._user(checked(name))
        title = f"{name} of {org['name']}" if org else name
        if org is not None and user is not None and self._belongs(org, user):
            self._steps.exists("membership", title)
            return
        path = f"orgs/{org and org['id']}/members"
        body = {"id": user and user["id"]}
        self._steps.create("membership", title, lambda: self._json.post(path, body))

    def _user(self, name: str) -> Thing | None:
        user = self._json.find("users", name, name=name)
        if user is None:
            return self._steps.create("user", name, lambda: self._new_user(name))
        right = partial(signs_in, self._settings, name)
        login = Login("user", name, right, partial(self._set_password, user))
        settle(login, self._steps, self._safe, renew=self._renew)
        return user

    def _new_user(self, name: str) -> Thing:
        password = self._safe.password(name)
        made = self._json.post("users", {"name": name, "status": "active"})
        self._set_password(made, password)
        return made

    def _set_password(self, user: Thing, password: Secret) -> None:
        path, body = (
            f"api/v2/users/{user['id']}/password",
            {"password": long_enough(password).reveal()},
        )
        self._json.call("POST", path, body, password, expected=Http.NO_CONTENT)

    def _belongs(self, org: Thing, user: Thing) -> bool:
        return any(
            each["id"] == user["id"]
            for role in ("members", "owners")
            for each in self._json.get(f"orgs/{org['id']}/{role}")["users"] or ()
        )

    def secret(self, org: Thing | None, key: str, value: Secret) -> None:
        """A secret of the organisation, for checks and tasks; its value cannot be read back."""
        path = f"orgs/{org and org['id']}/secrets"
        there = org is not None and key in (self._json.get(path)["secrets"] or ())

        def work() -> None:
            body = {key: value.reveal()}
            self._json.call("PATCH", f"api/v2/{path}", body, value, expected=Http.NO_CONTENT)

        if there and self._renew:
            self._steps.change("secret", key, work, "a new value")
        elif there:
            self._steps.exists("secret", key)
        else:
            self._steps.create("secret", key, work)
