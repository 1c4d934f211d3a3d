"""One plugin on its own: `python -m channels.MyINFLUXPUB`, or `mysense plugin influxpub`.

An output replays telegram files, the project's testdata unless others are named. An input prints
telegrams as they come, a sensor its readings, one JSON object a line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mysense import jsonlines
from mysense.application import CORE
from mysense.backoff import Backoff
from mysense.cli import guarded
from mysense.cli.common import Parser, configuration, count, say, set_up_logging
from mysense.cli.replay import arguments, replay
from mysense.loader import home
from mysense.plugin import (
    Finished,
    Gone,
    Misconfigured,
    Plugin,
    Publisher,
    Refusal,
    RetryLater,
    Sensor,
    Subscriber,
    Transient,
)
from mysense.settings import Source, override_parts


def main(plugin: type[Plugin[Any]]) -> int:
    """Run the plugin whose file was started; returns the exit code."""
    started = getattr(sys.modules["__main__"], "__file__", None) or plugin.__name__
    name = Path(started).stem.removeprefix("My").lower()
    return guarded(name, lambda: run(plugin, name, sys.argv[1:]))


def run(plugin: type[Plugin[Any]], name: str, words: list[str]) -> int:
    """Run one plugin with these arguments; returns the exit code.

    Args:
        plugin: its class.
        name: its section.
        words: arguments after the name.
    """
    verb = f"plugin {name}"
    if issubclass(plugin, Publisher):
        parser = arguments(verb, home() / "testdata" / "example.jsonl")
    else:
        parser = Parser(verb, _about(plugin))
    parser.add_argument("-n", dest="count", metavar="COUNT", type=count, help="stop after so many")
    args = parser.parse_args(words)
    set_up_logging("info")
    source = Source(configuration(args), args.overrides)
    for section, key, _ in filter(None, map(override_parts, args.overrides)):
        if section not in (name, *CORE):  # or a slip of the pen sends to another server
            source.fault(section, key, f"an option of [{name}], which runs alone", repr(section))
    settings = source.structure(name, plugin.Settings)
    source.finish()
    made = plugin(settings, name)
    if isinstance(made, Publisher):
        return replay(args, [made], args.count)
    with made:
        return _print(made, args.count)


def _about(plugin: type[Plugin[Any]]) -> str:
    return (plugin.__doc__ or "").partition("\n")[0]


def _print(plugin: Plugin[Any], count: int | None) -> int:
    left = count if count is not None else -1
    for line in _readings(plugin) if isinstance(plugin, Sensor) else _telegrams(plugin):
        print(line, flush=True)
        left -= 1
        if left == 0:
            break
    return 0


def _readings(sensor: Sensor[Any]) -> Any:
    backoff, opened = Backoff(sensor.log, 60.0), False
    while True:
        try:
            if not opened:
                sensor.open()
                opened = True
            values = sensor.read()
        except Transient as wrong:
            say(str(wrong))
        except Finished as wrong:
            say(str(wrong))
            return
        except Gone as wrong:
            sensor.close()
            opened = False
            time.sleep(backoff.failed(str(wrong)))
            continue
        else:
            backoff.recovered()
            yield json.dumps({"time": int(time.time()), **values})
            if sensor.paced:  # it waits for the device by itself
                continue
        time.sleep(1)


def _telegrams(plugin: Plugin[Any]) -> Any:
    if not isinstance(plugin, Subscriber):
        raise Misconfigured(f"{plugin.section} is neither an input nor an output")
    backoff, position, opened = Backoff(plugin.log, 60.0), None, False
    while True:
        try:
            if not opened:
                plugin.open()
                opened = True
            items, position = plugin.poll(position)
        except RetryLater as wrong:
            threading.Event().wait(backoff.failed(str(wrong), wrong.after))
            continue
        backoff.recovered()
        for item in items:
            if isinstance(item, Refusal):
                say(f"{item.where}: refused: {item.reason}")
            else:
                yield jsonlines.line(item)
        if not items:
            threading.Event().wait(plugin.settings.interval)
