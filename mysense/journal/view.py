"""Reading the journal: for the deliveries of a running engine, and for verbs beside it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from mysense import jsontext
from mysense.errors import JournalError
from mysense.journal.accounts import Row
from mysense.journal.damage import Damaged, is_damage
from mysense.journal.formats import check_current
from mysense.points import Point, Series
from mysense.telegram import Ident, Telegram

_IDENTS_KNOWN = 10_000  # a kit that moves may have a new ident with every telegram
_BUSY = 10.0  # seconds to wait for who writes


class View:
    """A read-only connection to a journal; it follows when the engine puts a new file in place.

    Args:
        path: the journal.
        damaged: told of every error that says that the file is damaged.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """

    def __init__(self, path: Path, damaged: Callable[[Exception], None] = lambda _: None) -> None:
        self.path = path
        self._damaged = damaged
        self._idents: dict[int, Ident] = {}
        if not path.exists():
            raise JournalError(f"journal {path}: there is none yet; nothing has run with it")
        self._moments = 0
        self._open()

    def _open(self) -> None:
        try:
            file = _identity(self.path)
            self._db = _connect(self.path)
            self._file = file  # only now: else one that cannot be opened would not be tried again
        except (JournalError, OSError, sqlite3.Error) as wrong:
            if isinstance(wrong, JournalError) and not is_damage(wrong):
                raise
            hint = "; if it was a journal, `mysense run` with it saves what is whole"
            told = f"journal {self.path}: {wrong}{hint if is_damage(wrong) else ''}"
            raise JournalError(told) from wrong

    def _follow(self) -> None:
        """Open the file anew where another one has taken its place."""
        if not self._moments and _identity(self.path) != self._file:
            self._db.close()
            self._idents.clear()
            self._open()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Errors that say that the file is damaged are told to who asked, and clear to people."""
        try:
            self._follow()
            yield
        except (sqlite3.Error, UnicodeDecodeError) as wrong:
            if not is_damage(wrong):
                raise
            with suppress(OSError):
                if _identity(self.path) == self._file:
                    self._damaged(wrong)
            raise Damaged(
                f"journal {self.path} is damaged: {wrong}; "
                "`mysense run` with this journal saves what is whole"
            ) from wrong
        except OSError as wrong:  # the file is just being put in place
            raise sqlite3.OperationalError(str(wrong)) from wrong

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read in it is as it was at one moment, also beside a running engine."""
        with self._reading():
            self._db.execute("BEGIN")
        self._moments += 1
        try:
            yield
        finally:
            self._moments -= 1
            self._db.execute("COMMIT")

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query of one's own, by column name."""
        with self._reading():
            cursor = self._db.execute(query, values)
            cursor.row_factory = sqlite3.Row
            return cursor.fetchall()

    def rows(self, after: int, limit: int, max_bytes: int) -> list[Row]:
        """At most `limit` telegrams of at most `max_bytes` together that follow number `after`."""
        newest = (
            "SELECT seq, ident, new, at, data FROM telegrams WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        return self._rows(newest, (after, limit), max_bytes)

    def aside(
        self, output: str, kit: str, limit: int, max_bytes: int, *, after: int = 0
    ) -> list[Row]:
        """The oldest telegrams of `kit` that were set aside at `output` and wait; by entry.

        Args:
            output: its name.
            kit: whose telegrams.
            limit: how many at most.
            max_bytes: how much of data together, but one at least.
            after: only entries with greater numbers.
        """
        oldest = (
            "SELECT id AS seq, ident, new, at, data FROM aside WHERE output = ? AND kit = ?"
            " AND state IN ('held', 'retry') AND id > ? ORDER BY id LIMIT ?"
        )
        return self._rows(oldest, (output, kit, after, limit), max_bytes)

    def ident(self, number: int) -> Ident:
        """The ident with this number."""
        with self._reading():
            return self._ident(number)

    def _ident(self, number: int) -> Ident:
        known = self._idents.get(number)
        if known is None:
            query = "SELECT body FROM idents WHERE id = ?"
            row = self._db.execute(query, (number,)).fetchone()
            if row is None:
                raise Damaged(f"ident {number} is gone")
            if len(self._idents) >= _IDENTS_KNOWN:
                self._idents.clear()
            try:
                known = self._idents[number] = _ident(json.loads(row[0]))
            except ValueError as wrong:
                raise Damaged(f"ident {number} is not what was written: {wrong}") from wrong
        return known

    def _rows(self, query: str, values: tuple[object, ...], max_bytes: int) -> list[Row]:
        """The rows of a query, as many of the first as fit into `max_bytes`, but one at least."""
        with self._reading():
            return self._telegrams(query, values, max_bytes)

    def _telegrams(self, query: str, values: tuple[object, ...], max_bytes: int) -> list[Row]:
        columns = self._lists(query, values)
        if len(columns[4]) > max_bytes:
            sizes = f"SELECT *, sum(length(data)) OVER (ORDER BY seq) AS total FROM ({query})"  # noqa: S608  # one of the two above
            query = f"SELECT * FROM ({sizes}) WHERE total <= ? OR total = length(data)"  # noqa: S608  # as above
            columns = self._lists(query, (*values, max_bytes))
        try:
            rows = list(zip(*map(jsontext.loads, columns), strict=True))
        except ValueError as wrong:
            raise Damaged(f"telegrams are not what was written: {wrong}") from wrong
        known = {number: self._ident(number) for number in {row[1] for row in rows}}
        kinds = {number: _KINDS[ident.__class__] for number, ident in known.items()}
        return [
            Row(seq, kinds[ident](known[ident], MappingProxyType(values), bool(new)), at)
            for seq, ident, new, at, values in rows
        ]

    def _lists(self, query: str, values: tuple[object, ...]) -> tuple[str, ...]:
        """The columns of a query as JSON: quicker than rows, and other threads can work."""
        lists = ", ".join(f"json_group_array({name})" for name in ("seq", "ident", "new", "at"))
        data = "'[' || coalesce(group_concat(data), '') || ']'"
        found = self._db.execute(f"SELECT {lists}, {data} FROM ({query})", values).fetchone()  # noqa: S608  # as above
        return tuple(found)

    def dead(self) -> Iterator[tuple[sqlite3.Row, Ident | None]]:
        """All dead letters, oldest first, each with its ident where it has one."""
        for row in self.all("SELECT * FROM aside WHERE state = 'dead' ORDER BY id"):
            yield row, None if row["ident"] is None else self.ident(row["ident"])


_KINDS: dict[type, Callable[..., Any]] = {Ident: Telegram, Series: Point}


def _ident(body: dict[str, Any]) -> Any:
    """Whose a row is: a kit's, or a series of points'."""
    return Series.from_json(body) if "measurement" in body else Ident.from_json(body)


def _identity(path: Path) -> tuple[int, int]:
    """Which file has this name now."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _has_log(path: Path) -> bool:
    """Whether there is more of the journal than its file, which then is not all of it."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:  # WAL needs a folder to write in, unless nobody else writes
        if _has_log(path):
            raise
        return _connected(path, "mode=ro&immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{how}"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY
    )
    try:
        check_current(db, path)
    except BaseException:
        db.close()
        raise
    return db


def request(path: Path, verb: str, outputs: Iterable[str], argument: str = "") -> None:
    """Leave requests in a journal; the engine that runs on it obeys within a second."""
    with View(path):
        pass  # says clearly when there is no journal, or none that can be read
    entries = [(verb, output, argument, time.time()) for output in outputs]
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY)) as db, db:
            query = "INSERT INTO requests (verb, output, argument, at) VALUES (?, ?, ?, ?)"
            db.executemany(query, entries)
    except sqlite3.Error as wrong:
        raise JournalError(f"journal {path}: cannot leave a request in it: {wrong}") from wrong
