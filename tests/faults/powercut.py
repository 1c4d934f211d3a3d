"""The power is cut: what was not fsynced is gone, or half of it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kit import COMMAND, LEASH, Kit, until
from tests.faults.ledger import Ledger
from tests.faults.rows import row

CARELESS = (sys.executable, "-P", str(Path(__file__).with_name("careless.py")))


class Card:
    """A disk that forgets, see forgetful.py.

    Args:
        folder: where its mount and its state are.
    """

    def __init__(self, folder: Path) -> None:
        self.mount, self.state = folder / "card", folder / "card.state"
        self.mount.mkdir()
        self.state.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def plug(self, cut: int = 0, keep: int | None = None) -> None:
        """Mount it; the power is cut before its write or fsync number `cut`."""
        words = [sys.executable, "-P", str(Path(__file__).with_name("forgetful.py"))]
        words += [str(self.state), str(self.mount), "--cut", str(cut)]
        words += [] if keep is None else ["--keep", str(keep)]
        self._process = subprocess.Popen([*LEASH, *words])
        until(self.mount.is_mount, "the mount")

    def mood(self, text: str) -> None:
        """What each write does from now on: `slow SECONDS`, the name of an error, or nothing."""
        file = self.state.with_name(f"{self.state.name}.new")
        file.write_text(text)
        file.rename(self.state.with_name(f"{self.state.name}.mood"))

    @property
    def cut(self) -> bool:
        """Whether the power is off."""
        return self._process is None or self._process.poll() is not None

    def pull(self) -> None:
        """Cut the power now, if it is on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            subprocess.run(["umount", "--lazy", self.mount], check=True)


def card(bench: Bench) -> Card:
    """A card that is pulled when the row is over."""
    made = Card(bench.folder)
    bench.stack.callback(made.pull)
    return made


def _kit(bench: Bench, disk: Card) -> Kit:
    """What it takes in can be sent only at the end: until then the journal alone has it."""
    closed = bench.to_influx(port=1)  # nobody listens there
    return bench.kit(
        closed, journal=disk.mount / "journal.db", radio={"count": 0, "rate": 500, "size": 3}
    )


def _cuts(
    bench: Bench, points: Iterable[int], keep: bool, command: Sequence[str] = COMMAND
) -> Ledger:
    disk, injected = card(bench), 0
    kit = _kit(bench, disk)
    for point in points:
        disk.plug(point, point if keep else None)
        process = kit.start("run", command=command)
        until(lambda: disk.cut or process.poll() is not None, "the power cut")  # noqa: B023  # at once
        assert disk.cut, kit.log[-2000:]
        kit.kill(process)
        disk.pull()
        injected += 1
    disk.plug()
    kit.sections["influxpub"]["port"] = bench.influxd.port
    kit.finish()
    return bench.ledger(kit, injected=injected)


_POINTS = (3, 9, 14, 22, 35, 60, 61, 62, 63, 90, 150, 300, 301, 302, 500, 900, 1500)


@row("power cut", needs.fuse, quick={"points": (20, 400)}, whole={"points": _POINTS})
def cut(bench: Bench, points: Iterable[int]) -> Ledger:
    """What was not fsynced is gone: acknowledged is stored."""
    return _cuts(bench, points, keep=False)


@row(
    "power cut, some pages written", needs.fuse, quick={"points": (360,)}, whole={"points": _POINTS}
)
def some(bench: Bench, points: Iterable[int]) -> Ledger:
    """Of what was not fsynced any half is on the disk: the rest makes no nonsense of it."""
    return _cuts(bench, points, keep=True)


@row(
    "control: power cut, synchronous=NORMAL",
    needs.fuse,
    quick={"points": (20, 400)},
    whole={"points": _POINTS},
    loses=True,
)
def control(bench: Bench, points: Iterable[int]) -> Ledger:
    """A journal that does not wait for the disk loses by the same: so the row above sees it."""
    return _cuts(bench, points, keep=False, command=CARELESS)


@row("a disk as slow as a card", needs.fuse, whole={"seconds": 0.05})
def slow(bench: Bench, seconds: float) -> Ledger:
    """Each write takes its time: everything arrives all the same."""
    disk = card(bench)
    disk.plug()
    kit = _kit(bench, disk)
    kit.sections["influxpub"]["port"] = bench.influxd.port
    kit.sections["radio"] |= {"count": 400, "size": 100}
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: kit.taken > 0, "telegrams")
    disk.mood(f"slow {seconds}")
    kit.end(process)
    return bench.ledger(kit, injected=1)


def _moody(bench: Bench, mood: str, times: int, *says: str) -> Ledger:
    disk = card(bench)
    disk.plug()
    kit = _kit(bench, disk)
    kit.sections["influxpub"]["port"] = bench.influxd.port
    kit.sections["radio"]["count"] = 1200 * times
    process = kit.start("run", "--once", "--timeout", 120)
    for _ in range(times):
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        before = len(kit.log)
        disk.mood(mood)
        until(lambda before=before: any(text in kit.log[before:] for text in says), f"{says} said")
        time.sleep(0.5)
        assert process.poll() is None
        disk.mood("")
        until(
            lambda before=before: "again" in kit.log[before:].replace("trying again", ""), "resumed"
        )
    kit.end(process)
    return bench.ledger(kit, injected=times)


@row("read-only disk", needs.fuse, quick={"times": 1}, whole={"times": 4})
def read_only(bench: Bench, times: int) -> Ledger:
    """As a card becomes that has had enough: said, and gone on when it can be written again."""
    return _moody(bench, "EROFS", times, "readonly", "read-only", "I/O error")


@row("a disk that returns errors", needs.fuse, whole={"times": 4})
def errors(bench: Bench, times: int) -> Ledger:
    """All writes and fsyncs fail for a while: said, and gone on."""
    return _moody(bench, "EIO", times, "I/O error")
