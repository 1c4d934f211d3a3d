"""What a sweep costs: for one kit over 30 days, and for many kits over 7 days.

    python benchmarks/sweep.py [--kits 100]

Starts a private influxd, loads it, reads everything, and prints for a sweep with nothing to find,
for one that finds 50 late telegrams, and for the first one after a restart: seconds that its
requests took, how many there were, and the longest, for which a live telegram may have to wait.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import told  # noqa: F401  # puts the checkout on the path
from subscribe import load, subscriber

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.influx.cursor import Cursor
from mysense.influx.sweep import Sweep
from mysense.influx.windows import Item
from mysense.plugin import Position
from tests.influxd import Influxd

LATE = 50


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print what the requests of sweeps took meanwhile, the looks for live rows left out."""
    parts: list[float] = []
    step = Sweep.step

    def timed(self: Sweep) -> tuple[list[Item], set[Cursor]]:
        begin = time.perf_counter()
        try:
            return step(self)
        finally:
            parts.append(time.perf_counter() - begin)

    Sweep.step = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sweep.step = step  # type: ignore[method-assign]
    print(f"{what:20} {sum(parts):6.2f} s in {len(parts)} requests, the longest {max(parts):.2f} s")


def sweep(made: MyINFLUXSUB, position: Position) -> tuple[int, Position]:
    """One sweep from its beginning to its end; returns how many telegrams it gave."""
    found, end = 0, made.sweeps + 1
    made._sweep_at = 0.0
    while made.sweeps < end:
        items, position = made.poll(position)
        found += len(items)
        time.sleep(0.02)
    return found, position


def measure(server: Influxd, projects: str, days: int) -> None:
    now = int(time.time())
    with subscriber(server, projects, sweep=86_400.0, sweep_days=days) as made:
        items, position = made.poll(None)
        while items:
            items, position = made.poll(position)
        for what, expected in (("nothing to find", 0), (f"{LATE} late telegrams", LATE)):
            with measured(what):
                found, position = sweep(made, position)
            assert found == expected, f"{found} telegrams were given, not {expected}"
            lines = (f'data,label="bench" temp=1 {now - 7001 * at - 86_000}' for at in range(LATE))
            server.write(f"{projects}_0", "\n".join(lines))
    with subscriber(server, projects, sweep=86_400.0, sweep_days=days) as made:
        made.poll(position)
        with measured("after a restart"):
            sweep(made, position)
    size = sum(len(str(value)) for value in position.values())
    print(f"{'position':20} {size / 1000:.0f} kB in {len(position)} entries")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kits", type=int, default=100)
    given = parser.parse_args()
    with Influxd() as server:
        load(server, "one_0", 30 * 2880, 30)
        for number in range(given.kits):
            load(server, f"many_{number}", 7 * 1440, 60)
        time.sleep(5)  # the server goes on with its own work for a while
        print("one kit, 30 days of a telegram every 30 s")
        measure(server, "one", 30)
        print(f"{given.kits} kits, 7 days of a telegram a minute")
        measure(server, "many", 7)


if __name__ == "__main__":
    main()
