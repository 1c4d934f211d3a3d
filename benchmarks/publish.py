"""Publishing and replaying, against posting ready-made bodies to the same server.

    python benchmarks/publish.py [TELEGRAMS] [ROUNDS]

The limit is a bare http.client that posts bodies of 5,000 encoded telegrams. `publish` is
MyINFLUXPUB at the same batch, encoding included. `replay` is the whole way: a JSON Lines file is
read and validated, committed to the fsynced journal, read back, encoded and posted.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from common import ROOT, ratio, telegrams, told

from channels.MyINFLUXPUB import PLUGIN
from mysense import jsonlines
from mysense.influx.lines import Book, Encoder
from tests.influxd import Influxd

BATCH = 5000


def ready_made(server: Influxd, database: str, bodies: list[bytes]) -> None:
    connection = http.client.HTTPConnection(server.host, server.port)
    for body in bodies:
        connection.request("POST", f"/write?db={database}&precision=s", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
    connection.close()


def opened(server: Influxd) -> Any:
    """The publisher, with its libraries loaded: that is done once, at the start of a process."""
    publisher = PLUGIN(PLUGIN.Settings(hostname=server.host, port=server.port), "influxpub")
    publisher.open(None)
    return publisher


def publish(publisher: Any, batches: list) -> None:
    for batch in batches:
        publisher.publish(batch)


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


def main(count: int = 200_000, rounds: int = 5) -> None:
    limit, published, replayed = [], [], []
    with Influxd() as server, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            kits = [f"limit{number}", f"publish{number}", f"replay{number}"]
            made = list(telegrams(count, kits[1]))
            batches = [made[at : at + BATCH] for at in range(0, count, BATCH)]
            encoder, book = Encoder(), Book()
            bodies = [encoder.encode(batch, book).body for batch in batches]
            file = Path(folder, f"{number}.jsonl")
            with file.open("w") as stream:
                source = telegrams(count, kits[2])
                while lines := list(islice(jsonlines.write(source), 1000)):
                    stream.write("\n".join(lines) + "\n")
            publisher = opened(server)
            server.query(f'CREATE DATABASE "bench_{kits[0]}" WITH SHARD DURATION 520w')
            for name, rates, work in (
                ("limit", limit, lambda: ready_made(server, f"bench_{kits[0]}", bodies)),
                ("publish", published, lambda: publish(publisher, batches)),
            ):
                began = time.perf_counter()
                work()
                rates.append(count / (time.perf_counter() - began))
            publisher.close()
            del made, batches, bodies
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
