"""Reading from InfluxDB: poll() beside reading the same answers to nowhere, in one run.

    python benchmarks/subscribe.py [--rows 200000] [--kits 100] [--rounds 5] [--idle 1000]

Starts a private influxd, loads one database with ROWS telegrams and KITS databases with 2,000
each, and prints medians of interleaved rounds. "To nowhere" sends the very requests that poll()
sent, recorded in the same run, with http.client, and throws the answers away.
"""

from __future__ import annotations

import argparse
import http.client
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from urllib.parse import urlencode

from common import ratio, told  # puts the checkout on the path

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.influx import ahead
from tests.influxd import Influxd

FIELDS = ("drh", "dtemp", "hpa", "pm_10", "pm_25", "rh", "temp")
KIT_ROWS = 2_000
BODY = 5_000  # rows a write


def load(server: Influxd, database: str, rows: int, step: int) -> None:
    """Telegrams that end now, `step` seconds apart, as MyINFLUXPUB writes them."""
    server.query(f'CREATE DATABASE "{database}"')
    project, _, serial = database.partition("_")
    start = int(time.time()) - rows * step
    kit = f'project="{project}",serial="{serial}",label="bench",geolocation="52.4\\,5.1\\,22"'
    names = "\\,".join(("time", *FIELDS))
    server.write(database, f'info,label="bench" {kit},fields="{names}" {start}')
    tags = 'data,geolocation="52.4\\,5.1\\,22",label="bench",new=0'
    for first in range(0, rows, BODY):
        lines = (
            f"{tags} {_values(at)} {start + at * step}"
            for at in range(first, min(first + BODY, rows))
        )
        status, text = server.write(database, "\n".join(lines))
        assert status == http.client.NO_CONTENT, text


def _values(at: int) -> str:
    return ",".join(f"{name}={20 + (at * 7 + k) % 997 / 100:.2f}" for k, name in enumerate(FIELDS))


def subscriber(server: Influxd, projects: str, **options: object) -> MyINFLUXSUB:
    settings = MyINFLUXSUB.Settings(
        hostname=server.host, port=server.port, projects=re.compile(projects), **options
    )
    made = MyINFLUXSUB(settings)
    made.open()
    return made


def poll_all(server: Influxd, projects: str) -> int:
    """Everything that poll() gives from the beginning."""
    with closing(subscriber(server, projects)) as made:
        position, count = None, 0
        while True:
            items, position = made.poll(position)
            if not items:
                return count
            count += len(items)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The texts of all requests that are sent meanwhile."""
    texts: list[str] = []
    ask = ahead.Ahead._ask

    def record(self: ahead.Ahead, text: str) -> ahead.Reply:
        texts.append(text)
        return ask(self, text)

    ahead.Ahead._ask = record  # type: ignore[method-assign]
    try:
        yield texts
    finally:
        ahead.Ahead._ask = ask  # type: ignore[method-assign]


def to_nowhere(server: Influxd, texts: list[str], connections: int) -> int:
    """Send `texts` over as many connections and throw the answers away; returns their bytes."""
    links = [http.client.HTTPConnection(server.host, server.port) for _ in range(connections)]

    def ask(text: str) -> int:
        link = links.pop()
        link.request(
            "POST",
            "/query",
            urlencode({"q": text, "epoch": "s"}),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        size = len(link.getresponse().read())
        links.append(link)
        return size

    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(ask, texts))


def rates(
    works: dict[str, Callable[[], object]], count: int, rounds: int
) -> dict[str, list[float]]:
    """How many of `count` each does a second, interleaved, after one round to warm up."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            if number:
                found[name].append(count / (time.perf_counter() - begin))
    return found


def compare(server: Influxd, title: str, projects: str, rows: int, rounds: int) -> None:
    with recorded() as texts:
        count = poll_all(server, projects)
    assert count == rows, f"{count} of {rows} telegrams"
    print(f"{title}: {rows:,} telegrams of {len(FIELDS)} fields in {len(texts)} requests")
    works = {
        "to nowhere, one connection": lambda: to_nowhere(server, texts, 1),
        "to nowhere, two connections": lambda: to_nowhere(server, texts, 2),
        "poll()": lambda: poll_all(server, projects),
    }
    found = rates(works, rows, rounds)
    for name, each in found.items():
        told(name, each, "rows/s")
    ratio("poll() to nowhere", found["poll()"], found["to nowhere, one connection"], 0.8)


def idle(server: Influxd, databases: int, rounds: int) -> None:
    for number in range(databases):
        load(server, f"idle_{number}", 2, 60)
    with closing(subscriber(server, "idle", update=86_400.0)) as made:
        items, position = made.poll(None)
        while items:
            items, position = made.poll(position)
        found = rates({"round": lambda: made.poll(position)}, databases, rounds)
    told(f"idle round over {databases} databases", found["round"], "databases/s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kits", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=100)
    given = parser.parse_args()
    with Influxd() as server:
        load(server, "one_kit", given.rows, 30)
        for number in range(given.kits):
            load(server, f"many_{number}", KIT_ROWS, 60)
        time.sleep(5)  # the server goes on with its own work for a while
        compare(server, "one database", "one", given.rows, given.rounds)
        compare(server, f"{given.kits} databases", "many", given.kits * KIT_ROWS, given.rounds)
        idle(server, given.idle, 11)


if __name__ == "__main__":
    main()
