"""`mysense dead`: the telegrams that an output refused, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from mysense import jsonlines
from mysense.cli import FAILED
from mysense.cli.common import Parser, VerbError, count, journal_path, say
from mysense.cli.status import arguments
from mysense.journal.view import View, request
from mysense.points import measured
from mysense.settings import closest


def main(words: list[str]) -> int:
    """List, retry or export dead letters; returns the exit code."""
    args = _arguments(words)
    path = journal_path(args)
    with View(path) as view:
        if args.output is not None:
            check_output(view, args.output)
    if args.action == "retry":
        return _retry(path, args)
    with View(path) as view:
        found = 0
        for letter in _letters(view, args.output):
            found += 1
            if args.action == "export" and letter["telegram"] is None:
                say(f"{letter['id']} is not a telegram and only listed: {letter['reason']}")
            else:
                print(_line(letter, args))
    if not found:
        say("no dead letters")
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = arguments(Parser("dead", "Telegrams that an output refused, and why."))
    parser.add_argument(
        "action",
        choices=("list", "retry", "export"),
        help="list them; let the running engine try them again; print them as JSON Lines",
    )
    parser.add_argument("output", nargs="?", help="only those of this output (a section)")
    parser.add_argument("--id", type=count, metavar="N", help="retry only number N of the list")
    parser.add_argument("--json", action="store_true", help="list as JSON Lines")
    return parser.parse_args(words)


def check_output(view: View, name: str) -> None:
    """Refuse an output that this journal does not know. Raises VerbError."""
    known = [row["name"] for row in view.all("SELECT name FROM outputs")]
    if name not in known:
        raise VerbError(f"no output is called {name!r} in this journal ({closest(name, known)})")


def _letters(view: View, output: str | None) -> Iterator[dict[str, Any]]:
    for row, ident in view.dead():
        if output is None or row["output"] == output:
            letter = {key: row[key] for key in ("id", "output", "kit", "time", "reason", "at")}
            letter["telegram"] = ident and measured(ident, json.loads(row["data"]))
            letter["text"] = None if ident else row["data"]
            yield letter


def _line(letter: dict[str, Any], args: argparse.Namespace) -> str:
    telegram = letter.pop("telegram")
    if args.action == "export":
        return jsonlines.line(telegram)
    if args.json:
        letter["telegram"] = telegram and telegram.to_json()
        return json.dumps(letter, ensure_ascii=False)
    output = letter["output"] or "(journal)"
    when = "" if letter["time"] is None else f" {letter['time']}"  # an input could not read it
    return f"{letter['id']:6} {output:14} {letter['kit']}{when}: {letter['reason']}"


def _held(view: View, args: argparse.Namespace) -> dict[str, int]:
    """By output how many telegrams are held; none where one dead letter alone is meant."""
    query = "SELECT output, count(*) AS n FROM aside WHERE state != 'dead' GROUP BY output"
    wanted = () if args.id is not None else view.all(query)
    return {row["output"]: row["n"] for row in wanted if args.output in (None, row["output"])}


def _retry(path: Any, args: argparse.Namespace) -> int:
    with View(path) as view:
        waiting = [letter for letter in _letters(view, args.output) if letter["telegram"]]
        held = _held(view, args)
    if args.id is not None:
        waiting = [letter for letter in waiting if letter["id"] == args.id]
    names = sorted({letter["output"] for letter in waiting} - {""})
    if taken := sum(letter["output"] == "" for letter in waiting):
        say(f"{taken} were refused by the journal itself: no output can take them, see `dead list`")
    request(path, "retry", sorted({*names, *held}), "" if args.id is None else str(args.id))
    tried = len(waiting) - taken
    if tried:
        say(f"{tried} dead letters of {', '.join(names)} are to be tried again")
    elif not held:
        say("there is nothing to be tried again")
    if held:
        say(f"{sum(held.values())} held telegrams of {', '.join(held)} are tried as well")
    if tried or held:
        say("the running engine obeys within a second; without one, the next that starts")
    return 0 if tried or args.id is None else FAILED
