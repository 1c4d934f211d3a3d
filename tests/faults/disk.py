"""Disks that are full, have no inodes left, or became read-only."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.faults import needs
from tests.faults.bench import Bench, fill, remount
from tests.faults.kit import Kit, until
from tests.faults.ledger import Ledger
from tests.faults.rows import row


def _running(bench: Bench, folder: Path, count: int = 3000) -> tuple[Kit, object]:
    """A kit with its journal on `folder`, at work."""
    radio = {"count": count, "rate": 400, "size": 9}
    kit = bench.kit(bench.to_influx(), journal=folder / "journal.db", radio=radio)
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: kit.taken > 200, "telegrams")
    return kit, process


@row(
    "full disk",
    needs.mounting,
    whole={"times": 5, "count": 6000},
)
def full(bench: Bench, times: int, count: int) -> Ledger:
    """Said, survived, and gone on by itself when there is room."""
    folder = bench.disk("size=12m")
    kit, process = _running(bench, folder, count)
    for _ in range(times):
        before = len(kit.log)
        ballast = fill(folder)
        until(lambda before=before: _full(kit.log[before:]), "it is said")
        time.sleep(0.5)
        assert process.poll() is None
        ballast.unlink()
        taken = kit.taken
        until(lambda taken=taken: kit.taken > min(taken + 50, count - 1), "it goes on")
    kit.end(process)
    return bench.ledger(kit, injected=times)


def _full(text: str) -> bool:
    return any(word in text.lower() for word in ("is full", "disk full", "no space", "disk i/o"))


@row("full disk at the start", needs.mounting, whole={})
def full_at_start(bench: Bench) -> Ledger:
    """Begins on a disk without room: says so, and does the work when there is some."""
    folder = bench.disk("size=12m")
    ballast = fill(folder)
    radio = {"count": 500, "size": 9}
    kit = bench.kit(bench.to_influx(), journal=folder / "journal.db", radio=radio)
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: _full(kit.log) or process.poll() is not None, "it is said")
    assert "Traceback" not in kit.log
    assert _full(kit.log), kit.log
    ballast.unlink()
    if kit.end(process, None):
        kit.once()  # it could not begin, and the service manager starts it again
    return bench.ledger(kit, injected=1)


@row("damaged journal, no room to save it", needs.mounting, whole={"times": 2})
def damaged(bench: Bench, times: int) -> Ledger:
    """The engine stays, and saves what is whole as soon as there is room for it."""
    folder = bench.disk("size=12m")
    kit, process = _running(bench, folder, 6000)
    for _ in range(times):
        kit.stop(process, None)  # else its log has most pages once more
        with kit.journal.open("r+b") as stream:
            stream.write(bytes(100))
        ballast, before = fill(folder), len(kit.log)
        process = kit.start("run")
        until(lambda before=before: "make room there" in kit.log[before:], "it is said")
        assert process.poll() is None
        ballast.unlink()
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken, "it goes on")
    kit.stop(process)
    kit.finish()
    return bench.ledger(kit, injected=times)


@row("no inodes", needs.mounting, whole={"inodes": range(3, 8)})
def no_inodes(bench: Bench, inodes: range) -> Ledger:
    """A file system that takes no more files: a clear error, and no half-made journal."""
    kit = bench.kit(bench.to_influx(), radio={"count": 0, "size": 9})
    refused = 0
    for number in inodes:
        folder = bench.disk(f"size=12m,nr_inodes={number}", f"inodes{number}")
        kit.sections["journal"]["file"] = kit.journal = folder / "journal.db"
        kit.sections["radio"]["count"] = 400 * number
        code = kit.once(code=None, patience=10)
        assert "Traceback" not in kit.log
        if code:
            refused += 1
            remount(folder, "nr_inodes=100")
            kit.once()
    return bench.ledger(kit, injected=refused)


@row("journal cannot be written", needs.immutable, whole={})
def immutable(bench: Bench) -> Ledger:
    """Permissions are taken away while it runs, and given back."""
    kit, process = _running(bench, bench.folder / "state", 2000)
    files = [kit.journal, Path(f"{kit.journal}-wal")]  # -shm is memory, no disk can refuse it
    before = len(kit.log)
    subprocess.run(["chattr", "+i", *files], check=True)
    try:
        until(lambda: "journal:" in kit.log[before:], "it is said")
        time.sleep(0.5)
        assert process.poll() is None
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)
    kit.end(process)
    return bench.ledger(kit, injected=1)


@row("journal's folder removed", whole={})
def removed(bench: Bench) -> Ledger:
    """Somebody deletes the state folder under a running kit: said; what was delivered stays."""
    kit, process = _running(bench, bench.folder / "state", 2000)
    shutil.rmtree(kit.journal.parent)
    until(lambda: "journal" in kit.log.partition("output influxpub")[2], "it is said")
    assert "Traceback" not in kit.log
    kit.end(process, None, 30)
    kit.sections["radio"]["count"] = 2500
    kit.once()
    return bench.ledger(kit, injected=1)
