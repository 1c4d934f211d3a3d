"""What a server answered, or why it did not, in one line for people."""

from __future__ import annotations

import json
import re
import socket
import ssl as tls
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, LineTooLong
from typing import Any

from mysense.errors import MySenseError

MAX_MESSAGE = 500  # characters of an answer that are worth repeating
LONGEST_WAIT = 3600.0  # seconds, whatever Retry-After says


class Cut(ConnectionError):
    """This side ended the request: its time was up, or somebody interrupted it."""


class Answer(MySenseError):
    """The server answered, and it was not yes.

    Attributes:
        status: of HTTP.
        message: the error that it named, or the beginning of what it said.
        retry_after: seconds after which it wants to be asked again, 1 to 3600, or None.
        version: of InfluxDB, as "1.8.10" or "v2.7.12"; empty where it names none.
    """

    def __init__(
        self, status: int, message: str, retry_after: float | None = None, version: str = ""
    ) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.version = version


def answered(response: Any, *secrets: str) -> Answer:
    """The answer of a `requests.Response`, without `secrets` should the server repeat one."""
    message = _message(response.content)
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    if location := response.headers.get("Location"):
        message = f"sends us on to {_clean(location)[:100]}: {message}"
    wait = _retry_after(response.headers)
    return Answer(response.status_code, message, wait, version_of(response))


def version_of(response: Any) -> str:
    """The version of InfluxDB that a `requests.Response` names, or nothing."""
    return _clean(response.headers.get("X-Influxdb-Version") or "")[:40]


def reason(wrong: BaseException, hostname: str, timeout: float) -> str:
    """Why there was no answer, from what requests raised."""
    chain = list(_causes(wrong))
    for cause in chain:
        if named := _named(cause, hostname):
            return named
    for cause in chain:
        if isinstance(cause, TimeoutError):
            return f"no answer within {timeout:g} s"
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror).lower()
    text = next((str(cause) for cause in reversed(chain) if str(cause)), type(wrong).__name__)
    return _clean(text)[:MAX_MESSAGE]


def _named(cause: BaseException, hostname: str) -> str:
    """What is to be done about it; empty where that cannot be told."""
    if isinstance(cause, Cut):
        return str(cause)
    if isinstance(cause, tls.SSLError):
        return _tls_reason(cause, hostname)
    if isinstance(cause, socket.gaierror):
        return f"the name {hostname} is unknown ({cause.strerror})"
    if isinstance(cause, BadStatusLine | LineTooLong) and not isinstance(cause, OSError):
        said = _clean(str(cause))[:100] or "it may be https, for ssl = true"
        return f"what answers on this port is no web server ({said}); correct hostname and port"
    return ""


def _causes(wrong: BaseException) -> Iterator[BaseException]:
    """Every error inside `wrong`; requests and urllib3 wrap them in several ways."""
    waiting, seen = [wrong], set[int]()
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        inner = [*error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
        waiting += [each for each in inner if isinstance(each, BaseException)]


_NOT_YET, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_UNKNOWN_SIGNER = {18, 19, 20, 21}


def _tls_reason(wrong: tls.SSLError, hostname: str) -> str:
    if not isinstance(wrong, tls.SSLCertVerificationError):
        if "WRONG_VERSION_NUMBER" in str(wrong) or "RECORD_LAYER" in str(wrong):
            return "the server does not speak https on this port; set ssl = false or its https port"
        return f"no encrypted connection: {_clean(wrong.reason or str(wrong))}"
    now = datetime.now(UTC)
    other = f"set hostname to a name that the certificate holds, not {hostname}"
    fixes = {
        _NOT_YET: f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, set it right",
        _EXPIRED: f"renew it, unless this machine's clock ({now:%Y-%m-%d} UTC) is wrong",
        _OTHER_HOST: other,
        _OTHER_ADDRESS: other,
    }
    signer = "name the PEM file of who signed it in ca_file"
    fix = signer if wrong.verify_code in _UNKNOWN_SIGNER else fixes.get(wrong.verify_code, "")
    return f"wrong certificate: {_clean(wrong.verify_message)}" + (f"; {fix}" if fix else "")


def told_apart(version: str) -> int | None:
    """The API of the server that calls itself `version`: 1, 2, or None."""
    match = re.match(r"v?(\d+)\.", version)
    if match is None:
        return None
    return {"0": None, "1": 1}.get(match[1], 2)


def _message(content: bytes) -> str:
    text = content.decode(errors="replace")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
        text = text.removeprefix('{"error":"')  # so long that its end was not read
    if isinstance(told, dict):  # 1.x and 3 say `error`, 2.x says `code` and `message`
        said = told.get("error") or told.get("message")
        text = said if isinstance(said, str) else text
        text = f"{text}{_lines(told.get('data'))}"
    return _clean(text)[:MAX_MESSAGE] or "no reason given"


def _lines(data: Any) -> str:
    """The first of the lines that InfluxDB 3 found fault with, and why."""
    first = data[0] if isinstance(data, list) and data else None
    why = first.get("error_message") if isinstance(first, dict) else None
    return f": {why}" if isinstance(why, str) else ""


def _clean(text: str) -> str:
    """One printable line: what a server says ends in logs and on terminals."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())


def _retry_after(headers: Any) -> float | None:
    text = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return min(max(float(text), 1.0), LONGEST_WAIT)
    at = date(text)
    if at is None:
        return None
    now = date(headers.get("Date")) or time.time()  # both by the server's clock, if it says
    return min(max(at - now, 1.0), LONGEST_WAIT)


def date(text: str | None) -> float | None:
    """Unix seconds of a date as HTTP headers have it."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
