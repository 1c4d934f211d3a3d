"""Publishing and replaying, against posting ready-made bodies to the same server.

    python benchmarks/publish.py [TELEGRAMS] [ROUNDS]

The limit is a bare http.client that posts bodies of 5,000 encoded telegrams. `publish` is
MyINFLUXPUB at the same batch, encoding included; the two take turns batch by batch, so that both
meet the same server and the same machine. The first batch of both, which makes connection and
database, is not counted. `replay` is the whole way: a JSON Lines file is read and validated,
committed to the fsynced journal, read back, encoded and posted.

What bounds `publish` is processors: the server takes one and a bit, encoding a quarter of one, so
the ratio is only reached where two are free.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from common import ROOT, ratio, telegrams, told

from channels.MyINFLUXPUB import PLUGIN
from mysense import jsonlines
from mysense.influx.lines import Book, Encoder
from tests.influxd import Influxd

BATCH = 5000


class ReadyMade:
    """The limit: one connection, bodies made beforehand."""

    def __init__(self, server: Influxd, database: str) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port)
        self._path = f"/write?db={database}&precision=s"

    def post(self, body: bytes) -> None:
        self._connection.request("POST", self._path, body)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == http.client.NO_CONTENT, answer.status

    def close(self) -> None:
        self._connection.close()


def opened(server: Influxd) -> Any:
    """The publisher, with its libraries loaded: that is done once, at the start of a process."""
    publisher = PLUGIN(PLUGIN.Settings(hostname=server.host, port=server.port), "influxpub")
    publisher.open(None)
    return publisher


def side_by_side(*works: tuple[Callable[[Any], None], list[Any]]) -> list[float]:
    """Seconds that each work took for its batches, one of each in turn and each first in turn."""
    taken = [0.0] * len(works)
    for at in range(len(works[0][1])):
        for which in sorted(range(len(works)), reverse=bool(at % 2)):
            work, batches = works[which]
            began = time.perf_counter()
            work(batches[at])
            taken[which] += time.perf_counter() - began
    return taken


def replay(server: Influxd, file: Path, state: Path) -> float:
    """Seconds that the command says it took, without the start of Python."""
    command = [sys.executable, "MySense.py", "replay", "-c", "/dev/null", str(file)]
    command += ["--to", "influxpub", "-o", f"influxpub.port={server.port}"]
    environ = {**os.environ, "XDG_STATE_HOME": str(state)}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    first = next(line for line in done.stderr.splitlines() if "telegrams read" in line)
    return float(first.rsplit(",", 1)[1].strip().removesuffix(" s"))


def written(file: Path, count: int, kit: str) -> None:
    with file.open("w") as stream:
        source = telegrams(count, kit)
        while lines := list(islice(jsonlines.write(source), 1000)):
            stream.write("\n".join(lines) + "\n")


def one_round(server: Influxd, count: int, kits: list[str]) -> list[float]:
    """Telegrams a second: ready-made, and published."""
    made = list(telegrams(count, kits[1]))
    batches = [made[at : at + BATCH] for at in range(0, count, BATCH)]
    encoder, book = Encoder(), Book()
    bodies = [encoder.encode(batch, book).body for batch in batches]
    server.query(f'CREATE DATABASE "bench_{kits[0]}" WITH SHARD DURATION 520w')
    ready, publisher = ReadyMade(server, f"bench_{kits[0]}"), opened(server)
    ready.post(bodies[0])
    publisher.publish(batches[0])
    taken = side_by_side((ready.post, bodies[1:]), (publisher.publish, batches[1:]))
    publisher.close()
    ready.close()
    return [(count - BATCH) / seconds for seconds in taken]


def main(count: int = 200_000, rounds: int = 5) -> None:
    limit, published, replayed = [], [], []
    with Influxd() as server, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            kits = [f"limit{number}", f"publish{number}", f"replay{number}"]
            file = Path(folder, f"{number}.jsonl")
            written(file, count, kits[2])
            rates = one_round(server, count, kits)
            limit.append(rates[0])
            published.append(rates[1])
            replayed.append(count / replay(server, file, Path(folder)))
            file.unlink()
            for kit in kits:
                server.query(f'DROP DATABASE "bench_{kit}"')
    unit = "telegrams/s"
    told("ready-made bodies (the limit)", limit, unit)
    told("publish", published, unit)
    told("replay through the journal", replayed, unit)
    ratio("publish / limit", published, limit, 0.9)
    ratio("replay / limit", replayed, limit, 0.3)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
