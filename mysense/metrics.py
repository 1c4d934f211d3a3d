"""Figures for Prometheus: how inputs, journal and outputs are doing, at an address of one's own.

Off unless `[process] metrics` names an address; without a host it is this machine's loopback. It
needs the package prometheus-client, which the extra `metrics` brings. Whatever goes wrong here is
told and costs no telegram: the engine runs without.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mysense import __version__
from mysense.errors import JournalError
from mysense.journal.summary import OutputSummary, outputs
from mysense.journal.view import View
from mysense.plugin import Finding

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from mysense.engine import Engine

MOST_KITS = 1000  # with a figure of their own: those that were heard last
_PATIENCE = 5.0  # seconds for an answer, of which so many bytes are read
_MOST = 100_000
_LOOPBACK = "127.0.0.1"
_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})")
_KITS = (  # the index has the newest of each source at its end
    "SELECT kit, max(last) AS last FROM (SELECT s.kit, (SELECT max(t.time) FROM telegrams t"
    " WHERE t.source = s.id AND t.kind = 'telegram') AS last FROM sources s)"
    " WHERE last IS NOT NULL GROUP BY kit ORDER BY last DESC"
)
_GAUGES = {  # of an output: its figure in the summary, and what it is
    "waiting": "telegrams that wait for this output",
    "held": "telegrams of held kits, which wait in order",
    "dead": "dead letters: telegrams that it refused",
    "gaps": "telegrams that were given up unsent",
    "lag": "age of the oldest telegram not acknowledged",
    "lag_flowing": "the same without held kits",
    "rate": "telegrams a minute, a mean over the last minutes",
    "paused": "1 while it is paused",
}
_UNITS = {"lag": "lag_seconds", "lag_flowing": "lag_flowing_seconds", "rate": "rate_per_minute"}
_COUNTERS = {
    "acknowledged": "telegrams that it has accepted",
    "excluded": "telegrams that it is not to have",
    "retries": "tries that failed",
}
_log = logging.getLogger("mysense.metrics")


def address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `:port` or `port`; without a host it is the loopback.

    Raises:
        ValueError: it is none.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(text)
    return (match["host"] or _LOOPBACK).strip("[]"), int(match["port"])


def not_address(text: str) -> str | None:
    """For the option `metrics`: what was expected, where it is no address."""
    try:
        return None if text == "" else address(text) and None
    except ValueError:
        return "host:port, :port for this machine alone, or nothing"


@contextmanager
def served(where: str, engine: Engine) -> Iterator[None]:
    """Answer scrapes at `where` while the engine runs; at no address if that is empty."""
    server = _start(where, engine) if where else None
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()


def _start(where: str, engine: Engine) -> Any:
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as wrong:
        _log.error(
            "metrics = %s: the package prometheus-client is missing (%s); install mysense[metrics],"
            " or remove the option. Everything else runs",
            where,
            wrong,
        )
        return None
    host, port = address(where)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(engine))
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as wrong:
        _log.error("metrics = %s: %s. Everything else runs", where, wrong.strerror or wrong)
        return None
    _log.info("metrics at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
    return server


def findings(where: str) -> Iterator[Finding]:
    """For `mysense check`: could scrapes be answered at `where`?"""
    if not where:
        return
    if importlib.util.find_spec("prometheus_client") is None:
        what = f"metrics = {where}: the package prometheus-client is missing"
        yield Finding(False, what, "install mysense[metrics], or remove the option")
        return
    host, port = address(where)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as wrong:
        if _answers(url):
            yield Finding(True, f"{url} is answered by an engine that runs")
            return
        fix = "another port, or an address of this machine; `ss -ltnp` shows who has which"
        why = (wrong.strerror or str(wrong)).partition(" (")[0]
        yield Finding(False, f"metrics = {where}: {why}", fix)
    else:
        yield Finding(True, f"{url} can be answered")


def _answers(url: str) -> bool:
    """Whether MySense answers there."""
    import urllib.request  # who runs an engine does not need it
    from http.client import HTTPException

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_PATIENCE) as answer:
            return b"mysense_info" in answer.read(_MOST)
    except (OSError, HTTPException):
        return False


class Collector:
    """Collects all figures anew at every scrape, in the thread of that scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: which outputs and kits there are shows when it is asked."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, with their values of this moment."""
        yield _gauge("mysense_info", "the release that runs", [({"version": __version__}, 1)])
        yield from self._workers()
        path = self._engine.journal.path
        try:
            with View(path) as view:
                found = [*_journal(view, path), *_outputs(outputs(view)), *_kits(view)]
        except (JournalError, sqlite3.Error, OSError) as wrong:
            _log.warning("metrics: the journal cannot be read: %s", wrong)
            found = []
        yield from found
        about = "1 where the journal could be read for this"
        yield _gauge("mysense_journal_readable", about, [({}, int(bool(found)))])

    def _workers(self) -> Iterator[Metric]:
        engine = self._engine
        intakes = [({"input": intake.name}, intake) for intake in engine.intakes]
        for name, about in (
            ("read", "telegrams that came in by this input"),
            ("repeats", "telegrams that were known already"),
            ("refused", "what came in and is no telegram"),
        ):
            samples = [(labels, getattr(intake, name)) for labels, intake in intakes]
            yield _counter(f"mysense_input_{name}", about, samples)
        failing = [(labels, int(intake.error is not None)) for labels, intake in intakes]
        samplers = engine.sampling.samplers if engine.sampling else ()
        failing += [({"input": one.name}, int(bool(one.stopped))) for one in samplers]
        yield _gauge("mysense_input_failing", "1 while it fails or has given up", failing)
        stopped = [({"output": one.name}, int(bool(one.stopped))) for one in engine.deliveries]
        yield _gauge("mysense_output_stopped", "1 where it has given up until resumed", stopped)


