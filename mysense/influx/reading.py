"""What a reader is told where a server refuses it, and how somebody can mend that."""

from __future__ import annotations

from http import HTTPStatus as Http

from mysense.influx.answers import Answer, told_apart

DENIED = (Http.UNAUTHORIZED, Http.FORBIDDEN)

_NOT_SEEN = (
    "InfluxDB 2.x says so of a bucket, too, that this token or user may not read, of one in "
    "another organisation than the token's, and of one that no mapping leads to: grant it, or see "
    "mysense provision"
)
_NO_DEFAULT = "only buckets of named policies can be read there, as that of roll-ups; see rp"


def is_not_there(reason: str) -> bool:
    """Whether a server says that it has no such database; 2.x says so of forbidden ones as well."""
    return reason.startswith("database not found")


def explained(reason: str, api: int | None) -> str:
    """Why one database cannot be read, with what InfluxDB 2.x means by it."""
    if api == 2 and is_not_there(reason):
        return f"{reason} ({_NOT_SEEN})"
    if reason.startswith("default retention policy not set"):
        return f"{reason} ({_NO_DEFAULT})"
    return reason


def refused(answer: Answer, who: str) -> str:
    """Why nothing at all can be read.

    Args:
        answer: not yes.
        who: logged in: "nobody", "user x" or "the token".
    """
    if answer.status not in DENIED:
        return f"the server answered {answer}"
    server, token = told_apart(answer.version), who == "the token"
    if server == 1 and token:
        return f"it is InfluxDB {answer.version}, which takes no tokens; set user and password"
    if server == 2:
        return f"it is InfluxDB {answer.version} and answered {answer}; {_fix(who)}"
    if who == "nobody":
        return f"the server answered {answer}; it wants a user: set user and password"
    return f"the server does not know this user: {answer}; see user and password"


def _fix(who: str) -> str:
    if who == "the token":
        return "the token is refused; set one that is active and may read"
    if who == "nobody":
        return "it wants a token; set token, or user and password of its 1.x API"
    return (
        f"{who} is refused; correct the password, have such a user made (mysense provision --v1), "
        "or set token"
    )
