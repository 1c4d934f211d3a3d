"""Telegrams into line protocol, compared with lines written down by hand."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.influx.dialects import CLASSIC, CLEAN
from mysense.influx.lines import Book, Encoder
from mysense.influx.shapes import Shape, load_dumps
from mysense.influx.station import InfoMisfit
from mysense.telegram import DAY, Ident, Telegram

IDENT = Ident(
    project="BdP",
    serial="test_sense",
    label="alphaTest",
    geolocation="52.42,5.13,22.9",
    extern_ip=("83.1.2.3",),
    intern_ip=("10.0.0.4",),
    version="1.0",
    fields=("time", "pm_10"),
    units=("s", "pcs/qf"),
)
CLASSIC_HEAD = r'data,geolocation="52.42\,5.13\,22.9",label="alphaTest",new='
CLASSIC_INFO = (
    r'info,label="alphaTest" project="BdP",serial="test_sense",label="alphaTest",'
    r'geolocation="52.42\,5.13\,22.9",extern_ip="83.1.2.3",fields="time\,pm_10",'
    r'units="s\,pcs/qf" '
)


def telegram(time, new=False, ident=IDENT, **data):
    return Telegram(ident, {"time": time, **data}, new)


def lines(batch, dialect=CLASSIC, book=None):
    return Encoder(dialect).encode(batch, book or Book()).body.decode().split("\n")


def refusal(sent, dialect=CLASSIC):
    encoded = Encoder(dialect).encode([sent], Book())
    assert encoded.body == b"", "a refused telegram leaves a line"
    return encoded.refused[0]


def known(time=0):
    """The book of a database that has the info of IDENT."""
    return Encoder().encode([telegram(time, pm_10=1.0)], Book()).book


def test_classic_is_what_deployed_databases_hold():
    """The classic line is that of the deployed kits, with its own time."""
    assert lines([telegram(9, pm_10=62.0)], book=known()) == [CLASSIC_HEAD + "0 pm_10=62.0 9"]


def test_info_holds_the_ident_but_its_private_parts():
    """`info` comes first, at the telegram's time, without version and intern_ip."""
    assert lines([telegram(9, new=True, pm_10=62.0)]) == [
        CLASSIC_INFO + "9",
        CLASSIC_HEAD + "1 pm_10=62.0 9",
    ]


def test_clean_is_correct_line_protocol():
    """No literal quotes, and no tag that is also a field."""
    assert lines([telegram(9, pm_10=62.0, note='a "b", c')], CLEAN) == [
        (
            r'info,label=alphaTest project="BdP",serial="test_sense",'
            'geolocation="52.42,5.13,22.9",extern_ip="83.1.2.3",fields="time,pm_10",'
            'units="s,pcs/qf" 9'
        ),
        (
            r"data,geolocation=52.42\,5.13\,22.9,label=alphaTest,new=0 "
            r'pm_10=62.0,note="a \"b\", c" 9'
        ),
    ]


def test_the_telegrams_own_geolocation_is_the_tag():
    """A kit that moves says where it was."""
    (line,) = lines([telegram(9, pm_10=1.0, geolocation="1,2,3")], book=known())
    assert line == r'data,geolocation="1\,2\,3",label="alphaTest",new=0 pm_10=1.0 9'


def test_absent_label_and_geolocation_are_no_tags():
    """InfluxDB refuses empty tags."""
    ident = Ident(project="p", serial="s")
    assert lines([telegram(9, ident=ident, v=0.0)]) == [
        'info project="p",serial="s" 9',
        "data,new=0 v=0.0 9",
    ]


def test_none_and_not_a_number_are_not_sent():
    """What was not measured leaves no trace, zero does."""
    (line,) = lines([telegram(9, a=None, b=math.nan, c=math.inf, d=0.0)], book=known())
    assert line == CLASSIC_HEAD + "0 d=0.0 9"


