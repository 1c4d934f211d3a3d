"""`mysense ledger`: made, kept, let go, held and dead, by kit and hour or day."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import attrs

from mysense.cli.common import Parser, journal_path
from mysense.cli.verify import add_choice
from mysense.comparing.ledger import Entry, entries, kits
from mysense.comparing.sides import HOUR
from mysense.journal.view import View
from mysense.telegram import DAY, MAX_WHOLE

_COUNTS = ("made", "kept", "let_go", "held", "dead")


def main(words: list[str]) -> int:
    """Print the account; returns the exit code."""
    args = _arguments(words)
    span = DAY if args.by == "day" else HOUR
    low = (args.since or 0) // span * span
    high = MAX_WHOLE if args.until is None else args.until
    with View(journal_path(args)) as view:
        wanted = [kit for kit in kits(view) if _is_wanted(kit, args.kit)]
        width = max([3, *map(len, wanted)])
        if not args.json:
            print(
                _row(
                    "kit",
                    width,
                    f"{args.by} (UTC)",
                    "label",
                    [*_COUNTS[:2], "let go", *_COUNTS[3:]],
                )
            )
        for kit in wanted:
            for entry in entries(view, kit, span, low, high):
                print(json.dumps(attrs.asdict(entry)) if args.json else _line(entry, width, span))
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser("ledger", "Telegrams made, kept, let go, held and dead, by kit and hour.")
    add_choice(parser)
    parser.add_argument("--by", choices=("hour", "day"), default="hour", help="default: hour")
    parser.add_argument("--json", action="store_true", help="as JSON Lines")
    return parser.parse_args(words)


def _is_wanted(kit: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatchcase(kit, pattern) for pattern in patterns)


def _line(entry: Entry, width: int, span: int) -> str:
    form = "%Y-%m-%d" if span == DAY else "%Y-%m-%d %H:%M"
    start = datetime.fromtimestamp(entry.start, UTC).strftime(form)
    counts = [getattr(entry, name) for name in _COUNTS]
    return _row(entry.kit, width, start, entry.label, counts)


def _row(kit: str, width: int, start: str, label: str, counts: list[object]) -> str:
    cells = " ".join(f"{count!s:>7}" for count in counts)
    return f"{kit:{width}}  {start:16}  {label:10} {cells}"
