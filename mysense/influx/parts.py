"""A large batch as two requests: the second is made while the server works on the first.

A server takes several times as long to store lines as it takes to make them, and it stores two
requests at once where it has two processors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import attrs

from mysense.errors import MySenseError
from mysense.influx.lines import Book, Encoded
from mysense.telegram import Telegram

LARGE = 2000  # telegrams from which on it is worth a second request

Encode = Callable[[Sequence[Telegram], Book], Encoded]


class Send(Protocol):
    """Sends one request, and does something else before it reads the answer."""

    def __call__(self, body: bytes, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Raises Answer, RetryLater."""


def in_two_parts(
    batch: Sequence[Telegram], book: Book, encode: Encode, send: Send, beside: Send | None
) -> Encoded | None:
    """Send `batch`; returns what was accepted, or None when it does not go in this way.

    After None, or an answer, it is to be sent in one piece, which finds out what is in the way;
    sending again what is stored already changes nothing.

    Args:
        batch: of one kit.
        book: what its database is known to hold.
        encode: makes the lines; may raise what a publisher raises.
        send: the connection that decides.
        beside: another one; what it does not get done goes over the first. None: all goes over
            the first, in the same two requests, so that a retry is the same bytes.

    Raises:
        Answer, RetryLater, Hold, TooLarge
    """
    cut = len(batch) * 3 // 5  # the first has a head start
    first = encode(batch[:cut], book)
    second, stored = None, False

    def meanwhile() -> None:
        nonlocal second, stored
        with suppress(MySenseError):  # whatever it is, the first connection meets it too
            second = encode(batch[cut:], first.book)
            if _sendable(second) and beside is not None:
                beside(second.body)
                stored = True

    if not _sendable(first):
        return None
    send(first.body, meanwhile=meanwhile)
    if second is None or not _sendable(second):
        return None
    if not stored:
        send(second.body)
    late = {cut + at: reason for at, reason in second.refused.items()}
    return attrs.evolve(second, refused={**first.refused, **late})


def _sendable(encoded: Encoded) -> bool:
    return bool(encoded.body) and not encoded.misfits
