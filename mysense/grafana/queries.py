"""The questions that dashboards ask, in InfluxQL and in Flux.

Gaps stay gaps: windows without a row give null, and panels do not draw over that.
"""

# ruff: noqa: S608  # Grafana asks these; nothing is asked here

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from mysense.grafana.places import Place

UID = "mysense"
FIELD = "${field}"


@attrs.frozen
class InfluxQL:
    """InfluxDB 1.x, and 2.x by its 1.x-compatible interface."""

    place: Place
    name: ClassVar[str] = "influxql"

    @property
    def source(self) -> dict[str, str]:
        """The data source, as panels name it."""
        return {"type": "influxdb", "uid": f"{UID}-influxql"}

    def variable(self, name: str) -> dict[str, Any]:
        """What fills the variable `project`, `kit` or `field`."""
        texts = {
            "project": (self.place.projects, self.place.projects_regex),
            "kit": (self.place.kits, self.place.kits_regex),
            "field": (f'SHOW FIELD KEYS ON {self.place.database} FROM "data"', ""),
        }
        query, regex = texts[name]
        return {"query": query, "regex": regex}

    def means(self, fields: str) -> dict[str, Any]:
        """The mean of fields in each window; `fields` is a regular expression."""
        windows = "GROUP BY time($__interval) fill(null)"
        return self._series(f"SELECT mean(/{fields}/) FROM {self._data} {windows}", "$col")

    def rows(self, window: str) -> dict[str, Any]:
        """How many telegrams each window has."""
        windows = f"GROUP BY time({window}) fill(0)"
        query = f'SELECT count("{FIELD}") AS "telegrams" FROM {self._data} {windows}'
        return self._series(query, "telegrams")

    def newest(self) -> dict[str, Any]:
        """The newest telegram."""
        return self._table(f"SELECT * FROM {self._data} ORDER BY time DESC LIMIT 1")

    def spacing(self) -> dict[str, Any]:
        """Seconds from one telegram to the next."""
        return self._series(
            f'SELECT elapsed("{FIELD}", 1s) AS "seconds" FROM {self._data}', "seconds"
        )

    def flags(self, window: str) -> dict[str, Any]:
        """How many telegrams of each window have something that speaks against them."""
        windows = f"GROUP BY time({window}) fill(0)"
        query = f'SELECT count("quality") AS "flagged" FROM {self._data} {windows}'
        return self._series(query, "flagged")

    def flagged(self) -> dict[str, Any]:
        """The newest of these, with what it is."""
        return self._table(f'SELECT "quality" FROM {self._data} ORDER BY time DESC LIMIT 200')

    @property
    def _data(self) -> str:
        return f'{self.place.database}.."data" WHERE {self.place.where}$timeFilter'

    def _series(self, query: str, alias: str) -> dict[str, Any]:
        shared = {"refId": "A", "datasource": self.source, "rawQuery": True, "query": query}
        return {**shared, "resultFormat": "time_series", "alias": alias}

    def _table(self, query: str) -> dict[str, Any]:
        shared = {"refId": "A", "datasource": self.source, "rawQuery": True, "query": query}
        return {**shared, "resultFormat": "table"}


@attrs.frozen
class Flux:
    """InfluxDB 2.x by its own language."""

    place: Place
    name: ClassVar[str] = "flux"

    @property
    def source(self) -> dict[str, str]:
        """The data source, as panels name it."""
        return {"type": "influxdb", "uid": f"{UID}-flux"}

    def variable(self, name: str) -> dict[str, Any]:
        """What fills the variable `project`, `kit` or `field`."""
        keys = 'import "influxdata/influxdb/schema"\nschema.measurementFieldKeys'
        texts = {
            "project": (self.place.flux_projects, self.place.projects_regex),
            "kit": (self.place.flux_kits, self.place.kits_regex),
            "field": (f'{keys}(bucket: {self.place.bucket}, measurement: "data")', ""),
        }
        query, regex = texts[name]
        return {"query": query, "regex": regex}

    def means(self, fields: str) -> dict[str, Any]:
        """The mean of fields in each window; `fields` is a regular expression."""
        return self._target(
            'import "types"\n\n',
            f"  |> filter(fn: (r) => r._field =~ /{fields}/)\n"
            '  |> filter(fn: (r) => types.isType(v: r._value, type: "float"))\n'
            '  |> group(columns: ["_field"])\n'
            "  |> aggregateWindow(every: v.windowPeriod, fn: mean, createEmpty: true)",
        )

    def rows(self, window: str) -> dict[str, Any]:
        """How many telegrams each window has."""
        return self._target("", self._one_field + self._counted(window))

    def newest(self) -> dict[str, Any]:
        """The newest telegram."""
        return self._target(
            "", '  |> group()\n  |> sort(columns: ["_time"], desc: true)\n  |> limit(n: 1)'
        )

    def spacing(self) -> dict[str, Any]:
        """Seconds from one telegram to the next."""
        return self._target(
            "",
            self._one_field
            + '  |> sort(columns: ["_time"])\n'
            + '  |> elapsed(unit: 1s, columnName: "seconds")\n'
            + '  |> keep(columns: ["_time", "seconds"])',
        )

    def flags(self, window: str) -> dict[str, Any]:
        """How many telegrams of each window have something that speaks against them."""
        only = '  |> filter(fn: (r) => r._field == "quality")\n  |> group()\n'
        return self._target("", only + self._counted(window))

    def flagged(self) -> dict[str, Any]:
        """The newest of these, with what it is."""
        return self._target(
            "",
            '  |> filter(fn: (r) => r._field == "quality")\n'
            "  |> group()\n"
            '  |> sort(columns: ["_time"], desc: true)\n'
            "  |> limit(n: 200)\n"
            '  |> keep(columns: ["_time", "_value"])',
        )

    @property
    def _one_field(self) -> str:
        return f'  |> filter(fn: (r) => r._field == "{FIELD}")\n  |> group()\n'

    @staticmethod
    def _counted(window: str) -> str:
        return (
            f"  |> aggregateWindow(every: {window}, fn: count, createEmpty: true,"
            ' timeSrc: "_start")'
        )

    def _target(self, imports: str, rest: str) -> dict[str, Any]:
        query = (
            f"{imports}from(bucket: {self.place.bucket})\n"
            "  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n"
            '  |> filter(fn: (r) => r._measurement == "data")\n'
            f"{self.place.flux_where}{rest}"
        )
        return {"refId": "A", "datasource": self.source, "query": query}


Language = InfluxQL | Flux
