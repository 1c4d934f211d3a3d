"""What the paths of the fake share: requests, routes, and who may do what."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import attrs

from tests.influx2.engine import Engine
from tests.influx2.errors import Refusal, invalid, unauthorized
from tests.influx2.state import State, Thing, allowed


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
ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Name the method of Api that answers; `{id}` in the path is its argument."""

    def note(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\{\w+\}", r"([^/]+)", path))
        ROUTES.append((method, pattern, handler.__name__))
        return handler

    return note


class Base:
    """State and engine, and what the paths ask of them."""

    def __init__(self, state: State, engine: Engine) -> None:
        self.state = state
        self.engine = engine

    def who(self, headers: Any) -> Thing:
        """The authorization of the Token header, active or not."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        found = self.state.by_token(token.strip()) if scheme == "Token" else None
        if found is None:
            raise unauthorized()
        return found

    def need(
        self, asked: Asked, action: str, kind: str, org: str = "", of: str | None = None
    ) -> None:
        """Refuse who may not do this."""
        if not self.may(asked, action, kind, org, of):
            raise Refusal(401, "unauthorized", f"{action}:orgs/{org}/{kind} is unauthorized")

    def may(self, asked: Asked, action: str, kind: str, org: str, of: str | None) -> bool:
        """Whether who asks may do this: nothing, where the authorization is not active."""
        active = asked.who["status"] == "active"
        return active and allowed(asked.who["permissions"], action, kind, org, of)

    def sees(self, asked: Asked, bucket: Thing, action: str = "read") -> bool:
        """Whether who asks is told of this bucket; the server's own belong to the organisation."""
        org = bucket["orgID"]
        if bucket["type"] == "system":
            return self.may(asked, "read", "orgs", org, org)
        return self.may(asked, action, "buckets", org, bucket["id"])

    def org_of(self, asked: Asked) -> Thing:
        """The organisation that the query or the body names, else that of the token."""
        named = asked.query.get("orgID") or asked.query.get("org")
        if not named and isinstance(asked.json, dict):
            named = asked.json.get("orgID") or asked.json.get("org")
        return self.state.org(named or asked.who.get("orgID"))

    @staticmethod
    def page(asked: Asked, found: list[Thing]) -> list[Thing]:
        limit = int(asked.query.get("limit", "20"))
        if not 1 <= limit <= 100:
            raise invalid("limit must be between 1 and 100")
        start = int(asked.query.get("offset", "0"))
        if after := asked.query.get("after"):
            start = [one["id"] for one in found].index(after) + 1
        return found[start : start + limit]


def basic(headers: Any) -> tuple[str, str, str]:
    scheme, _, pair = headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return "", "", ""
    try:
        return base64.b64decode(pair).decode().partition(":")
    except ValueError:
        return "", "", ""
