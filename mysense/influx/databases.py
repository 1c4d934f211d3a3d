"""Which databases of a server are those of kits that somebody wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mysense.errors import TelegramError
from mysense.influx.ahead import Ahead
from mysense.influx.http import Answer
from mysense.influx.idents import split_name
from mysense.influx.naming import quote_identifier
from mysense.influx.statements import is_not_there, show_keys
from mysense.plugin import RetryLater


class Databases:
    """Lists databases of kits.

    Args:
        ahead: how to ask the server.
        projects: what a project must match, in full.
        serials: what a serial must match, in full.
        named: only these; needed where the server does not list its databases.
    """

    def __init__(
        self,
        ahead: Ahead,
        projects: re.Pattern[str],
        serials: re.Pattern[str],
        named: tuple[str, ...] = (),
    ) -> None:
        self._ahead = ahead
        self._projects = projects
        self._serials = serials
        self._named = named
        self.now: float | None = None
        """The server's clock when it last answered."""

    def matching(self) -> list[str]:
        """Their names, sorted.

        Raises:
            RetryLater: the server does not answer, or will not say.
        """
        listed, denied = self._listed()
        if denied and not self._named:
            raise RetryLater(
                f"databases cannot be listed: {denied}; name them in the option databases"
            )
        return sorted(name for name in self._named or listed if self._is_wanted(name))

    def is_gone(self, name: str) -> bool:
        """Whether the server says that there is no such database; one may be merely forbidden.

        Raises:
            RetryLater: the server does not answer.
        """
        try:
            (result,) = self._ahead.ask([show_keys(name)]).results
        except Answer as answer:
            return is_not_there(answer.message)
        return is_not_there(str(result.get("error", "")))

    def default_policy(self, name: str) -> str:
        """The retention policy of a database that counts where none is named, or "".

        Raises:
            RetryLater: the server does not answer.
        """
        try:
            reply = self._ahead.ask([f"SHOW RETENTION POLICIES ON {quote_identifier(name)}"])
        except Answer:
            return ""
        for series in reply.results[0].get("series", ()):
            for row in series.get("values", ()):
                policy = dict(zip(series["columns"], row, strict=True))
                if policy.get("default"):
                    return str(policy["name"])
        return ""

    def _listed(self) -> tuple[list[str], str]:
        """The names, and why there are none."""
        try:
            reply = self._ahead.ask(["SHOW DATABASES"])
        except Answer as answer:
            if answer.status != 403:
                raise RetryLater(f"the server answered {answer}", answer.retry_after) from answer
            return [], answer.message
        self.now = reply.now
        errors = [str(result["error"]) for result in reply.results if "error" in result]
        return list(_names(reply.results)), "; ".join(errors)

    def _is_wanted(self, name: str) -> bool:
        try:
            split_name(name)
        except TelegramError:  # of no kit
            return False
        # either part may hold a `_`, so every place to split the name counts
        return any(
            self._projects.fullmatch(name[: at.start()])
            and self._serials.fullmatch(name[at.end() :])
            for at in re.finditer("_", name)
        )


def _names(results: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for result in results:
        for series in result.get("series", ()):
            for row in series.get("values", ()):
                yield row[0]
