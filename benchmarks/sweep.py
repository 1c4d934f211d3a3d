"""What a sweep costs: for one kit over 30 days, and for many kits over 7 days.

    python benchmarks/sweep.py [--kits 100]

Starts a private influxd, loads it, reads everything, and prints for a sweep with nothing to find,
for one that finds 50 late telegrams, and for the first one after a restart: seconds of work, of
them CPU of ours and of the server, and the longest that a live telegram may wait for a part of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import told  # noqa: F401  # puts the checkout on the path
from subscribe import load, subscriber

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.plugin import Position
from tests.influxd import Influxd

LATE = 50


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, by /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def measured(server: Influxd, what: str, parts: list[float]) -> Iterator[None]:
    """Print what was used meanwhile; `parts` is filled with the seconds of each poll."""
    ours, theirs = time.process_time(), cpu_of(server.pid)
    yield
    print(
        f"{what:32} {sum(parts):6.2f} s of work, CPU {time.process_time() - ours:5.2f} s "
        f"of ours, {cpu_of(server.pid) - theirs:5.2f} s of the server; "
        f"longest part {max(parts):.2f} s"
    )


def sweep(made: MyINFLUXSUB, position: Position, parts: list[float]) -> tuple[int, Position]:
    """One sweep; returns how many telegrams it gave."""
    found, end = 0, made.sweeps + 1
    while made.sweeps < end:
        begin = time.perf_counter()
        items, position = made.poll(position)
        parts.append(time.perf_counter() - begin)
        found += len(items)
        if parts[-1] < 0.01:  # nothing is due
            time.sleep(0.05)
    return found, position


def measure(server: Influxd, projects: str, days: int) -> None:
    now = int(time.time())
    with subscriber(server, projects, sweep=0.001, sweep_days=days) as made:
        items, position = made.poll(None)
        while items:
            items, position = made.poll(position)
        _, position = sweep(made, position, [])
        for what, expected in (("nothing to find", 0), (f"{LATE} late telegrams", LATE)):
            parts: list[float] = []
            with measured(server, what, parts):
                found, position = sweep(made, position, parts)
            assert found == expected, f"{found} telegrams were given, not {expected}"
            lines = (f'data,label="bench" temp=1 {now - 7001 * at - 86_000}' for at in range(LATE))
            server.write(f"{projects}_0", "\n".join(lines))
    parts = []
    with subscriber(server, projects, sweep=0.001, sweep_days=days) as made:
        made.poll(position)
        with measured(server, "after a restart", parts):
            sweep(made, position, parts)
    size = sum(len(str(value)) for value in position.values())
    print(f"{'position':32} {size / 1000:.0f} kB in {len(position)} entries")


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
