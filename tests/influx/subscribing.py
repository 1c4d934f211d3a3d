"""MyINFLUXSUB in tests: opened, and polled until there is nothing more, or until something is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.telegram import Ident, Telegram

PATIENCE = 60  # seconds until something that must happen soon has surely not happened
T = 1_494_777_772


@contextmanager
def subscriber(server: Any, **options: Any) -> Iterator[MyINFLUXSUB]:
    """One that is open; `server` has `host` and `port`."""
    settings = MyINFLUXSUB.Settings(hostname=server.host, port=server.port, **options)
    with closing(MyINFLUXSUB(settings, "influxsub")) as made:
        made.open()
        yield made


def drain(made: MyINFLUXSUB, position: Any = None) -> tuple[list[Any], Any]:
    """Everything there is, and the position behind it."""
    found = []
    while True:
        items, position = made.poll(position)
        if not items:
            return found, position
        found += items


def read(server: Any, position: Any = None, **options: Any) -> tuple[list[Any], Any]:
    """The same by one of its own: as after a restart."""
    with subscriber(server, **options) as made:
        return drain(made, position)


def sweep(made: MyINFLUXSUB, position: Any) -> tuple[list[Any], Any]:
    """What a whole sweep gives."""
    found, end, deadline = [], made.sweeps + 2, time.monotonic() + PATIENCE
    while made.sweeps < end:  # the first of them may have begun already
        assert time.monotonic() < deadline, f"only {len(found)} were found"
        items, position = made.poll(position)
        found += items
        time.sleep(0 if items else 0.02)
    return found, position


def normals(telegrams: list[Any]) -> list[Any]:
    """What they say, whatever the order they came in."""
    return sorted((one.normal() for one in telegrams), key=repr)


def shown(items: list[Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Kit, seconds since T and measured values of each."""
    return sorted(
        (item.kit, item.time - T, {k: v for k, v in item.data.items() if k != "time"})
        for item in items
    )


def day(project: str, *serials: str, count: int = 40, start: int = T) -> list[Telegram]:
    """Telegrams of kits that measure in the same seconds, not the same, and change their idents."""
    made = []
    for number, serial in enumerate(serials):
        ident = Ident(
            project=project,
            serial=serial,
            label=f"label {number}",
            geolocation=f"52.{number},5.1,22",
            street=f"Street, no. {number}",
            extern_ip=("10.0.0.1", "10.0.0.2"),
            fields=("time", "temp", "pm_10"),
            units=("s", "C", "pcs/qf"),
            types=("time", "DHT22", "DYLOS"),
        )
        other = Ident(project=project, serial=serial, label="moved", geolocation="51.1,4.4")
        for at in range(count):
            data = {"time": start + 60 * at, "temp": number + at / 8, f"of_{number}": float(at)}
            data |= {"text": f"é, {at}"} if at % 3 == 0 else {}
            made.append(Telegram(ident if at < count // 2 else other, data, new=at == 0))
    return made
