"""Hourly means: a continuous query on 1.x, a task on 2.x.

Both compute the last days again every hour, so that points that arrive late count. They live in
retention policy `1h` of the database, or in the bucket `<database>/1h`: a name that can be no
kit's. Both write the fields as `mean_<field>`, at the start of the hour.
"""

from __future__ import annotations

import json

from mysense.influx.naming import quote_identifier
from mysense.provision.wanted import in_words

POLICY = "1h"
CONTINUOUS_QUERY = "mysense_1h"
LATE = 7 * 86_400  # seconds that points may be late
_TAGS = ("label", "geolocation")  # not `new`: it tells two series of one kit apart
_TAGS_SHARED = ("project", "serial", *_TAGS)


def continuous_query(
    database: str, source: str, *, late: int = LATE, shared: bool = False, window: str = POLICY
) -> str:
    """The statement that makes the continuous query.

    Args:
        database: of 1.x.
        source: retention policy of the points themselves.
        late: seconds that points may be late.
        shared: whether several kits are in this database.
        window: length of a mean, and the retention policy that means go to.
    """
    home, policy = quote_identifier(database), quote_identifier(window)
    return (
        f"CREATE CONTINUOUS QUERY {quote_identifier(CONTINUOUS_QUERY)} ON {home} "
        f"RESAMPLE EVERY {window} FOR {in_words(late)} "
        f"BEGIN {_select(home, policy, quote_identifier(source), window, shared=shared)} END"
    )


def _select(home: str, policy: str, source: str, window: str, *, shared: bool) -> str:
    tags = ", ".join(map(quote_identifier, _TAGS_SHARED if shared else _TAGS))
    into, out_of = f'INTO {home}.{policy}."data"', f'FROM {home}.{source}."data"'
    return f"SELECT mean(*) {into} {out_of} GROUP BY time({window}), {tags}"


def task_name(bucket: str) -> str:
    """What the task for a bucket is called."""
    return f"MySense {bucket} {POLICY}"


def task(org: str, bucket: str, *, late: int = LATE, shared: bool = False) -> str:
    """The Flux of the task for `bucket`.

    The range begins with a whole hour: a mean of half an hour would replace that of the hour.
    """
    tags = [*(_TAGS_SHARED if shared else _TAGS), "_measurement", "_field"]
    return f"""import "date"
import "types"

option task = {{name: {_text(task_name(bucket))}, every: 1h, offset: 5m}}

from(bucket: {_text(bucket)})
    |> range(
        start: date.truncate(t: -{late}s, unit: 1h),
        stop: date.truncate(t: now(), unit: 1h),
    )
    |> filter(fn: (r) => r._measurement == "data")
    |> filter(fn: (r) => types.isType(v: r._value, type: "float"))
    |> group(columns: {json.dumps(tags)})
    |> unique(column: "_time")
    |> aggregateWindow(every: 1h, fn: mean, createEmpty: false, timeSrc: "_start")
    |> map(fn: (r) => ({{r with _field: "mean_" + r._field}}))
    |> to(bucket: {_text(f"{bucket}/{POLICY}")}, org: {_text(org)})
"""


def _text(text: str) -> str:
    """A string of Flux, which would take ${...} for an expression."""
    return json.dumps(text, ensure_ascii=False).replace("${", "\\${")
