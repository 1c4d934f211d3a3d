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
from mysense.backoff import Backoff
from mysense.cli import CONFIGURATION, FAILED
from mysense.cli.common import Parser, configuration, say, set_up_logging
from mysense.cli.replay import arguments, replay
from mysense.errors import MySenseError
from mysense.loader import home
from mysense.plugin import (
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
from mysense.settings import SettingsError, Source


def main(plugin: type[Plugin[Any]]) -> int:
    """Run the plugin whose file was started; returns the exit code."""
    started = getattr(sys.modules["__main__"], "__file__", None) or plugin.__name__
    try:
        return run(plugin, Path(started).stem.removeprefix("My").lower(), sys.argv[1:])
    except SettingsError as wrong:
        say(str(wrong))
        return CONFIGURATION
    except MySenseError as wrong:
        say(str(wrong))
        return FAILED
    except (KeyboardInterrupt, BrokenPipeError):
        return FAILED


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
    parser.add_argument("-n", dest="count", metavar="COUNT", type=int, help="stop after so many")
    args = parser.parse_args(words)
    set_up_logging("info")
    source = Source(configuration(args), args.overrides)
    settings = source.structure(name, plugin.Settings)
    source.finish()
    made = plugin(settings, name)
    if isinstance(made, Publisher):
        return replay(args, [made])
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
    backoff = Backoff(sensor.log, 60.0)
    sensor.open()
    while True:
        try:
            values = sensor.read()
        except Transient as wrong:
            say(str(wrong))
        except Gone as wrong:
            sensor.close()
            time.sleep(backoff.failed(str(wrong)))
            sensor.open()
            continue
        else:
            yield json.dumps({"time": int(time.time()), **values})
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
