"""What the fake answers when it says no."""

from __future__ import annotations


class Refusal(Exception):
    """An answer in the error form of 2.x: a status of HTTP, a code and a message."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.body = {"code": code, "message": message} | more


def unauthorized() -> Refusal:
    """Nobody known asks."""
    return Refusal(401, "unauthorized", "unauthorized access")


def not_found(what: str) -> Refusal:
    """Something that is not there."""
    return Refusal(404, "not found", what)


def invalid(what: str) -> Refusal:
    """A request that makes no sense."""
    return Refusal(400, "invalid", what)


def conflict(what: str) -> Refusal:
    """Something that is there already: 422, not 409."""
    return Refusal(422, "conflict", what)
