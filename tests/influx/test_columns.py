"""Which columns are named."""

from __future__ import annotations

from mysense.influx.columns import Columns


def answer(**series):
    return {"series": [{"name": name, "values": keys} for name, keys in series.items()]}


def test_columns_are_read_from_the_answer():
    """Each field comes with each of its types."""
    read = Columns.read(
        answer(data=[["pm", "float"], ["pm", "string"]], info=[["label", "string"]])
    )
    assert read.data == {("pm", "float"), ("pm", "string")}


def test_numbers_come_before_the_tags():
    """What makes many columns is converted in one go."""
    columns = Columns.read(answer(data=[["b", "float"], ["a", "string"], ["timestamp", "float"]]))
    assert columns.select_data == (
        '"b"::float, "label"::tag, "geolocation"::tag, "new"::tag, "a"::string, "timestamp"::float'
    )


def test_a_float_that_was_an_integer_is_named_once():
    """The server casts: naming both would give both."""
    columns = Columns.read(answer(data=[["n", "float"], ["n", "integer"]]))
    assert (columns.numbers, columns.others) == (("n",), ())


def test_names_are_quoted():
    """A field's name can hold anything."""
    columns = Columns.read(answer(data=[['a"; DROP DATABASE "b', "float"]]))
    assert columns.select_data.endswith('"a\\"; DROP DATABASE \\"b"::float')


def test_a_new_type_is_noticed():
    """A field and its type together make a column."""
    assert not Columns.read(answer(data=[["a", "float"]])).covers(
        Columns.read(answer(data=[["a", "string"]]))
    )
