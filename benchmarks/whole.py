"""The whole way of a server: InfluxDB -> MyINFLUXSUB -> journal -> JSON Lines, as a command.

python benchmarks/whole.py [TELEGRAMS] [ROUNDS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, telegrams, told

from channels.MyINFLUXPUB import PLUGIN
from tests.influxd import Influxd

BATCH = 5000


def loaded(server: Influxd, count: int) -> None:
    made = list(telegrams(count, "whole"))
    with PLUGIN(PLUGIN.Settings(hostname=server.host, port=server.port), "influxpub") as publisher:
        publisher.open(None)
        for at in range(0, count, BATCH):
            publisher.publish(made[at : at + BATCH])


def taken(server: Influxd, count: int) -> float:
    """Telegrams a second, the start of the process included."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "all.jsonl")
        options = ("influxsub.input=true", f"influxsub.port={server.port}", "jsonl.output=true")
        options += (f"jsonl.file={target}",)
        command = [sys.executable, "MySense.py", "run", "--once", "-c", "/dev/null"]
        command += [word for option in options for word in ("-o", option)]
        environ = {**os.environ, "XDG_STATE_HOME": folder}
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
        seconds = time.perf_counter() - began
        assert sum(1 for _ in target.open("rb")) == count
    return count / seconds


def main(count: int = 200_000, rounds: int = 3) -> None:
    with Influxd() as server:
        loaded(server, count)
        rates = [taken(server, count) for _ in range(rounds)]
    told("InfluxDB to JSON Lines, whole", rates, "telegrams/s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
