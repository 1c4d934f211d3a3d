"""What `mysense check` can find out about an InfluxDB server without writing to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus as Http
from typing import Any

from mysense.errors import MySenseError
from mysense.influx.answers import Answer, told_apart
from mysense.influx.http import Server
from mysense.influx.layouts import ORG_BUCKET, Layout, Place
from mysense.influx.naming import NameRefused
from mysense.influx.verdicts import Asked, verdict
from mysense.plugin import Finding, Misconfigured, RetryLater
from mysense.telegram import Ident
from mysense.text import counted

FEW = 20  # databases that are tried
_PAGE = 100  # entries of a list at once; the server gives no more
_EMPTY = 2  # pages after which a list is believed to be at its end
_FOREIGN = (Http.BAD_REQUEST, Http.NOT_FOUND, Http.METHOD_NOT_ALLOWED)  # it has no such API
_DENIED = (Http.UNAUTHORIZED, Http.FORBIDDEN)


def check_reach(server: Server) -> Iterator[Finding]:
    """Is it there, is it InfluxDB of the right kind, does it let us in? Stops at what fails."""
    try:
        server.open()
        version = server.ping()
        yield Finding(True, f"{server} answers: InfluxDB {version or '(it names no version)'}")
        yield from _right_api(server, version)
    except ImportError as wrong:
        yield Finding(False, f"the package influxdb: {wrong}", "pip install influxdb")
        return
    except (RetryLater, Misconfigured) as wrong:
        fix = "start InfluxDB there, or correct hostname, port, ssl and api"
        yield Finding(False, str(wrong), fix)
        return
    except Answer as wrong:
        fix = "that is not InfluxDB; correct hostname and port"
        yield Finding(False, f"{server} answers {wrong}", fix)
        return
    yield _log_in(server)


def _right_api(server: Server, version: str) -> Iterator[Finding]:
    told, used = told_apart(version), server.api()
    if told is not None and told != used:
        what = f"it is InfluxDB {version}, and is asked with api = {used}"
        older = told == 1 and re.match(r"1\.[0-7]\.", version)
        fix = f"set api = {told}" + (", org and token" if told == 2 else "")
        if older:
            yield Finding(False, f"{what}, which it does not know", fix)
        elif told == 2:
            yield Finding(False, f"{what}: only buckets mapped to databases can be reached", fix)
        else:
            yield Finding(True, f"{what}, which it takes as well")


def _log_in(server: Server) -> Finding:
    who = server.who if server.who != "nobody" else "without a user"
    try:
        buckets(server) if server.known_api == 2 else databases(server)
    except (Answer, RetryLater) as wrong:
        reason: MySenseError = wrong
        if isinstance(wrong, Answer):
            asked = Asked(str(server), Place("any"), server.who, server.known_api or 1)
            reason = verdict(wrong, asked)
        fix = "correct token" if server.who == "the token" else "correct user and password"
        return Finding(False, f"{who}: {reason}", fix)
    return Finding(True, f"{who}: let in")


def databases(server: Server) -> list[str]:
    """The databases that the user may see. Raises Answer, RetryLater."""
    try:
        result = json.loads(server.query("SHOW DATABASES"))["results"][0]
        if "error" in result:
            raise Answer(403, str(result["error"]))
        rows = [row for each in result.get("series", ()) for row in each.get("values", ())]
        return [str(row[0]) for row in rows if row[0] != "_internal"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise RetryLater(f"{server}: SHOW DATABASES was not answered by InfluxDB") from None


def buckets(server: Server, org: str = "") -> list[tuple[str, str]]:
    """Names of buckets that may be seen, and the id of the organisation of each.

    Raises:
        Answer, RetryLater
    """
    try:
        found = listed(server, "buckets", {"org": org} if org else {})
    except (KeyError, TypeError):
        raise RetryLater(f"{server}: buckets were not listed by InfluxDB") from None
    except Answer as answer:
        if answer.status not in _FOREIGN:
            raise
        return []  # 1.8, 3 and others take writes and have no such list; or there is no such org
    return [(each["name"], each["orgID"]) for each in found if not each["name"].startswith("_")]


def listed(server: Server, kind: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every entry of a list of the API that may be seen: "buckets" or "orgs".

    It comes in pages, from which is left out what may not be seen. So the end is known only where
    some pages are empty.

    Raises:
        Answer, RetryLater: it is not listed; the latter where that was not InfluxDB's.
    """
    found: list[dict[str, Any]] = []
    offset = empty = 0
    while empty < _EMPTY:
        page = {"limit": str(_PAGE)} | ({"offset": str(offset)} if offset else {})
        some = (server.call("GET", f"api/v2/{kind}", {**params, **page}) or {}).get(kind)
        if some is None:
            raise RetryLater(f"{server}: {kind} were not listed by InfluxDB")
        found += some
        empty = 0 if some else empty + 1
        offset += _PAGE
    return found


