"""What the benchmarks share: telegrams to measure with, and how a ratio is printed."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from mysense.telegram import Ident, Telegram  # noqa: E402  # the checkout first

FIELDS = ("pm_25", "pm_10", "dtemp", "drh", "temp", "rh", "hpa")
UNITS = ("pcs/qf", "pcs/qf", "C", "%", "C", "%", "hPa")
START = 1_500_000_000


def ident(serial: str) -> Ident:
    return Ident(
        project="bench",
        serial=serial,
        label="lamp post",
        geolocation="51.420635,6.1356117,22.9",
        fields=("time", *FIELDS),
        units=("s", *UNITS),
        types=("time", "DC1100", "DC1100", "DHT22", "DHT22", "BME280", "BME280", "BME280"),
    )


def telegrams(count: int, serial: str = "1", step: int = 60) -> Iterator[Telegram]:
    """Telegrams of seven fields, a minute apart, with values as sensors give them."""
    who = ident(serial)
    for at in range(count):
        values = (
            float(318 + at * 7 % 911),
            float(at * 3 % 62),
            round(20 + at % 97 / 10, 1),
            round(30 + at % 593 / 10, 1),
            round(20 + at % 977 / 100, 2),
            round(30 + at % 5953 / 100, 2),
            round(990 + at % 4001 / 100, 2),
        )
        data = {"time": START + at * step, **dict(zip(FIELDS, values, strict=True))}
        yield Telegram(who, MappingProxyType(data), new=at == 0)


def told(name: str, rates: Sequence[float], unit: str) -> float:
    """Print median, least and most of some rates; returns the median."""
    middle = statistics.median(rates)
    print(f"{name:34} {middle:>10,.0f} {unit} ({min(rates):,.0f} to {max(rates):,.0f})")
    return middle


def ratio(name: str, of: Sequence[float], to: Sequence[float], wanted: float) -> None:
    """Print the median of the ratios pair by pair, so that a drifting machine cancels out."""
    middle = statistics.median(a / b for a, b in zip(of, to, strict=True))
    verdict = "met" if middle >= wanted else f"missed by {wanted - middle:.2f}"
    print(f"{name:34} {middle:>10.2f} (wanted {wanted:g}: {verdict})")
