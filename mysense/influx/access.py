"""How to reach an InfluxDB server: the options that its readers and writers share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import attrs

from mysense.options import Secret, option


def _hostname(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f:.]+(%\w+)?\]?", text):
        return None
    return "a host name or address alone; port, ssl and user are options of their own"


def _user(text: str) -> str | None:
    return "a user name without a colon" if ":" in text else None


def _token(secret: Secret) -> str | None:
    if re.fullmatch(r"[!-~]*", secret.reveal()):
        return None
    return "a token: letters, digits and signs, without spaces"  # it goes into a header


@attrs.frozen(kw_only=True, slots=False)  # slots could not be mixed with those of other settings
class ServerSettings:
    """How to reach an InfluxDB server."""

    hostname: str = option("localhost", "host name or address of the server", check=_hostname)
    port: int = option(8086, "TCP port of the server", low=1, high=65535)
    api: Literal["1", "2", "auto"] = option(
        "1", "1: InfluxDB 1.x; 2: InfluxDB 2.x, and 3 Core; auto: what the server says it is"
    )
    org: str = option("", "organisation, for InfluxDB 2.x")
    user: str = option("", "user name; empty: log in as nobody", check=_user, by_file=True)
    password: Secret = option(Secret(), "password of the user")
    token: Secret = option(Secret(), "token, for InfluxDB 2.x", check=_token)
    ssl: bool = option(False, "speak https")
    verify_ssl: bool = option(True, "insist on a valid certificate of the server")
    ca_file: Path | None = option(None, "PEM file of who signed the server's certificate")
    client_cert: Path | None = option(None, "PEM file of the certificate to show to the server")
    client_key: Path | None = option(None, "PEM file of its key, when not in the same file")
    timeout: float = option(30.0, "seconds a request may take in all", low=0.1, high=600)
    gzip: bool = option(False, "compress what is sent: a fifth of the bytes for some CPU time")
