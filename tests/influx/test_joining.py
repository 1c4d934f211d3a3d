"""Rows of data become telegrams."""

from __future__ import annotations

import re

import pytest

from mysense.influx.columns import Columns
from mysense.influx.idents import Idents, InfoReader
from mysense.influx.joining import Joiner
from mysense.influx.rows import Plan
from mysense.plugin import Refusal

FLOATS = Columns(frozenset({("pm", "float"), ("temp", "float")}))
LATEST = 2_000_000_000.0


def join(rows, columns=FLOATS, newest=-(10**9), seen=()):
    plan = Plan(columns)
    plan.settle_tags(rows)
    walk = Idents(InfoReader("A_1").plain).walk()
    return list(Joiner("A_1", plan, walk, LATEST).join(rows, newest, seen))


def one(row, columns=FLOATS):
    (item,) = join([row], columns)
    return item


def only(name, of):
    return Columns(frozenset({(name, of)}))


def test_numbers_are_floats_in_every_case():
    """The server writes 62.0 as 62."""
    data = dict(one([5, 62, 1.5, "a", None, "1"]).data)
    assert (data, type(data["pm"])) == ({"time": 5, "pm": 62.0, "temp": 1.5}, float)


def test_what_was_not_measured_is_absent():
    """A row without a field has no entry for it."""
    assert dict(one([5, None, 0, None, None, None]).data) == {"time": 5, "temp": 0.0}


@pytest.mark.parametrize(
    ("tag", "new"), [("1", True), ("0", False), ('"1"', True), (None, None), ("x", None)]
)
def test_new_is_told_as_stored(tag, new):
    """Without the tag the journal decides."""
    assert one([5, 1, 1, None, None, tag]).new is new


def test_rows_that_differ_only_in_new_are_one_telegram():
    """The same telegram from two journals."""
    rows = [[5, 1, 2, "a", None, "0"], [5, 1, 2, '"a"', None, "1"], [5, 1, 3, "a", None, "0"]]
    assert [item.data["temp"] for item in join(rows)] == [2.0, 3.0]


def test_rows_given_before_are_left_out():
    """They are known by their digests, whatever their `new`."""
    row = [5, 1, 2, "a", None, "0"]
    seen = {Plan(FLOATS).digest(row)}
    assert (
        len(join([[5, 1, 2, "a", None, "1"], [5, 1, 3, "a", None, "0"]], newest=5, seen=seen)) == 1
    )


def test_a_digest_survives_a_new_column():
    """A field that appears later changes nothing for rows without it."""
    wider = Columns(FLOATS.data | {("aa", "string"), ("zz", "float")})
    before = Plan(FLOATS).digest([5, 1, 2, "a", None, "0"])
    assert Plan(wider).digest([5, 1, 2, None, "a", None, "0", None]) == before


def test_the_own_place_of_a_telegram_is_told():
    """Where the tag is not the ident's geolocation, it was measured elsewhere."""
    assert one([5, 1, 1, None, '"1,2,3"', None]).data["geolocation"] == "1,2,3"


def test_the_field_timestamp_is_the_true_time():
    """The deployed publisher let the server stamp the arrival."""
    columns = only("timestamp", "float")
    assert dict(one([99, None, None, None, 1494777772], columns).data) == {"time": 1494777772}


def test_a_numeral_text_is_a_time_too():
    """Some wrote it as text."""
    assert one([99, None, None, None, "1494777772"], only("timestamp", "string")).time == 1494777772


@pytest.mark.parametrize(
    ("columns", "value", "reason"),
    [
        (only("timestamp", "float"), 1494777772000, "milliseconds"),
        (only("timestamp", "float"), -1, "before 1970"),
        (only("timestamp", "string"), "soon", "soon"),
        (only("on", "boolean"), True, "boolean"),
        (only("n", "integer"), 2**53 + 1, "2\\^53"),
        (only("text", "string"), "a\nb", "control character"),
        (only('a"b', "float"), 1.0, "field name"),
        (only("a\\b", "string"), "x", "field name"),
    ],
)
def test_what_no_telegram_can_hold_is_refused(columns, value, reason):
    """Never an exception, never silence."""
    item = one([99, None, None, None, value], columns)
    assert isinstance(item, Refusal)
    assert item.where == "database A_1 time 99"
    assert re.search(reason, item.reason)


def test_one_bad_row_does_not_spoil_those_beside_it():
    """Rows are read in runs, and refused one by one."""
    columns = only("text", "string")
    rows = [[at, "a", None, None, text] for at, text in enumerate(["x", "y\n", "z"])]
    assert [isinstance(item, Refusal) for item in join(rows, columns)] == [False, True, False]


def test_a_point_before_1970_is_refused():
    """No telegram can have such a time."""
    assert isinstance(one([-5, 1, 1, None, None, None]), Refusal)


def test_a_label_of_control_characters_is_refused():
    """It would become a file's name or a line of its own."""
    assert isinstance(one([5, 1, 1, "a\x1bb", None, None]), Refusal)


def test_whole_numbers_become_floats():
    """Other publishers store integers."""
    assert one([5, None, None, None, 7], only("n", "integer")).data["n"] == 7.0


def test_the_field_label_stands_in_for_the_tag():
    """People insert by hand, and forget that it should be a tag."""
    telegram = one([5, None, None, None, "mine"], only("label", "string"))
    assert (telegram.ident.label, dict(telegram.data)) == ("mine", {"time": 5})


def test_commas_of_the_classic_dialect_lose_their_backslash():
    """Texts read as they were measured."""
    assert one([5, None, None, None, "a\\,b"], only("t", "string")).data["t"] == "a,b"


def test_a_field_of_two_types_has_the_value_that_is_there():
    """Each shard may have another type."""
    columns = Columns(frozenset({("pm", "float"), ("pm", "string")}))
    rows = [[5, 1, "a", None, None, None], [6, None, "a", None, None, "low"]]
    assert [item.data["pm"] for item in join(rows, columns)] == [1.0, "low"]
