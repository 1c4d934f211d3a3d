"""JSON Lines: each bad line is refused alone, and no data go to another kit than their own."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mysense.jsonlines import MAX_LINE, BadLine, Reader, line, write
from mysense.telegram import Telegram
from tests.telegrams import as_bytes, data, telegram

GOOD = b'{"ident":{"project":"BdP","serial":"k1"},"data":{"time":1494777772,"temp":1.5}}'


def read(*lines, **options):
    """The reader and what it yields for these lines."""
    stream = io.BytesIO(b"\n".join(map(as_bytes, lines)) + b"\n")
    reader = Reader(stream, "file", **options)
    return reader, list(reader)


def outcome(*lines):
    """For each line that yields something: the kit's serial and second, or why it was refused."""
    return [
        f"{item.where}: {item.reason}"
        if isinstance(item, BadLine)
        else (item.ident.serial, item.time - 1_494_777_772)
        for item in read(*lines)[1]
    ]


# -- whatever comes ---------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=60) | st.sampled_from([GOOD, b'{"data":{"time":1}}', b"\n"])))
@example([b"\xff\xfe{\0}\0", b"[" * 5000, b'{"ident":', b'{"ident":{"project":{}}}', b"\r"])
def test_random_bytes_never_raise(parts):
    """Whatever a file holds, the reader gives telegrams and bad lines."""
    kinds = {type(item) for item in Reader(io.BytesIO(b"".join(parts)), "file")}
    assert kinds <= {Telegram, BadLine}


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_value_is_a_bad_line(value):
    """A JSON value that is no object is refused."""
    assert [type(item) for item in read(json.dumps(value))[1]] == [BadLine]


@given(st.binary(max_size=200).filter(lambda raw: b"\n" not in raw and not raw.isspace()))
def test_refused_lines_are_copied_whole(raw):
    """What is refused stands in the copy byte for byte."""
    refused = io.BytesIO()
    bad = [item for item in read(raw, refused=refused)[1] if isinstance(item, BadLine)]
    assert refused.getvalue() == (raw.removeprefix(b"\xef\xbb\xbf") + b"\n" if bad else b"")


# -- lines that are read ----------------------------------------------------------------------


def test_data_belong_to_the_ident_before():
    """An ident holds until the next one."""
    lines = [telegram(0), data(1), {"ident": telegram(serial="k2")["ident"]}, data(2)]
    assert outcome(*lines) == [("k1", 0), ("k1", 1), ("k2", 2)]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"\r",
        b"  " + GOOD + b"\t",
        b"\n\n \t\r\n" + GOOD,
        GOOD.replace(b"1494777772", b"1494777772.0"),
        GOOD.replace(b'"temp"', b'"\\u0074emp"'),
    ],
    ids=["byte order mark", "CRLF", "spaces", "blank lines", "float time", "escapes"],
)
def test_harmless_differences_are_read(raw):
    """Other programs write JSON a little differently."""
    assert outcome(raw) == [("k1", 0)]


def test_last_line_needs_no_end():
    """A file that does not end with a line's end is read to its end."""
    assert len(list(Reader(io.BytesIO(GOOD), "file"))) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n \n\t\n"])
def test_nothing_is_no_fault(content):
    """An empty file and a file of blank lines hold no telegram and no fault."""
    assert list(Reader(io.BytesIO(content), "file")) == []


def test_ident_alone_is_announced():
    """A kit whose data never came is known afterwards."""
    reader, items = read({"ident": telegram()["ident"]})
    assert (reader.announced.kit, items) == ("BdP_k1", [])


def test_unknown_ident_keys_are_reported():
    """An ident key that is left out is named, with the line where it came first."""
    reader, _ = read(telegram(0), {"ident": {**telegram()["ident"], "colour": "red"}}, data(1))
    assert reader.unknown == {"colour": "file:2"}


def test_writing_makes_lines_complete_in_themselves():
    """Each written line is read without the others."""
    _, items = read(telegram(0), data(1))
    assert [outcome(text) for text in write(items)] == [[("k1", 0)], [("k1", 1)]]


