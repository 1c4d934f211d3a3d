"""Scripts of what goes wrong with simulated devices."""

import pytest

from mysense.hw.faults import FaultError, Faults, expected

KINDS = ("unplug", "nack", "stuck-ff")


class Hands:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("script", "elapsed", "active"),
    [
        ("", 5, False),
        ("60s unplug 30s", 59.9, False),
        ("60s unplug 30s", 60, True),
        ("60s unplug 30s", 89.9, True),
        ("60s unplug 30s", 90, False),
        ("1m unplug", 1e9, True),
        ("0s unplug 500ms", 0.4, True),
        ("every 5m unplug 10s", 5, False),
        ("every 5m unplug 10s", 305, True),
        ("every 5m unplug 10s", 311, False),
        ("every 5m unplug 10s", 905, True),
        ("10s nack 5s, 20s unplug 5s", 12, False),
        ("10s nack 5s\n20s unplug 5s", 22, True),
    ],
)
def test_script(script, elapsed, active):
    """Each entry holds from its start for as long as it says, counted from when it was read."""
    hands = Hands()
    faults = Faults.parse(script, KINDS, hands)
    hands.now += elapsed
    assert faults.active("unplug") is active


@pytest.mark.parametrize(
    ("script", "elapsed", "times"),
    [("60s unplug 1s", 59, 0), ("60s unplug 1s", 600, 1), ("every 60s unplug 1s", 185, 3)],
)
def test_begun(script, elapsed, times):
    """What nobody saw is counted all the same."""
    hands = Hands()
    faults = Faults.parse(script, KINDS, hands)
    hands.now += elapsed
    assert faults.begun("unplug") == times


@pytest.mark.parametrize(
    "script", ["unplug", "60 unplug", "60s fly", "60s unplug 30", "every 0s nack", "60s nack 1s 2s"]
)
def test_refused(script):
    """What cannot be read is told, with what could be."""
    with pytest.raises(FaultError, match=r"expected .*found"):
        Faults.parse(script, KINDS)


def test_expected_names_the_kinds():
    """The check of an option says what this device knows."""
    assert "stuck-ff" in expected("1s fly", KINDS)


def test_nothing_expected_of_a_good_script():
    """The check of an option passes what can be read."""
    assert expected("every 1s nack 1s", KINDS) is None
