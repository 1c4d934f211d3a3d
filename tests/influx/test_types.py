"""Values into columns of another type, without loss or not at all."""

from __future__ import annotations

import pytest

from mysense.influx.types import Columns, Misfit, conflict, field_keys


@pytest.mark.parametrize(
    ("types", "value", "fitted"),
    [
        ((), 1.5, 1.5),
        ((), "x", "x"),
        (("float",), "62", 62.0),
        (("float",), "62.5", 62.5),
        (("float",), "1e+16", 1e16),
        (("string",), 62.0, "62"),
        (("string",), 62.5, "62.5"),
        (("string",), "x", "x"),
        (("integer",), 62.0, 62),
        (("integer",), "62", 62),
        (("boolean", "string"), 1.5, "1.5"),
        (("string", "float"), 1.5, 1.5),
    ],
)
def test_a_value_fits_where_it_can_be_read_back(types, value, fitted):
    """Numbers become their shortest text, texts of numbers become numbers."""
    columns = Columns({"v": types} if types else {})
    found = columns.fit("v", value)
    assert (type(found), found) == (type(fitted), fitted)


@pytest.mark.parametrize(
    ("types", "value"),
    [
        (("float",), "x"),
        (("float",), "062"),
        (("float",), "nan"),
        (("float",), " 1"),
        (("float",), "1_0"),
        (("integer",), 1.5),
        (("integer",), 2.0**63),
        (("integer",), "x"),
        (("boolean",), 1.0),
        (("boolean",), "true"),
    ],
)
def test_what_would_lose_something_is_a_misfit(types, value):
    """With the field in the reason."""
    with pytest.raises(Misfit, match=r"^v: "):
        Columns({"v": types}).fit("v", value)


def test_a_conflict_is_read_from_the_answer():
    """In the words of influxd 1.6.7."""
    message = (
        'partial write: field type conflict: input field "v" on measurement "data" is type '
        "string, already exists as type float dropped=2"
    )
    assert conflict(message) == ("data", "v", "float")


def test_field_keys_may_have_several_types():
    """Shards can differ."""
    answer = b'{"results":[{"series":[{"name":"data","values":[["v","float"],["v","string"]]}]}]}'
    assert list(field_keys(answer)) == [("data", "v", ("float", "string"))]


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"results":[{"error":"no"}]}'])
def test_other_answers_teach_nothing(answer):
    """A server that does not tell is no reason to stop."""
    assert list(field_keys(answer)) == []
