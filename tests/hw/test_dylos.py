"""What a Dylos says: good lines, bad ones, and masses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.hw import dylos


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b"675,22", (675, 22)),
        (b"336,0", (336, 0)),
        (b"0,0", (0, 0)),
        (b"02/27/17 10:52,1879,54", (1879, 54)),
        (b"12/04/14 10:52:07,1879,700,54,3", (1879, 700, 54, 3)),
    ],
)
def test_good(line, counts):
    """Live, stored and four-bin lines are understood."""
    assert dylos.counts(line) == counts


@pytest.mark.parametrize(
    "line",
    [
        b"9,93",
        b",93",
        b"1659,",
        b"16\xff9,93",
        b"1659,93,5",
        b"",
        b",",
        b"675;22",
        b"-5,-9",
        b"6.5,2",
        b"1234567,0",
        b"675,22\n",
        "\u0663\u0663,\u0660".encode(),  # digits, in Arabic
        b"02/27/17 10:52,54,1879",
        b"02/27/17 10:52,",
        b"2/27/17 10:52,1879,54",
        b"12/04/14 10:52:07,1879,700,54",
        b"12/04/14 10:52:07,1879,54,700,3",
        b"Dylos Logger v1.6",
    ],
)
def test_bad(line):
    """What is no line of a Dylos is refused."""
    with pytest.raises(ValueError, match=r"not a line|more large"):
        dylos.counts(line)


@pytest.mark.parametrize(
    ("counts", "masses"), [((675, 22), (1.358, 10.795)), ((1659, 93), (3.256, 43.152))]
)
def test_masses(counts, masses):
    """Counts become masses as published: the small bin without the large, PM10 with both."""
    assert dylos.masses(*counts) == pytest.approx(masses, abs=5e-4)


@given(st.binary(max_size=100))
def test_any_bytes(line):
    """Any bytes are refused, or are counts that fall with size."""
    try:
        counts = dylos.counts(line)
    except ValueError:
        return
    assert list(counts) == sorted(counts, reverse=True)
