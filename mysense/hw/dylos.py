"""What a Dylos says: counts of particles in 0.01 cubic foot, the small ones with the large ones.

675,22                            live: from 0.5 um up, from 2.5 um up
02/27/17 10:52,1879,54            a DC1700 that tells what it has stored
12/04/14 10:52:07,1879,700,54,3   four-bin firmware: two more sizes
"""

from __future__ import annotations

import re
from math import pi

_LINE = re.compile(
    rb"(?P<live>\d{1,6},\d{1,6})"
    rb"|\d\d/\d\d/\d\d \d\d:\d\d(:\d\d)?,(?P<dated>\d{1,6},\d{1,6}(,\d{1,6},\d{1,6})?)"
)
_DENSITY = 1.65e12  # ug/m3
_SAMPLES = 3531.46667  # of 0.01 cubic foot in a m3
_FINE, _COARSE = 0.44e-6, 2.60e-6  # radii in m


def counts(line: bytes) -> tuple[int, ...]:
    """The counts in a line without its end, from small particles to large: two or four.

    Raises:
        ValueError: it is not a line of a Dylos, or counts more large particles than small ones.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("not a line of a Dylos")
    found = tuple(int(count) for count in (match["live"] or match["dated"]).split(b","))
    if list(found) != sorted(found, reverse=True):
        raise ValueError("more large particles than small ones, which include them")
    return found


def masses(small: float, large: float) -> tuple[float, float]:
    """PM2.5 and PM10 in ug/m3, an indication: as if particles were balls of two sizes.

    Args:
        small: particles from 0.5 um up in 0.01 cubic foot.
        large: those of them from 2.5 um up.
    """
    fine = (small - large) * _mass(_FINE)
    return fine, fine + large * _mass(_COARSE)


def _mass(radius: float) -> float:
    """What one particle in 0.01 cubic foot weighs in ug/m3."""
    return 4 / 3 * pi * radius**3 * _DENSITY * _SAMPLES
