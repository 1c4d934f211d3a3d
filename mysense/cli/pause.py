"""`mysense pause OUTPUT` and `mysense resume OUTPUT`: an output rests, and goes on."""

from __future__ import annotations

from mysense.cli.common import Parser, journal_path, say
from mysense.cli.dead import check_output
from mysense.cli.status import arguments
from mysense.journal.holder import holder
from mysense.journal.view import View, request


def main(words: list[str]) -> int:
    """Pause an output; returns the exit code."""
    return ask(
        "pause", "An output rests; its telegrams wait in the journal, also over restarts.", words
    )


def ask(verb: str, description: str, words: list[str]) -> int:
    """Leave the request `verb` for one output in the journal; returns the exit code."""
    parser = arguments(Parser(verb, description))
    parser.add_argument("output", help="which output (a section, such as influxpub:backup)")
    args = parser.parse_args(words)
    path, name = journal_path(args), args.output.lower()
    with View(path) as view:
        check_output(view, name)
    request(path, verb, [name])
    engine = holder(path)
    if engine is None:
        say(f"{verb} {name}: no engine runs; the next that starts obeys")
    else:
        say(f"{verb} {name}: the running engine (process {engine.pid}) obeys within a second")
    return 0