def test_info_comes_once_a_day_and_with_every_new_ident():
    """A reader that starts late finds the ident of the day."""
    batch = [telegram(time, v=1.0) for time in (0, 1, DAY - 1, DAY, DAY + 1)]
    assert [line.rpartition(" ")[2] for line in lines(batch) if line.startswith("info")] == [
        "0",
        str(DAY),
    ]


def test_a_book_remembers_what_was_accepted():
    """The next batch of the day has no info any more."""
    first = Encoder().encode([telegram(1, v=1.0)], Book())
    assert lines([telegram(2, v=1.0)], book=first.book) == [CLASSIC_HEAD + "0 v=1.0 2"]


def test_encoding_leaves_the_book_as_it_was():
    """A batch that fails and comes again is the very same bytes."""
    book, batch = Book(), [telegram(1, v=1.0), telegram(2, v="x"), telegram(3, w=1.0)]
    encoder = Encoder()
    assert encoder.encode(batch, book).body == encoder.encode(batch, book).body


def test_info_travels_with_the_next_telegram_when_the_first_is_refused():
    """A refused telegram does not take its ident with it."""
    encoded = Encoder().encode([telegram(1, v=None), telegram(2, v=1.0)], Book())
    assert encoded.refused == {0: "no value: every field is empty, there is nothing to store"}
    assert encoded.body.decode().split("\n")[0] == CLASSIC_INFO + "2"


def test_a_new_field_has_one_type_in_a_batch():
    """The first value decides; others are converted where nothing is lost, else refused."""
    batch = [telegram(t, v=v) for t, v in enumerate((1.5, "62", "062", "x", 2.0))]
    encoded = Encoder().encode(batch, known())
    assert [line.split()[1] for line in encoded.body.decode().split("\n")] == [
        "v=1.5",
        "v=62.0",
        "v=2.0",
    ]
    assert list(encoded.refused) == [2, 3]


def test_numbers_go_into_text_and_whole_number_columns():
    """A column of another type gets what it can hold without loss."""
    book = known()
    book.data.set("t", "string")
    book.data.set("i", "integer")
    (line,) = lines([telegram(9, t=62.0, i=62.0)], book=book)
    assert line == CLASSIC_HEAD + '0 t="62",i=62i 9'


def test_an_ident_that_does_not_fit_is_said():
    """Somebody's own info may have a numeric street."""
    book = Book()
    book.info.set("project", "float")
    with pytest.raises(InfoMisfit, match="info project"):
        Encoder().encode([telegram(9, v=1.0)], book)


@pytest.mark.parametrize(
    ("data", "dialect", "reason"),
    [
        ({"note": "a\\b"}, CLASSIC, "dialect = clean"),
        ({"note": "a\\,b"}, CLEAN, "backslash before a comma"),
        ({"label": "x", "v": 1.0}, CLASSIC, "label: InfluxDB keeps"),
        ({"new": 1.0}, CLEAN, "new: InfluxDB keeps"),
        ({"timestamp": 1.0}, CLASSIC, "timestamp: InfluxDB keeps"),
        ({"geolocation": 5.0, "v": 1.0}, CLASSIC, "geolocation: 5.0"),
        ({"geolocation": "a\\", "v": 1.0}, CLEAN, "geolocation: .*backslash"),
        ({"geolocation": "1,2"}, CLASSIC, "no value"),
        ({"v": math.nan}, CLASSIC, "no value"),
        ({"note": "x" * 65_537}, CLEAN, "longer than 65536 bytes"),
        ({"note": "," * 40_000}, CLASSIC, "longer than 65536 bytes"),
        ({"note": "a\nb"}, CLASSIC, "line break"),
        ({"geolocation": "x" * 65_500, "v": 1.0}, CLASSIC, "65535"),
    ],
)
def test_what_could_not_be_read_back_is_refused(data, dialect, reason):
    """With a reason, and where it helps a hint."""
    assert re.search(reason, refusal(Telegram(IDENT, {"time": 9, **data}), dialect))


