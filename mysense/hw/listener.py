"""Listening to a device that speaks by itself at a serial port: find it, open it, wait for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from mysense.errors import MySenseError
from mysense.hw import advice, ports
from mysense.hw.pieces import Cutter, Piece
from mysense.hw.serial import Clock, SerialPort
from mysense.hw.sim_port import SimPort
from mysense.plugin import Finding, Gone, Misconfigured, Sensor, Transient

Read = Callable[[], Mapping[str, float]]
"""Takes a reading, in a shorter time than `Sensor.read` may take."""


@attrs.define(kw_only=True, eq=False)
class Listener:
    """What a driver of such a device is made of. Opens nothing before `open`.

    Attributes:
        name: what the device is called, "Dylos".
        says: what a piece is called, "line" or "frame".
        where: its port, a path or a URL of pyserial; empty: the adapter that `usbid` names.
        usbid: see `ports.find`.
        cutter: makes what cuts its bytes into lines or frames, a new one for each opening.
        fix: what to do when it is silent.
        log: of the sensor.
        clock: monotonic seconds.
        twin: makes a simulated one, to be listened to in place of the port.
        baud: bits a second.
        stop: set by `interrupt`, until `close`.
    """

    name: str
    says: str
    where: str
    usbid: str
    cutter: Callable[[], Cutter]
    fix: str
    log: logging.Logger
    clock: Clock = time.monotonic
    twin: Callable[[], SimPort] | None = None
    baud: int = 9600
    stop: threading.Event = attrs.field(init=False, factory=threading.Event)
    _serial: SerialPort | None = attrs.field(init=False, default=None)
    _sim: SimPort | None = attrs.field(init=False, default=None)
    _came: bool = attrs.field(init=False, default=False)  # it was away before, or has spoken

    @property
    def port(self) -> str:
        """Where it is. Raises Gone or Misconfigured."""
        if self._sim is not None:
            return str(self._sim.port)
        return self.where or ports.find(self.usbid)

    def open(self) -> None:
        """Find the port and open it; one that is open is closed first.

        Raises:
            Gone: it is not there, or somebody else has it.
            Misconfigured: it can never be opened like this.
        """
        self._let_go()
        try:
            if self.twin is not None:
                self._sim = self.twin()
                self._sim.start()
            self._serial = self._opened()
        except BaseException:  # whatever it is, nothing may stay open
            self._let_go()
            raise

    def read(self, patience: float) -> Piece:
        """The next line or frame, whole or not.

        Args:
            patience: seconds of silence that are usual.

        Raises:
            Transient: it was silent for longer, or `interrupt` came.
            Gone: it was unplugged, or is not open.
        """
        piece = self._open.read(patience, self.stop)
        if piece is None:
            raise Transient(self._silence())
        self._came = self._came or not piece.trouble
        return piece

    def write(self, data: bytes) -> None:
        """Send this. Raises Gone."""
        self._open.write(data)

    def interrupt(self) -> None:
        """End a wait, from another thread."""
        self.stop.set()

    def close(self) -> None:
        """Let go of the port; may be called twice."""
        self._let_go()
        self.stop.clear()

    def check(self, sensor: Sensor[Any], read: Read) -> Iterator[Finding]:
        """Whether its port is there and may be opened, and what `sensor` reads from it.

        Args:
            sensor: closed afterwards.
            read: what takes its reading.
        """
        if self.twin is None:
            try:
                port = self.port
            except MySenseError as wrong:
                yield advice.finding(wrong)
                return
            if os.access(port, os.F_OK):  # else it is a URL, or opening it says what is wrong
                access = ports.access(port)
                yield Finding(True, f"the {self.name} is at {port}")
                yield access
                if not access.good:
                    return
        yield live(sensor, read, self.fix)

    @property
    def _open(self) -> SerialPort:
        if self._serial is None:
            raise Gone(f"the {self.name} is not open")
        return self._serial

    def _opened(self) -> SerialPort:
        try:
            return SerialPort(self.port, self.cutter(), self.clock, self.baud)
        except Gone:
            self._came = True
            raise
        except Misconfigured as wrong:
            if self._came:  # it was plugged in just now, and its rights are still to be set
                raise Gone(str(wrong)) from wrong
            raise

    def _let_go(self) -> None:
        for opened in (self._serial, self._sim):
            if opened is not None:
                opened.close()
        self._serial = self._sim = None

    def _silence(self) -> str:
        if self.stop.is_set():
            return "ended from outside"
        return f"{self._open.port}: no {self.says} for {self._open.quiet:.0f} s; {self.fix}"


def live(sensor: Sensor[Any], read: Read, fix: str) -> Finding:
    """A reading with its units, as a line of `mysense check`; closes the sensor."""
    units = {field.name: field.unit for field in sensor.fields}
    try:
        with sensor:
            sensor.open()
            values = read()
    except MySenseError as wrong:
        found = advice.finding(wrong, fix)
        return attrs.evolve(found, what=found.what.removesuffix(f"; {fix}"))  # said once
    texts = (f"{name} {value:g} {units[name]}" for name, value in values.items())
    return Finding(True, f"a live reading: {', '.join(texts)}")
