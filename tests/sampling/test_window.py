"""The value that stands for the readings of an interval, and units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.sampling.units import UnitError, conversion
from mysense.sampling.window import polynomial, tukey_mean

NUMBERS = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("readings", "mean"),
    [
        ([10, 11, 12, 13, 14, 15, 16, 17, 21], 14.333),  # within the upper fence
        ([10, 11, 12, 13, 14, 15, 16, 17, 99], 13.5),
        ([10, 11, 12, 13, 14, 15, 16, 17, -99], 13.5),
        ([1, 100], 50.5),
        ([1, 2, 99], 34.0),
        ([7], 7),
        ([5, 5, 5, 5, 9], 5),
    ],
)
def test_tukey_mean(readings, mean):
    """The mean of what lies within the fences; below four readings of all."""
    assert round(tukey_mean(readings), 3) == mean


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_the_mean_lies_among_the_readings(readings):
    """Whatever is fenced out, something is left."""
    assert min(readings) - 1e-6 <= tukey_mean(readings) <= max(readings) + 1e-6


@pytest.mark.parametrize(
    ("coefficients", "value", "calibrated"),
    [([-2.2, 1], 23.72, 21.52), ([0, 1], 5.0, 5.0), ([3], 9.0, 3.0), ([1, 0, 2], 3.0, 19.0)],
)
def test_polynomial(coefficients, value, calibrated):
    """Lowest order first."""
    assert polynomial(coefficients, value) == pytest.approx(calibrated)


@pytest.mark.parametrize(
    ("source", "target", "value", "converted"),
    [
        ("C", "F", -40.0, -40.0),
        ("C", "K", 0.0, 273.15),
        ("F", "C", 212.0, 100.0),
        ("hPa", "Pa", 1013.25, 101_325.0),
        ("Pa", "hPa", 101_325.0, 1013.25),
        ("kPa", "hPa", 101.325, 1013.25),
        ("pcs/qf", "pcs/qf", 7.0, 7.0),
    ],
)
def test_conversion(source, target, value, converted):
    """Between units of one quantity."""
    assert conversion(source, target)(value) == pytest.approx(converted)


@pytest.mark.parametrize(("source", "target"), [("C", "Pa"), ("pcs/qf", "ug/m3"), ("C", "c")])
def test_no_conversion(source, target):
    """Nothing is guessed."""
    with pytest.raises(UnitError, match="cannot become"):
        conversion(source, target)
