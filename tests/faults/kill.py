"""kill -9: at a write that is chosen, and at any moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kit import Kit, until
from tests.faults.ledger import Ledger
from tests.faults.rows import row

STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")
_NEW = (*range(1, 12), *range(12, 70, 6))  # writes of a journal that is being made
_POINTS = (*_NEW, 75, *range(1, 20), *range(20, 200, 11))


def tampered(call: str, what: str) -> tuple[str, ...]:
    """What to start a process under so that a system call of it goes wrong."""
    return (*STRACE, "-e", f"trace={call}", "-e", f"inject={call}:{what}")


@row(
    "kill -9 at the K-th write",
    needs.strace,
    needs.tracing,
    quick={"points": (2, 40, 75, 6, 33)},
    whole={"points": _POINTS},
)
def at_a_write(bench: Bench, points: Iterable[int]) -> Ledger:
    """A new journal, killed at a write of its file: what was committed is there, and once."""
    injected = 0
    kit = bench.kit(bench.to_influx(), radio={"count": 4000, "size": 7})
    for point in points:
        process = kit.start("run", under=tampered("pwrite64", f"signal=SIGKILL:when={point}"))
        injected += kit.end(process, None) < 0
    kit.finish()
    return bench.ledger(kit, injected=injected)


def kill_somewhere(bench: Bench, kit: Kit, *, begins: bool) -> None:
    """Start a kit and kill it: while it begins, or soon after it has given something."""
    before = kit.given
    process = kit.start("run")
    if not begins:
        until(lambda: kit.given > before or process.poll() is not None, "telegrams")
    assert process.poll() is None, kit.log[-2000:]
    time.sleep(bench.chance.uniform(0, 0.4))  # any moment is as good as another
    kit.kill(process)


@row("kill -9 at any moment", whole={"times": 60})
def at_any_moment(bench: Bench, times: int) -> Ledger:
    """Killed while it reads, commits and sends: each telegram arrives once."""
    kit = bench.kit(bench.to_influx(), radio={"size": 7, "count": 0, "rate": 300})
    for turn in range(times):
        kill_somewhere(bench, kit, begins=turn % 4 == 3)
    kit.finish()
    return bench.ledger(kit, injected=times)


@row("kill -9, output to a file", quick={"times": 2}, whole={"times": 30})
def with_a_file(bench: Bench, times: int) -> Ledger:
    """A file resumes at its receipt: no line is doubled, none is torn."""
    kit = bench.kit(bench.to_lines(), radio={"size": 7, "count": 0, "rate": 300})
    for turn in range(times):
        kill_somewhere(bench, kit, begins=turn % 4 == 3)
    kit.finish()
    return bench.ledger(kit, injected=times, output="jsonl")


@row("influxd killed -9", quick={"times": 1}, whole={"times": 12})
def of_the_server(bench: Bench, times: int) -> Ledger:
    """The server dies and comes back again and again; the kit needs no restart."""
    server = bench.server()
    kit = bench.kit(bench.to_influx(server), radio={"count": 400 * times, "rate": 400, "size": 7})
    process = kit.start("run", "--once", "--timeout", 120)
    for turn in range(times):
        until(lambda turn=turn: kit.taken > 350 * turn, "telegrams")
        server.kill()
        time.sleep(bench.chance.uniform(0, 0.5))
        server.start()
    kit.end(process)
    return bench.ledger(kit, injected=times, server=server)


@row("SIGSTOP and SIGCONT of the kit", whole={"times": 10})
def stopped(bench: Bench, times: int) -> Ledger:
    """Stands still for longer than a request may take, and goes on as if nothing had been."""
    kit = bench.kit(bench.to_influx(timeout="1"), radio={"count": 500 * times, "rate": 500})
    process = kit.start("run", "--once", "--timeout", 120)
    for turn in range(times):
        until(lambda turn=turn: kit.taken > 400 * turn, "telegrams")
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.3)
        process.send_signal(signal.SIGCONT)
    kit.end(process)
    return bench.ledger(kit, injected=times)


@row("influxd stands still", whole={"times": 4})
def server_stopped(bench: Bench, times: int) -> Ledger:
    """Connections are taken and never answered: the request ends at its deadline."""
    server = bench.server()
    kit = bench.kit(bench.to_influx(server, timeout="1"), radio={"count": 400 * times, "rate": 400})
    process = kit.start("run", "--once", "--timeout", 120)
    for turn in range(times):
        until(lambda turn=turn: kit.taken > 350 * turn, "telegrams")
        server.hang()
        until(lambda: "1 s" in kit.log, "a request that ended at its deadline")
        time.sleep(1.2)
        server.resume()
    kit.end(process)
    return bench.ledger(kit, injected=times, server=server)
