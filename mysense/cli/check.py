"""`mysense check`: would it work here? Each failure with its fix."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator

from mysense.application import Application, JournalSettings
from mysense.cli import FAILED
from mysense.cli.common import Parser, configuration, load, say
from mysense.plugin import Finding


def main(words: list[str]) -> int:
    """Check settings, journal and every plugin that is on; returns the exit code."""
    parser = Parser("check", "Look, without harm and without root, whether it would work here.")
    args = parser.parse_args(words)
    say(f"configuration {configuration(args)}")
    application = load(args)
    failures = _tell("settings", [Finding(good=True, what="no faults")])
    failures += _tell("journal", _journal(application.journal))
    for configured in application.configured:
        if configured.on:
            with configured.make() as plugin:
                failures += _tell(configured.section, plugin.check())
    failures += _tell("engine", _engine(application))
    return FAILED if failures else 0


def _tell(name: str, findings: Iterable[Finding]) -> int:
    failures = 0
    for finding in findings:
        mark = "ok  " if finding.good else "FAIL"
        fix = f"\n       fix: {finding.fix}" if finding.fix and not finding.good else ""
        print(f"{mark} {name}: {finding.what}{fix}")
        failures += not finding.good
    return failures


def _engine(application: Application) -> Iterator[Finding]:
    for direction, fix in (("input", "`input = true`"), ("output", "`output = true`")):
        on = [c.section for c in application.configured if c.on and c.plugin.direction == direction]
        what = f"{direction}s switched on: {', '.join(on) or 'none'}"
        yield Finding(bool(on), what, f"set {fix} in the section of one")


def _journal(settings: JournalSettings) -> Iterator[Finding]:
    path = settings.path
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    writable = os.access(path if path.exists() else folder, os.W_OK)
    yield Finding(writable, f"{path} can be written", f"give this user write access to {folder}")
    free = shutil.disk_usage(folder).free / 1e6
    enough = free > settings.max_mb
    fix = "free some room, or lower [journal] max_mb"
    yield Finding(enough, f"{free:.0f} MB free, {settings.max_mb:.0f} MB may be used", fix)
