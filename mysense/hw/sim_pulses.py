"""A simulated DHT11 or DHT22: the pulses that it sends, and what goes wrong with them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from mysense.hw import iio
from mysense.hw.faults import Clock, Faults
from mysense.hw.scenario import Air, Scenario
from mysense.hw.sim_iio import SimulatedIio

KINDS = ("unplug", "checksum", "missing", "garbage", "hang")
_AFTER = {"AM2301": bytes(3)}  # it sends more than its five bytes

Source = Callable[[], bytes]
"""The five bytes that the chip sends now."""

_ANSWER = [80, 80]  # us, low and high, before the bits
_LOW, _ZERO, _ONE = 50, 26, 70  # us: a low one before every bit, and the high one that is the bit


class SimulatedDht:
    """A chip on its wire. It outlives closing and opening.

    Args:
        kind: DHT11, DHT22, AM2302 or AM2301.
        source: what it sends.
        faults: of KINDS.
    """

    def __init__(self, kind: str, source: Source, faults: Faults | None = None) -> None:
        self._kind = kind
        self._source = source
        self._faults = faults or Faults()
        self._noise = random.Random(0)  # noqa: S311  # garbage, the same in every run

    def pulses(self) -> Sequence[int] | None:
        """The answer to a start signal: lengths in us, low first; None: reading it hangs."""
        if self._faults.active("hang"):
            return None
        if self._faults.active("unplug"):
            return []
        if self._faults.active("garbage"):
            return [self._noise.randrange(1, 200) for _ in range(self._noise.randrange(100))]
        frame = self._source()
        if self._faults.active("checksum"):
            frame = bytes([frame[0], frame[1] ^ 1, *frame[2:]])
        sent = pulses(frame + _AFTER.get(self._kind, b""))
        return sent[:-10] if self._faults.active("missing") else sent

    def values(self) -> tuple[float, float] | None:
        """Temperature in C and humidity in %; None while anything goes wrong."""
        if any(self._faults.active(fault) for fault in KINDS):
            return None
        return values(self._source(), self._kind)


def pulses(frame: bytes) -> list[int]:
    """The answer that carries these bytes: lengths in us, low first."""
    bits = (byte >> shift & 1 for byte in frame for shift in range(7, -1, -1))
    return [*_ANSWER, *(us for bit in bits for us in (_LOW, _ONE if bit else _ZERO)), _LOW]


def frame(air: Air, kind: str) -> bytes:
    """The five bytes that a chip of this kind makes of the air."""
    tenths = round(abs(air.temperature) * 10)
    sign = 0x80 if air.temperature < 0 and tenths else 0
    if kind == "DHT11":
        data = bytes([round(air.humidity), 0, tenths // 10, tenths % 10 | sign])
    else:
        humidity = round(air.humidity * 10).to_bytes(2, "big")
        data = humidity + bytes([tenths >> 8 | sign, tenths & 0xFF])
    return data + bytes([sum(data) & 0xFF])


def simulated(kind: str, sent: str, faults: Faults) -> SimulatedDht:
    """A chip in the weather of a simulated day, or one that always sends the same.

    Args:
        kind: see SimulatedDht.
        sent: five bytes in hexadecimal; empty for the weather.
        faults: of KINDS.
    """
    same = bytes.fromhex(sent)
    return SimulatedDht(kind, (lambda: same) if same else weather(kind), faults)


def weather(kind: str, clock: Clock = time.time, scenario: Scenario | None = None) -> Source:
    """What a chip of this kind sends in the air of `scenario` at `clock`, in Unix time."""
    street = scenario or Scenario()
    return lambda: frame(street.at(clock()), kind)


def values(sent: bytes, kind: str) -> tuple[float, float] | None:
    """What five bytes mean, in C and %, as the data sheets have it; None: their sum is wrong."""
    if sum(sent[:4]) & 0xFF != sent[4]:
        return None
    if kind == "DHT11":
        size, humidity = sent[2] + (sent[3] & 0x7F) / 10, sent[0] + sent[1] / 10
        return -size if sent[3] & 0x80 else size, humidity
    size = ((sent[2] & 0x7F) << 8 | sent[3]) / 10
    return -size if sent[2] & 0x80 else size, (sent[0] << 8 | sent[1]) / 10


def not_a_frame(text: str) -> str | None:
    """What was expected instead of `text`; the check of an option."""
    try:
        good = not text or len(bytes.fromhex(text)) == 5
    except ValueError:
        good = False
    return None if good else "5 bytes in hexadecimal, such as 028c015fee"


def by_kernel(chip: SimulatedDht) -> SimulatedIio:
    """The driver of a kernel that reads `chip`: whatever goes wrong is an error of its files."""

    def source() -> dict[str, str]:
        temperature, humidity = chip.values() or (0.0, 0.0)
        return {
            iio.TEMPERATURE: str(round(temperature * 1000)),
            iio.HUMIDITY: str(round(humidity * 1000)),
        }

    return SimulatedIio("dht11@0", source, _Errors(chip))


class _Errors(Faults):
    """The kernel says EIO where the chip gives no values."""

    def __init__(self, chip: SimulatedDht) -> None:
        super().__init__()
        self._chip = chip

    def active(self, kind: str) -> bool:
        return kind == "eio" and self._chip.values() is None
