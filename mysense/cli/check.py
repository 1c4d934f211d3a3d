"""`mysense check`: would it work here? Each failure with its fix."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mysense import metrics
from mysense.application import Application, Configured, JournalSettings
from mysense.cli import FAILED
from mysense.cli.common import Parser, configuration, journal_bytes, load, say
from mysense.errors import JournalError, MySenseError
from mysense.journal.copies import NOTES, copies
from mysense.journal.disk import free
from mysense.journal.view import View
from mysense.plugin import Finding, Publisher, Sensor
from mysense.sampling import Sampling
from mysense.settings import SettingsError
from mysense.telegram import Ident
from mysense.trust import day

_KITS = 20  # of those in the journal


def main(words: list[str]) -> int:
    """Check settings, journal and every plugin that is on; returns the exit code."""
    parser = Parser("check", "Look, without harm and without root, whether it would work here.")
    args = parser.parse_args(words)
    say(f"configuration {configuration(args)}")
    application = load(args)
    failures = _tell("settings", [Finding(good=True, what="no faults")])
    failures += _tell("journal", _journal(application.journal))
    failures += _tell("process", metrics.findings(application.process.metrics))
    kits = _kits(application)
    for configured in application.configured:
        if configured.on:
            failures += _tell(configured.section, _plugin(configured, kits))
    if any(c.on and issubclass(c.plugin, Sensor) for c in application.configured):
        failures += _tell("kit", _kit(application))
    failures += _tell("engine", _engine(application))
    if failures:
        say(f"{failures} to mend: see FAIL above, and what to do after each `fix:`")
    return FAILED if failures else 0


def _tell(name: str, findings: Iterable[Finding]) -> int:
    failures = 0
    for finding in findings:
        mark = "ok  " if finding.good else "FAIL"
        fix = f"\n       fix: {finding.fix}" if finding.fix and not finding.good else ""
        print(f"{mark} {name}: {finding.what}{fix}", flush=True)
        failures += not finding.good
    return failures


def _plugin(configured: Configured, kits: Sequence[Ident]) -> Iterator[Finding]:
    """What the plugin finds; a fault in it is a finding too, and does not end the check."""
    try:
        with configured.make() as plugin:
            if isinstance(plugin, Publisher):
                plugin.kits = kits
            yield from plugin.check()
    except MySenseError as wrong:
        yield Finding(False, str(wrong), f"see the page of this plugin: {_page(configured)}")
    except (Exception, SystemExit) as wrong:  # noqa: BLE001  # may not hide what the others find
        what = f"a fault in this plugin, {type(wrong).__name__}: {wrong}"
        yield Finding(False, what, "tell those who wrote it, with this line")


def _kits(application: Application) -> list[Ident]:
    """Whose telegrams go out from here: this kit's, and those that came in last."""
    found = []
    if application.samples:
        with suppress(SettingsError):  # which is told elsewhere
            found.append(application.ident())
    with suppress(JournalError, sqlite3.Error), View(application.journal.path) as view:
        rows = view.all("SELECT ident FROM kits ORDER BY ident DESC LIMIT ?", _KITS)
        found += [view.ident(row["ident"]) for row in rows]
    return [ident for ident in found if isinstance(ident, Ident)]


def _page(configured: Configured) -> str:
    folder = "sensors" if issubclass(configured.plugin, Sensor) else "channels"
    return f"docs/{folder}/{configured.section.partition(':')[0]}.md"


def _kit(application: Application) -> Iterator[Finding]:
    """Who it is, and which fields its sensors fill together."""
    try:
        sampling = Sampling.of(application)
    except MySenseError as wrong:
        what, _, fix = str(wrong).partition("; ")
        yield Finding(False, what, fix or "correct this option")
        return
    if sampling is None:
        what = "its sensors are off, because a SUB channel is an input"
        yield Finding(True, what)
        return
    ident = sampling.ident
    whose = "" if application.id.serial else " (the serial number is that of this machine)"
    yield Finding(True, f"this is {ident.project}_{ident.serial}{whose}")
    yield Finding(True, f"its telegrams have {', '.join(ident.fields[1:])}")
    yield from _clock(sampling)


def _clock(sampling: Sampling) -> Iterator[Finding]:
    """Whether its telegrams would get a time."""
    hold = sampling.trust and sampling.trust.look(0)
    if not hold:
        yield Finding(True, f"its clock is trusted, it shows {day(time.time())}")
        return
    what = f"its clock is not trusted, so its telegrams would wait: {hold.text}"
    yield Finding(False, what, hold.fix)


def _engine(application: Application) -> Iterator[Finding]:
    for direction, fix in (("input", "`input = true`"), ("output", "`output = true`")):
        on = [c.section for c in application.configured if c.on and c.plugin.direction == direction]
        what = f"{direction}s switched on: {', '.join(on) or 'none'}"
        hint = "; `mysense scan` shows which sensors are wired" if direction == "input" else ""
        yield Finding(bool(on), what, f"set {fix} in the section of one{hint}")


def _journal(settings: JournalSettings) -> Iterator[Finding]:
    path = settings.path
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    target = path if path.exists() else folder
    if os.access(target, os.W_OK):
        yield Finding(True, f"{path} can be written")
    else:
        fix = f"give this user write access to {target}, or run as the user of the service"
        yield Finding(False, f"{path} cannot be written by this user", fix)
    yield _room(folder, path, settings.max_mb)
    for copy in copies(path, _notes(path)):
        fix = f"move {path.parent / copy.name}* elsewhere for who can look into it, or delete it"
        yield Finding(copy.lost == 0, f"a damaged journal is kept: {copy.line}", fix)


def _room(folder: Path, path: Path, max_mb: float) -> Finding:
    """Whether the disk has room for what the journal may still grow by; copies have theirs."""
    left, more = free(folder) / 1e6, max(0.0, max_mb - journal_bytes(path) / 1e6)
    what = f"{left:.0f} MB free, {more:.0f} MB more may be used by the journal"
    if found := copies(path):
        what += f"; copies of damaged ones have {sum(one.size for one in found) / 1e6:.0f} MB"
    return Finding(left > more, what, "free some room, or lower [journal] max_mb")


def _notes(path: Path) -> list[Any]:
    """What the journal says of copies; nothing where it cannot be asked."""
    try:
        with View(path) as view:
            return view.all(NOTES)
    except (JournalError, sqlite3.Error):
        return []
