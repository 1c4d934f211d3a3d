"""The questions that dashboards ask, in Flux.

A column of a Flux table has one type, so series of numbers and of texts are never grouped together:
either one field is picked, or the numbers, or fields are made columns first.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from mysense.grafana.influxql import UID
from mysense.grafana.places import ALWAYS, Place

_FIELD = "${field:doublequote}"
_PICKED = f"  |> filter(fn: (r) => r._field == {_FIELD})\n"
_TYPES = 'import "types"\n\n'
_NUMBERS = '  |> filter(fn: (r) => types.isType(v: r._value, type: "float"))\n'
_QUALITY = '  |> filter(fn: (r) => r._field == "quality")\n  |> group()\n'
_WINDOWS = '  |> aggregateWindow(every: {}, fn: {}, createEmpty: true, timeSrc: "_start")'
_MEANS = _WINDOWS.format("v.windowPeriod", "mean")


@attrs.frozen
class Flux:
    """InfluxDB 2.x by its own language."""

    place: Place
    uid: str = UID
    tenant: str = ""  # for people
    name: ClassVar[str] = "flux"
    title: ClassVar[str] = "Flux"

    @property
    def source(self) -> dict[str, str]:
        """The data source, as panels name it."""
        return {"type": "influxdb", "uid": f"{self.uid}-{self.name}"}

    def variable(self, name: str) -> dict[str, Any]:
        """What fills the variable `project`, `kit` or `field`."""
        keys = 'import "influxdata/influxdb/schema"\n\nschema.measurementFieldKeys'
        texts = {
            "project": (self.place.flux_projects, self.place.flux_projects_regex),
            "kit": (self.place.flux_kits, self.place.flux_kits_regex),
            "field": (f'{keys}(bucket: {self.place.bucket}, measurement: "data", {ALWAYS})', ""),
        }
        query, regex = texts[name]
        return {"query": query, "regex": regex}

    def means(self, fields: str) -> dict[str, Any]:
        """The mean of fields in each window; `fields` is a regular expression."""
        return self._means(self.place.bucket, fields)

    def means_1h(self, fields: str) -> dict[str, Any]:
        """The same of the roll-ups, whose fields begin with `mean_`."""
        return self._means(self.place.bucket_1h, fields)

    def _means(self, bucket: str, fields: str) -> dict[str, Any]:
        return self._target(
            f"  |> filter(fn: (r) => r._field =~ /{fields}/)\n{_NUMBERS}"
            f'  |> group(columns: ["_field"])\n{_MEANS}',
            imports=_TYPES,
            bucket=bucket,
        )

    def rows(self, window: str) -> dict[str, Any]:
        """How many telegrams each window has."""
        return self._target(f"{_PICKED}  |> group()\n{_WINDOWS.format(window, 'count')}")

    def flags(self, window: str) -> dict[str, Any]:
        """How many telegrams of each window have something that speaks against them."""
        return self._target(_QUALITY + _WINDOWS.format(window, "count"))

    def newest(self) -> dict[str, Any]:
        """The newest telegram."""
        return self._target(
            "  |> last()\n"
            '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
            "  |> group()\n"
            '  |> drop(columns: ["_start", "_stop", "_measurement"])\n'
            '  |> sort(columns: ["_time"], desc: true)\n'
            "  |> limit(n: 1)"
        )

    def spacing(self) -> dict[str, Any]:
        """The most seconds from one telegram to the next, in each window."""
        return self._target(
            f"{_PICKED}  |> group()\n"
            '  |> sort(columns: ["_time"])\n'
            '  |> elapsed(unit: 1s, columnName: "seconds")\n'
            '  |> aggregateWindow(every: v.windowPeriod, fn: max, column: "seconds",'
            " createEmpty: false)\n"
            '  |> keep(columns: ["_time", "seconds"])'
        )

    def flagged(self) -> dict[str, Any]:
        """The newest flagged telegrams, with what it is."""
        return self._target(
            _QUALITY + '  |> sort(columns: ["_time"], desc: true)\n'
            "  |> limit(n: 200)\n"
            '  |> keep(columns: ["_time", "_value"])\n'
            '  |> rename(columns: {_value: "quality"})'
        )

    def last(self) -> dict[str, Any]:
        """When the newest telegram with the field was measured, of one kit or all chosen ones."""
        by = 'group(columns: ["serial"])' if self.place.shared else "group()"
        kept = '["_time", "_value", "serial"]' if self.place.shared else '["_time", "_value"]'
        return self._target(
            f'{_PICKED}  |> last()\n  |> {by}\n  |> sort(columns: ["_time"])\n  |> last()\n'
            f"  |> group()\n  |> keep(columns: {kept})\n"
            f"  |> rename(columns: {{_value: {_FIELD}}})",
            many=True,
        )

    def fleet_means(self) -> dict[str, Any]:
        """The mean of the field in each window for each kit that is chosen."""
        return self._fleet(_NUMBERS, _MEANS, _TYPES)

    def fleet_rows(self, window: str) -> dict[str, Any]:
        """How many telegrams with the field each of them has in each window."""
        return self._fleet("", _WINDOWS.format(window, "count"))

    def _fleet(self, only: str, windows: str, imports: str = "") -> dict[str, Any]:
        grouped = f'{_PICKED}{only}  |> group(columns: ["serial"])\n{windows}'
        return self._target(grouped, imports=imports, many=True)

    def _target(
        self, rest: str, *, imports: str = "", bucket: str = "", many: bool = False
    ) -> dict[str, Any]:
        where = self.place.flux_where_many if many else self.place.flux_where
        query = (
            f"{imports}from(bucket: {bucket or self.place.bucket})\n"
            "  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n"
            '  |> filter(fn: (r) => r._measurement == "data")\n'
            f"{where}{rest}"
        )
        return {"refId": "A", "datasource": self.source, "query": query}
