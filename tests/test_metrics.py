"""Figures for Prometheus: a real scrape of a running engine, read by Prometheus's own parser."""

from __future__ import annotations

import socket
import sys
import urllib.request
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mysense import metrics
from mysense.engine import Engine
from mysense.journal import Journal
from mysense.metrics import address, findings, not_address, served
from mysense.plugin import Refused
from tests.pipeline import Feed, Shelf, telegram


@pytest.fixture
def engine(tmp_path):
    """Two kits through a good output, whose name needs escaping, and one that refuses half."""
    journal = Journal(tmp_path / "journal.db")
    telegrams = [telegram(at, kit) for at in range(1, 11) for kit in "ab"]

    def odd(batch):
        raise Refused({at: "odd" for at, one in enumerate(batch) if one.time % 2})

    made = Engine(
        journal,
        subscribers=[Feed(telegrams)],
        publishers=[
            Shelf(tmp_path / "good.db", 'good"\\shelf'),
            Shelf(tmp_path / "odd.db", "odd", rule=odd, exclude=("p_b",)),
        ],
        once=True,
    )
    assert made.run(60)
    yield made
    journal.close()


@pytest.fixture
def port():
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


def scrape(port):
    """Every sample: {(name, labels): value}."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(output):
    return (("output", output),)


def test_a_scrape_says_how_outputs_and_inputs_are_doing(engine, port):
    """The same figures as the journal has, names of outputs escaped."""
    with served(f"127.0.0.1:{port}", engine):
        found = scrape(port)
    good, odd = of('good"\\shelf'), of("odd")
    assert found["mysense_output_acknowledged_total", good] == 20
    assert found["mysense_output_connected", good] == 1
    assert found["mysense_output_lag_seconds", good] == 0
    assert found["mysense_output_rate_per_minute", good] > 1
    assert found["mysense_output_last_updated_timestamp_seconds", good] > 1.6e9
    assert [found[f"mysense_output_{name}", odd] for name in ("dead", "excluded_total")] == [5, 10]
    assert found["mysense_input_read_total", (("input", "feed"),)] == 20
    assert found["mysense_journal_telegrams", ()] == 20
    assert found["mysense_journal_readable", ()] == 1


def test_kits_have_the_time_of_their_newest_telegram(engine, port, monkeypatch):
    """Only so many of them: the number of series has a bound."""
    with served(f"127.0.0.1:{port}", engine):
        found = scrape(port)
        monkeypatch.setattr(metrics, "MOST_KITS", 1)
        fewer = scrape(port)
    name = "mysense_kit_last_telegram_timestamp_seconds"
    assert [found[name, (("kit", kit),)] for kit in ("p_a", "p_b")] == [10, 10]
    assert [fewer["mysense_kits", ()], len([key for key in fewer if key[0] == name])] == [2, 1]


def test_every_metric_is_on_its_page(engine, port):
    """By its full name."""
    page = (Path(__file__).parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    with served(f"127.0.0.1:{port}", engine):
        names = {name for name, _ in scrape(port)}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_a_journal_that_cannot_be_read_is_told(engine, port):
    """The engine's own figures are there all the same."""
    engine.journal.close()
    engine.journal.path.write_bytes(b"no journal" * 1000)
    with served(f"127.0.0.1:{port}", engine):
        found = scrape(port)
    assert found["mysense_journal_readable", ()] == 0
    assert found["mysense_input_read_total", (("input", "feed"),)] == 20


def test_it_ends_with_the_engine(engine, port):
    """The port is free again, and nobody answers."""
    with served(f"127.0.0.1:{port}", engine):
        pass
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_without_an_address_nothing_listens(engine):
    """It is off unless asked for, and its package is not even imported."""
    with served("", engine):
        pass


def test_a_port_in_use_is_an_error_and_the_engine_runs(engine, caplog):
    """Said with the address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with served(where, engine):
            pass
    assert [r.levelname for r in caplog.records if r.name == "mysense.metrics"] == ["ERROR"]
    assert where in caplog.text


def test_a_package_that_is_missing_is_an_error_and_the_engine_runs(engine, caplog, monkeypatch):
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with served("127.0.0.1:1", engine):
        pass
    assert "install mysense[metrics]" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":9100", ("127.0.0.1", 9100)),
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("kit.example:9100", ("kit.example", 9100)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_an_address_without_a_host_is_the_loopback(text, expected):
    """Whoever wants others to ask says so."""
    assert (address(text), not_address(text)) == (expected, None)


@pytest.mark.parametrize("text", ["yes", ":", ":0", ":70000", "::1:9100", "http://x:1", "a b:1"])
def test_what_is_no_address_is_refused(text):
    """With what it may look like."""
    assert "host:port" in not_address(text)


@contextmanager
def http_server(port):
    """Something else that answers there."""
    handler = partial(SimpleHTTPRequestHandler, directory="/nonexistent")
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def good(where):
    """Whether `check` finds an address good, and what it says of it."""
    return [(one.good, one.what) for one in findings(where)]


def test_check_tries_the_address(port):
    """It is free, and left free."""
    for _ in range(2):
        assert good(f":{port}") == [(True, f"http://127.0.0.1:{port}/metrics can be answered")]
    assert good("") == []


def test_check_finds_an_address_that_somebody_else_has(port):
    """Or that is none of this machine."""
    with http_server(port):
        ((is_good, what),) = good(f":{port}")
    assert (is_good, what) == (False, f"metrics = :{port}: Address already in use")
    ((is_good, what),) = good(f"192.0.2.1:{port}")
    assert (is_good, "assign" in what) == (False, True)


def test_check_beside_a_running_engine(engine, port):
    """It is the engine that has the address."""
    with served(f":{port}", engine):
        ((is_good, what),) = good(f":{port}")
    assert (is_good, "is answered by an engine that runs" in what) == (True, True)
