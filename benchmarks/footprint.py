"""Memory and start of a kit: `mysense run` idle, and the replay of a million telegrams.

    python benchmarks/footprint.py [TELEGRAMS]

Memory is the resident set as the kernel accounts it, of the whole process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from common import ROOT, telegrams

from mysense import jsonlines
from tests.influxd import Influxd


def resident(pid: int, what: str = "VmRSS") -> float:
    """Megabytes; `VmHWM` is the most it ever had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def idle(server: Influxd, folder: Path) -> None:
    """`mysense run` with console and influxpub, fed by a store in which nothing happens."""
    store = folder / "store.db"
    environ = {**os.environ, "XDG_STATE_HOME": str(folder)}
    run = [sys.executable, "MySense.py"]
    feed = [*run, "replay", "-c", "/dev/null", "testdata/example.jsonl", "--to", "sqlitepub"]
    subprocess.run([*feed, "-o", f"sqlitepub.file={store}"], cwd=ROOT, env=environ, check=True)
    began = time.perf_counter()
    options = (
        "sqlitesub.input=true",
        f"sqlitesub.file={store}",
        "console.output=true",
        "influxpub.output=true",
        f"influxpub.port={server.port}",
    )
    command = [*run, "run", "-c", "/dev/null", *(w for o in options for w in ("-o", o))]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    up = time.perf_counter() - began
    time.sleep(5)
    print(f"run, first telegram on the console after {up:.2f} s (wanted below 1)")
    print(f"run, idle with console and influxpub {resident(process.pid):.1f} MB (wanted below 45)")
    process.terminate()
    began = time.perf_counter()
    process.wait()
    print(f"run, stopped by SIGTERM after {time.perf_counter() - began:.2f} s (wanted below 2)")


def million(server: Influxd, folder: Path, count: int) -> None:
    file = folder / "many.jsonl"
    with file.open("w") as stream:
        source = telegrams(count, "many")
        while lines := list(islice(jsonlines.write(source), 1000)):
            stream.write("\n".join(lines) + "\n")
    command = [sys.executable, "MySense.py", "replay", "-c", "/dev/null", str(file)]
    command += ["--to", "influxpub", "-o", f"influxpub.port={server.port}"]
    environ = {**os.environ, "XDG_STATE_HOME": str(folder)}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environ)
    most = 0.0
    while process.poll() is None:
        try:
            most = max(most, resident(process.pid, "VmHWM"))
        except (OSError, IndexError):  # it has just ended
            break
        time.sleep(0.05)
    assert process.wait() == 0
    seconds = time.perf_counter() - began
    print(
        f"replay of {count:,} telegrams: {most:.1f} MB at most (wanted below 80), {seconds:.0f} s"
    )


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with Influxd() as influxd, tempfile.TemporaryDirectory() as temporary:
        idle(influxd, Path(temporary))
        million(influxd, Path(temporary), many)
