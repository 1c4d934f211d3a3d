"""MyINFLUXPUB in tests: opened, and telegrams for it."""

from __future__ import annotations

import contextlib

from channels.MyINFLUXPUB import PLUGIN
from mysense.telegram import Ident, Telegram

NOW = 1_494_777_772


def settings(port, **options):
    return PLUGIN.Settings(**({"hostname": "127.0.0.1", "port": port, "timeout": 20} | options))


@contextlib.contextmanager
def published(port, **options):
    with PLUGIN(settings(port, **options), "influxpub") as publisher:
        publisher.open(None)
        yield publisher


def kit(project, serial="s", **more):
    return Ident(project=project, serial=serial, **more)


def batch(ident, *datas, new=False):
    return [Telegram(ident, {"time": NOW + at, **data}, new) for at, data in enumerate(datas)]


def bad(port, **options):
    """What `check` finds wrong."""
    return [finding for finding in PLUGIN(settings(port, **options)).check() if not finding.good]
