"""Encoding telegrams into line protocol, beside the influxdb package's make_lines, in one run.

    python benchmarks/encode.py [--count 5000] [--rounds 15]

All encode the same 7-field telegrams of one kit, into the classic dialect. Ours start from the
telegrams, make_lines from points made beforehand, once with whole seconds as int and once with
times as the package's own documentation writes them, RFC 3339 texts, which it has to parse. The
ratios that are wanted are against the latter; both are printed. Rounds are interleaved, and what
counts is the ratio of medians. What bounds ours is writing floats: Python's repr, or orjson.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from influxdb.line_protocol import make_lines

from mysense.influx.dialects import CLASSIC
from mysense.influx.lines import Book, Encoder
from mysense.influx.shapes import load_dumps
from mysense.telegram import Ident, Telegram

FIELDS = ("pm_25", "pm_10", "dtemp", "drh", "temp", "rh", "hpa")
INTS, TEXTS = "make_lines, int times", "make_lines, RFC 3339 times"
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


def points(batch, when):
    """As one would use the package: tags and fields of each telegram as a dictionary."""
    return [
        {
            "measurement": "data",
            "tags": {
                "geolocation": f'"{each.ident.geolocation}"',
                "label": f'"{each.ident.label}"',
                "new": int(bool(each.new)),
            },
            "time": when(each.time),
            "fields": {name: value for name, value in each.data.items() if name != "time"},
        }
        for each in batch
    ]


def text(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_make_lines(made):
    return lambda _: make_lines({"points": made}, "s").encode()


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
    batch = telegrams(options.count)
    ways = {
        INTS: by_make_lines(points(batch, int)),
        TEXTS: by_make_lines(points(batch, text)),
        "plain Python": with_encoder(fast=False),
    }
    if load_dumps():
        ways["with orjson"] = with_encoder(fast=True)
    return told(measure(ways, batch, options.rounds), options.count)


def told(taken, count):
    """Print rates and ratios; returns the exit code."""
    middle = {name: median(seconds) for name, seconds in taken.items()}
    good = True
    print(
        f"{'encode 7 fields':28} {'telegrams/s':>12} {'us each':>8} {'to texts':>9} {'to ints':>8}"
    )
    for name, seconds in middle.items():
        ratio, needed = middle[TEXTS] / seconds, NEEDED.get(name, 0)
        good = good and ratio >= needed
        print(
            f"{name:28} {count / seconds:12,.0f} {seconds / count * 1e6:8.2f} {ratio:9.1f} "
            f"{middle[INTS] / seconds:8.1f}" + (f"  (to texts wanted {needed:g})" if needed else "")
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
