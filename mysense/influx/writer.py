"""Batches of one kit into its database: creating it, learning its types, reading its answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus as Http

from mysense.errors import MySenseError
from mysense.influx.answers import Answer
from mysense.influx.beyond import Remaining, beyond, dropped, last_dropped
from mysense.influx.creating import Creator
from mysense.influx.http import Server
from mysense.influx.layouts import Layout, Place
from mysense.influx.lines import Book, Encoded, Encoder
from mysense.influx.naming import NameRefused, quote_identifier
from mysense.influx.parts import LARGE, in_two_parts
from mysense.influx.shelf import Shelf
from mysense.influx.station import InfoMisfit
from mysense.influx.types import conflict, field_keys
from mysense.influx.verdicts import Asked, verdict
from mysense.plugin import Hold, Misconfigured, Refused, RetryLater, TooLarge, Unacceptable
from mysense.points import Point
from mysense.telegram import Telegram

MAX_BODY = 24_000_000  # bytes; the server takes 25 million by default
ONE_AT_A_TIME = 600.0  # seconds in which a server that failed gets one request after the other
MAX_LESSONS = 200  # conflicts about so many fields are settled within one batch

_MAY_NOT_READ = (Http.BAD_REQUEST, Http.UNAUTHORIZED, Http.FORBIDDEN, Http.NOT_FOUND)
_MISSING = re.compile(r'database not found|bucket ".*" not found|organization .*not found')
_OVERLOADED = (Http.TOO_MANY_REQUESTS, Http.REQUEST_TIMEOUT)


class Writer:
    """Writes to the databases or buckets of one server, and remembers what they hold.

    Args:
        server: where to.
        beside: the same server over another connection, for a part of a large batch.
        encoder: makes the lines.
        layout: which kit goes where.
        creator: makes what is missing, or None where that is switched off.
    """

    def __init__(
        self,
        server: Server,
        beside: Server,
        encoder: Encoder,
        layout: Layout,
        creator: Creator | None,
    ) -> None:
        self._server = server
        self._beside = beside
        self._encoder = encoder
        self._layout = layout
        self._creator = creator
        self._shelf = Shelf()
        self._parts_from = 0.0  # monotonic seconds

    def write(self, batch: Sequence[Telegram]) -> None:
        """Store `batch`, all of one kit; an identical retry is an identical request.

        Raises:
            RetryLater, Refused, Hold, Unacceptable, TooLarge, Misconfigured
        """
        try:
            place = self._layout.place(batch[0].ident)
        except NameRefused as wrong:
            raise Refused(dict.fromkeys(range(len(batch)), str(wrong))) from None
        self._check_api(place)
        encoded = self._in_parts(place, batch) or _Attempts(self, place, batch).run()
        self._shelf.keep(place, batch[0].kit, encoded.book)
        if encoded.refused:
            raise Refused(encoded.refused)

    def write_points(self, batch: Sequence[Point]) -> None:
        """Store points. Raises as `write` does."""
        place = self._layout.points
        if place is None:
            reason = "layout = org has no place for points; send them through another output"
            raise Refused(dict.fromkeys(range(len(batch)), reason))
        self._check_api(place)
        try:
            self._send_points(place, batch)
        except Answer as answer:
            last = last_dropped((point.nanoseconds for point in batch), dropped(answer.message))
            if last is None:
                raise self.verdict(answer, place) from None
            self._send_younger(place, [point for point in batch if point.nanoseconds > last])
            old = [at for at, point in enumerate(batch) if point.nanoseconds <= last]
            raise Refused(dict.fromkeys(old, beyond(place.bucket, answer.message))) from None

    def _send_younger(self, place: Place, batch: Sequence[Point]) -> None:
        """Send those that were not dropped again: only then it is known that they were not."""
        try:
            if batch:
                self._send_points(place, batch)
        except Answer as answer:
            raise self.verdict(answer, place) from None

    def _send_points(self, place: Place, batch: Sequence[Point]) -> None:
        body = "\n".join([point.line() for point in batch]).encode()
        if len(body) > MAX_BODY:
            raise TooLarge(f"{len(body)} bytes, more than the {MAX_BODY} of one request")
        send = partial(self._server.write, place.database, body, place.rp or None)
        try:
            send(org=place.org, precision="ns")
        except Answer as answer:
            if answer.status != Http.NOT_FOUND or not _MISSING.search(answer.message):
                raise
            self.create(place, answer)
            send(org=place.org, precision="ns")

    def _check_api(self, place: Place) -> None:
        """With api = auto it shows only now whether the other options are those of the server."""
        try:
            api = self._server.api()
        except Answer as answer:
            raise self.verdict(answer, place) from None
        if api == 1 and self._layout.name == "org":
            raise Misconfigured(f"{self._server} is InfluxDB 1.x, and layout = org needs 2.x")
        if api == 2 and not place.org:
            raise Misconfigured(f"{self._server} is InfluxDB 2.x, which needs the option org")

    def _in_parts(self, place: Place, batch: Sequence[Telegram]) -> Encoded | None:
        if len(batch) < LARGE:
            return None
        if place not in self._shelf:  # it may have to be created first
            return None
        book = self._shelf.book(place, batch[0].kit)
        send, beside = (partial(_send, s, place) for s in (self._server, self._beside))
        alone = time.monotonic() < self._parts_from
        try:
            return in_two_parts(batch, book, self.encode, send, None if alone else beside)
        except Answer as answer:
            if answer.status not in _OVERLOADED and answer.status < Http.INTERNAL_SERVER_ERROR:
                return None
            wrong: MySenseError = self.verdict(answer, place)
        except RetryLater as later:  # perhaps it serves one connection after the other
            wrong = later
        self._beside.hang_up()
        self._parts_from = time.monotonic() + ONE_AT_A_TIME
        raise wrong from None

    def book(self, place: Place, kit: str) -> Book:
        """What `place` is known to hold; the server is asked where nothing is known yet."""
        book = self._shelf.book(place, kit).copy()
        return book if place in self._shelf else self.relearn(place, book)

    def relearn(self, place: Place, book: Book) -> Book:
        """`book` with the types that the fields of `place` have now, as far as it may be known."""
        answer = self._field_keys(place)
        if answer is None and self._layout.tagged:  # others' fields are not to be tried out again
            return book
        fresh = Book(book.ident, book.day)
        for measurement, field, types in field_keys(answer or b""):
            columns = fresh.columns(measurement)
            if columns is not None:
                columns.set(field, *types)
        return fresh

    def _field_keys(self, place: Place) -> bytes | None:
        """The answer to SHOW FIELD KEYS; None where it may not be asked, then conflicts teach."""
        if self._layout.name == "org":  # a query would go to the token's own organisation
            return None
        try:
            return self._server.query(f"SHOW FIELD KEYS ON {quote_identifier(place.database)}")
        except Answer as answer:
            if answer.status in _MAY_NOT_READ:
                return None
            raise self.verdict(answer, place) from None

    def encode(self, batch: Sequence[Telegram], book: Book) -> Encoded:
        """The body to send. Raises Hold, TooLarge."""
        try:
            encoded = self._encoder.encode(batch, book)
        except InfoMisfit as wrong:
            kit = batch[0].kit
            self.forget(self._layout.place(batch[0].ident))  # the next probe looks again
            raise Hold(f"{kit}: {wrong}; drop or correct the series info there") from None
        if len(encoded.body) > MAX_BODY:
            raise TooLarge(f"{len(encoded.body)} bytes, more than the {MAX_BODY} of one request")
        return encoded

    def send(self, place: Place, body: bytes) -> None:
        """One request. Raises Answer, RetryLater."""
        _send(self._server, place, body)

    def create(self, place: Place, missing: Answer) -> None:
        """Create what `missing` says is not there.

        Raises:
            RetryLater, Hold: it could not be created.
        """
        self.forget(place)
        on_2x = "database not found" not in missing.message
        try:
            reason = self._create(place, on_2x=on_2x)
        except Answer as answer:
            raise self.verdict(answer, place) from None
        if reason:
            hint = f'an administrator can CREATE DATABASE "{place.database}" and grant ALL on it'
            if on_2x:
                hint = f"an administrator can make bucket {place.bucket} in {place.org}"
            raise self._asked(place, missing).wait(f"{missing.message}: {reason}; {hint}")

    def _create(self, place: Place, *, on_2x: bool) -> str:
        if self._creator is None:
            return "creating it is switched off (create = false)"
        return self._creator.bucket(place) if on_2x else self._creator.database(place)

    def forget(self, place: Place) -> None:
        """What was known of `place` holds no longer."""
        self._shelf.forget(place)

    def verdict(self, answer: Answer, place: Place) -> MySenseError:
        """What an answer other than yes means for a batch."""
        return verdict(answer, self._asked(place, answer))

    def _asked(self, place: Place, answer: Answer) -> Asked:
        server, layout = self._server, self._layout.name
        no_org = answer.message.startswith("organization")
        shared = layout == "shared" or (layout == "kit" and no_org)
        return Asked(str(server), place, server.who, server.known_api or 1, shared)


def _send(
    server: Server, place: Place, body: bytes, *, meanwhile: Callable[[], None] | None = None
) -> None:
    server.write(place.database, body, place.rp or None, meanwhile, org=place.org)


class _Attempts:
    """One batch, sent again as often as something was learned from the answer."""

    def __init__(self, writer: Writer, place: Place, batch: Sequence[Telegram]) -> None:
        self._writer = writer
        self._place = place
        self._batch = Remaining(batch)
        self._created = False
        self._learned: set[tuple[str, str, str]] = set()

    def run(self) -> Encoded:
        """Returns what was accepted, with its book."""
        book = self._writer.book(self._place, self._batch.kit)
        encoded = self._encode(book)
        if encoded.misfits:  # nothing is refused for what somebody may have dropped meanwhile
            book = self._writer.relearn(self._place, book)
            encoded = self._encode(book)
        while encoded.body:
            try:
                self._writer.send(self._place, encoded.body)
                break
            except Answer as answer:
                if not self._batch.leave_out(answer.message, encoded, self._place.bucket):
                    book = self._after(answer, book)
            encoded = self._encode(book)
        return self._batch.all(encoded)

    def _encode(self, book: Book) -> Encoded:
        if not self._batch.telegrams:
            return Encoded(b"", {}, False, book)
        return self._writer.encode(self._batch.telegrams, book)

    def _after(self, answer: Answer, book: Book) -> Book:
        """The book to try again with. Raises what the answer means otherwise."""
        if answer.status == Http.NOT_FOUND and _MISSING.search(answer.message):
            return self._create(answer)
        lesson = conflict(answer.message) if answer.status < Http.INTERNAL_SERVER_ERROR else None
        columns = book.columns(lesson[0]) if lesson else None
        if lesson is None or columns is None:
            raise self._writer.verdict(answer, self._place)
        if lesson in self._learned or len(self._learned) >= MAX_LESSONS:
            # shards of this batch differ, or somebody writes the field at this very moment
            raise Unacceptable(f"{self._place.bucket}: {answer.message}")
        self._learned.add(lesson)
        _, field, kind = lesson
        columns.set(field, kind)
        return book

    def _create(self, answer: Answer) -> Book:
        if self._created:  # and gone again, or not to be seen yet
            self._writer.forget(self._place)
            raise RetryLater(f"{answer.message}, after it was created")
        self._writer.create(self._place, answer)
        self._created = True
        return Book()  # so info is written, again where the database was there before
