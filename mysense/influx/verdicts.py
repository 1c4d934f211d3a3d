"""What an answer of InfluxDB means for the batch that was sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus as Http

import attrs

from mysense.errors import MySenseError
from mysense.influx.answers import Answer
from mysense.influx.naming import quote_identifier
from mysense.plugin import Hold, RetryLater, TooLarge, Unacceptable

PROBE = 180.0  # seconds until a refused log-in is tried again
POISON = re.compile(  # as servers begin; what follows repeats the telegram, and could say anything
    r"(partial write: )?(unable to parse|(points )?beyond retention policy|max key length exceeded"
    r"|time outside range|field type conflict)"
)


@attrs.frozen
class Asked:
    """Whom was asked: the server's URL, the database, and as which user ("" is nobody)."""

    server: str
    database: str
    user: str


def verdict(answer: Answer, asked: Asked) -> MySenseError:
    """The error to raise for `answer`, which was not yes.

    A batch is bisected only where the server names a telegram's own fault: a full disk is a 400
    too. What is not known is tried again.
    """
    if answer.status < Http.BAD_REQUEST:
        return _somebody_else(answer, asked)
    judge = _JUDGES.get(answer.status)
    known = judge(answer, asked) if judge else None
    reason = f"{asked.server}: {answer.status} {answer.message} (database {asked.database})"
    alarm = answer.status == Http.BAD_REQUEST  # none of our faults: its disk is full, for example
    return known or RetryLater(reason, answer.retry_after, alarm=alarm)


def _somebody_else(answer: Answer, asked: Asked) -> MySenseError:
    return RetryLater(
        f"{asked.server} answers {answer.status} where InfluxDB says 204, so something else, as "
        f"a portal or proxy, answers for it ({answer.message[:120]}); log in to the network, or "
        "correct hostname and port",
        answer.retry_after,
    )


def _log_in(answer: Answer, asked: Asked) -> MySenseError:
    if not asked.user:
        fix = "it wants a user; set user and password"
    else:
        fix = f"user {asked.user} is refused; correct user and password, or have an administrator "
        fix += f"CREATE USER {quote_identifier(asked.user)}"
    return RetryLater(f"{asked.server}: {answer.message}: {fix}", PROBE, alarm=True)


def _forbidden(answer: Answer, asked: Asked) -> MySenseError:
    grant = f"GRANT ALL ON {quote_identifier(asked.database)} TO {quote_identifier(asked.user)}"
    return Hold(f"{answer.message}; an administrator can {grant}")


def _too_large(answer: Answer, asked: Asked) -> MySenseError:
    return TooLarge(f"{asked.server}: {answer.status} {answer.message}")


def _own_fault(answer: Answer, asked: Asked) -> MySenseError | None:
    if POISON.match(answer.message):
        return Unacceptable(f"{asked.database}: {answer.message}")
    return None


def _policy(answer: Answer, asked: Asked) -> MySenseError | None:
    if "retention policy not found" not in answer.message:
        return None
    return Hold(f"{asked.database}: {answer.message}; create it, or correct the option rp")


_JUDGES: dict[int, Callable[[Answer, Asked], MySenseError | None]] = {
    Http.BAD_REQUEST: _own_fault,
    Http.UNPROCESSABLE_ENTITY: _own_fault,
    Http.UNAUTHORIZED: _log_in,
    Http.FORBIDDEN: _forbidden,
    Http.REQUEST_ENTITY_TOO_LARGE: _too_large,
    Http.INTERNAL_SERVER_ERROR: _policy,
}
