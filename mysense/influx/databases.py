"""Which databases of a server are those of kits that somebody wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mysense.errors import TelegramError
from mysense.influx.ahead import Ahead
from mysense.influx.http import Answer
from mysense.influx.idents import split_name
from mysense.influx.reading import is_not_there, refused
from mysense.influx.statements import default_policy, show_policies
from mysense.plugin import RetryLater


class Databases:
    """Lists databases of kits.

    Args:
        ahead: how to ask the server.
        projects: what a project must match, in full.
        serials: what a serial must match, in full.
        named: only these; needed where the server does not list its databases.
        shared: the one database of all kits, if that is so; then nothing else is looked at.
    """

    def __init__(
        self,
        ahead: Ahead,
        projects: re.Pattern[str],
        serials: re.Pattern[str],
        named: tuple[str, ...] = (),
        shared: str = "",
    ) -> None:
        self._ahead = ahead
        self._projects = projects
        self._serials = serials
        self._named = (shared,) if shared else named
        self._shared = shared
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
        return sorted(name for name in self._named or listed if self.is_wanted(name))

    def is_gone(self, name: str) -> bool:
        """Whether the server says that there is no such database; one may be merely forbidden.

        InfluxDB 2.x does not tell these apart: there nothing is known to be gone.

        Raises:
            RetryLater: the server does not answer.
        """
        if self._ahead.api == 2:
            return False
        try:
            (result,) = self._ahead.ask([show_policies(name)]).results
        except Answer as answer:
            return is_not_there(answer.message)
        return is_not_there(str(result.get("error", "")))

    def default_policy(self, name: str) -> str:
        """The retention policy of a database that counts where none is named, or "".

        Raises:
            RetryLater: the server does not answer.
        """
        try:
            return default_policy(self._ahead.ask([show_policies(name)]).results[0])
        except Answer:
            return ""

    def _listed(self) -> tuple[list[str], str]:
        """The names, and why there are none."""
        try:
            reply = self._ahead.ask(["SHOW DATABASES"])
        except Answer as answer:
            if answer.status != 403 or self._ahead.api == 2:
                reason = refused(answer, self._ahead.who)
                raise RetryLater(reason, answer.retry_after) from answer
            return [], answer.message
        self.now = reply.now
        errors = [str(result["error"]) for result in reply.results if "error" in result]
        return list(_names(reply.results)), "; ".join(errors)

    def is_wanted(self, name: str) -> bool:
        """Whether a database of that name is to be read."""
        if self._shared:
            return name == self._shared
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
