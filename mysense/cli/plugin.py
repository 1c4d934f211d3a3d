"""`mysense plugin NAME`: one plugin on its own, as `python -m channels.MyNAME` does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mysense.application import core_settings, default_path, plugin_loader
from mysense.cli import USAGE
from mysense.settings import Source
from mysense.standalone import run

_USAGE = """\
usage: mysense plugin NAME [-c FILE] [-o SECTION.KEY=VALUE] [-n COUNT] ...

`mysense plugins` lists the names; `mysense plugin NAME --help` says more."""


def main(words: list[str]) -> int:
    """Run one plugin; returns the exit code."""
    if not words or words[0].startswith("-"):
        asked = words[:1] in (["-h"], ["--help"])
        print(_USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else USAGE
    name = words[0].lower()
    source = _source(words[1:])
    loader = plugin_loader(source, core_settings(source)[0])
    source.finish()
    return run(loader.load(name), name, words[1:])


def _source(words: list[str]) -> Source:
    """The settings that these arguments mean; all others are the business of the plugin's parser.

    They say in which folders to look for the plugin, and the plugin says which arguments it takes.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-c", dest="conf", type=Path)
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    try:
        args = parser.parse_known_args(words)[0]
    except argparse.ArgumentError:  # the plugin's parser says it better
        return Source()
    overrides = [text for text in args.overrides if text.startswith("process.")]
    return Source(args.conf or default_path(), overrides)
