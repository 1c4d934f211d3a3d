"""`mysense clock`: is the clock of this machine to be trusted, and a person's word that it is."""

from __future__ import annotations

import time

from mysense.application import core_settings
from mysense.cli.common import Parser, configuration, journal_path, say
from mysense.cli.status import arguments
from mysense.clock import Clock
from mysense.errors import JournalError
from mysense.journal.undated import waiting
from mysense.journal.view import View, request
from mysense.settings import Source
from mysense.trust import Machine, Trust, day


def main(words: list[str]) -> int:
    """Tell about the clock, or accept it; returns the exit code."""
    text = "Whether the clock of this machine is trusted, and what waits for that."
    parser = arguments(Parser("clock", text))
    parser.add_argument(
        "action",
        nargs="?",
        choices=("accept",),
        help="the clock is right: what waits gets its time by it, also where the journal has later"
        " times",
    )
    args = parser.parse_args(words)
    path = journal_path(args)
    if args.action == "accept":
        request(path, "accept", [Machine().boot])
        say(f"the clock is right, {day(time.time())}: the running engine goes by it in a second")
        return 0
    process, _ = core_settings(Source(configuration(args), args.overrides))
    print("\n".join(_told(Trust(Clock(), process.clock))))
    try:
        with View(path) as view:
            print("\n".join(waiting(view).lines()) or "nothing waits for its time")
    except JournalError as wrong:
        say(str(wrong))
    return 0


def _told(trust: Trust) -> list[str]:
    wall = time.time()
    said = {
        "a time server was heard": trust.machine.synchronised,
        "a clock module agrees": trust.machine.has_clock(wall),
        "a virtual machine": trust.machine.virtual,
    }
    lines = [f"{what:24}{'yes' if is_so else 'no'}" for what, is_so in said.items()]
    hold = trust.look(0)
    verdict = f"no: {hold.text}\nto do: {hold.fix}" if hold else "yes"
    return [f"{'it shows':24}{day(wall)}", *lines, f"{'trusted':24}{verdict}"]
