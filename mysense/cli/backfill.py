"""`mysense backfill A B`: what A has and B lacks is copied into B."""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mysense import jsonlines
from mysense.cli.common import VerbError, load, say, seconds
from mysense.cli.replay import remove_journal
from mysense.cli.verify import add_places, arguments, comparing, tell
from mysense.comparing.comparison import Comparison
from mysense.comparing.hours import Part
from mysense.comparing.influx_side import InfluxSide
from mysense.comparing.missing import Missing, replaced, replacements
from mysense.comparing.named import JOURNAL, Places, is_file, kind_of
from mysense.engine import Engine
from mysense.journal import Journal
from mysense.journal.summary import outputs
from mysense.journal.view import View, request
from mysense.plugin import Publisher
from mysense.replaying import ReplaySettings, journal_path

_MAX_BACKOFF = 5.0  # somebody waits for it


def main(words: list[str]) -> int:
    """Copy what is missing, compare again; returns the exit code."""
    args = _arguments(words)
    places = Places(load(args), args.journal)
    ways = [(args.a, args.b), (args.b, args.a)][: 1 + args.both]
    targets = [_target(places, *way, args) for way in ways]
    if args.dry_run:
        for way in ways:
            _show(places, *way, args)
        return 0
    for target in targets:
        target()
    with comparing(args, places, args.a, args.b) as comparison:
        return tell(comparison, args)


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = arguments(
        "backfill",
        "Copy what A has and B lacks into B, compare again; exits 0 when they are the same then.",
    )
    add_places(parser, None)
    parser.add_argument("--both", action="store_true", help="also from B to A")
    parser.add_argument(
        "--dry-run", action="store_true", help="print as JSON Lines what would be copied"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="where both have the same second with other content, write A's over B's",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up when nothing could be delivered for so long (60)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="drop what an earlier backfill could not deliver"
    )
    args = parser.parse_args(words)
    args.json = False
    if args.both and args.overwrite:
        parser.error("--both and --overwrite contradict each other: whose content is right?")
    return args


def _target(places: Places, a: str, b: str, args: argparse.Namespace) -> Callable[[], None]:
    """What copies from `a` into `b`; refuses at once what cannot be written."""
    if b == JOURNAL or (is_file(b) and kind_of(Path(b)) == "journal"):
        if args.overwrite:
            raise VerbError("a journal never changes what it holds: --overwrite cannot be")
        path = places.journal if b == JOURNAL else Path(b)
        return lambda: _into_journal(places, a, b, path, args)
    publisher = None if is_file(b) else places.section(b).make()
    if not isinstance(publisher, Publisher):
        raise VerbError(
            f"{b} is only read: name an output, as influxpub or sqlitepub, or journal; "
            "--dry-run prints what is missing as JSON Lines"
        )
    return lambda: _into_output(places, a, publisher, args)


def _show(places: Places, a: str, b: str, args: argparse.Namespace) -> None:
    with comparing(args, places, a, b) as comparison:
        for part in comparison.parts(comparison.kits(args.kit)):
            telegrams = [*part.missing_there, *(replacements(part) if args.overwrite else ())]
            sys.stdout.writelines(f"{line}\n" for line in jsonlines.write(telegrams))


# -- into a journal ---------------------------------------------------------------------------


def _into_journal(places: Places, a: str, b: str, path: Path, args: argparse.Namespace) -> None:
    _refuse_while_an_engine_runs(path)
    journal = Journal(path)
    stored = refused = 0
    try:
        with comparing(args, places, a, b) as comparison:
            for part in comparison.parts(comparison.kits(args.kit)):
                if part.missing_there:
                    kept = journal.append(part.missing_there, source="backfill")
                    stored, refused = stored + kept.stored, refused + kept.refused
    finally:
        journal.close()
    say(f"{stored} telegrams from {a} are in {path} now; outputs get them when an engine runs")
    if refused:
        say(f"{refused} were refused, see `mysense dead list`")


def _refuse_while_an_engine_runs(path: Path) -> None:
    try:
        guard = open(f"{path}.lock", "a+")  # noqa: SIM115, PTH123  # as the journal does
    except OSError:
        return  # the journal says better what is wrong there
    with guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            guard.seek(0)
            raise VerbError(
                f"an engine (process {guard.read().strip()}) runs on {path} and is the only one to "
                "write there; stop it (systemctl stop mysense), do this again, and start it: its "
                "outputs then get what was missing"
            ) from wrong


# -- into an output ---------------------------------------------------------------------------


def _into_output(
    places: Places, a: str, publisher: Publisher[Any], args: argparse.Namespace
) -> None:
    path = journal_path(ReplaySettings(files=(Path(f"backfill {a}"),)), [publisher])
    if args.fresh and path.exists():
        remove_journal(path)
    resumed = path.exists()
    journal = Journal(path)
    if resumed:
        say(f"going on with what an earlier backfill left in {path}")
        request(path, "retry", [publisher.section])
    with comparing(args, places, a, publisher.section) as comparison:
        source = Missing(
            lambda: comparison.parts(comparison.kits(args.kit)),
            (lambda part: _make_room(comparison, part)) if args.overwrite else None,
        )
        abandoned = _deliver(journal, source, publisher, args.timeout)
    if abandoned:  # a thread that hangs still has the journal: leave it as it is
        return
    journal.close()
    with View(path) as view:
        settled = all(summary.all_acknowledged for summary in outputs(view))
    if settled:  # to compare again finds whatever was not copied
        remove_journal(path)
    else:
        say(f"what is left waits in {path}; the same command goes on there")


def _make_room(comparison: Comparison, part: Part) -> None:
    """Other outputs replace by themselves what has the same second."""
    if isinstance(comparison.there, InfluxSide):
        comparison.there.forget(part.kit, replaced(part), part.low, part.high)


def _deliver(journal: Journal, source: Missing, publisher: Publisher[Any], timeout: float) -> bool:
    """Run an engine until all is delivered or nothing goes on; returns whether a thread hangs."""
    engine = Engine(
        journal,
        subscribers=[source],
        publishers=[publisher],
        once=True,
        max_backoff=_MAX_BACKOFF,
    )
    engine.stop_on_signals()
    engine.tick()
    engine.run(timeout)
    say(f"{source.count} telegrams to copy")
    with View(journal.path) as view:
        for summary in outputs(view):
            say(f"{summary.name}: {summary.line()}")
            if summary.dead or engine.intakes[0].refused:
                say(f"refused telegrams: `mysense dead list --journal {journal.path}`")
    return engine.abandoned
