"""Section [provision]: who may make databases and users on the server."""

from __future__ import annotations

import attrs

from mysense.options import Secret, option


def _user(text: str) -> str | None:
    return "a user name without a colon" if ":" in text else None


@attrs.frozen(kw_only=True)
class ProvisionSettings:
    """The administrator of the server, for `mysense provision` alone."""

    user: str = option("", "administrator; empty: as the section of the server says", check=_user)
    password: Secret = option(Secret(), "password of the administrator")
    token: Secret = option(Secret(), "token that may do everything, for InfluxDB 2.x")
