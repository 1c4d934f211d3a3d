"""What an answer of InfluxDB means for the batch that was sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus as Http

import attrs

from mysense.errors import MySenseError
from mysense.influx.answers import Answer, told_apart
from mysense.influx.layouts import Place
from mysense.influx.naming import quote_identifier
from mysense.plugin import Hold, RetryLater, TooLarge, Unacceptable

PROBE = 180.0  # seconds until a refused log-in is tried again
POISON = re.compile(  # as servers begin; what follows repeats the telegram, and could say anything
    r"(failure writing points to database: )?(partial write: )?"
    r"(unable to parse|(points )?beyond retention policy|max key length exceeded"
    r"|time outside range|field type conflict"
    r"|dropped \d+ points outside retention policy"  # InfluxDB 2.7
    r"|partial write of line protocol occurred)"  # InfluxDB 3
)


@attrs.frozen
class Asked:
    """Whom was asked for what.

    Attributes:
        server: its URL.
        place: where the lines were to go.
        who: logged in: "nobody", "user x" or "the token".
        api: 1 or 2.
        shared: whether other kits go there too: then all of them wait.
    """

    server: str
    place: Place
    who: str
    api: int = 1
    shared: bool = False

    def __str__(self) -> str:
        if self.api == 1:
            return f"database {self.place.database}"
        return f"bucket {self.place.bucket} of organisation {self.place.org}"

    def wait(self, reason: str) -> MySenseError:
        """What to raise where somebody has to let this kit in, or all that go there."""
        if not self.shared:
            return Hold(reason)
        return RetryLater(f"{self.server}: {reason}", PROBE, alarm=True)


def verdict(answer: Answer, asked: Asked) -> MySenseError:
    """The error to raise for `answer`, which was not yes.

    A batch is bisected only where the server names a telegram's own fault: a full disk is a 400
    too. What is not known is tried again.
    """
    if answer.status < Http.BAD_REQUEST:
        return _somebody_else(answer, asked)
    judge = _JUDGES.get(answer.status)
    known = judge(answer, asked) if judge else None
    reason = f"{asked.server}: {answer.status} {answer.message} ({asked})"
    alarm = answer.status == Http.BAD_REQUEST  # none of our faults: its disk is full, for example
    full = "no space left" in answer.message
    return known or RetryLater(reason, answer.retry_after, alarm=alarm, doubt=full)


def _somebody_else(answer: Answer, asked: Asked) -> MySenseError:
    usual = "has an answer" if answer.status == Http.NO_CONTENT else "says 204"
    return RetryLater(
        f"{asked.server} answers {answer.status} where InfluxDB {usual}, so something else, as "
        f"a portal or proxy, answers for it ({answer.message[:120]}); log in to the network, or "
        "correct hostname and port",
        answer.retry_after,
    )


def _log_in(answer: Answer, asked: Asked) -> MySenseError:
    """401, which InfluxDB 2.x says also of a token that is good and may not do this."""
    if answer.message.endswith("is unauthorized"):
        return _forbidden(answer, asked)
    reason = f"{asked.server}: {answer.message}: {_log_in_fix(answer, asked)}"
    return RetryLater(reason, PROBE, alarm=True)


def _log_in_fix(answer: Answer, asked: Asked) -> str:
    server, token = told_apart(answer.version), asked.who == "the token"
    if token and server == 1:
        return f"it is InfluxDB {answer.version}, which takes no tokens; set user and password"
    if not token and server == 2:
        wanted = "token" if asked.api == 2 else "api = 2, org and token"
        return f"it is InfluxDB {answer.version}; set {wanted}"
    if token:
        return f"the token is refused; set one that is active and may write to {asked}"
    if asked.who == "nobody":
        return (
            "it wants a token; set token"
            if asked.api == 2
            else ("it wants a user; set user and password")
        )
    user = quote_identifier(asked.who.removeprefix("user "))
    fix = f"{asked.who} is refused; correct user and password, or have an administrator "
    return f"{fix}CREATE USER {user}"


def _forbidden(answer: Answer, asked: Asked) -> MySenseError:
    if asked.api == 2:
        if "is inactive" in answer.message:  # which no kit gets past
            reason = f"{asked.server}: {answer.message}; activate it, or set another token"
            return RetryLater(reason, PROBE, alarm=True)
        return asked.wait(f"{answer.message}; let {asked.who} write to {asked}")
    user = quote_identifier(asked.who.removeprefix("user "))
    grant = f"GRANT ALL ON {quote_identifier(asked.place.database)} TO {user}"
    return asked.wait(f"{answer.message}; an administrator can {grant}")


def _missing(answer: Answer, asked: Asked) -> MySenseError | None:
    """404 for what nobody can create: the other version has another API."""
    server = told_apart(answer.version)
    if asked.api == 1 and server == 2:
        return asked.wait(
            f"it is InfluxDB {answer.version}, where no bucket is mapped to {asked} "
            f"({answer.message}); set api = 2, org and token, or have one mapped"
        )
    if asked.api == 2 and server == 1:
        reason = f"it is InfluxDB {answer.version}, without /api/v2/write; set api = 1"
    elif asked.api == 2 and "page not found" in answer.message:
        reason = f"{answer.message}: it has no /api/v2/write; set api = 1 for InfluxDB 1.x"
    else:
        return None
    return RetryLater(f"{asked.server}: {reason}", PROBE, alarm=True)


def _too_large(answer: Answer, asked: Asked) -> MySenseError:
    return TooLarge(f"{asked.server}: {answer.status} {answer.message}")


def _own_fault(answer: Answer, asked: Asked) -> MySenseError | None:
    if POISON.match(answer.message):
        return Unacceptable(f"{asked.place.bucket}: {answer.message}")
    return None


def _policy(answer: Answer, asked: Asked) -> MySenseError | None:
    if "retention policy not found" not in answer.message:
        return None
    reason = f"{asked.place.database}: {answer.message}; create it, or correct the option rp"
    return asked.wait(reason)


_JUDGES: dict[int, Callable[[Answer, Asked], MySenseError | None]] = {
    Http.BAD_REQUEST: _own_fault,
    Http.UNPROCESSABLE_ENTITY: _own_fault,
    Http.UNAUTHORIZED: _log_in,
    Http.FORBIDDEN: _forbidden,
    Http.NOT_FOUND: _missing,
    Http.REQUEST_ENTITY_TOO_LARGE: _too_large,
    Http.INTERNAL_SERVER_ERROR: _policy,
}
