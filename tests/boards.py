"""A machine whose clocks, files and kernel are in the hands of a test."""

from __future__ import annotations

from mysense.telegram import DAY
from mysense.trust import BEGIN, Machine, Trust
from tests.virtual import VirtualClock

NOW = BEGIN + 100 * DAY


class Board:
    """A machine whose files and kernel are a test's own; nothing says that its clock is right."""

    def __init__(self, root, wall=NOW):
        self.root, self.synchronised, self.clock = root, False, VirtualClock(wall)
        self.start("boot-1")

    def start(self, boot, wall=None, elapsed=1000.0):
        """Switch it on anew: the boot-time clock begins again, the wall clock is a guess."""
        self.write("proc/sys/kernel/random/boot_id", f"{boot}\n")
        wall = self.clock.wall() if wall is None else wall
        self.clock.now = elapsed
        self.set(wall)

    def set(self, wall):
        """Set the wall clock."""
        self.clock.offset = wall - self.clock.now

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def machine(self):
        return Machine(self.root, lambda: self.synchronised)

    def trust(self, mode="auto", **more):
        return Trust(self.clock, mode, machine=self.machine, **more)
