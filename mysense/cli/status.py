"""`mysense status`: what is in the journal, and how each output is doing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from mysense.cli.common import Parser, journal_bytes, journal_path
from mysense.errors import JournalError
from mysense.journal import undated
from mysense.journal.copies import NOTES, Copy, copies
from mysense.journal.forgetting import NOTES as NOTES_FORGOTTEN
from mysense.journal.forgetting import Forgotten, noted
from mysense.journal.holder import Holder, holder
from mysense.journal.summary import OutputSummary, outputs
from mysense.journal.view import View
from mysense.replaying import replay_folder

_NEWEST = 10
_EVENTS = (  # flags of single values are too many to be told here
    "SELECT at, who, kind, text FROM events WHERE kind != 'flags' ORDER BY id DESC LIMIT ?"
)


def main(words: list[str]) -> int:
    """Print the status; returns the exit code."""
    args = arguments(Parser("status", "Journal, outputs, lag, last error, dead letters, gaps."))
    args.add_argument("--json", action="store_true", help="as one JSON object")
    parsed = args.parse_args(words)
    path = journal_path(parsed)
    try:
        with View(path) as view:
            status = collect(view, holder(path))
    except JournalError as wrong:
        raise _told(wrong, holder(path)) from wrong
    print(json.dumps(status, indent=2) if parsed.json else readable(status))
    return 0


def _told(wrong: JournalError, engine: Holder | None) -> JournalError:
    """The error, with what an engine does about it."""
    if engine is None or not engine.waits:
        return wrong
    return JournalError(f"{wrong}\nengine    {_engine(attrs.asdict(engine))}")


def arguments(parser: Parser) -> Parser:
    """Add the option that names another journal than the configured one."""
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="look at this journal, not the configured one"
    )
    return parser


def collect(view: View, engine: Holder | None) -> dict[str, Any]:
    """The status as JSON values; times are Unix seconds, `lag` is seconds.

    Without an `engine` nothing is connected, whatever the last one noted.
    """
    (kept,) = view.all(
        "SELECT count(*) AS telegrams, min(time) AS first, max(time) AS last FROM telegrams"
    )
    (kits,) = view.all("SELECT count(*) AS n FROM kits")
    (refused,) = view.all("SELECT count(*) AS n FROM aside WHERE output = ''")
    gaps = view.all("SELECT output, kit, first, last, count, reason FROM gaps ORDER BY id")
    inputs = view.all("SELECT input, count(*) AS positions FROM positions GROUP BY input")
    return {
        "journal": str(view.path),
        "engine": {"running": False}
        if engine is None
        else {"running": True, **attrs.asdict(engine)},
        "bytes": journal_bytes(view.path),
        "copies": [_copy(one) for one in copies(view.path, view.all(NOTES))],
        "kits": kits["n"],
        **dict(kept),
        "refused_by_journal": refused["n"],
        "undated": attrs.asdict(undated.waiting(view)),
        "inputs": {row["input"]: {"positions": row["positions"]} for row in inputs},
        "outputs": {one.name: _output(one, running=engine is not None) for one in outputs(view)},
        "forgotten": {one.name: _forgotten(one) for one in noted(view.all(NOTES_FORGOTTEN))},
        "gaps": [dict(row) for row in gaps],
        "events": [dict(row) for row in reversed(view.all(_EVENTS, _NEWEST))],
        "unfinished_replays": [str(path) for path in sorted(replay_folder().glob("*.db"))],
    }


def _copy(copy: Copy) -> dict[str, Any]:
    return {"name": copy.name, "bytes": copy.size, "lost": copy.lost, "line": copy.line}


def _forgotten(one: Forgotten) -> dict[str, Any]:
    return {**attrs.asdict(one), "line": one.line}


def _output(summary: OutputSummary, *, running: bool) -> dict[str, Any]:
    values = attrs.asdict(summary, filter=lambda field, _: field.name != "name")
    connected = running and bool(summary.connected) and not summary.paused
    return {**values, "connected": connected, "last_updated": summary.last_ok}


def readable(status: dict[str, Any]) -> str:
    """The same for a person."""
    lines = [
        f"journal   {status['journal']}, {status['bytes'] / 1e6:.1f} MB",
        f"engine    {_engine(status['engine'])}",
    ]
    lines += [f"damaged   {one['line']}" for one in status["copies"]]
    span = _span(status["first"], status["last"])
    lines.append(f"telegrams {status['telegrams']} kept of {status['kits']} kits{span}")
    if status["refused_by_journal"]:
        lines.append(f"refused   {status['refused_by_journal']} on the way in, see `dead list`")
    told = undated.Waiting(**status["undated"]).lines()
    lines += [f"{'clock' if text is told[0] else '':10}{text}" for text in told]
    for name, output in status["outputs"].items():
        state = _state(output, running=status["engine"]["running"])
        lines += ["", f"output    {name}: {state}", *_account(output)]
    for name, one in status["forgotten"].items():
        lines.append(f"forgotten {name}, {_time(one['at'])}: {one['line']}")
    for gap in status["gaps"]:
        span = _span(gap["first"], gap["last"])
        lines.append(
            f"gap       {gap['output'] or '(journal)'}: {gap['count']} of {gap['kit']}{span}"
        )
    if status["events"]:
        lines += ["", "events"]
    for event in status["events"]:
        lines.append(f"{_time(event['at'])} {event['who']} {event['kind']}: {event['text']}")
    for path in status["unfinished_replays"]:
        lines.append(f"replay    unfinished, its journal is {path}")
    if not status["outputs"]:
        lines.append("no output has run with this journal yet")
    return "\n".join(lines)


def _engine(engine: dict[str, Any]) -> str:
    if not engine.get("running", True):
        return "not running; this is how the last one left it"
    if engine["waits"]:
        return f"waiting, process {engine['pid']}: {engine['waits']}"
    return f"running since {_time(engine['since'])}, process {engine['pid']}"


def _state(output: dict[str, Any], *, running: bool) -> str:
    if output["paused"]:
        return "paused; `mysense resume` lets it go on"
    if output["error"]:
        return f"failing, last at {_time(output['error_at'])}: {output['error']}"
    if not running:
        return "not running"
    return "connected" if output["connected"] else "nothing sent since the start"


def _account(output: dict[str, Any]) -> list[str]:
    counts = {"acknowledged": output["acknowledged"], "waiting": output["waiting"]}
    counts |= {key: output[key] for key in ("excluded", "held", "dead", "gaps") if output[key]}
    lines = ["          " + ", ".join(f"{count} {what}" for what, count in counts.items())]
    rate = f"{output['rate']:.1f} telegrams a minute"
    lines.append(f"          lag {_duration(output['lag'])}, {rate}, {output['retries']} retries")
    for kit in output["held_kits"]:
        waits = f"{kit['count']} for {_duration(kit['lag'])}"
        lines.append(f"          held: {kit['kit']}, {waits}: {kit['reason']}")
    if output["last_ok"]:
        lines.append(f"          last acknowledged {_time(output['last_ok'])}")
    return lines


def _span(first: int | None, last: int | None) -> str:
    return "" if first is None or last is None else f", {_time(first)} to {_time(last)}"


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError):  # beyond the calendar
        return f"second {seconds:.0f}"


def _duration(seconds: float) -> str:
    whole = time.gmtime(seconds)
    days = int(seconds // 86_400)
    if seconds < 120:
        return f"{seconds:.1f} s"
    return (f"{days} d " if days else "") + f"{whole.tm_hour} h {whole.tm_min} min"