def _journal(view: View, path: Path) -> Iterator[Metric]:
    (kept,) = view.all("SELECT count(*) AS n FROM telegrams")
    (refused,) = view.all("SELECT count(*) AS n FROM aside WHERE output = ''")
    (undated,) = view.all("SELECT count(*) AS n FROM undated")
    size = sum(p.stat().st_size for p in (path, path.with_name(f"{path.name}-wal")) if p.exists())
    yield _gauge("mysense_journal_bytes", "size of its files", [({}, size)])
    yield _gauge("mysense_journal_telegrams", "telegrams in it", [({}, kept["n"])])
    about = "what it refused on the way in"
    yield _gauge("mysense_journal_refused", about, [({}, refused["n"])])
    about = "telegrams that wait for the right time"
    yield _gauge("mysense_journal_undated", about, [({}, undated["n"])])


def _outputs(found: list[OutputSummary]) -> Iterator[Metric]:
    labels = [{"output": one.name} for one in found]

    def each(values: Iterable[float]) -> list[tuple[dict[str, str], float]]:
        return list(zip(labels, values, strict=True))

    for name, about in _GAUGES.items():
        values = each(float(getattr(one, name)) for one in found)
        yield _gauge(f"mysense_output_{_UNITS.get(name, name)}", about, values)
    for name, about in _COUNTERS.items():
        yield _counter(f"mysense_output_{name}", about, each(getattr(one, name) for one in found))
    connected = each(int(bool(one.connected) and not one.paused) for one in found)
    yield _gauge("mysense_output_connected", "1 where the last try went well", connected)
    kits = each(len(one.held_kits) for one in found)
    yield _gauge("mysense_output_held_kits", "kits that are held", kits)
    last = [(of, one.last_ok) for of, one in zip(labels, found, strict=True) if one.last_ok]
    about = "when it last accepted something, Unix time"
    yield _gauge("mysense_output_last_updated_timestamp_seconds", about, last)


def _kits(view: View) -> Iterator[Metric]:
    kits = view.all(_KITS)
    yield _gauge("mysense_kits", "kits of which there are telegrams here", [({}, len(kits))])
    last = [({"kit": row["kit"]}, row["last"]) for row in kits[:MOST_KITS]]
    about = f"time of a kit's newest telegram, Unix time; of the newest {MOST_KITS} kits"
    yield _gauge("mysense_kit_last_telegram_timestamp_seconds", about, last)


def _gauge(name: str, about: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, about), name, samples)


def _counter(name: str, about: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, about), f"{name}_total", samples)


def _filled(family: Metric, name: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    for labels, value in samples:
        family.add_sample(name, labels, float(value))
    return family