def check_writing(
    server: Server, layout: Layout, *, create: bool, kits: Iterable[Ident] = ()
) -> Iterator[Finding]:
    """May what is missing be created, and what is there be written? Writes nothing.

    Args:
        server: that answers.
        layout: which kit goes where.
        create: whether what is missing is to be created.
        kits: whose telegrams are expected; else those are tried that can be seen.
    """
    try:
        places = list(dict.fromkeys([*_expected(layout, kits), *_places(server, layout)]))
        may_create = _may_create(server, layout) if create else None
        answers = {place: _refusal(server, place) for place in places}
    except (Answer, RetryLater) as wrong:
        yield Finding(False, f"{server}: {wrong}", "see above")
        return
    noun = "databases" if server.known_api == 1 else "buckets"
    if not places:
        what = f"sees no {noun}, so whether it may write to some shows with the first telegram"
        yield Finding(True, f"{server.who} {what}")
    missing = [place for place, answer in answers.items() if _is(answer, Http.NOT_FOUND)]
    if may_create is not None and (layout.name != "shared" or missing):
        what = f"may create {noun} for new kits" if not missing else f"may create {_names(missing)}"
        fix = f"let an administrator create the {noun} and set create = false, or use its "
        fix += "user" if server.known_api == 1 else "token"
        yield Finding(may_create, what, "" if may_create else fix)
    elif missing and create:
        what = f"{_names(missing)}: not there yet; whether {server.who} may create that"
        yield Finding(True, f"{what} shows with the first telegram")
    elif missing:
        yield Finding(False, f"{_names(missing)}: not there", "create it, or set create = true")
    for place, answer in answers.items():
        if answer is not None and place not in missing:
            yield _may_not(server, place, answer)
    count = sum(answer is None for answer in answers.values())
    if count:
        yield Finding(True, f"may write to {counted(count, noun)}")


def _is(answer: Answer | None, status: Http) -> bool:
    return answer is not None and answer.status == status


def _names(places: list[Place]) -> str:
    return ", ".join(place.bucket for place in places)


def _may_not(server: Server, place: Place, answer: Answer) -> Finding:
    if not _is(answer, Http.UNAUTHORIZED) and not _is(answer, Http.FORBIDDEN):
        return Finding(False, f"{place.bucket}: {answer}", "see above")
    if server.known_api == 1:
        fix = f'an administrator can GRANT ALL ON "{place.database}"'
        fix += ", where kits of this station go there"
        return Finding(False, f"may not write to database {place.database}", fix)
    what = f"may not write to bucket {place.bucket} of organisation {place.org}"
    return Finding(False, what, "set a token that may, where kits of this station go there")


def _expected(layout: Layout, kits: Iterable[Ident]) -> Iterator[Place]:
    for ident in kits:
        with suppress(NameRefused):  # its telegrams are dead letters, wherever they go
            yield layout.place(ident)


def _places(server: Server, layout: Layout) -> Iterator[Place]:
    """Where telegrams could go: the one database of all, or some of those that are there."""
    if layout.name == "shared":
        yield Place(layout.database, layout.org, layout.rp)
    elif layout.name == "org":
        for org in _orgs(server)[:FEW]:
            yield Place(ORG_BUCKET, org, layout.rp)
    elif server.known_api == 1:
        for name in databases(server)[:FEW]:
            yield Place(name, layout.org)
    else:
        for name, _ in buckets(server, layout.org)[:FEW]:
            yield Place(name, layout.org)


def _orgs(server: Server) -> list[str]:
    return [str(each["name"]) for each in listed(server, "orgs", {})]


def _may_create(server: Server, layout: Layout) -> bool | None:
    """None where it cannot be known."""
    if server.known_api == 1:
        return _is_admin(server)
    if layout.name == "org":
        return None
    seen = buckets(server, layout.org)
    if not seen:
        return None
    name, org = seen[0]  # one that is there: who may create is told that it is
    try:
        wanted = {"orgID": org, "name": name, "retentionRules": []}
        server.call("POST", "api/v2/buckets", body=wanted, expected=Http.UNPROCESSABLE_ENTITY)
    except Answer as answer:
        return answer.status not in _DENIED
    return True


def _is_admin(server: Server) -> bool:
    """Only administrators may see the users."""
    try:
        server.query("SHOW USERS")
    except Answer:
        return False
    return True


def _refusal(server: Server, place: Place) -> Answer | None:
    """What a body of a comment alone is answered, which is looked at for everything but lines."""
    try:
        server.write(place.database, b"#", place.rp or None, org=place.org)
    except Answer as answer:
        return None if answer.status == Http.BAD_REQUEST else answer  # 400: it wants lines
    return None
