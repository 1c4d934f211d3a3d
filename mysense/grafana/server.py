"""The dashboard of what MySense tells Prometheus: inputs, journal, and how far outputs lag."""

from __future__ import annotations

from typing import Any

from mysense.grafana.dashboards import HALF, dashboard
from mysense.grafana.influxql import UID
from mysense.grafana.panels import WIDTH, placed, series, stat, table

SOURCE = {"type": "prometheus", "uid": f"{UID}-prometheus"}
_KIT = "mysense_kit_last_telegram_timestamp_seconds"
_LAG = "Age of the oldest telegram that the output has not accepted."
_DEAD = "Telegrams that the output refused: mysense dead list."
_GAPS = "Telegrams that were given up unsent: mysense status."


def server() -> dict[str, Any]:
    """One dashboard for all processes that Prometheus asks."""
    panels = [
        (stat("Running", _asked('sum(up{job="mysense"})'), unit="short"), 4, 4),
        (stat("Kits", _asked("sum(mysense_kits)"), unit="short"), 4, 4),
        (stat("Dead letters", _asked("sum(mysense_output_dead)"), unit="short", text=_DEAD), 4, 4),
        (stat("Given up", _asked("sum(mysense_output_gaps)"), unit="short", text=_GAPS), 4, 4),
        (stat("Lag", _asked("max(mysense_output_lag_seconds)"), unit="s", text=_LAG), 4, 4),
        (stat("Journal", _asked("sum(mysense_journal_bytes)"), unit="bytes"), 4, 4),
        (_each("Lag of outputs", "mysense_output_lag_seconds", "output", unit="s"), HALF, 8),
        (_each("Waiting", "mysense_output_waiting + mysense_output_held", "output"), HALF, 8),
        (_each("Telegrams a minute", _rate("output_acknowledged"), "output"), HALF, 8),
        (_each("Came in a minute", _rate("input_read"), "input"), HALF, 8),
        (_each("Dead letters of outputs", "mysense_output_dead", "output"), HALF, 8),
        (_each("Failed tries a minute", _rate("output_retries"), "output"), HALF, 8),
        (_each("Connected", "mysense_output_connected", "output"), HALF, 6),
        (_each("Failing", "mysense_input_failing", "input"), HALF, 6),
        (table("Kits that were silent for longest", _silent(), unit="s"), WIDTH, 10),
    ]
    return dashboard(f"{UID}-server-prometheus", "MySense server (Prometheus)", placed(panels))


def _rate(counter: str) -> str:
    return f"60 * rate(mysense_{counter}_total[$__rate_interval])"


def _each(title: str, query: str, label: str, unit: str = "short") -> dict[str, Any]:
    target = {**_asked(query), "legendFormat": f"{{{{instance}}}} {{{{{label}}}}}"}
    return series(title, target, unit=unit)


def _silent() -> dict[str, Any]:
    query = f"topk(100, max by (kit) (time() - {_KIT}))"
    return {**_asked(query), "instant": True, "range": False, "format": "table"}


def _asked(query: str) -> dict[str, Any]:
    return {"refId": "A", "datasource": SOURCE, "expr": query, "range": True}
