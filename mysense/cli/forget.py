"""`mysense forget OUTPUT`: an output that is not wanted any more leaves the journal."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mysense.application import Application
from mysense.cli.common import Parser, VerbError, configuration, journal_path, say
from mysense.cli.dead import check_output
from mysense.cli.status import arguments
from mysense.journal.forgetting import ACCOUNT, Forgotten, account
from mysense.journal.holder import holder
from mysense.journal.view import View, request
from mysense.plugin import Publisher
from mysense.settings import SettingsError
from mysense.text import counted

_PATIENCE = 10.0  # seconds for the running engine to obey


def main(words: list[str]) -> int:
    """Tell what forgetting an output would drop, or forget it; returns the exit code."""
    args = _arguments(words)
    path, name = journal_path(args), args.output.lower()
    with View(path) as view:
        check_output(view, name)
        found = account([tuple(row) for row in view.all(ACCOUNT, name)], name, time.time())
    if args.journal is None and name in _switched_on(args):
        raise VerbError(f"{name} is switched on; set `output = false` in its section first")
    if found is not None:
        _tell(found)
    if not args.yes:
        say(f"nothing was changed; `mysense forget {name} --yes` forgets it")
        return 0
    request(path, "forget", [name])
    _await(path, name)
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        "forget",
        "An output that is no longer used leaves the journal; one line of its account stays.",
    )
    arguments(parser).add_argument("output", help="which output (a section, such as csv:old)")
    parser.add_argument("--yes", action="store_true", help="do it; without, it is only told")
    return parser.parse_args(words)


def _switched_on(args: argparse.Namespace) -> set[str]:
    """The outputs that the next engine runs; none where the configuration has faults."""
    try:
        found = Application.load(configuration(args), args.overrides).configured
    except SettingsError:  # the engine knows what it runs, and forgets nothing of that
        return set()
    return {one.section for one in found if one.on and issubclass(one.plugin, Publisher)}


def _tell(found: Forgotten) -> None:
    say(f"{found.name}: {found.line}")
    never = found.waiting + found.held
    if never:
        say(f"{counted(never, 'telegrams')} never went to it, and never will")
    if found.dead:
        letters = counted(found.dead, "dead letters")
        say(f"with it: {letters}, which `mysense dead export {found.name}` prints before")


def _await(path: Path, name: str) -> None:
    """Wait until the running engine has obeyed, and tell what came of it."""
    engine = holder(path)
    if engine is None:
        say(f"forget {name}: no engine runs; the next that starts obeys")
        return
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with View(path) as view, view.moment():
            there = view.all("SELECT 1 FROM outputs WHERE name = ?", name)
            asked = view.all("SELECT 1 FROM requests WHERE verb = 'forget' AND output = ?", name)
        if not there:
            say(f"{name} is forgotten")
            return
        if not asked:
            raise VerbError(
                f"the running engine (process {engine.pid}) has {name} among its outputs; "
                "set `output = false` in its section and start the engine anew first"
            )
        time.sleep(0.1)
    say(f"forget {name}: the running engine (process {engine.pid}) obeys as soon as it can")
