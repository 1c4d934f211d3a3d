"""Points of an observatory control system, up to what a real server makes of them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mysense.errors import TelegramError
from mysense.points import Point, Series, decoded, from_ocs, nanoseconds

GOOD = {"agent": "bme", "feed": "temps", "fields": {"room": 21.5}, "time": 1615389657.2904894}


def test_nanoseconds_are_those_of_ocs():
    """Seconds as a float hold them to about a quarter of a microsecond."""
    assert nanoseconds(1615389657.2904894) == 1615389657290489344


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"n": 1}, "n=1i"),
        ({"n": -3}, "n=-3i"),
        ({"x": 1.0}, "x=1.0"),
        ({"x": 1e-9}, "x=1e-09"),
        ({"ok": True, "bad": False}, "ok=true,bad=false"),
        ({"s": 'say "hi" \\ no'}, 's="say \\"hi\\" \\\\ no"'),
        ({"a b,c=d": 1.5}, "a\\ b\\,c\\=d=1.5"),
        ({"x": 1.5, "gone": math.nan, "far": math.inf, "none": None}, "x=1.5"),
    ],
)
def test_fields_keep_their_types(fields, wire):
    """Whole numbers get an i, truths are words, what is no number is left out."""
    assert (
        from_ocs({**GOOD, "fields": fields}).line() == f"bme,feed=temps {wire} 1615389657290489344"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "expected an object"),
        ({**GOOD, "agent": None}, "agent: expected text"),
        ({**GOOD, "agent": ""}, "agent: expected 1 to"),
        ({**GOOD, "agent": "#x"}, "comment"),
        ({**GOOD, "agent": "a\nb"}, "control character"),
        ({**GOOD, "feed": "x\\"}, "holds a backslash"),
        ({**GOOD, "fields": {"a\\b": 1}}, "holds a backslash"),
        ({**GOOD, "fields": [1]}, "fields: expected an object"),
        ({**GOOD, "fields": {}}, "none has a value"),
        ({**GOOD, "fields": {"x": math.nan}}, "none has a value"),
        ({**GOOD, "fields": {"x": [1]}}, "field 'x': expected a number"),
        ({**GOOD, "fields": {"x": 2**63}}, "beyond 64 bits"),
        ({**GOOD, "fields": {"time": 1}}, "rename the field"),
        ({**GOOD, "time": "now"}, "time: expected Unix seconds"),
        ({**GOOD, "time": True}, "time: expected Unix seconds"),
        ({**GOOD, "time": -1}, "1970 to 2262"),
        ({**GOOD, "time": 1e300}, "1970 to 2262"),
        ({**GOOD, "tiem": 1}, "'tiem' is none of"),
    ],
)
def test_what_is_wrong_is_named(wrong, said):
    """Each with its part and what was expected."""
    with pytest.raises(TelegramError, match=said):
        from_ocs(wrong)


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(line):
    """However it is broken."""
    with pytest.raises(TelegramError):
        decoded(line)


@pytest.mark.parametrize("seconds", [1615389657.2904894, 1615389657, 1.5, 4102444799.999999])
def test_what_is_exported_is_taken_again(seconds):
    """As the same point, to the nanosecond."""
    point = from_ocs({**GOOD, "time": seconds})
    assert decoded(json.dumps(point.to_json()).encode()) == point


def test_a_series_survives_the_journal():
    """It comes back from JSON as it was."""
    series = Series("a", (("feed", "x"),))
    assert Series.from_json(json.loads(json.dumps(series.to_json()))) == series


NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=9).filter(
    lambda text: "\\" not in text and not text.startswith("#") and text.strip() == text
)
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12),
)
SPECIAL = {"time", "feed", "_field", "_measurement"}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda agent, feed, fields: {**GOOD, "agent": agent, "feed": feed, "fields": fields},
            NAMES,
            NAMES,
            st.dictionaries(
                NAMES.filter(lambda n: n not in SPECIAL), VALUES, min_size=1, max_size=3
            ),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda one: one["agent"],
    )
)
def test_a_server_stores_what_was_meant(influxd, sources):
    """Names and values come back, whatever is in them."""
    influxd.query('DROP DATABASE "points_test"')
    influxd.query('CREATE DATABASE "points_test"')
    points = [from_ocs(source) for source in sources]
    body = "\n".join(point.line() for point in points)
    assert influxd.write("points_test", body, precision="ns") == (204, "")
    for point in points:
        (row,) = rows(influxd, point)
        assert row["feed"] == dict(point.ident.tags)["feed"]
        for name, value in point.data.items():
            if name != "time":
                assert (float(row[name]) if isinstance(value, float) else row[name]) == value


def rows(influxd, point: Point):
    name = point.ident.measurement.replace("\\", "\\\\").replace('"', '\\"')
    return influxd.rows(f'SELECT * FROM "{name}"', database="points_test", epoch="ns")
