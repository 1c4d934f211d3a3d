"""The languages in which dashboards ask an InfluxDB."""

from __future__ import annotations

from mysense.grafana.flux import Flux
from mysense.grafana.influxql import UID, InfluxQL

__all__ = ["UID", "Flux", "InfluxQL", "Language"]

Language = InfluxQL | Flux
