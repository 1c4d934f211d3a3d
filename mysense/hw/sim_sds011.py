"""An SDS011 that is not there: its frames and answers at a simulated port."""

from __future__ import annotations

import time
from collections.abc import Callable

from mysense.hw import dylos, sds011, sim_port
from mysense.hw.faults import Clock, Faults
from mysense.hw.scenario import Scenario
from mysense.hw.sim_port import SimPort

KINDS = (*sim_port.KINDS, "checksum")
NAME = "usb-1a86_USB_Serial-if00-port0"

Masses = Callable[[], tuple[float, float]]
"""PM2.5 and PM10 in ug/m3, now."""


def weather(wall: Clock = time.time) -> Masses:
    """The particles of the scenario at this moment, weighed as those of a Dylos are."""
    street = Scenario()

    def masses() -> tuple[float, float]:
        air = street.at(wall())
        return dylos.masses(air.small, air.large)

    return masses


class SimSds011(SimPort):
    """An SDS011 on a pty: a frame a second, or one a period once it was told to.

    Args:
        masses: what it measures.
        faults: of KINDS; `checksum` spoils the sum.
        clock: monotonic seconds.
    """

    def __init__(
        self, masses: Masses, faults: Faults | None = None, clock: Clock = time.monotonic
    ) -> None:
        script = faults or Faults()

        def says() -> bytes:
            frame = sds011.measurement(*masses())
            if script.active("checksum"):
                return frame[:8] + bytes([frame[8] ^ 1]) + frame[9:]
            return frame

        self._command = b""
        super().__init__(says, NAME, script, 1.0, clock)

    def heard(self, data: bytes) -> bytes:
        """Answer whole commands and obey those about the period."""
        answers = b""
        self._command += data
        while len(self._command) >= len(sds011.command(b"")):
            sent, self._command = self._command[:19], self._command[19:]
            answer = sds011.answer(sent)
            minutes = sds011.asked(answer) if answer else None
            if minutes is not None:
                self.pace = minutes * 60.0 or 1.0
            answers += answer
        return answers