@pytest.mark.parametrize(
    ("parts", "dialect", "reason"),
    [
        ({"label": "a\\"}, CLASSIC, "ident label: .*dialect = clean"),
        ({"label": "a\\"}, CLEAN, "ident label: .*backslash"),
        ({"label": "a\\ b"}, CLEAN, "ident label: .*backslash"),
        ({"label": '"a"'}, CLEAN, "ident label: .*quotes"),
        ({"units": ("s", "a,b")}, CLASSIC, "ident units: .*comma"),
        ({"units": ("s", "a,b")}, CLEAN, "ident units: .*comma"),
        ({"street": "a\\b"}, CLASSIC, "ident street: .*dialect = clean"),
    ],
)
def test_an_ident_that_could_not_be_read_back_is_refused(parts, dialect, reason):
    """Every telegram of it, with a reason."""
    ident = Ident(project="p", serial="s", **parts)
    assert re.search(reason, refusal(telegram(9, ident=ident, v=1.0), dialect))


def test_a_batch_of_two_kits_is_a_mistake_of_the_caller():
    """Each kit has its database, so a batch must not mix them."""
    with pytest.raises(ValueError, match="one kit"):
        lines([telegram(1, v=1.0), telegram(2, ident=Ident(project="o", serial="s"), v=1.0)])


numbers = st.floats() | st.floats(0, 1e4).map(lambda value: round(value, 2)) | st.none()
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=5)
names = st.sampled_from(["a", "b", "a1", "a2", "x.y", "e-1", "p%", "c,d", "ü", "geolocation"])
datas = st.dictionaries(names, numbers | numbers | texts, max_size=4)


@given(st.lists(datas, max_size=12).flatmap(lambda some: st.permutations(some * 2)))
def test_blocks_are_encoded_as_each_telegram_is(batch):
    """Whatever shortcut is taken, the numbers and texts are those of the telegram alone."""
    sent = [telegram(at, **data) for at, data in enumerate(batch)]
    for fast in (True, False):
        together = Encoder(CLEAN, fast=fast).encode(sent, known())
        book, alone, refused = known(), [], {}
        for at, each in enumerate(sent):
            encoded = Encoder(CLEAN, fast=False).encode([each], book)
            book = encoded.book
            alone += [encoded.body.decode()] if encoded.body else []
            if encoded.refused:
                refused[at] = encoded.refused[0]
        assert read(together.body.decode()) == read("\n".join(alone))
        assert dict(together.refused) == refused


def read(body):
    """Lines with their numbers read: 1e16 and 1e+16 are the same."""
    found = []
    for line in body.split("\n"):
        for part in line.split(","):
            name, _, value = part.rpartition("=")
            try:
                found.append((name, [float(number) for number in value.split(" ")]))
            except ValueError:
                found.append((name, value))
    return found


@pytest.mark.parametrize(
    "block",
    [
        [{"time": 1, "a1": 1.0}, {"time": 2, "a2": 1.0}],
        [{"time": 1, "a1": 1.0}, {"time": 2, "a1": None}],
        [{"time": 1, "a1": 1.0}, {"time": 2, "a1": "2"}],
        [{"time": 1, "a1": 1.0}, {"time": 2, "a1": math.nan}],
        [{"time": 1, "a1": 1.0}, {"time": 2, "a1": True}],
        [{"time": 1, "a1": 1.0}, {"time": 2, "a1": 1.0, "b": 1.0}],
    ],
)
def test_a_shape_takes_nothing_that_is_not_of_it(block):
    """Names that differ in a digit only, None, texts and what is not a number."""
    assert Shape("data", "new=0", ["a1"], load_dumps()).encode(block, 0, DAY) is None


def test_orjson_is_used_where_it_is_there():
    """Numbers come in its notation, which is how this test can tell."""
    block = [{"time": 1, "a": 1.0}, {"time": 2, "a": 2.5}]
    assert Shape("data", "new=0", ["a"], load_dumps())._by_json(block, load_dumps(), 0, DAY) == (
        b"data,new=0 a=1.0 1\ndata,new=0 a=2.5 2"
    )
