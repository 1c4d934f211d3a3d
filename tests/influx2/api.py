"""`/api/v2` and `/private/legacy` of the fake: one function a path."""

from __future__ import annotations

import re

from tests.influx2.errors import Refusal, invalid, not_found
from tests.influx2.routes import ROUTES, Answer, Asked, route
from tests.influx2.state import Thing
from tests.influx2.tenants import Tenants

_OPEN = {"setup_allowed", "set_up", "signin"}  # nobody has to say who asks


class Api(Tenants):
    """All paths."""

    def answer(self, asked: Asked) -> Answer:
        """Carry out a request; raises Refusal."""
        known = False
        for method, pattern, name in ROUTES:
            match = pattern.fullmatch(asked.path)
            known = known or match is not None
            if match and method == asked.method:
                if name not in _OPEN:
                    asked.who = self.who(asked.headers)
                return getattr(self, name)(asked, *match.groups())  # type: ignore[no-any-return]
        if known:
            raise Refusal(405, "method not allowed", "allow other methods")
        raise not_found("path not found")

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
        return 200, {kind: self.page(asked, found), "links": {}}

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
