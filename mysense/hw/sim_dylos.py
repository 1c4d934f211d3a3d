"""A Dylos that is not there: it speaks the lines of a DC1100 at a simulated port."""

from __future__ import annotations

import time
from collections.abc import Callable

from mysense.hw.faults import Clock, Faults
from mysense.hw.scenario import Air, Scenario
from mysense.hw.sim_port import SimPort

NAME = "usb-Prolific_Technology_Inc._USB-Serial_Controller-if00-port0"

Lines = Callable[[], str | None]
"""The next line without its end; None when there is none this time."""


def live(air: Air) -> str:
    """What a DC1100 says about this air."""
    return f"{air.small},{air.large}"


def scenario(wall: Clock = time.time) -> Lines:
    """Lines about the air of the moment."""
    street = Scenario()
    return lambda: live(street.at(wall()))


class SimDylos(SimPort):
    """A Dylos on a pty.

    >>> with SimDylos(lambda: "675,22") as dylos:
    ...     dylos.port.is_symlink()
    True

    Args:
        lines: what it says, asked for whenever a line is due.
        faults: what goes wrong, and when.
        pace: seconds from line to line.
        clock: monotonic seconds.
    """

    end = b"\r\n"

    def __init__(
        self,
        lines: Lines,
        faults: Faults | None = None,
        pace: float = 1.0,
        clock: Clock = time.monotonic,
    ) -> None:
        def says() -> bytes | None:
            line = lines()
            return None if line is None else line.encode("ascii") + self.end

        super().__init__(says, NAME, faults, pace, clock)
