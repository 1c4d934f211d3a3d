"""Passwords of users that exist: is the one that is kept right, or shall there be another?"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus as Http

import attrs

from mysense.influx.http import Answer, Server, ServerSettings
from mysense.options import Secret
from mysense.provision.errors import ProvisionError
from mysense.provision.safe import Safe
from mysense.provision.steps import Steps


@attrs.frozen
class Login:
    """A user with a password.

    Attributes:
        kind: what it is, for the steps.
        name: of the user.
        right: whether a password lets this user in.
        set_to: gives the user another password.
    """

    kind: str
    name: str
    right: Callable[[Secret], bool]
    set_to: Callable[[Secret], object]


def settle(login: Login, steps: Steps, safe: Safe, *, renew: bool) -> None:
    """Leave the password as it is, or renew it; one in a file that is not right is then set.

    Raises:
        ProvisionError: a file holds a password that is not the user's.
    """
    kept = safe.found(login.name, "password")
    stale = kept is not None and not login.right(kept)
    if stale and not renew:
        raise ProvisionError(
            f"{login.kind} {login.name} exists, and the password in "
            f"{safe.file(login.name, 'password')} is not the right one; correct that file, or "
            "give the user the password in it with --renew"
        )
    if not renew:
        steps.exists(login.kind, login.name)
        return

    def work() -> None:
        if not stale:
            safe.forget(login.name, "password")
        login.set_to(safe.password(login.name))

    detail = "the password of its file" if stale else "a new password"
    steps.change(login.kind, login.name, work, detail)


def lets_in(settings: ServerSettings, name: str, password: Secret) -> bool:
    """Whether /query, of 1.x or as 2.x has it, takes this user and password."""
    server = Server(attrs.evolve(settings, user=name, password=password, token=Secret()))
    server.open()
    try:
        server.query("SHOW DATABASES")
    except Answer as answer:
        if answer.status == Http.UNAUTHORIZED:
            return False
        raise
    finally:
        server.close()
    return True


def signs_in(settings: ServerSettings, name: str, password: Secret) -> bool:
    """Whether a person gets into 2.x by this password."""
    server = Server(attrs.evolve(settings, user=name, password=password, token=Secret()))
    server.open()
    try:
        server.call("POST", "api/v2/signin", expected=Http.NO_CONTENT)
    except Answer as answer:
        if answer.status == Http.UNAUTHORIZED:
            return False
        raise
    finally:
        server.close()
    return True
