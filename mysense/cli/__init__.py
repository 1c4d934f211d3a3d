"""The command `mysense`: one file a verb, imported only when that verb is asked for.

Exit codes: 0 good, 1 failed, 64 usage, 78 configuration. stdout is data, stderr is talk.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from mysense import __version__
from mysense.errors import MySenseError, PluginError
from mysense.settings import SettingsError, closest

FAILED, USAGE, CONFIGURATION = 1, 64, 78

VERBS = {
    "run": "inputs to outputs until stopped",
    "replay": "telegram files through outputs",
    "ingest": "points of somebody else, such as OCS feeds, through influxpub",
    "demo": "a kit, a store, a server and outputs in one go, with a ledger at the end",
    "scan": "which sensors are wired here, as configuration to paste",
    "check": "would it work here? each failure with its fix",
    "status": "journal, outputs, lag, last error, dead letters, gaps",
    "clock": "is the clock of this machine trusted? or: it is right, accept it",
    "pause": "let an output rest; its telegrams wait in the journal",
    "resume": "let a paused output go on",
    "forget": "an output that is no longer used leaves the journal",
    "dead": "telegrams that an output refused: list, retry, export",
    "verify": "do journal, store and server hold the same?",
    "backfill": "copy what one place has and another lacks",
    "migrate": "copy InfluxDB databases to another server, version or layout",
    "ledger": "made, kept, let go and dead, by kit and hour",
    "provision": "make databases, users and tokens on an InfluxDB server",
    "plugins": "what is available and from where",
    "plugin": "one plugin on its own",
    "grafana": "data sources and dashboards for Grafana, as files",
    "export": "a kit's data from the embedded store",
}

_INSTALL = "`make install`, then `. .venv/bin/activate`"


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else USAGE
    if words[0] in ("-V", "--version"):
        print(f"mysense {__version__}")
        return 0
    if words[0] not in VERBS:
        print(f"mysense: no verb {words[0]!r} ({closest(words[0], VERBS)})", file=sys.stderr)
        return USAGE
    return _carry_out(words[0], words[1:])


def overview() -> str:
    """What `mysense --help` prints."""
    verbs = "\n".join(f"  {verb:9} {text}" for verb, text in VERBS.items())
    return (
        "usage: mysense VERB [-c FILE] [-o SECTION.KEY=VALUE] ...\n\n"
        f"MySense {__version__}: measurement stations that lose nothing.\n\n{verbs}\n\n"
        "`mysense VERB --help` says more. -c names the configuration, -o overrides one option."
    )


def _carry_out(verb: str, words: list[str]) -> int:
    module = importlib.import_module(f"mysense.cli.{verb}")
    return guarded(f"mysense {verb}", lambda: int(module.main(words)))


def guarded(name: str, work: Callable[[], int]) -> int:
    """Do the work of a command; what goes wrong becomes a message and an exit code."""
    try:
        _data_as_utf8()
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)
        return CONFIGURATION
    except PluginError as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
        return CONFIGURATION
    except MySenseError as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
    except ModuleNotFoundError as wrong:  # another Python than that of `make install`
        print(f"{name}: {sys.executable} has no package {wrong.name}; {_INSTALL}", file=sys.stderr)
    except OSError as wrong:  # a full disk, no rights: for a person to mend
        where = f"{wrong.filename}: " if wrong.filename else ""
        if not isinstance(wrong, BrokenPipeError):  # head and its like have seen enough
            print(f"{name}: {where}{wrong.strerror or wrong}", file=sys.stderr)
        _give_up_stdout()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
    return FAILED


def _give_up_stdout() -> None:
    """Let what stdout could not take find no such error again when Python ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data_as_utf8() -> None:
    """JSON Lines are UTF-8, whatever the locale says; a terminal gets what it can show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")
