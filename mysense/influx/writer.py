"""Batches of one kit into its database: creating it, learning its types, reading its answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus as Http

import attrs

from mysense.errors import MySenseError
from mysense.influx.answers import Answer
from mysense.influx.http import Server
from mysense.influx.lines import Book, Encoded, Encoder
from mysense.influx.naming import NameRefused, database, quote_identifier
from mysense.influx.parts import LARGE, in_two_parts
from mysense.influx.station import InfoMisfit
from mysense.influx.types import conflict, field_keys
from mysense.influx.verdicts import Asked, verdict
from mysense.plugin import Hold, Refused, RetryLater, TooLarge, Unacceptable
from mysense.telegram import Telegram

MAX_BODY = 24_000_000  # bytes; the server takes 25 million by default
ONE_AT_A_TIME = 600.0  # seconds in which a server that failed gets one request after the other
MAX_LESSONS = 200  # conflicts about so many fields are settled within one batch

_OVERLOADED = (Http.TOO_MANY_REQUESTS, Http.REQUEST_TIMEOUT)


@attrs.frozen(kw_only=True)
class Policy:
    """What a writer may do.

    Attributes:
        create: create the database of a kit that has none.
        shard: SHARD DURATION of databases created, as InfluxQL has it, or empty.
        rp: retention policy to write to, or empty for the database's default.
        user: who it logs in as, for messages; empty for nobody.
    """

    create: bool = True
    shard: str = ""
    rp: str = ""
    user: str = ""


class Writer:
    """Writes to the databases of one server, and remembers what they hold.

    Args:
        server: where to.
        beside: the same server over another connection, for a part of a large batch.
        encoder: makes the lines.
        policy: what may be done.
        log: for what was done.
    """

    def __init__(
        self,
        server: Server,
        beside: Server,
        encoder: Encoder,
        policy: Policy,
        log: logging.Logger,
    ) -> None:
        self._server = server
        self._beside = beside
        self._encoder = encoder
        self._policy = policy
        self._log = log
        self._books: dict[str, Book] = {}
        self._parts_from = 0.0  # monotonic seconds

    def write(self, batch: Sequence[Telegram]) -> None:
        """Store `batch`, all of one kit; an identical retry is an identical request.

        Raises:
            RetryLater, Refused, Hold, Unacceptable, TooLarge
        """
        try:
            name = database(batch[0].kit)
        except NameRefused as wrong:
            raise Refused(dict.fromkeys(range(len(batch)), str(wrong))) from None
        encoded = self._in_parts(name, batch) or _Attempts(self, name, batch).run()
        self._books[name] = encoded.book
        if encoded.refused:
            raise Refused(encoded.refused)

    def _in_parts(self, name: str, batch: Sequence[Telegram]) -> Encoded | None:
        if len(batch) < LARGE:
            return None
        if name not in self._books:  # it may have to be created first
            return None
        rp = self._policy.rp or None
        send, beside = (partial(s.write, name, rp=rp) for s in (self._server, self._beside))
        alone = time.monotonic() < self._parts_from
        try:
            return in_two_parts(
                batch, self._books[name], self.encode, send, None if alone else beside
            )
        except Answer as answer:
            if answer.status not in _OVERLOADED and answer.status < Http.INTERNAL_SERVER_ERROR:
                return None
            wrong: MySenseError = self.verdict(answer, name)
        except RetryLater as later:  # perhaps it serves one connection after the other
            wrong = later
        self._beside.hang_up()
        self._parts_from = time.monotonic() + ONE_AT_A_TIME
        raise wrong from None

    def book(self, name: str) -> Book:
        """What `name` is known to hold; the server is asked where nothing is known yet."""
        return self._books[name] if name in self._books else self.relearn(name, Book())

    def relearn(self, name: str, book: Book) -> Book:
        """`book` with the types that the fields of `name` have now, as far as it may be known."""
        fresh = Book(book.ident, book.day)
        for measurement, field, types in field_keys(self._field_keys(name)):
            columns = fresh.columns(measurement)
            if columns is not None:
                columns.set(field, *types)
        return fresh

    def _field_keys(self, name: str) -> bytes:
        try:
            return self._server.query(f"SHOW FIELD KEYS ON {quote_identifier(name)}")
        except Answer as answer:
            if answer.status in (Http.FORBIDDEN, Http.NOT_FOUND, Http.BAD_REQUEST):
                return b""  # it may not read: conflicts will teach it
            raise self.verdict(answer, name) from None

    def encode(self, batch: Sequence[Telegram], book: Book) -> Encoded:
        """The body to send. Raises Hold, TooLarge."""
        try:
            encoded = self._encoder.encode(batch, book)
        except InfoMisfit as wrong:
            kit = batch[0].kit
            self.forget(kit)  # the next probe looks again
            raise Hold(f"{kit}: {wrong}; drop or correct the series info there") from None
        if len(encoded.body) > MAX_BODY:
            raise TooLarge(f"{len(encoded.body)} bytes, more than the {MAX_BODY} of one request")
        return encoded

    def send(self, name: str, body: bytes) -> None:
        """One request. Raises Answer, RetryLater."""
        self._server.write(name, body, self._policy.rp or None)

    def create(self, name: str) -> str:
        """Create the database `name`; returns why that did not work, or nothing."""
        if not self._policy.create:
            return "creating it is switched off (create = false)"
        parts = [f"CREATE DATABASE {quote_identifier(name)}"]
        if self._policy.shard or self._policy.rp:
            parts.append("WITH")
        if self._policy.shard:
            parts.append(f"SHARD DURATION {self._policy.shard}")
        if self._policy.rp:
            parts.append(f"NAME {quote_identifier(self._policy.rp)}")
        try:
            answer = self._server.query(" ".join(parts), post=True)
        except Answer as refused:
            if refused.status == Http.FORBIDDEN:
                who = f"user {self._policy.user}" if self._policy.user else "nobody"
                return f"{who} may not create it ({refused.message})"
            raise self.verdict(refused, name) from None
        wrong = _error(answer)
        if not wrong:
            self._log.info("database %s created", name)
        return wrong

    def forget(self, name: str) -> None:
        """What was known of `name` holds no longer."""
        self._books.pop(name, None)

    def verdict(self, answer: Answer, name: str) -> MySenseError:
        """What an answer other than yes means for a batch."""
        return verdict(answer, Asked(str(self._server), name, self._policy.user))


class _Attempts:
    """One batch, sent again as often as something was learned from the answer."""

    def __init__(self, writer: Writer, name: str, batch: Sequence[Telegram]) -> None:
        self._writer = writer
        self._name = name
        self._batch = batch
        self._created = False
        self._learned: set[tuple[str, str, str]] = set()

    def run(self) -> Encoded:
        """Returns what was accepted, with its book."""
        book = self._writer.book(self._name).copy()
        encoded = self._writer.encode(self._batch, book)
        if encoded.misfits:  # nothing is refused for what somebody may have dropped meanwhile
            book = self._writer.relearn(self._name, book)
            encoded = self._writer.encode(self._batch, book)
        while encoded.body:
            try:
                self._writer.send(self._name, encoded.body)
                break
            except Answer as answer:
                book = self._after(answer, book)
            encoded = self._writer.encode(self._batch, book)
        return encoded

    def _after(self, answer: Answer, book: Book) -> Book:
        """The book to try again with. Raises what the answer means otherwise."""
        if answer.status == Http.NOT_FOUND and "database not found" in answer.message:
            return self._create(answer)
        lesson = conflict(answer.message) if answer.status < Http.INTERNAL_SERVER_ERROR else None
        columns = book.columns(lesson[0]) if lesson else None
        if lesson is None or columns is None:
            raise self._writer.verdict(answer, self._name)
        if lesson in self._learned or len(self._learned) >= MAX_LESSONS:
            # shards of this batch differ, or somebody writes the field at this very moment
            raise Unacceptable(f"{self._name}: {answer.message}")
        self._learned.add(lesson)
        _, field, kind = lesson
        columns.set(field, kind)
        return book

    def _create(self, answer: Answer) -> Book:
        self._writer.forget(self._name)
        reason = "it is gone again" if self._created else self._writer.create(self._name)
        if reason:
            hint = f'an administrator can CREATE DATABASE "{self._name}" and grant ALL on it'
            raise Hold(f"{answer.message}: {reason}; {hint}")
        self._created = True
        return Book()  # so info is written, again where the database was there before


def _error(answer: bytes) -> str:
    """The first error inside an answer of 200 to a query, or nothing."""
    try:
        results = json.loads(answer)["results"]
        return next((str(each["error"]) for each in results if "error" in each), "")
    except (ValueError, KeyError, TypeError):
        return "the answer was not InfluxDB's"
