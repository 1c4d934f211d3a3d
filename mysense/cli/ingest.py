"""`mysense ingest ocs FILE|-`: points of somebody else through the outputs that take points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mysense.application import Application
from mysense.cli import CONFIGURATION, FAILED
from mysense.cli.common import Parser, VerbError, load, say, seconds
from mysense.cli.replay import chosen_outputs, send
from mysense.feeding import PIPE, Feed, FeedSettings
from mysense.paths import state_folder
from mysense.plugin import Publisher
from mysense.points import Point, decoded

FORMATS = {"ocs": decoded}


def main(words: list[str]) -> int:
    """Send points; returns the exit code."""
    parser = Parser("ingest", "Send points as JSON Lines; exits 0 only when all arrived.")
    about = "ocs: {agent, feed, fields, time} of an observatory control system"
    parser.add_argument("format", choices=FORMATS, help=about)
    about = "JSON Lines; - reads from a pipe for as long as it gives"
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help=about)
    about = "outputs to use, whether switched on or not (default: those switched on)"
    parser.add_argument("--to", metavar="SECTION[,SECTION]", default="", help=about)
    about = "give up when nothing could be delivered for so long (60; with a pipe never)"
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help=about)
    about = "begin anew, also where an earlier one left off"
    parser.add_argument("--fresh", action="store_true", help=about)
    args = parser.parse_args(words)
    publishers = _publishers(load(args), args.to)
    if not publishers:
        say("no output that takes points: name one with --to, or switch influxpub on")
        return CONFIGURATION
    if args.timeout is None and PIPE not in args.files:
        args.timeout = 60.0
    feed = Feed(FeedSettings(files=tuple(_checked(args.files))), FORMATS[args.format])
    failed = send(args, feed, publishers, _journal(args.format, feed, publishers))
    return FAILED if failed or feed.bad else 0


def _publishers(application: Application, to: str) -> list[Publisher[Any]]:
    found = chosen_outputs(application, to)
    others = [one.section for one in found if Point.kind not in one.accepts]
    if to and others:
        raise VerbError(f"{others[0]} takes telegrams, and no points; influxpub takes them")
    return [one for one in found if one.section not in others]


def _checked(files: list[Path]) -> Iterable[Path]:
    for path in files:
        if path != PIPE and not path.is_file():
            raise VerbError(f"{path}: there is no such file")
        yield path


def _journal(format_: str, feed: Feed, publishers: Iterable[Publisher[Any]]) -> Path:
    """Where points wait: the same command finds what an earlier one has left."""
    files = [str(path if path == PIPE else path.resolve()) for path in feed.settings.files]
    parts: list[object] = [format_, *files]
    for publisher in publishers:  # wherever the server has moved to: it is the same database there
        settings = publisher.settings
        parts += [
            publisher.section,
            getattr(settings, "org", ""),
            getattr(settings, "database", ""),
        ]
    name = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    return state_folder() / "ingest" / f"{name}.db"
