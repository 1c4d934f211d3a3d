"""What a Nova SDS011 says and understands: frames of ten bytes, `AA C0 ... AB`.

AA C0  pm25 pm25  pm10 pm10  id id  sum AB   a measurement, low byte first, in 0.1 ug/m3
AA C5  what set   value 0    id id  sum AB   the answer to a command

The sum is that of the six bytes between, its low byte.
"""

from __future__ import annotations

LENGTH = 10
HEAD = b"\xaa"
_MEASUREMENT, _ANSWER, _COMMAND, _TAIL = 0xC0, 0xC5, 0xB4, 0xAB
_SLEEP, _PERIOD = 6, 8  # what a command is about
_ANYBODY = b"\xff\xff"  # in place of the id of one sensor
LONGEST_PERIOD = 30  # minutes

WAKE = bytes([_SLEEP, 1, 1])
"""The command to measure, for one that sleeps."""


def good(frame: bytes) -> bool:
    """Whether ten bytes are a frame of a sensor: both ends, a kind that is known, the sum."""
    ends = frame[0] == HEAD[0] and frame[-1] == _TAIL
    return ends and frame[1] in (_MEASUREMENT, _ANSWER) and frame[8] == _sum(frame[2:8])


def masses(frame: bytes) -> tuple[float, float] | None:
    """PM2.5 and PM10 in ug/m3; None where the frame is the answer to a command."""
    if frame[1] != _MEASUREMENT:
        return None
    small, large = frame[2:4], frame[4:6]
    return int.from_bytes(small, "little") / 10, int.from_bytes(large, "little") / 10


def period(minutes: int) -> bytes:
    """The command to measure for half a minute every so many minutes; 0: all the time."""
    return bytes([_PERIOD, 1, minutes])


def asked(frame: bytes) -> int | None:
    """The minutes of the period that an answer confirms; None where it is about something else."""
    return frame[4] if frame[1] == _ANSWER and frame[2:4] == bytes([_PERIOD, 1]) else None


def command(what: bytes) -> bytes:
    """The 19 bytes that carry `WAKE` or a `period` to whichever sensor is there."""
    data = what.ljust(13, b"\0") + _ANYBODY
    return bytes([HEAD[0], _COMMAND]) + data + bytes([_sum(data), _TAIL])


def measurement(small: float, large: float, serial: bytes = b"\x58\xd9") -> bytes:
    """The frame of a measurement in ug/m3, as the sensor with this id sends it."""
    tenths = (min(max(round(mass * 10), 0), 9999) for mass in (small, large))
    data = b"".join(number.to_bytes(2, "little") for number in tenths) + serial
    return bytes([HEAD[0], _MEASUREMENT]) + data + bytes([_sum(data), _TAIL])


def answer(sent: bytes, serial: bytes = b"\x58\xd9") -> bytes:
    """The frame that answers the command in these 19 bytes; nothing where they are none."""
    whole = len(sent) == 19 and sent[:2] == bytes([HEAD[0], _COMMAND]) and sent[-1] == _TAIL
    if not whole or sent[17] != _sum(sent[2:17]):
        return b""
    data = sent[2:5] + b"\0" + serial
    return bytes([HEAD[0], _ANSWER]) + data + bytes([_sum(data), _TAIL])


def _sum(data: bytes) -> int:
    return sum(data) & 0xFF
