"""Requests to the JSON API of InfluxDB 2.x, with lists read to their end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus as Http
from typing import Any

from mysense.influx.http import Answer, Server, ServerSettings
from mysense.options import Secret

Thing = dict[str, Any]

_PAGE = 100  # things a list answers with at most


class JsonApi:
    """A server of version 2, asked with the token that the settings have."""

    def __init__(self, settings: ServerSettings) -> None:
        self._server = Server(settings)
        self._server.open()

    def __str__(self) -> str:
        return str(self._server)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def version(self) -> tuple[int, int]:
        """Major and minor; what names none is taken for a recent one."""
        match = re.match(r"v?(\d+)\.(\d+)", self._server.ping())
        return (int(match[1]), int(match[2])) if match else (2, 7)

    def get(self, path: str, **params: str) -> Any:
        """What is at a path below /api/v2. Raises Answer, RetryLater."""
        return self._server.call("GET", f"api/v2/{path}", params)

    def find(self, kind: str, called: str, **params: str) -> Thing | None:
        """The thing called so; servers answer 404, or a list with others, where there is none."""
        try:
            return next((one for one in self._list(kind, params) if one["name"] == called), None)
        except Answer as answer:
            if answer.status == Http.NOT_FOUND:
                return None
            raise

    def _list(self, kind: str, params: dict[str, str]) -> Iterator[Thing]:
        offset = 0
        while True:
            page = {"limit": str(_PAGE)} | ({"offset": str(offset)} if offset else {})
            found = self.get(kind, **params, **page).get(kind) or []
            yield from found
            offset += len(found)
            if len(found) < _PAGE or kind == "tasks":  # those go on in another way
                return

    def post(self, what: str, body: Thing, *secrets: Secret) -> Thing:
        """Make a thing; returns it as the server describes it. Raises Answer, RetryLater."""
        made: Thing = self.call("POST", f"api/v2/{what}", body, *secrets, expected=Http.CREATED)
        return made

    def call(
        self,
        method: str,
        path: str,
        body: Thing | None = None,
        *secrets: Secret,
        expected: int = Http.OK,
    ) -> Any:
        """Any request; the error tells nothing of `secrets`. Raises Answer, RetryLater."""
        try:
            return self._server.call(method, path, body=body, expected=expected)
        except Answer as answer:
            text = answer.message
            for secret in secrets:
                text = text.replace(secret.reveal(), "***")
            raise Answer(answer.status, text) from None
