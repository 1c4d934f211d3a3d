"""Fine dust with an SDS011 of Nova, over its serial line.

It speaks by itself, a frame a second: a reading waits for the next frame. A frame whose ends or sum
are wrong is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import time
from typing import Literal

import attrs

from mysense.hw import faults, sds011
from mysense.hw.framebuffer import FrameBuffer
from mysense.hw.listener import Listener
from mysense.hw.serial import Clock
from mysense.hw.sim_sds011 import KINDS, SimSds011, weather
from mysense.options import option
from mysense.plugin import Field, Finding, Sensor, SensorSettings, Transient

_MOST = 999.9  # ug/m3, the end of its scale
_FIX = "see that its fan turns; check its cable: TXD of the sensor goes to RXD of the adapter"
_CHECK = 10.0  # seconds that a check waits for a frame
_WORK = 30.0  # seconds that a measurement takes in a period


@attrs.frozen(kw_only=True)
class Sds011Settings(SensorSettings):
    """Where the SDS011 is, and how often it measures."""

    backend: Literal["serial", "sim"] = option(
        "serial", "serial: the port; sim: a simulated SDS011 on a simulated port"
    )
    usbid: str = option(
        "1a86",
        "which adapter: part of its name in /dev/serial/by-id or by-path, with * and ? if need be, "
        "or VID:PID such as 1a86:7523",
        check=lambda usbid: None if usbid.strip() else "part of the name of an adapter, or VID:PID",
    )
    port: str = option(
        "", "the port, in place of usbid: a path, or a URL of pyserial such as socket://host:4000"
    )
    stale: float = option(
        30.0, "seconds without a frame after which it is silent", low=1, high=86_400
    )
    period: int | None = option(
        None,
        "minutes from one measurement of half a minute to the next, which spares fan and laser; "
        "0 measures all the time; empty leaves it as it is. The sensor keeps it without power",
        low=0,
        high=sds011.LONGEST_PERIOD,
    )
    faults: str = option(
        "",
        "what goes wrong with the simulated SDS011, such as `60s unplug 30s`",
        check=lambda script: faults.expected(script, KINDS),
    )


class Sds011Sensor(Sensor[Sds011Settings]):
    """Prints the readings of an SDS011.

    Args:
        settings: where it is, and how often it measures.
        section: its name in the configuration.
        clock: monotonic seconds.
    """

    Settings = Sds011Settings
    fields = (
        Field("pm_25", "ug/m3", "SDS011", 0, _MOST, 1),
        Field("pm_10", "ug/m3", "SDS011", 0, _MOST, 1),
    )
    warm_up = 30.0
    paced = True

    def __init__(
        self, settings: Sds011Settings, section: str = "", clock: Clock = time.monotonic
    ) -> None:
        super().__init__(settings, section)
        self._silent = settings.stale + 60.0 * (settings.period or 0)
        self.patience = self._silent + 30.0
        self._faults: faults.Faults | None = None  # they go on while the port is opened again
        self._clock = clock
        self._device = Listener(
            name="SDS011",
            says="frame",
            where=settings.port,
            usbid=settings.usbid,
            cutter=lambda: FrameBuffer(sds011.LENGTH, sds011.HEAD, sds011.good, self.log),
            fix=_FIX,
            log=self.log,
            clock=clock,
            twin=self._simulated if settings.backend == "sim" else None,
        )

    def open(self) -> None:
        """Find the port and open it; set the period. Raises Gone or Misconfigured."""
        self._device.open()
        if self.settings.period is None:
            return
        try:
            self._device.write(sds011.command(sds011.WAKE))  # asleep it understands nothing else
            self._device.write(sds011.command(sds011.period(self.settings.period)))
        except BaseException:  # whatever it is, nothing may stay open
            self.close()
            raise

    def read(self) -> Mapping[str, float]:
        """PM2.5 and PM10 of the next frame, in ug/m3.

        Raises:
            Transient: none came, or what came was none.
            Gone: the adapter was unplugged.
        """
        return self._reading(self._silent)

    def interrupt(self) -> None:
        """End a wait for a frame, from another thread."""
        self._device.interrupt()

    def close(self) -> None:
        """Let go of the port."""
        self._device.close()

    def check(self) -> Iterator[Finding]:
        """Is it there, may this user open it, does it speak."""
        patience = min(self._silent, _CHECK + (_WORK if self.settings.period else 0))
        return self._device.check(self, lambda: self._reading(patience))

    def _simulated(self) -> SimSds011:
        if self._faults is None:
            self._faults = faults.Faults.parse(self.settings.faults, KINDS, self._clock)
        return SimSds011(weather(), self._faults, self._clock)

    def _reading(self, patience: float) -> dict[str, float]:
        while True:
            frame = self._device.read(patience)
            if frame.trouble:
                raise Transient(f"{self._device.port}: refused {frame.data.hex()}: {frame.trouble}")
            masses = sds011.masses(frame.data)
            if masses is not None:
                return {"pm_25": masses[0], "pm_10": masses[1]}
            if (minutes := sds011.asked(frame.data)) is not None:
                often = f"every {minutes} min" if minutes else "all the time"
                self.log.info("the SDS011 answers that it measures %s", often)


PLUGIN = Sds011Sensor

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
