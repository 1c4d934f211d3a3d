"""When two telegrams count as the same, wherever each of them comes from."""

from __future__ import annotations

from typing import Any

from mysense.influx.types import number_text
from mysense.telegram import Telegram, Value

Content = tuple[Any, Any]


def content(telegram: Telegram) -> Content:
    """What of a telegram every place can hold: its normal form, without what merely looks other.

    A geolocation of its own that is the ident's says nothing. A column of texts in InfluxDB holds
    numbers as texts, one of numbers the texts that are numbers: both count as numbers.
    """
    ident, data = telegram.normal()
    place = telegram.ident.geolocation
    return ident, tuple(
        (name, _number(value))
        for name, value in data
        if name != "geolocation" or (value and value != place)
    )


def _number(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if value in (repr(number), number_text(number)) else value
