"""What an output is told: parts left out, the place rounded."""

from __future__ import annotations

import pytest

from mysense.privacy import Privacy, not_omittable
from mysense.telegram import Ident, Telegram

IDENT = Ident(
    project="p",
    serial="1",
    street="Main Street 1",
    extern_ip=("192.0.2.1",),
    geolocation="51.420635,6.1356117,22.9",
    fields=("time", "temp", "rh"),
    units=("s", "C", "%"),
    types=("time", "DHT22"),
)
TELEGRAM = Telegram(IDENT, {"time": 1, "temp": 2.0, "rh": 3.0, "geolocation": "51.4333,6.2222,13"})


def test_parts_and_fields_are_left_out():
    """In the ident, its lists and the data."""
    shown = Privacy(("street", "extern_ip", "rh"), None)(TELEGRAM)
    ident = shown.ident.to_json()
    assert "street" not in ident
    assert "extern_ip" not in ident
    assert (ident["fields"], ident["units"], ident["types"]) == (
        ["time", "temp"],
        ["s", "C"],
        ["time", "DHT22"],
    )
    assert dict(shown.data) == {"time": 1, "temp": 2.0, "geolocation": "51.4333,6.2222,13"}


def test_the_place_is_rounded_in_ident_and_data():
    """The altitude to metres."""
    shown = Privacy((), 2)(TELEGRAM)
    assert (shown.ident.geolocation, shown.data["geolocation"]) == (
        "51.42,6.14,23",
        "51.43,6.22,13",
    )


def test_a_place_that_is_not_understood_is_not_told():
    """Better nothing than an address in the wrong place."""
    ident = Ident(project="p", serial="1", geolocation="Main Street 1")
    assert Privacy((), 2)(Telegram(ident, {"time": 1})).ident.geolocation is None


def test_nothing_asked_is_nothing_done():
    """The worker then does without it."""
    assert not Privacy((), None)


@pytest.mark.parametrize("name", ["project", "serial", "time", "fields"])
def test_what_is_needed_cannot_be_omitted(name):
    """The settings refuse it."""
    assert name in (not_omittable(("street", name)) or "")


def test_a_typo_is_told(caplog):
    """What was to be left out would go out in silence."""
    Privacy(("straat", "rh"), None)(TELEGRAM)
    assert "no field called 'straat'" in caplog.text
    assert "'rh'" not in caplog.text
