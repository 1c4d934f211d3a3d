"""The dashboard of the server: figures of a real scrape, asked by a reader of PromQL."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from contextlib import closing
from urllib.parse import urlencode

import pytest

from mysense.engine import Engine
from mysense.grafana.server import server
from mysense.journal import Journal
from mysense.metrics import served
from tests.grafana.filling import panels
from tests.influxd import _free_port
from tests.pipeline import Feed, Shelf, telegram
from tests.victoria import Victoria

PERIOD = 15  # seconds from one scrape to the next


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """What a MySense says when it is asked."""
    folder, port = tmp_path_factory.mktemp("served"), _free_port()
    journal = Journal(folder / "journal.db")
    feed = Feed([telegram(at, kit) for at in range(1, 11) for kit in "ab"])
    engine = Engine(
        journal, subscribers=[feed], publishers=[Shelf(folder / "shelf.db", "shelf")], once=True
    )
    assert engine.run(60)
    with (
        served(f"127.0.0.1:{port}", engine),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer,
    ):
        text = answer.read().decode()
    journal.close()
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


@pytest.fixture(scope="module")
def ask(scraped):
    """`ask(query)`: the values that it has now, after a few minutes of scrapes."""
    now = int(time.time())
    lines = []
    for at in range(now - 300, now, PERIOD):
        labels = 'job="mysense",instance="here"'
        lines.append(f"up{{{labels}}} 1 {at}000")
        lines += [f"{_labelled(line, labels)} {at}000" for line in scraped.splitlines()]
    with Victoria() as victoria:
        link = http.client.HTTPConnection(victoria.host, victoria.port, timeout=60)
        with closing(link):
            link.request("POST", "/api/v1/import/prometheus", "\n".join(lines))
            assert link.getresponse().status == 204
        victoria._ask("/internal/force_flush")
        yield lambda query: json.loads(
            victoria._ask("/api/v1/query?" + urlencode({"query": query, "time": now - PERIOD}))
        )["data"]["result"]


def _labelled(line, labels):
    name, _, value = line.rpartition(" ")
    return (
        f"{name[:-1]},{labels}}} {value}" if name.endswith("}") else f"{name}{{{labels}}} {value}"
    )


@pytest.mark.parametrize("panel", panels(server()), ids=lambda panel: panel["title"])
def test_every_panel_gets_values(ask, panel):
    """Of metrics that MySense has."""
    (target,) = panel["targets"]
    assert ask(target["expr"].replace("$__rate_interval", f"{4 * PERIOD}s"))


def test_the_longest_silence_is_that_of_a_kit(ask):
    """In seconds, by kit."""
    (table,) = [panel for panel in panels(server()) if panel["type"] == "table"]
    rows = ask(table["targets"][0]["expr"])
    assert {row["metric"]["kit"] for row in rows} == {"p_a", "p_b"}
    assert all(float(row["value"][1]) > 1e9 for row in rows)
