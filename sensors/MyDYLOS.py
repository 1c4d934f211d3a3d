"""Particle counts of a Dylos DC1100 or DC1700, over its serial line or from a recording of it.

A Dylos speaks on its own, a line a minute: a reading waits for the next line. What is not a whole
line is refused, never guessed at.
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

from mysense.hw import dylos, faults
from mysense.hw.linebuffer import LineBuffer
from mysense.hw.listener import Listener, live
from mysense.hw.pieces import Piece
from mysense.hw.recording import Recording
from mysense.hw.serial import Clock
from mysense.hw.sim_dylos import SimDylos, scenario
from mysense.hw.sim_port import KINDS
from mysense.options import option
from mysense.plugin import Field, Finding, Sensor, SensorSettings, Transient

_MOST = 100_000  # particles in 0.01 cubic foot that are believed
_FIX = "see that the Dylos is switched on: after a power failure it stays off; and its cable"
_CHECK = 130.0  # seconds that a check waits for a line: the first one may be dropped


@attrs.frozen(kw_only=True)
class DylosSettings(SensorSettings):
    """Where the Dylos is, and what it can."""

    backend: Literal["serial", "sim"] = option(
        "serial", "serial: the port; sim: a simulated Dylos on a simulated port"
    )
    usbid: str = option(
        "Prolific",
        "which adapter: part of its name in /dev/serial/by-id or by-path, with * and ? if need be, "
        "or VID:PID such as 067b:2303",
        check=lambda usbid: None if usbid.strip() else "part of the name of an adapter, or VID:PID",
    )
    port: str = option(
        "", "the port, in place of usbid: a path, or a URL of pyserial such as socket://host:4000"
    )
    file: Path | None = option(None, "a recording to read in place of a port, a reading a line")
    stale: float = option(
        180.0,
        "seconds without a line after which it is silent; 7500 for a Dylos in monitor mode",
        low=1,
        high=604_800,
    )
    model: Literal["DC1100", "DC1700"] = option("DC1100", "what it is, for the types of the ident")
    bins: int = option(
        2,
        "4 adds the two other sizes of four-bin firmware, pm_bin2 and pm_bin4",
        check=lambda bins: None if bins in (2, 4) else "2 or 4",
    )
    mass: bool = option(
        False, "adds pm_25_mass and pm_10_mass, ug/m3 computed from the counts: an indication only"
    )
    pace: float = option(
        1.0,
        "seconds from line to line of the simulated Dylos; a real one takes 60",
        low=1,
        high=1e5,
    )
    faults: str = option(
        "",
        "what goes wrong with the simulated Dylos, such as `60s unplug 30s`",
        check=lambda script: faults.expected(script, KINDS),
    )


class DylosSensor(Sensor[DylosSettings]):
    """Prints the readings of a Dylos.

    Args:
        settings: where it is, and what it can.
        section: its name in the configuration.
        clock: monotonic seconds.
    """

    Settings = DylosSettings
    paced = True

    def __init__(
        self, settings: DylosSettings, section: str = "", clock: Clock = time.monotonic
    ) -> None:
        super().__init__(settings, section)
        self.fields = _fields(settings)
        self.patience = settings.stale + 30.0
        self._recording = Recording(settings.file, self.log) if settings.file else None
        self._faults: faults.Faults | None = None  # they go on while the port is opened again
        self._clock = clock
        self._device = Listener(
            name="Dylos",
            says="line",
            where=settings.port,
            usbid=settings.usbid,
            cutter=lambda: LineBuffer(self.log),
            fix=_FIX,
            log=self.log,
            clock=clock,
            twin=self._simulated if settings.backend == "sim" else None,
        )

    def open(self) -> None:
        """Find the port and open it. Raises Gone or Misconfigured."""
        (self._recording or self._device).open()

    def read(self) -> Mapping[str, float]:
        """The counts of the next line, for which it waits `stale` seconds at most.

        Raises:
            Transient: none came, or it was refused.
            Gone: the adapter was unplugged, or (Finished) the recording is at its end.
        """
        return self._reading(self.settings.stale)

    def interrupt(self) -> None:
        """End a wait for a line, from another thread."""
        self._device.interrupt()

    def close(self) -> None:
        """Let go of the port. A recording goes on where it was when it is opened again."""
        self._device.close()
        if self._recording is not None:
            self._recording.close()

    def check(self) -> Iterator[Finding]:
        """Is it there, may this user open it, does it speak."""
        if self._recording is not None:
            yield live(self, self.read, _FIX)
        else:
            patience = min(self.settings.stale, _CHECK)
            yield from self._device.check(self, lambda: self._reading(patience))

    def _simulated(self) -> SimDylos:
        if self._faults is None:
            self._faults = faults.Faults.parse(self.settings.faults, KINDS, self._clock)
        return SimDylos(scenario(), self._faults, self.settings.pace, self._clock)

    def _reading(self, patience: float) -> dict[str, float]:
        if self._recording is not None:
            return self._recorded(self._recording)
        line = self._device.read(patience)
        try:
            return _values(line, self.settings)
        except ValueError as wrong:
            raise Transient(f"{self._device.port}: {wrong}") from wrong

    def _recorded(self, recording: Recording) -> dict[str, float]:
        """The next reading; what is none does not hold up the rest."""
        while not self._device.stop.is_set():
            line = recording.read()
            try:
                return _values(line, self.settings)
            except ValueError as wrong:
                self.log.warning("%s: %s", self.settings.file, wrong)
        raise Transient("ended from outside")


def _fields(settings: DylosSettings) -> tuple[Field, ...]:
    sort = f"Dylos {settings.model}"
    counts = ["pm_25", "pm_10"] + (["pm_bin2", "pm_bin4"] if settings.bins == 4 else [])
    masses = ["pm_25_mass", "pm_10_mass"] if settings.mass else []
    return (
        *(Field(name, "pcs/qf", sort, 0, _MOST, 3) for name in counts),
        *(Field(name, "ug/m3", f"{sort} indicative", 0, _MOST, 3) for name in masses),
    )


def _values(line: Piece, settings: DylosSettings) -> dict[str, float]:
    """The values in a line. Raises ValueError."""
    try:
        if line.trouble:
            raise ValueError(line.trouble)
        counts = dylos.counts(line.data)
    except ValueError as wrong:
        raise ValueError(f"refused {line.data!r}: {wrong}") from wrong
    small, large = counts[0], counts[len(counts) // 2]
    values: dict[str, float] = {"pm_25": small, "pm_10": large}
    if settings.bins == len(counts) == 4:
        values |= {"pm_bin2": counts[1], "pm_bin4": counts[3]}
    if settings.mass:
        values["pm_25_mass"], values["pm_10_mass"] = dylos.masses(small, large)
    return values


PLUGIN = DylosSensor

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
