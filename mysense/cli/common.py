"""What the verbs share: their parser, logging, and loading the settings."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from pathlib import Path
from typing import NoReturn

from mysense.application import Application, core_settings, default_path
from mysense.cli import USAGE
from mysense.errors import MySenseError
from mysense.journal.pages import beside
from mysense.settings import Source, override_parts


class Parser(argparse.ArgumentParser):
    """A parser of one verb: usage errors exit with 64, abbreviations are not guessed."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(prog=f"mysense {verb}", description=description, allow_abbrev=False)
        self.add_argument("-c", dest="conf", metavar="FILE", type=Path, help="the configuration")
        self.add_argument(
            "-o",
            dest="overrides",
            metavar="SECTION.KEY=VALUE",
            action="append",
            type=_override,
            default=[],
            help="override one option; may be repeated",
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and exit."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _override(text: str) -> str:
    if override_parts(text) is None:
        found = text.partition("=")[0]  # what follows the = may be a secret
        raise argparse.ArgumentTypeError(f"expected SECTION.KEY=VALUE, found {found!r}")
    return text


def seconds(text: str) -> float:
    """A time span above zero, as a type for arguments."""
    return _above_zero(text, "seconds above 0")


def speed(text: str) -> float | None:
    """A factor above zero, or None for "max", as a type for arguments."""
    return None if text == "max" else _above_zero(text, "a number above 0 or max")


def count(text: str) -> int:
    """A whole number above zero, as a type for arguments."""
    if not (text.isascii() and text.isdecimal()) or not 0 < len(text.lstrip("0")) < 10:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def _above_zero(text: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
    return number


class _OneLine(logging.Formatter):
    """Log lines of one line, without characters that a terminal would act upon."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info or text.isprintable():
            return text
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(args: argparse.Namespace) -> Path:
    """The configuration file that these arguments mean."""
    return args.conf or default_path()


def load(args: argparse.Namespace) -> Application:
    """All settings, as file, environment and command line have them; sets up logging too."""
    set_up_logging("info")
    application = Application.load(configuration(args), args.overrides)
    set_up_logging(application.process.log)
    return application


def journal_bytes(path: Path) -> int:
    """What a journal and its write-ahead log take of the disk; 0 where there is none."""
    every = (path, beside(path, "-wal"))
    return sum(file.stat().st_size for file in every if file.exists())


def journal_path(args: argparse.Namespace) -> Path:
    """The journal that `--journal`, else [journal] file names; no other section needs be right."""
    set_up_logging("info")
    if args.journal is not None:
        return Path(args.journal)
    return core_settings(Source(configuration(args), args.overrides))[1].path


def set_up_logging(level: str) -> None:
    """Log to stderr, in UTC."""
    formatter = _OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(_without_prefix)
    logger = logging.getLogger("mysense")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _without_prefix(record: logging.LogRecord) -> bool:
    record.name = record.name.removeprefix("mysense.")
    record.levelname = record.levelname.lower()
    return True


def rarely_collect() -> None:
    """Let Python look for reference cycles seldom, and never among what is loaded now.

    It looks after every 700 new objects, through more and more of them. Telegrams are many and
    hold no cycles: a replay takes about a tenth longer with Python's own thresholds.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def say(text: str) -> None:
    """Tell the user something that is not data."""
    print(text, file=sys.stderr, flush=True)


class VerbError(MySenseError):
    """A verb that cannot do what was asked; its text says why."""
