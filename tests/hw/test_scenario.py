"""The air that simulated sensors measure."""

from itertools import pairwise

import pytest

from mysense.hw.scenario import DAY, HOUR, Scenario

DAY_0 = 1_700_006_400  # a midnight, UTC
MINUTES = [DAY_0 + 60 * minute for minute in range(24 * 60)]


@pytest.fixture(scope="module")
def day():
    """The air of every minute of one day."""
    return [Scenario().at(second) for second in MINUTES]


def mean(day, quantity, first, last):
    """Of the hours from `first` to `last`."""
    some = [getattr(air, quantity) for air in day[int(first * 60) : int(last * 60)]]
    return sum(some) / len(some)


def test_same_second_same_air():
    """It is a pure function of the second."""
    assert Scenario(3).at(1.7e9) == Scenario(3).at(1.7e9)


def test_seeds_differ():
    """Two streets do not have the same air."""
    assert Scenario(1).at(1.7e9) != Scenario(2).at(1.7e9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("quantity", "low", "high"),
    [("temperature", 0, 30), ("humidity", 20, 100), ("pressure", 990, 1035), ("small", 50, 20_000)],
)
def test_plausible(seed, quantity, low, high):
    """It stays within what is measured outdoors, in every week of a year."""
    street = Scenario(seed)
    values = [getattr(street.at(DAY_0 + at * 7.1 * HOUR), quantity) for at in range(0, 1200, 10)]
    assert [value for value in values if not low <= value <= high] == []


def test_small_includes_large(day):
    """As a Dylos counts them."""
    assert all(0 <= air.large <= air.small for air in day)


def test_afternoon_is_warmer_than_night(day):
    """The weather has a day."""
    assert mean(day, "temperature", 12, 16) > mean(day, "temperature", 2, 6) + 4


@pytest.mark.parametrize("rush", [(8, 9), (17, 18.5)])
def test_rush_hours(day, rush):
    """Traffic shows twice a day."""
    assert mean(day, "small", *rush) > 1.5 * mean(day, "small", 3, 5)


def test_fire_next_door(day):
    """Smoke in the evening is far above all else."""
    assert (
        max(air.small for air in day[20 * 60 :]) > 3000 > max(air.small for air in day[: 19 * 60])
    )


def test_rain(day):
    """There is a shower in the afternoon: nearly saturated air."""
    assert mean(day, "humidity", 0, 24) < 90 < max(air.humidity for air in day[11 * 60 : 17 * 60])


def test_no_steps():
    """Nothing jumps from one second to the next, over midnight neither."""
    street = Scenario()
    air = [street.at(DAY_0 + DAY - 300 + second) for second in range(600)]
    steps = [abs(a.temperature - b.temperature) for a, b in pairwise(air)]
    assert max(steps) < 0.1
