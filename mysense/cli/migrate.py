"""`mysense migrate FROM TO`: what one InfluxDB server holds, into another server or version."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from mysense.application import Application
from mysense.cli import FAILED
from mysense.cli.common import Parser, VerbError, load, rarely_collect, say, seconds
from mysense.cli.replay import remove_journal
from mysense.cli.verify import add_bounds
from mysense.influx.access import ServerSettings
from mysense.migrating import telling
from mysense.migrating.checking import Check
from mysense.migrating.copying import Copying, journal_path
from mysense.migrating.left import Left
from mysense.migrating.moving import EVER, Bounds
from mysense.migrating.place import Server, same_place
from mysense.migrating.planning import plan
from mysense.migrating.progress import Progress
from mysense.migrating.tally import Hidden
from mysense.plugin import Publisher
from mysense.text import plain

_ON_ITS_WAY = 60  # seconds in which a telegram may just be on its way


def main(words: list[str]) -> int:
    """Copy, then compare; returns the exit code."""
    args = _arguments(words)
    application = load(args)
    migration = _Migration(application, args)
    kits = migration.look()
    if args.dry_run:
        return migration.show(kits)
    good = args.verify_only or migration.copy(kits)
    if good is None:
        return FAILED
    return 0 if migration.verify(kits) and good else FAILED


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        "migrate",
        "Copy the kits of an InfluxDB server to another server, version, layout or dialect, then "
        "compare counts and sums of every hour; exits 0 when all arrived and nothing differs.",
    )
    parser.add_argument("source", metavar="FROM", help="a section influxsub or influxpub")
    parser.add_argument("target", metavar="TO", help="a section influxpub, such as influxpub:new")
    add_bounds(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied")
    parser.add_argument("--verify-only", action="store_true", help="compare, copy nothing")
    parser.add_argument("--json", action="store_true", help="what is printed, as JSON Lines")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up when nothing could be delivered for so long (60)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew, also where an earlier run left off"
    )
    args = parser.parse_args(words)
    if args.dry_run and args.verify_only:
        parser.error("--dry-run and --verify-only contradict each other")
    return args


class _Migration:
    """From here to there, within bounds of time."""

    def __init__(self, application: Application, args: argparse.Namespace) -> None:
        self._args = args
        self._application = application
        now = int(time.time())
        low = -EVER if args.since is None else args.since
        high = now - _ON_ITS_WAY if args.until is None else args.until
        self._bounds = Bounds(low, high, now)
        self._here = _server(application, args.source)
        self._there = _server(application, args.target)
        if same_place(self._here, self._there):
            raise VerbError(f"{args.source} and {args.target} are the same databases")
        self._publisher = None if args.verify_only else _publisher(application, args.target)
        self._hidden = Hidden(self._there.settings)
        self._failed: dict[str, str] = {}

    # -- what there is ----------------------------------------------------------------------------

    def look(self) -> list[str]:
        """The kits; tells what is decided, and what will be left behind."""
        self._tell_decisions()
        with _opened(self._here):
            kits = self._kits()
            if not self._args.verify_only:
                with Progress(lambda: f"looking at {len(kits)} kits"):
                    lines = list(self._left(kits))
                for line in lines:
                    say(f"left: {plain(line, 1000)}")
        return kits

    def _kits(self) -> list[str]:
        patterns, here, there = self._args.kit, self._here, self._there
        kits = [
            kit
            for kit in here.kits()
            if not patterns or any(fnmatchcase(kit, one) for one in patterns)
        ]
        same = (here.settings.hostname, here.settings.port) == (
            there.settings.hostname,
            there.settings.port,
        )
        if there.shared and same:  # else the copy of all kits would be taken for one
            kits = [kit for kit in kits if here.shared or kit != there.shared]
        hidden = [kit for kit in kits if self._hidden.kit(kit)]
        if hidden:
            say(f"{there.name} excludes {len(hidden)} kits: {', '.join(hidden[:8])}")
        return [kit for kit in kits if kit not in hidden]

    def _left(self, kits: list[str]) -> Iterator[str]:
        left = Left(self._here, self._bounds, open_end=self._args.until is None)
        if not self._args.kit:
            yield from left.strangers()
        yield from left.of_kits(kits)

    def _tell_decisions(self) -> None:
        settings, name = self._there.settings, self._there.name
        for option in ("omit", "round_location", "exclude"):
            value = getattr(settings, option, None)
            if value not in (None, ()):
                text = ", ".join(value) if isinstance(value, tuple) else value
                say(
                    f"{option} = {text} of {name} holds for what is copied, too; "
                    f"`-o {name}.{option}=` copies all"
                )
        if getattr(self._here.settings, "start", "beginning") != "beginning":
            say(f"start of {self._here.name} is not looked at; --since says where to begin")

    def show(self, kits: list[str]) -> int:
        """Print what would be copied."""
        total, width = 0, max([3, *map(len, kits)])
        with _opened(self._here):
            for planned in plan(self._here, self._there, kits, self._bounds):
                total += planned.telegrams
                print(telling.planned(planned, width, as_json=self._args.json), flush=True)
        print(telling.plan_total(len(kits), total, as_json=self._args.json))
        return 0

    # -- copying ----------------------------------------------------------------------------------

    def copy(self, kits: list[str]) -> bool | None:
        """Copy; returns whether all arrived, None where there is no use in comparing yet."""
        assert self._publisher is not None  # asked for with --verify-only alone
        what = (sorted(self._args.kit), self._args.since, self._args.until)
        path = journal_path(self._here, self._publisher, what)
        if self._args.fresh and path.exists():
            remove_journal(path)
        if path.exists():
            say(f"going on where an earlier run left off ({path})")
        copying = Copying(path, self._here, self._publisher, kits, self._bounds)
        moving = copying.moving
        rarely_collect()
        with Progress(lambda: f"{moving.at}/{len(kits)} {moving.kit}: {moving.count} telegrams"):
            copied = copying.run(self._args.timeout)
        for line in telling.copied(copied):
            say(line)
        self._failed = copied.failed
        if copied.complete:
            remove_journal(path)
        else:
            say(f"what is left is in {path}; the same command goes on there")
        if copied.dead:
            say(f"see `mysense dead list --journal {path}`; --fresh lets go of them")
        return copied.complete if copied.ended else None

    # -- comparing --------------------------------------------------------------------------------

    def verify(self, kits: list[str]) -> bool:
        """Compare, print what differs; returns whether nothing does."""
        kits = [kit for kit in kits if kit not in self._failed]
        check = Check(self._here, self._there, self._bounds, self._hidden)
        table = telling.Differences(self._here.name, self._there.name, as_json=self._args.json)

        def progress() -> str:
            return f"comparing {check.total.kits}/{len(kits)}"

        with _opened(self._here), _opened(self._there), Progress(progress):
            for difference in check.differences(kits):
                for line in table.lines(difference):
                    print(line, flush=True)
        for line in table.end(check.total, self._bounds.high):
            print(line)
        return not check.total.differing


@contextmanager
def _opened(server: Server) -> Iterator[None]:
    server.open()
    try:
        yield
    finally:
        server.close()


def _server(application: Application, word: str) -> Server:
    settings = application.section(word).settings
    if not isinstance(settings, ServerSettings):
        raise VerbError(f"{word} is no InfluxDB server; name a section influxsub or influxpub")
    return Server(settings, word.lower())


def _publisher(application: Application, word: str) -> Publisher[Any]:
    publisher = application.section(word).make()
    if not isinstance(publisher, Publisher):
        raise VerbError(f"{word} is only read; TO is a section influxpub, such as influxpub:new")
    return publisher
