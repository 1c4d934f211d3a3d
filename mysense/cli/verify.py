"""`mysense verify [A] [B]`: do journal, store and server hold the same?"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mysense.cli import FAILED
from mysense.cli.common import Parser, load
from mysense.comparing.comparison import Comparison
from mysense.comparing.hours import COUNTS, Hour, Total
from mysense.comparing.named import Places
from mysense.comparing.sides import HOUR
from mysense.text import moment

_ON_ITS_WAY = 60  # seconds in which a telegram may just be on its way


def main(words: list[str]) -> int:
    """Compare two places; returns the exit code."""
    parser = arguments(
        "verify", "Compare what two places hold of the same kits; exits 0 when it is the same."
    )
    add_places(parser, "?", "journal and the first InfluxDB server that is switched on")
    parser.add_argument("--json", action="store_true", help="differences as JSON Lines")
    args = parser.parse_args(words)
    places = Places(load(args), args.journal)
    pair = places.pair([word for word in (args.a, args.b) if word])
    with comparing(args, places, *pair) as comparison:
        return tell(comparison, args)


def arguments(verb: str, description: str) -> Parser:
    """What verify and backfill have in common."""
    parser = Parser(verb, description)
    add_choice(parser)
    parser.add_argument(
        "--full",
        action="store_true",
        help="compare every telegram, also where the counts of an hour are the same",
    )
    return parser


def add_choice(parser: Parser) -> None:
    """Add what chooses kits, times and the journal."""
    add_bounds(parser)
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="this journal, not the configured one"
    )


def add_bounds(parser: Parser) -> None:
    """Add what chooses kits and times."""
    parser.add_argument(
        "--kit",
        action="append",
        metavar="PATTERN",
        default=[],
        help="only kits like BdP_*; may be repeated",
    )
    for flag, about in (("since", "first moment"), ("until", "moment after it")):
        parser.add_argument(
            f"--{flag}",
            type=_moment,
            metavar="TIME",
            help=f"{about}: 2026-01-31, 2026-01-31T12:00 or Unix seconds; UTC",
        )


def add_places(parser: Parser, count: str | None, default: str = "") -> None:
    """Add the two places; `count` as argparse has it."""
    what = "journal, a section (influxpub, influxsub, sqlitepub, sqlitesub) or a file"
    more = f" (default: {default})" if default else ""
    parser.add_argument("a", metavar="A", nargs=count, help=what)
    parser.add_argument("b", metavar="B", nargs=count, help=f"another{more}")


def _moment(text: str) -> int:
    try:
        return moment(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(
            f"expected 2026-01-31, 2026-01-31T12:00 or Unix seconds, found {text!r}"
        ) from wrong


@contextmanager
def comparing(args: argparse.Namespace, places: Places, a: str, b: str) -> Iterator[Comparison]:
    """A comparison of places `a` and `b` within the bounds of these arguments."""
    with ExitStack() as stack:
        here = stack.enter_context(closing(places.open(a, b)))
        there = stack.enter_context(closing(places.open(b, a)))
        low = places.start((a, b)) if args.since is None else args.since
        high = int(time.time()) - _ON_ITS_WAY if args.until is None else args.until
        yield Comparison(here, there, low=low // HOUR * HOUR, high=high, full=args.full)


def tell(comparison: Comparison, args: argparse.Namespace) -> int:
    """Print differences and total as they are found; returns the exit code."""
    kits = comparison.kits(args.kit)
    table = _Table(comparison, max([3, *map(len, kits)]))
    for part in comparison.parts(kits):
        for hour in part.hours:
            if not hour.is_equal:
                print(json.dumps(_values(hour)) if args.json else table.line(hour), flush=True)
    total = comparison.total
    names = {"here": comparison.here.name, "there": comparison.there.name}
    if args.json:
        counts = ("kits", "hours", "by_counts", "differing", *COUNTS)
        values: dict[str, Any] = {name: getattr(total, name) for name in counts}
        print(json.dumps({"total": names | values}))
    else:
        print("\n".join(_total(total, comparison, until=args.until is not None)))
    return 0 if total.is_equal else FAILED


def _values(hour: Hour) -> dict[str, Any]:
    values: dict[str, Any] = {"kit": hour.kit, "label": hour.label, "hour": hour.hour * HOUR}
    names = ("here", "there", *COUNTS, "counts_only", "examples")
    return values | {name: getattr(hour, name) for name in names}


class _Table:
    """Lines of a table for people; the first one has the heading above it."""

    def __init__(self, comparison: Comparison, width: int) -> None:
        here, there = comparison.here.name, comparison.there.name
        self._kit = width
        self._heads = [here, there, f"not in {here}", f"not in {there}", "different"]
        self._begun = False

    def line(self, hour: Hour) -> str:
        """The hour in one line."""
        counts = (hour.here, hour.there, hour.missing_here, hour.missing_there, hour.different)
        line = self._row(hour.kit, _utc(hour.hour * HOUR), hour.label, counts, _remarks(hour))
        if self._begun:
            return line
        self._begun = True
        return self._row("kit", "hour (UTC)", "label", self._heads, "") + "\n" + line

    def _row(self, kit: str, hour: str, label: str, counts: Any, remarks: str) -> str:
        pairs = zip(counts, self._heads, strict=True)
        cells = "  ".join(f"{count:>{max(len(head), 5)}}" for count, head in pairs)
        return f"{kit:{self._kit}}  {hour:16}  {label:10}  {cells}  {remarks}".rstrip()


def _remarks(hour: Hour) -> str:
    names = ("given_up", "waiting", "held", "dead")
    parts = [f"{n} {name.replace('_', ' ')}" for name in names if (n := getattr(hour, name))]
    if hour.counts_only:
        parts.append("counts only, some were let go")
    if hour.examples:
        parts.append("at " + " ".join(f"{_utc(at, '%H:%M:%S')}" for at in hour.examples))
    return ", ".join(parts)


def _utc(seconds: int, form: str = "%Y-%m-%d %H:%M") -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def _total(total: Total, comparison: Comparison, *, until: bool) -> Iterator[str]:
    here, there = comparison.here.name, comparison.there.name
    closely = total.hours - total.by_counts
    seen = (
        f"{_many(total.kits, 'kit')}, {_many(total.hours, 'hour')}, {closely} telegram by telegram"
    )
    found = "no difference"
    if not total.is_equal:
        found = (
            f"{total.missing_there} not in {there}, {total.missing_here} not in {here}, "
            f"{total.different} different, {total.given_up} given up"
        )
    yield f"total {here} and {there}: {seen}: {found}"
    parts = [f"{n} {name}" for name in ("waiting", "held", "dead") if (n := getattr(total, name))]
    if parts:
        yield f"known to the journal as not delivered: {', '.join(parts)}; see `mysense status`"
    if not until:
        yield f"compared up to a minute ago, {_utc(comparison.high, '%Y-%m-%d %H:%M:%S')} UTC"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
