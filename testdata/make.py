"""Make the telegram files of this folder anew: `python testdata/make.py`.

Nothing here was measured. Weather and particle counts are made up from a few sine curves and a
fixed seed, so that every run, anywhere, gives the same bytes.

- example.jsonl: the three telegrams that the project's documentation shows.
- day.jsonl: one kit, a frosty day at one-minute intervals, with what happens in practice: gaps,
  zeros, null for a reading that failed, texts, a telegram with a geolocation of its own, and an
  ident that changes.
- fleet.jsonl: ten kits over one hour, as a server sees them arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import Any

Json = dict[str, Any]

DAY = 1_737_158_400  # 2025-01-18 00:00 UTC
NOON = DAY + 12 * 3600

DYLOS = [("pm_25", "pcs/qf", "Dylos DC1100"), ("pm_10", "pcs/qf", "Dylos DC1100")]
DHT = [("dtemp", "C", "DHT22"), ("drh", "%", "DHT22")]
BME = [("temp", "C", "BME280"), ("rh", "%", "BME280"), ("hpa", "hPa", "BME280")]


def ident(project: str, serial: str, sensors: list[tuple[str, str, str]], **more: Any) -> Json:
    """An ident with its three parallel lists."""
    columns = [("time", "s", "time"), *sensors]
    fields, units, types = (list(column) for column in zip(*columns, strict=True))
    who = {"project": project, "serial": serial, **more}
    return who | {"fields": fields, "units": units, "types": types}


def example() -> Iterator[Json]:
    """The documentation's three telegrams."""
    yield {
        "ident": ident(
            "BdP",
            "test_sense",
            DYLOS + DHT + BME,
            label="alphaTest",
            geolocation="51.420635,6.1356117,22.9",
            extern_ip=["192.0.2.250"],
            intern_ip=["192.168.178.49", "2001:db8::49"],
            version="0.2.28",
        )
    }
    rows: list[tuple[Any, ...]] = [
        (1494777772, 318.0, 62.0, 27.8, 29.3, 28.75, 25.0, 712.0),
        (1494778772, 318.0, 63.0, 27.8, 29.5, 27, 26.0, 714.0),
        (1494779772, 318.0, 64.0, 27.8, 29.6, 27.5, 28.0, 715.0),
    ]
    names = ("time", "pm_25", "pm_10", "dtemp", "drh", "temp", "rh", "hpa")
    telegrams = [dict(zip(names, row, strict=True)) for row in rows]
    telegrams[1]["geolocation"] = "51.433,6.22,13"
    telegrams[2]["null"] = None
    yield from ({"data": telegram} for telegram in telegrams)


def weather(time: int, chance: Random) -> Json:
    """Winter weather: coldest at six, warmest at six in the evening; pressure falls slowly."""
    turn = 2 * pi * (time - DAY) / 86_400
    temp = 0.4 - 3.6 * sin(turn) + 0.3 * (chance.random() - 0.5)
    rh = 78 + 14 * sin(turn) + chance.random()
    hpa = 1027.5 - 6 * (time - DAY) / 86_400 + 0.4 * cos(2 * turn)
    return {
        "dtemp": round(temp + 0.4, 1),
        "drh": round(rh - 2, 1),
        "temp": round(temp, 2),
        "rh": round(rh, 2),
        "hpa": round(hpa, 2),
    }


def dylos(time: int, chance: Random) -> Json:
    """Counts per 0.01 cubic foot: low at night, two rush hours, stoves in the evening.

    The small count includes the large, as the instrument reports it.
    """
    hour = (time - DAY) / 3600
    load = 40 + sum(
        height * max(0.0, 1 - ((hour - at) / width) ** 2)
        for at, width, height in ((8, 2, 900), (17.5, 2, 700), (21, 3, 1500))
    )
    small = int(load * (0.85 + 0.3 * chance.random()))
    large = int(small * 0.04 * chance.random() * 2)
    return {"pm_25": small, "pm_10": large}


