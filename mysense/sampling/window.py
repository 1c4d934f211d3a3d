"""The readings of one field in one interval, and the value that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, quantiles


def tukey_mean(readings: Sequence[float]) -> float:
    """The mean of what lies within Tukey's fences, Q1 - 1.5 IQR to Q3 + 1.5 IQR.

    Quartiles are inclusive. Fewer than four readings have no outliers: their plain mean.

    >>> round(tukey_mean([10, 11, 12, 13, 14, 15, 16, 17, 21]), 3)
    14.333
    """
    if len(readings) < 4:
        return fmean(readings)
    low, _, high = quantiles(readings, n=4, method="inclusive")
    fence = 1.5 * (high - low)
    return fmean(value for value in readings if low - fence <= value <= high + fence)


def polynomial(coefficients: Sequence[float], value: float) -> float:
    """The calibrated value: a polynomial in `value`, lowest order first.

    >>> polynomial([-2.2, 1], 23.72)
    21.52
    """
    total = 0.0
    for coefficient in reversed(coefficients):
        total = total * value + coefficient
    return total
