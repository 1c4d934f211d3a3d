"""`mysense replay FILE...`: telegram files through outputs."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from mysense.application import Application
from mysense.cli import CONFIGURATION, FAILED
from mysense.cli.common import (
    Parser,
    VerbError,
    load,
    rarely_collect,
    say,
    seconds,
    speed,
)
from mysense.engine import Engine
from mysense.excluding import Exclude
from mysense.files.durable import try_lock
from mysense.journal import Journal
from mysense.journal.summary import OutputSummary, outputs
from mysense.journal.view import View, request
from mysense.plugin import Publisher, Refused
from mysense.privacy import Privacy
from mysense.replaying import Replay, ReplaySettings, journal_path
from mysense.text import counted

_MAX_BACKOFF = 5.0  # somebody waits for it


def main(words: list[str]) -> int:
    """Replay with these arguments; returns the exit code."""
    args = arguments("replay").parse_args(words)
    application = load(args)
    publishers = chosen_outputs(application, args.to)
    if not publishers:
        say("no output: name some with --to, or switch one on in the configuration")
        return CONFIGURATION
    return replay(args, publishers)


def arguments(verb: str, default: Path | None = None) -> Parser:
    """The parser of `mysense replay`, and, with a `default` file, of an output on its own."""
    parser = Parser(verb, "Send telegram files through outputs; exits 0 only when all arrived.")
    if default is None:
        parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="JSON Lines")
        parser.add_argument(
            "--to",
            metavar="SECTION[,SECTION]",
            default="",
            help="outputs to use, whether switched on or not (default: those switched on)",
        )
    else:
        about = "JSON Lines; none: three telegrams that come with MySense"
        parser.add_argument(
            "files", metavar="FILE", nargs="*", type=Path, help=about, default=[default]
        )
    parser.add_argument(
        "--speed",
        type=speed,
        default=None,
        metavar="N",
        help="N times as fast as it was measured, or max (default)",
    )
    parser.add_argument("--now", action="store_true", help="shift all times so that it ends now")
    parser.add_argument(
        "--dry-run", action="store_true", help="print exactly what would be sent, send nothing"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up when nothing could be delivered for so long (60)",
    )
    parser.add_argument(
        "--errors", type=Path, metavar="FILE", help="write the lines that were refused to FILE"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew, also where an earlier replay left off"
    )
    return parser


def chosen_outputs(application: Application, to: str) -> list[Publisher[Any]]:
    """The outputs that `--to` names, or those that are switched on."""
    if not to:
        return application.outputs()
    names = dict.fromkeys(name.strip().lower() for name in to.split(",") if name.strip())
    return [application.output(name) for name in names]


def replay(
    args: argparse.Namespace, publishers: Sequence[Publisher[Any]], count: int | None = None
) -> int:
    """Send the files in `args` through `publishers`; returns the exit code.

    Args:
        args: as `arguments` parses them.
        publishers: the outputs.
        count: how many telegrams at most; None sends all.
    """
    _look_at(args.files)
    settings = ReplaySettings(files=tuple(args.files), speed=args.speed, now=args.now, count=count)
    with _errors_file(args) as refused:
        source = Replay(settings, refused=refused)
        if args.dry_run:
            failed = _dry_run(source, publishers)
        else:
            failed = send(args, source, publishers, journal_path(settings, publishers))
    if source.bad:
        say(f"{counted(source.bad, 'lines')} refused" + _where_bad(args))
    return FAILED if failed or source.bad else 0


def _look_at(files: Sequence[Path]) -> None:
    for path in files:
        if not path.exists():
            raise VerbError(f"{path}: there is no such file")
        if not path.is_file():
            raise VerbError(f"{path}: not a file that can be read again to resume; name a file")


@contextmanager
def _errors_file(args: argparse.Namespace) -> Iterator[BinaryIO | None]:
    """The file for refused lines, open before anything is sent; None without one."""
    if args.errors is None:
        yield None
        return
    if args.errors.exists() and any(args.errors.samefile(path) for path in args.files):
        raise VerbError(f"--errors {args.errors}: this is a file to be replayed; name another")
    with args.errors.open("wb") as stream:
        yield stream


def _where_bad(args: argparse.Namespace) -> str:
    return f", they are in {args.errors}" if args.errors else "; --errors FILE keeps them"


def send(
    args: argparse.Namespace,
    source: Any,
    publishers: Sequence[Publisher[Any]],
    path: Path,
) -> bool:
    """Send what `source` gives through `publishers`; returns whether anything is left undone.

    Args:
        args: `fresh` and `timeout`, as `arguments` parses them.
        source: a subscriber that tells `count` and `at_end` as `Replay` does.
        publishers: the outputs.
        path: the journal of this very undertaking; it is kept where anything is left.
    """
    if args.fresh and path.exists():
        remove_journal(path)
    resumed = path.exists()
    journal = Journal(path, bulk=True)
    for publisher in publishers:  # who replays wants it sent, also where an engine would wait
        publisher.settings = attrs.evolve(publisher.settings, state="record")
    if resumed:
        say(f"resuming what was left in {path}")
        request(path, "retry", [publisher.section for publisher in publishers])
    engine = Engine(
        journal,
        subscribers=[source],
        publishers=publishers,
        once=True,
        max_backoff=_MAX_BACKOFF,
    )
    engine.stop_on_signals()
    rarely_collect()
    began = time.monotonic()
    engine.tick()
    engine.run(args.timeout)
    with View(path) as view:
        complete = _tell(source, outputs(view), engine, time.monotonic() - began)
    if engine.abandoned:  # a thread that hangs still has the journal: leave it as it is
        return True
    journal.close()
    if complete:
        remove_journal(path)
    else:
        say(f"what is left waits in {path}; the same command goes on there")
    return not complete


def _tell(source: Any, summaries: list[OutputSummary], engine: Engine, seconds: float) -> bool:
    intake = engine.intakes[0]
    repeats = f", {intake.repeats} of them repeats" if intake.repeats else ""
    say(f"{counted(source.count, source.what)} read{repeats}, {seconds:.1f} s")
    read = source.at_end and intake.finished and intake.error is None
    complete = read and not intake.refused
    for summary in summaries:
        say(f"{summary.name}: {summary.line()}")
        complete = complete and summary.all_acknowledged
    dead = intake.refused + sum(summary.dead for summary in summaries)
    if dead:
        journal = engine.journal.path
        say(f"{counted(dead, 'telegrams')} refused, see `mysense dead list --journal {journal}`")
    return complete


def remove_journal(path: Path) -> None:
    """Remove a journal that is no longer needed.

    Raises:
        VerbError: another process has it.
    """
    with path.with_name(path.name + ".lock").open("a") as lock:
        if not try_lock(lock.fileno()):
            raise VerbError(f"journal {path}: another replay of these files is under way")
        _unlink(path)


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _dry_run(source: Replay, publishers: Sequence[Publisher[Any]]) -> bool:
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal.db"))
        seen = 0
        while batch := source.poll(None)[0]:
            failed |= journal.append(batch).refused > 0
            with View(journal.path) as view:
                rows = view.rows(seen, len(batch), 2**40)
            seen = rows[-1].seq if rows else seen
            for publisher in publishers:
                failed |= _preview(publisher, [row.telegram for row in rows])
        journal.close()
    return failed


def _preview(publisher: Publisher[Any], telegrams: list[Any]) -> bool:
    groups: dict[str, list[Any]] = {}
    exclude = Exclude(publisher.settings.exclude)
    privacy = Privacy(publisher.settings.omit, publisher.settings.round_location)
    if exclude:
        telegrams = [exclude(telegram) for telegram in telegrams if not exclude.whole(telegram)]
    for telegram in map(privacy, telegrams) if privacy else telegrams:
        groups.setdefault("" if publisher.mixed else telegram.kit, []).append(telegram)
    failed = False
    for group in groups.values():
        try:
            sys.stdout.writelines(f"{line}\n" for line in publisher.preview(group))
        except Refused as wrong:
            failed = True
            for at, reason in wrong.reasons.items():
                say(f"{publisher.section}: {group[at].kit} at {group[at].time}: {reason}")
    return failed
