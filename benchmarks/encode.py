"""Encoding telegrams into line protocol, beside the influxdb package's make_lines, in one run.

    python benchmarks/encode.py

All encode the same 7-field telegrams of one kit, into the classic dialect, and start from the
telegrams. Rounds are interleaved; what counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from influxdb.line_protocol import make_lines

from mysense.influx.dialects import CLASSIC
from mysense.influx.lines import Book, Encoder
from mysense.influx.shapes import load_dumps
from mysense.telegram import Ident, Telegram

FIELDS = ("pm_25", "pm_10", "dtemp", "drh", "temp", "rh", "hpa")
NEEDED = {"plain Python": 6.0, "with orjson": 25.0}


def telegrams(count):
    """A kit that measures every minute, two digits behind the point."""
    ident = Ident(
        project="BdP", serial="test_sense", label="alphaTest", geolocation="52.42,5.13,22.9"
    )
    chance = random.Random(1)
    return [
        Telegram.from_json(
            ident,
            {"time": 1_494_777_772 + 60 * at}
            | {name: round(chance.uniform(0, 1000), 2) for name in FIELDS},
        )
        for at in range(count)
    ]


def by_make_lines(batch):
    """As one would use the package: tags and fields of each telegram as a dictionary."""
    points = [
        {
            "measurement": "data",
            "tags": {
                "geolocation": f'"{each.ident.geolocation}"',
                "label": f'"{each.ident.label}"',
                "new": int(bool(each.new)),
            },
            "time": each.time,
            "fields": {name: value for name, value in each.data.items() if name != "time"},
        }
        for each in batch
    ]
    return make_lines({"points": points}, "s").encode()


def with_encoder(*, fast):
    encoder, book = Encoder(CLASSIC, fast=fast), Book()

    def encode(batch):
        return encoder.encode(batch, book).body

    return encode


def measure(ways, batch, rounds):
    """Seconds by name, a list of one for each round."""
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(batch)
            taken[name].append(time.perf_counter() - start)
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="telegrams in a batch")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    ways = {"make_lines": by_make_lines, "plain Python": with_encoder(fast=False)}
    if load_dumps():
        ways["with orjson"] = with_encoder(fast=True)
    batch = telegrams(options.count)
    taken = measure(ways, batch, options.rounds)
    base = median(taken["make_lines"])
    good = True
    print(f"{'encode 7 fields':16} {'telegrams/s':>12} {'us each':>8} {'ratio':>6}")
    for name, seconds in taken.items():
        middle = median(seconds)
        needed = NEEDED.get(name, 0)
        good = good and base / middle >= needed
        print(
            f"{name:16} {options.count / middle:12,.0f} {middle / options.count * 1e6:8.2f} "
            f"{base / middle:6.1f}" + (f"  (needed {needed:g})" if needed else "")
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
