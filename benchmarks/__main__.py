"""All benchmarks, one after the other: `python -m benchmarks [NAME ...]`.

Each is a process of its own, so that none measures what another has left in memory. Exits 1 when
one of them does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("encode", "publish", "subscribe", "whole", "footprint", "idle", "wear")
FOLDER = Path(__file__).resolve().parent


def main(names: list[str]) -> int:
    """Run those named, or all; returns the exit code."""
    if unknown := [name for name in names if name not in NAMES]:
        print(f"no benchmark {' '.join(unknown)}: there are {' '.join(NAMES)}", file=sys.stderr)
        return 64
    failed = 0
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(FOLDER / f"{name}.py")]
        failed |= subprocess.run(command, cwd=FOLDER.parent, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
