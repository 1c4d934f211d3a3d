"""The questions that dashboards ask, in InfluxQL.

Gaps stay gaps: windows without a row give null, and panels do not draw over that.
"""

# ruff: noqa: S608  # Grafana asks these; nothing is asked here

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from mysense.grafana.places import Place

UID = "mysense"
_FIELD = "${field:doublequote}"


@attrs.frozen
class InfluxQL:
    """InfluxDB 1.x, and 2.x by its 1.x-compatible interface."""

    place: Place
    uid: str = UID
    tenant: str = ""  # for people
    name: ClassVar[str] = "influxql"
    title: ClassVar[str] = "InfluxQL"

    @property
    def source(self) -> dict[str, str]:
        """The data source, as panels name it."""
        return {"type": "influxdb", "uid": f"{self.uid}-{self.name}"}

    def variable(self, name: str) -> dict[str, Any]:
        """What fills the variable `project`, `kit` or `field`."""
        texts = {
            "project": (self.place.projects, self.place.projects_regex),
            "kit": (self.place.kits, self.place.kits_regex),
            # on 1.x this lists the fields of roll-ups, too
            "field": (f'SHOW FIELD KEYS ON {self.place.database} FROM "data"', "/^(?!mean_)/"),
        }
        query, regex = texts[name]
        return {"query": query, "regex": regex}

    def means(self, fields: str) -> dict[str, Any]:
        """The mean of fields in each window; `fields` is a regular expression."""
        return self._means(f"mean(/{fields}/)", self.place.data)

    def means_1h(self, fields: str) -> dict[str, Any]:
        """The same of the roll-ups, whose fields begin with `mean_`."""
        return self._means(f"mean(/{fields}/)", self.place.data_1h)

    def _means(self, what: str, source: str) -> dict[str, Any]:
        windows = "GROUP BY time($__interval) fill(null)"
        return self._series(f"SELECT {what} FROM {source} {self._one} {windows}", "$col")

    def rows(self, window: str) -> dict[str, Any]:
        """How many telegrams each window has."""
        return self._counts(_FIELD, "telegrams", window)

    def flags(self, window: str) -> dict[str, Any]:
        """How many telegrams of each window have something that speaks against them."""
        return self._counts('"quality"', "flagged", window)

    def _counts(self, field: str, alias: str, window: str) -> dict[str, Any]:
        windows = f"GROUP BY time({window}) fill(0)"
        query = f'SELECT count({field}) AS "{alias}" FROM {self.place.data} {self._one} {windows}'
        return self._series(query, alias)

    def newest(self) -> dict[str, Any]:
        """The newest telegram."""
        newest = "ORDER BY time DESC LIMIT 1"
        return self._table(f"SELECT * FROM {self.place.data} {self._one} {newest}")

    def spacing(self) -> dict[str, Any]:
        """The most seconds from one telegram to the next, in each window."""
        inner = f'SELECT elapsed({_FIELD}, 1s) AS "seconds" FROM {self.place.data} {self._one}'
        outer = "WHERE $timeFilter GROUP BY time($__interval) fill(null)"
        return self._series(f'SELECT max("seconds") AS "seconds" FROM ({inner}) {outer}', "seconds")

    def flagged(self) -> dict[str, Any]:
        """The newest flagged telegrams, with what it is."""
        newest = "ORDER BY time DESC LIMIT 200"
        return self._table(f'SELECT "quality" FROM {self.place.data} {self._one} {newest}')

    def last(self) -> dict[str, Any]:
        """When the newest telegram with the field was measured, of one kit or all chosen ones."""
        ask = f"SELECT last({_FIELD}) AS {_FIELD} FROM {self.place.data}"
        if self.place.shared:
            return self._table(f'{ask} {self._many} GROUP BY "serial"')
        return self._table(f"{ask} {self._one}")

    def fleet_means(self) -> dict[str, Any]:
        """The mean of the field in each window for each kit that is chosen."""
        windows = 'GROUP BY time($__interval), "serial" fill(null)'
        query = f"SELECT mean({_FIELD}) FROM {self.place.data} {self._many} {windows}"
        return self._series(query, "$tag_serial")

    def fleet_rows(self, window: str) -> dict[str, Any]:
        """How many telegrams with the field each of them has in each window."""
        windows = f'GROUP BY time({window}), "serial" fill(0)'
        query = f"SELECT count({_FIELD}) FROM {self.place.data} {self._many} {windows}"
        return self._series(query, "$tag_serial")

    @property
    def _one(self) -> str:
        return f"WHERE {self.place.where}$timeFilter"

    @property
    def _many(self) -> str:
        return f"WHERE {self.place.where_many}$timeFilter"

    def _series(self, query: str, alias: str) -> dict[str, Any]:
        return {**self._asked(query), "resultFormat": "time_series", "alias": alias}

    def _table(self, query: str) -> dict[str, Any]:
        return {**self._asked(query), "resultFormat": "table"}

    def _asked(self, query: str) -> dict[str, Any]:
        return {"refId": "A", "datasource": self.source, "rawQuery": True, "query": query}
