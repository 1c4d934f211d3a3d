"""MySense: measurement stations that lose nothing, and the server where they arrive.

The way of a telegram, which `engine` puts together:

    sensors/My*.py      sampling/ ─┐               ┌─> delivery/ ─> channels/My*.py
    channels/My*SUB.py  intake    ─┼─> journal/ ───┤
    files               replaying ─┘               └─> delivery/ ─> channels/My*.py

`telegram` is what flows, `jsonlines` how it looks outside, `plugin` the contracts of sensors and
channels. `settings`, `loader` and `application` make them of MySense.conf. What channels share is
in `influx`, `store` and `files`, what sensors share in `hw`. `cli` has a file for each verb.
"""

__version__ = "0.1.0"

RELEASED = "2026-01-01"
"""Moved on with the version: a clock that shows an earlier day cannot be right."""
