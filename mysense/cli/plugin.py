"""`mysense plugin NAME`: one plugin on its own, as `python -m channels.MyNAME` does."""

from __future__ import annotations

from mysense.cli import USAGE
from mysense.cli.common import say
from mysense.loader import Loader
from mysense.standalone import run


def main(words: list[str]) -> int:
    """Run one plugin; returns the exit code."""
    if not words or words[0].startswith("-"):
        say("usage: mysense plugin NAME [-c FILE] [-o SECTION.KEY=VALUE] [-n COUNT] ...")
        say("`mysense plugins` lists the names; `mysense plugin NAME --help` says more")
        return 0 if words[:1] in (["-h"], ["--help"]) else USAGE
    return run(Loader().load(words[0]), words[0], words[1:])
