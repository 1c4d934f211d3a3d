"""What `mysense check` can find out about reading from an InfluxDB server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from mysense.influx.ahead import Ahead
from mysense.influx.answers import Answer, told_apart
from mysense.influx.checks import FEW, buckets, listed
from mysense.influx.cursor import Cursor, Reach
from mysense.influx.databases import Databases
from mysense.influx.hints import address, statement
from mysense.influx.http import Server, ServerSettings
from mysense.influx.naming import quote_identifier
from mysense.influx.reading import explained
from mysense.influx.statements import default_policy, rows_of, show_keys, show_policies
from mysense.influx.tasks import ROLL_UPS
from mysense.plugin import Finding, RetryLater

_MAP = "mysense provision grants it, and makes a mapping where a server older than 2.4 needs one"


@attrs.frozen(kw_only=True)
class Inspection:
    """Looks at a server as a reader does.

    Attributes:
        settings: of the server.
        ahead: how to ask it, open.
        databases: which of its databases are meant.
        reach: how they are read.
        shared: the one database of all kits, or "".
        by_org: whether that is one of each organisation.
        push: where hints are waited for, or "".
    """

    settings: ServerSettings
    ahead: Ahead
    databases: Databases
    reach: Reach
    shared: str
    by_org: bool
    push: str

    def findings(self) -> Iterator[Finding]:
        """Is it there, does it let us in, which databases match, can they be read?"""
        server = Server(self.settings)
        server.open()
        try:
            version = server.ping()
            yield Finding(True, f"{server} answers: InfluxDB {version or '(it names no version)'}")
            found = self.databases.matching()
            yield from (
                self._of_2x(server, found) if told_apart(version) == 2 else self._of_1x(found)
            )
            if not found:
                return
            readable = []
            for name in found[:FEW]:
                if reason := self._refusal(name):
                    yield Finding(False, f"database {name}: {reason}", self._fix())
                else:
                    readable.append(name)
            yield self._told(found, readable)
            yield from self._hints(readable)
        except Answer as wrong:
            yield Finding(False, f"{server} answers {wrong}", "is that InfluxDB?")
        except RetryLater as wrong:
            yield Finding(False, f"{server.who}: {wrong}", "is it running, is hostname right?")
        finally:
            server.close()

    def _of_1x(self, found: Sequence[str]) -> Iterator[Finding]:
        if self.by_org:
            fix = "layout = shared, or kit, as they were written"
            yield Finding(False, "layout = org is for InfluxDB 2.x, which this is not", fix)
        if not found:
            fix = "see projects, serials and databases, and what the user may read"
            yield Finding(False, "0 databases to read", fix)

    def _of_2x(self, server: Server, found: Sequence[str]) -> Iterator[Finding]:
        orgs = self._orgs(server)
        if self.by_org and len(orgs) > 1:
            what = f"sees the organisations {_few(orgs)}, and reads the one the token belongs to"
            yield Finding(True, f"{what}: each needs a section with a token of its own")
        hidden = sorted(set(self._buckets(server)).difference(found))
        if hidden:
            what = f"buckets that are there and cannot be read as databases: {_few(hidden)}"
            fix = "use a token of their organisation that may read them; " + _MAP
            yield Finding(False, what, fix)
        elif not found:
            fix = "see projects, serials and layout, and what the token may read; " + _MAP
            yield Finding(False, "0 databases to read", fix)

    def _orgs(self, server: Server) -> list[str]:
        try:
            found = listed(server, "orgs", {})
        except (Answer, RetryLater):  # a user of the 1.x API, or a token that may not
            return []
        return [str(each["name"]) for each in found]

    def _buckets(self, server: Server) -> Iterator[str]:
        """The databases by whose names buckets are called, as far as those are to be read."""
        try:
            found = buckets(server, self.settings.org)
        except Answer:
            return
        rp = self.reach.rp
        for bucket, _ in found:
            name, _, policy = bucket.partition("/")
            if policy in {"", rp} and self.databases.is_wanted(name):
                yield name

    def _refusal(self, name: str) -> str:
        """Why a database cannot be read, or nothing."""
        cursor = Cursor(name, self.reach)
        try:  # one by one: of several the server says that they were not executed
            (keys,) = self.ahead.ask([show_keys(cursor)]).results
            (policies,) = self.ahead.ask([show_policies(name)]).results
        except Answer as answer:
            return answer.message
        if "error" in keys:
            return explained(str(keys["error"]), self.ahead.api)
        if not self.reach.rp and default_policy(policies) == ROLL_UPS:
            return f"its default retention policy is {ROLL_UPS}, that of roll-ups"
        return ""

    def _fix(self) -> str:
        if self.ahead.api == 2:
            return "use a token that may read it; " + _MAP
        return "an administrator can GRANT READ on it, or, where it is not there, correct its name"

    def _told(self, found: Sequence[str], readable: Sequence[str]) -> Finding:
        more = f", the first {FEW} tried" if len(found) > FEW else ""
        what = f"{len(found)} databases to read{more}: {_few(readable)}"
        if self.shared and readable:
            what = f"database {self.shared} of all kits: {self._projects()}"
        return Finding(bool(readable), what, "" if readable else "see above")

    def _projects(self) -> str:
        """Whose rows there are."""
        source = Cursor(self.shared, self.reach).source("data")
        name = quote_identifier(self.shared)
        query = f'SHOW TAG VALUES ON {name} FROM {source} WITH KEY = "project"'
        try:
            (result,) = self.ahead.ask([query]).results
        except Answer:
            return "projects that cannot be listed"
        projects = sorted({row[1] for row in rows_of(result)})
        return f"projects {_few(projects)}" if projects else "empty as yet"

    def _hints(self, names: Iterable[str]) -> Iterator[Finding]:
        """What an administrator of the server has to tell it, so that it gives hints."""
        where = address(self.push)
        if where is None:
            return
        if self.ahead.api == 2:
            what = "push: InfluxDB 2.x has no SUBSCRIPTION"
            yield Finding(False, what, "remove push; it polls anyway")
            return
        for name in names:
            rp = self.reach.rp or self.databases.default_policy(name)
            if rp:
                what = f"push needs, once, on the server: {statement(name, rp, *where)}"
                yield Finding(True, what)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) or "none"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