def day() -> Iterator[Json]:
    """One kit from midnight to midnight."""
    chance = Random(1)  # noqa: S311  # a fixed seed is the point
    kit: Json = {"label": "schoolyard", "geolocation": "51.5255,5.9746,24.1", "village": "Venray"}
    yield {"ident": ident("demo", "day_1", DYLOS + DHT + BME, **kit, version="1.0")}
    for time in range(DAY, DAY + 86_400, 60):
        minute = (time - DAY) // 60
        data = {"time": time} | dylos(time, chance) | weather(time, chance)
        if minute == 14 * 60:  # carried to the other side of the building
            kit |= {"label": "schoolyard, north", "geolocation": "51.5259,5.9741,24.1"}
            yield {"ident": ident("demo", "day_1", DYLOS + DHT + BME, **kit, version="1.1")}
        if 130 <= minute < 147 or minute % 251 == 250:  # a power cut, and lone telegrams missing
            continue
        yield {"data": data | happenings(minute)}


def happenings(minute: int) -> Json:
    """What differs from an ordinary telegram in this minute of the day."""
    if 180 <= minute < 240 and minute % 7 == 0:
        return {"pm_10": 0}  # clean night air: zero is a value
    if minute % 97 == 50:
        return {"dtemp": None, "drh": None}  # the DHT did not answer
    if minute == 300:
        return {"temp": 0.0, "dtemp": 0}
    texts = {
        480: 'sensor cleaned, "dry cloth"',
        720: "glad ijs, 100 % bewölkt",
        725: "",
        840: "moved to the north side",
    }
    if minute in texts:
        return {"remark": texts[minute]}
    if minute == 839:
        return {"geolocation": "51.5257,5.9743,25"}  # measured on the way
    return {}


def kits() -> list[Json]:
    """Ten idents of two projects: full ones, sparse ones, names and texts that need care."""
    full = DYLOS + DHT + BME
    places = ["51.5255,5.9746,24", "51.4538,6.0537,25", "51.4203,6.1336,22", "51.3704,6.1724,19"]
    return [
        ident("Venray", "a0", full, label="town hall", geolocation=places[0]),
        ident("Venray", "a1", full, label="station", geolocation=places[0], street="Stationsweg 1"),
        ident("Venray", "a2", DYLOS, label="A73 north", geolocation=places[1]),
        ident("Venray", "a3", BME, label="garden", geolocation=places[1], village="Castenray"),
        ident("Venray", "b_0", full, label="school=De Brink", province="Limburg"),
        ident("Venray", "b_1", DHT, label="attic"),
        ident("Horst", "c0", full, label="market", geolocation=places[2], extern_ip=["192.0.2.7"]),
        ident("Horst", "c1", full, geolocation=places[2], description="on the roof, facing west"),
        ident("Horst", "c2", DYLOS + BME, label="Grübbenvorst", geolocation=places[3]),
        {"project": "Horst", "serial": "c3"},
    ]


def fleet() -> Iterator[Json]:
    """An hour from noon, in the order of arrival; every line is complete in itself."""
    chance = Random(2)  # noqa: S311  # a fixed seed is the point
    for minute in range(60):
        for number, kit in enumerate(kits()):
            if (number == 5 and minute < 20) or (number == 8 and minute >= 30):
                continue  # one starts late, one falls silent
            time = NOON + 60 * minute + 5 * number
            measured = dylos(time, chance) | weather(time, chance)
            fields = kit.get("fields", ["time", *measured])
            data = {name: value for name, value in measured.items() if name in fields}
            yield {"ident": kit, "data": {"time": time} | data}


def render() -> dict[str, str]:
    """The text of every file, by name."""
    made = {"example.jsonl": example, "day.jsonl": day, "fleet.jsonl": fleet}
    return {
        name: "".join(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines()
        )
        for name, lines in made.items()
    }


if __name__ == "__main__":
    for name, text in render().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")
