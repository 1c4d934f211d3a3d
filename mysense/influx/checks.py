"""What `mysense check` can find out about an InfluxDB server without writing to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mysense.influx.answers import Answer
from mysense.influx.http import Server
from mysense.influx.verdicts import Asked, verdict
from mysense.plugin import Finding, Misconfigured, RetryLater

FEW = 20  # databases that are tried


def check_reach(server: Server, user: str) -> Iterator[Finding]:
    """Is it there, is it InfluxDB, does it let `user` in? Stops at what fails."""
    try:
        server.open()
        yield Finding(True, f"{server} answers: InfluxDB {server.ping()}")
    except ImportError as wrong:
        yield Finding(False, f"the package influxdb: {wrong}", "pip install influxdb")
        return
    except (RetryLater, Misconfigured) as wrong:
        fix = "start InfluxDB there, or correct hostname, port and ssl"
        yield Finding(False, str(wrong), fix)
        return
    except Answer as wrong:
        fix = "that is not InfluxDB 1.x; correct hostname and port"
        yield Finding(False, f"{server} answers {wrong}", fix)
        return
    yield _log_in(server, user)


def _log_in(server: Server, user: str) -> Finding:
    who = f"user {user}" if user else "without a user"
    try:
        databases(server)
    except (Answer, RetryLater) as wrong:
        reason = (
            verdict(wrong, Asked(str(server), "", user)) if isinstance(wrong, Answer) else wrong
        )
        return Finding(False, f"{who}: {reason}", "correct user and password")
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


def check_writing(server: Server, *, create: bool) -> Iterator[Finding]:
    """May new databases be made, and those that are there be written? Writes nothing."""
    try:
        admin = _is_admin(server)
        names = databases(server)[:FEW]
        closed = [name for name in names if not _may_write(server, name)]
    except (Answer, RetryLater) as wrong:
        yield Finding(False, f"{server}: {wrong}", "see above")
        return
    if create:
        fix = "let an administrator create the databases and set create = false, or use its user"
        yield Finding(admin, "may create databases for new kits", "" if admin else fix)
    for name in closed:
        fix = f'an administrator can GRANT ALL ON "{name}", where kits of this station go there'
        yield Finding(False, f"may not write to database {name}", fix)
    if len(names) > len(closed):
        yield Finding(True, f"may write to {len(names) - len(closed)} databases")


def _is_admin(server: Server) -> bool:
    """Only administrators may see the users."""
    try:
        server.query("SHOW USERS")
    except Answer:
        return False
    return True


def _may_write(server: Server, name: str) -> bool:
    """A body without a line is checked for everything but lines."""
    try:
        server.write(name, b"")
    except Answer:
        return False
    return True
