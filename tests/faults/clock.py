"""The wall clock jumps, while the kit runs and while it is off."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kit import Kit, until
from tests.faults.ledger import Ledger, balance, in_influx
from tests.faults.needs import FAKETIME
from tests.faults.rows import row


class Jumping:
    """A kit with a sensor, under a clock that is set from outside."""

    def __init__(self, bench: Bench) -> None:
        self.file = bench.folder / "clock"
        sensor = {"input": "true", "sample": "1", "interval": "reading"}
        self.kit = bench.kit(
            bench.to_influx(),
            radio={},
            process={"clock": "trusted"},
            id={"project": bench.project, "serial": "k"},
            count={**sensor, "file": bench.folder / "count"},
        )
        del self.kit.sections["radio"]
        self.seen: set[float] = set()

    def set(self, clock: str) -> None:
        """An offset to the real time, or a time as `@2017-01-01 12:00:00`."""
        new = self.file.with_name("clock.new")
        new.write_text(f"{clock}\n")
        new.rename(self.file)

    def start(self) -> None:
        """Start it under that clock."""
        env = {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }
        self.process = self.kit.start("run", env=env)

    def look(self) -> None:
        """Note which readings the journal has: from now on they must not get lost."""
        self.seen |= journalled(self.kit)

    def more(self, count: int) -> None:
        """Wait for so many readings more."""
        before = len(journalled(self.kit))
        until(lambda: len(journalled(self.kit)) >= before + count, "readings")
        self.look()


def journalled(kit: Kit) -> set[float]:
    """The readings that the journal has, dated or not."""
    if not kit.journal.exists():
        return set()
    with closing(sqlite3.connect(kit.journal, timeout=10)) as db:
        try:
            tables = ("telegrams", "undated")
            rows = [
                row for name in tables for row in db.execute(f"SELECT data ->> 'count' FROM {name}")
            ]
        except sqlite3.OperationalError:  # it is being made
            return set()
    return {float(count) for (count,) in rows}


@row(
    "clock jumps",
    needs.fake_time,
    whole={"jumps": ("+6h", "-2h", "@1970-01-01 00:10:00", "-1s", "+40d", "+3s", "-400d")},
)
def jumps(bench: Bench, jumps: Iterable[str]) -> Ledger:
    """Backward, ahead, to 1970, with a kill after each: none twice, none days ahead."""
    kit = Jumping(bench)
    kit.set("-3h")
    kit.start()
    kit.more(2)
    injected = 0
    for jump in jumps:
        kit.set(jump)
        kit.more(2)
        kit.kit.kill(kit.process)
        kit.look()
        kit.start()
        kit.more(1)
        injected += 1
    kit.set("+0")
    kit.more(2)
    until(lambda: not _waiting(kit.kit), "delivery")
    kit.kit.stop(kit.process)
    kit.look()
    rows = in_influx(bench.influxd, bench.project)
    found = sorted((key[2], values["count"]) for key, values in rows)  # type: ignore[index]  # kit, label, time
    assert all(before[1] < after[1] for before, after in pairwise(found)), found
    assert found[-1][0] < time.time() + 86_400
    made = {count: {"count": count} for count in kit.seen}
    return balance(made, [(v["count"], v) for _, v in rows], injected=injected)


def _waiting(kit: Kit) -> int:
    with closing(sqlite3.connect(kit.journal, timeout=10)) as db:
        (undated,) = db.execute("SELECT count(*) FROM undated").fetchone()
        (waiting,) = db.execute(
            "SELECT count(*) FROM telegrams WHERE seq > (SELECT cursor FROM outputs)"
        ).fetchone()
    return int(undated + waiting)
