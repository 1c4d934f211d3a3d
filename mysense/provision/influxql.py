"""Statements of InfluxQL for an InfluxDB 1.x, and their rows."""

from __future__ import annotations

import json
from typing import Any

from mysense.influx.http import Answer, Server, ServerSettings
from mysense.influx.naming import quote_string
from mysense.options import Secret
from mysense.provision.errors import ProvisionError


class InfluxQL:
    """A server of version 1, asked by the user that the settings have."""

    def __init__(self, settings: ServerSettings) -> None:
        self._server = Server(settings)
        self._server.open()

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def rows(self, text: str) -> list[dict[str, Any]]:
        """The rows of all results; raises as `ask`."""
        return [
            dict(zip(series["columns"], values, strict=True))
            for result in self.ask(text)
            for series in result.get("series", ())
            for values in series.get("values", ())
        ]

    def ask(self, text: str, *secrets: Secret) -> list[dict[str, Any]]:
        """The results of statements; what errors say is told without `secrets`.

        Raises:
            Answer: any but 200.
            RetryLater: none.
            ProvisionError: an error inside the answer.
        """
        try:
            answer = self._server.query(text, epoch=None, post=True)
        except Answer as wrong:
            raise Answer(wrong.status, _without(wrong.message, secrets)) from None
        results: list[dict[str, Any]] = json.loads(answer)["results"]
        for result in results:
            if "error" in result:
                raise ProvisionError(_without(f"{self._server}: {result['error']}", secrets))
        return results


def _without(text: str, secrets: tuple[Secret, ...]) -> str:
    for secret in secrets:
        for shown in (quote_string(secret.reveal())[1:-1], secret.reveal()):
            text = text.replace(shown, "***")
    return text
