"""`mysense plugins`: what is available and from where."""

from __future__ import annotations

import inspect

from mysense.cli import FAILED
from mysense.cli.common import Parser, load, say
from mysense.errors import PluginError
from mysense.plugin import Publisher, Sensor


def main(words: list[str]) -> int:
    """List the plugins; returns the exit code."""
    parser = Parser("plugins", "List the plugins that are available, and where each comes from.")
    application = load(parser.parse_args(words))
    on = {configured.section for configured in application.configured if configured.on}
    failed = False
    for name, found in sorted(application.loader.found.items()):
        try:
            plugin = application.loader.load(name)
        except PluginError as wrong:
            say(f"{name}: {wrong}")
            failed = True
            continue
        kind = "output" if issubclass(plugin, Publisher) else "input"
        kind = "sensor" if issubclass(plugin, Sensor) else kind
        state = "on" if any(s.partition(":")[0] == name for s in on) else "-"
        module = inspect.getmodule(plugin)  # None for a file in a folder of the user's own
        about = inspect.getdoc(module) if module else inspect.getdoc(plugin)
        summary = (about or "").partition("\n")[0]
        print(f"{name:12} {kind:7} {state:3} {summary}  [{found.origin}]")
    return FAILED if failed else 0
