"""Out of file descriptors, at the start and while it works."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kit import until
from tests.faults.ledger import Ledger
from tests.faults.rows import row


@row(
    "few descriptors at the start",
    needs.prlimit,
    whole={"limits": range(5, 20)},
)
def at_the_start(bench: Bench, limits: Iterable[int]) -> Ledger:
    """Either it works or it names what is missing; and then it works with more."""
    kit, refused = bench.kit(bench.to_influx(), radio={"size": 9}), 0
    for turn, limit in enumerate(limits, 1):
        before = len(kit.log)
        kit.sections["radio"]["count"] = 200 * turn
        code = kit.once(code=None, patience=3, under=("prlimit", f"--nofile={limit}", "--"))
        said = kit.log[before:]
        if limit >= 8:  # with less not even Python starts
            assert "Traceback" not in said, f"--nofile={limit}: {said[-1500:]}"
            named = any(text in said.lower() for text in ("too many open files", "unable to open"))
            assert code == 0 or named, f"--nofile={limit}: {said[-1500:]}"
        refused += code != 0
    kit.finish()
    return bench.ledger(kit, injected=refused)


@row("few descriptors while it works", needs.prlimit, whole={"times": 4})
def while_it_works(bench: Bench, times: int) -> Ledger:
    """Descriptors run out just when it has to connect again: goes on when there are some."""
    server = bench.server()
    radio = {"count": 600 * times, "rate": 300, "size": 9}
    kit = bench.kit(bench.to_influx(server), radio=radio)
    process = kit.start("run", "--once", "--timeout", 120)
    for _ in range(times):
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        _limit(process.pid, "4")
        server.stop()
        server.start()
        time.sleep(1.0)
        assert process.poll() is None, kit.log[-2000:]
        _limit(process.pid, "1024")
    kit.end(process)
    return bench.ledger(kit, injected=times, server=server)


def _limit(pid: int, soft: str) -> None:
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={soft}:"], check=True)