def test_line_has_no_line_end_inside():
    """One telegram is one line, whatever its texts hold."""
    _, (item,) = read(telegram(0, note="a\u2029"[:1] + "ü\u00a0"))
    assert len(line(item).splitlines()) == 1


# -- lines that are refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"data":{"time":1494777773,"temp":2}', "not JSON: Expecting ',' delimiter at position"),
        (b"this is no JSON", "not JSON"),
        (b"[1,2]", "expected an object with 'ident', 'data' or both"),
        (b"7", "expected an object"),
        (b"null", "expected an object"),
        (b"{}", "expected an object with 'ident'"),
        (b'{"data":7}', "data: expected an object, found a number"),
        (b'{"data":{"time":1494777773},"more":1}', "unknown key 'more'"),
        (b'{"data":{"time":1494777773,"temp":NaN}}', "data temp: nan is not a number"),
        (b'{"data":{"time":1494777773,"temp":-Infinity}}', "data temp: -inf is not a number"),
        (b'{"data":{"time":1494777773,"temp":1e400}}', "data temp: inf is not a number"),
        (b'{"data":{"time":NaN}}', "time: expected whole Unix seconds"),
        (b'{"data":{"time":1494777773,"temp":true}}', "found a boolean"),
        (b'{"data":{"time":1494777773,"temp":9007199254740993}}', "beyond 2^53"),
        (b'{"data":{"time":1494777773,"temp":' + b"9" * 5000 + b"}}", "thousands of digits"),
        (b'{"data":{"time":1494777773,"temp":1,"temp":2}}', "data: 'temp' is in it twice"),
        (b'{"data":{"time":1494777773},"data":{"time":1494777774}}', "'data' is in it twice"),
        (b'{"data":{"time":1494777773,"note":"caf\xe9"}}', "not UTF-8: byte 0xe9 at position"),
        (b'{"data":{"time":1494777773,"note":"a\x01b"}}', "not JSON: Invalid control character"),
        (b'{"data":{"time":1494777773,"note":"a\\u0001b"}}', "control character (U+0001)"),
        (b'{"data":{"time":1494777773,"note":"\\ud800"}}', "half a surrogate pair"),
        (b'{"data":' + b"[" * 100_000, "nested too deeply"),
        (b"\x89PNG\r", "not UTF-8"),
        (b'{"data":{"time":1494777773,"note":"' + b"x" * MAX_LINE + b'"}}', "1000000 at most"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_line_is_refused_and_the_rest_goes_on(raw, why):
    """A bad line without an ident costs itself and nothing else."""
    before, refused, after = outcome(GOOD, raw, data(9))
    assert (before, after) == (("k1", 0), ("k1", 9))
    assert refused.startswith("file:2: ")
    assert why in refused


def test_overlong_line_is_refused_in_little_memory():
    """Ten megabytes without a line's end are counted, not kept."""
    _, (bad, good) = read(b"x" * 10_000_000, GOOD)
    assert (len(bad.raw), "10000001 bytes" in bad.reason) == (1000, True)
    assert good.kit == "BdP_k1"


def test_overlong_line_is_copied_whole():
    """The copy of refused lines has every byte, so that the line can be mended."""
    refused, raw = io.BytesIO(), b"x" * (3 * MAX_LINE + 7)
    read(raw, GOOD, refused=refused)
    assert refused.getvalue() == raw + b"\n"


def test_overlong_last_line_gets_an_end():
    """A line that ends with its file is a line in the copy as well."""
    refused = io.BytesIO()
    list(Reader(io.BytesIO(b"x" * (MAX_LINE + 5)), "file", refused=refused))
    assert refused.getvalue() == b"x" * (MAX_LINE + 5) + b"\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encoding_is_named(encoding):
    """A file in UTF-16 is refused with what to do about it."""
    text = GOOD.decode() + "\n" + json.dumps(data(1)) + "\n"
    items = list(Reader(io.BytesIO(text.encode(encoding)), "file"))
    assert {type(item) for item in items} == {BadLine}
    assert "save it as UTF-8" in items[0].reason


@pytest.mark.parametrize(
    "raw",
    [
        b'{"ident":{"project":"BdP","serial":"k 2"},"data":{"time":1494777773}}',
        b'{"ident":{"project":"BdP"},"data":{"time":1494777773}}',
        b'{"ident":{"project":"BdP","serial":"k2","label":NaN}}',
        b'{"ident":{"project":"BdP","serial":"k2","serial":"k3"}}',
        b'{"ident":{"project":"BdP","serial":"k2"},"ident":{"project":"BdP","serial":"k3"}}',
        b'{"ident":{"project":"BdP","serial":"k2"},"extra":1}',
        b'{"ident":{"project":"BdP","serial":"k2"}',
        b'{"ident":null}',
        b'{"Ident":{"project":"BdP","serial":"k2"}}',
        b'{"metadata":{"project":"BdP","serial":"k2"},"data":{"time":1494777773}}',
        b"{'ident': {'project': 'BdP', 'serial': 'k2'}}",
        b'ct":"BdP","serial":"k2"},"data":{"time":1494777773}}',
        b'{"iden',
        b'{"ident":{"project":"BdP","serial":"k2","label":"\xe9"}}',
        '{"ident":{"project":"BdP","serial":"k2"}}'.encode("utf-16-le"),
        b'{"ident":' + b"[" * 100_000,
        b'{"data":{"note":"' + b"x" * (MAX_LINE - 23) + b'"},"ident":{}}',
        b'{"data":{"note":"' + b"x" * (2 * MAX_LINE) + b'"},"ident":{}}',
    ],
    ids=lambda value: repr(value)[:40],
)
def test_data_after_a_refused_ident_go_to_no_older_kit(raw):
    """Where a refused line may have held an ident, data alone are refused until the next one."""
    found = outcome(GOOD, raw, data(1), telegram(2), data(3))
    assert (found[0], found[-2:]) == (("k1", 0), [("k1", 2), ("k1", 3)])
    assert "line 2, which may have held it, was refused" in found[-3]


@pytest.mark.parametrize("value", ["NaN", "true", "1e400", "9007199254740993", "[]"])
def test_bad_value_does_not_cost_the_ident(value):
    """An ident that is good holds, also where the data beside it are refused."""
    raw = b'{"ident":{"project":"BdP","serial":"k2"},"data":{"time":1494777773,"temp":%s}}'
    found = outcome(GOOD, raw % value.encode(), data(2))
    assert found[2] == ("k2", 2)


def test_same_ident_after_a_refused_one_is_read():
    """The very ident that held before the refused one is not taken for known."""
    bad = {"ident": {"project": "BdP"}}
    assert outcome(telegram(0), bad, telegram(1))[2] == ("k1", 1)


def test_a_line_with_an_identity_is_read():
    """Wherever it stands, whatever it is; a field of that name stays a field."""
    text = b'{"ident":{"project":"p","serial":"s"},"data":{"time":1,"v":1.5},"id":"a"}\n'
    text += b'{"ident":{"project":"p","serial":"s"},"data":{"time":2,"v":2.5},"id":"b@-c"}\n'
    text += b'{"ident":{"project":"p","serial":"s"},"data":{"time":3,"id":"x"},"id":"c"}\n'
    text += b'{"ident":{"project":"p","serial":"s"},"data":{"time":4,"id":"x"}}\n'
    text += b'{"id":7,"data":{"time":5,"v":3.5}}\n'
    found = [dict(one.data) for one in Reader(io.BytesIO(text), "file")]
    assert found == [
        {"time": 1, "v": 1.5},
        {"time": 2, "v": 2.5},
        {"time": 3, "id": "x"},
        {"time": 4, "id": "x"},
        {"time": 5, "v": 3.5},
    ]


def test_two_identities_are_one_too_many():
    """As any other key that comes twice."""
    head = b'{"ident":{"project":"p","serial":"s"},"data":{"time":%d,"v":1.5},"id":"a"'
    text = head % 1 + b"}\n" + head % 2 + b',"id":"b"}\n'
    first, second = Reader(io.BytesIO(text), "file")
    assert (first.time, "is in it twice" in second.reason) == (1, True)
