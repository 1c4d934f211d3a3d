"""Telegrams: everything that comes from outside is accepted in its own value or refused."""

from __future__ import annotations

import hashlib
import io
import time
from contextlib import suppress

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mysense import jsonlines
from mysense.errors import TelegramError
from mysense.telegram import DAY, MAX_FIELD, MAX_NAME, MAX_TEXT, Ident, Telegram

WHO = {"project": "BdP", "serial": "k1"}
KIT = Ident.from_json(WHO)
WHEN = 1_494_777_772

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**53 - 3, max_value=2**53 + 3)
    | st.floats()
    | st.text(max_size=20)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True)
idents = st.fixed_dictionaries(
    {"project": names | anything, "serial": names | anything},
    optional={
        "label": anything,
        "geolocation": st.text(max_size=9),
        "fields": st.lists(st.text(max_size=5), max_size=4) | anything,
        "units": st.lists(st.text(max_size=5), max_size=4),
        "extern_ip": st.lists(st.text(max_size=9), max_size=2) | st.text(max_size=9),
        "version": anything,
        "no such key": anything,
    },
)
measured = st.dictionaries(
    st.sampled_from(["temp", "pm_25", "rh", "note", "geolocation"]) | st.text(max_size=6),
    st.floats(allow_nan=False, allow_infinity=False) | scalars,
    max_size=5,
)
times = st.integers(min_value=0, max_value=WHEN) | st.floats(min_value=0, max_value=1e9) | scalars


def reason(call, *args) -> str:
    with pytest.raises(TelegramError) as wrong:
        call(*args)
    return str(wrong.value)


def of(**data):
    return Telegram.from_json(KIT, {"time": WHEN, **data})


# -- whatever comes ---------------------------------------------------------------------------


@given(idents, times, measured)
@example(WHO, WHEN, {"temp": 2**53})
@example(WHO, float(WHEN), {"temp": -0.0, "note": "ü\u200b"})
def test_accepted_telegram_survives_the_interchange_form(who, when, data):
    """What is accepted is written and read again as the same telegram; all else is refused."""
    try:
        telegram = Telegram.from_json(Ident.from_json(who), {**data, "time": when})
    except TelegramError:
        return
    stream = io.BytesIO(jsonlines.line(telegram).encode())
    (again,) = jsonlines.Reader(stream, "line")
    assert (again.normal(), again.ident) == (telegram.normal(), telegram.ident)


@given(anything)
def test_any_json_as_ident_is_taken_or_refused(value):
    """No JSON value makes Ident.from_json raise anything but TelegramError."""
    with suppress(TelegramError):
        assert Ident.from_json(value).kit


@given(anything)
def test_any_json_as_data_is_taken_or_refused(value):
    """No JSON value makes Telegram.from_json raise anything but TelegramError."""
    with suppress(TelegramError):
        assert Telegram.from_json(KIT, value).time >= 0


# -- ident ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["project", "serial"])
@pytest.mark.parametrize("value", [None, ""])
def test_ident_needs_its_names(key, value):
    """A project or serial that is missing, null or empty is named."""
    assert f"{key} is missing" in reason(Ident.from_json, {**WHO, key: value})


@pytest.mark.parametrize(
    "name", ["a b", "../x", ".hidden", "-x", "_x", "é", "a/b", "a\\b", 'a"', "*"]
)
def test_unusable_name_is_refused(name):
    """What cannot name a database and a file is refused, with what could."""
    assert "is not usable as a name" in reason(Ident.from_json, {**WHO, "serial": name})


def test_name_has_a_longest_length():
    """A hundred characters are a name, one more is none."""
    assert Ident.from_json({**WHO, "serial": "s" * MAX_NAME}).serial == "s" * MAX_NAME
    assert "100 characters" in reason(Ident.from_json, {**WHO, "serial": "s" * (MAX_NAME + 1)})


@pytest.mark.parametrize("value", [7, True, ["k1"], {"a": 1}, 1.5])
def test_name_that_is_no_text_is_refused(value):
    """Names are texts: a number is not turned into one."""
    assert "ident serial: expected text" in reason(Ident.from_json, {**WHO, "serial": value})


@pytest.mark.parametrize(
    ("char", "what"),
    [
        ("\0", "a control character (U+0000)"),
        ("\n", "a control character (U+000A)"),
        ("\x1b", "a control character (U+001B)"),
        ("\x7f", "a control character (U+007F)"),
        ("\x85", "a control character (U+0085)"),
        ("\u2028", "a line separator (U+2028)"),
        ("\ud800", "half a surrogate pair (U+D800)"),
    ],
)
@pytest.mark.parametrize("key", ["label", "description", "version"])
def test_character_that_breaks_lines_is_refused(key, char, what):
    """Control characters are refused with their place, in every text."""
    assert f"ident {key}: a".partition(" a")[0] in reason(
        Ident.from_json, {**WHO, key: f"ab{char}"}
    )
    assert f"{what} at position 3" in reason(Ident.from_json, {**WHO, key: f"ab{char}"})


@pytest.mark.parametrize("text", ["Müller", "中文", "a\u00a0b", "🌡", "شارع"])
def test_any_printable_text_is_accepted(text):
    """People write in their own language."""
    assert Ident.from_json({**WHO, "label": text}).label == text


def test_text_has_a_longest_length_in_bytes():
    """64 KiB of UTF-8 are accepted, one byte more is not."""
    assert Ident.from_json({**WHO, "label": "é" * (MAX_TEXT // 2)}).label
    assert "longer than 65536 bytes" in reason(
        Ident.from_json, {**WHO, "label": "é" * (MAX_TEXT // 2) + "e"}
    )


@pytest.mark.parametrize("value", [7, {"a": "b"}, [7], [None], [["time"]]])
def test_lists_hold_texts(value):
    """A list of anything else than texts is refused."""
    assert reason(Ident.from_json, {**WHO, "fields": value}).startswith("ident fields")


def test_lone_address_becomes_a_list():
    """An address that was written without its list is read."""
    assert Ident.from_json({**WHO, "extern_ip": "192.0.2.1"}).extern_ip == ("192.0.2.1",)


@pytest.mark.parametrize("value", [None, [], "BdP", 7, True])
def test_ident_is_an_object(value):
    """Anything but an object is refused."""
    assert "ident: expected an object" in reason(Ident.from_json, value)


def test_empty_is_absent():
    """An empty text says as much as none, so both idents are one."""
    assert Ident.from_json({**WHO, "label": "", "fields": []}) == KIT


def test_unit_of_a_field_that_has_none_is_empty():
    """A types or units list shorter than fields is kept and does no harm."""
    ident = Ident.from_json({**WHO, "fields": ["time", "temp"], "units": ["s"]})
    assert (ident.unit("time"), ident.unit("temp")) == ("s", "")


# -- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (-1, "-1 lies before 1970"),
        pytest.param(-(10**5000), "very many digits lies before 1970", id="digits before"),
        (WHEN + 0.5, "is not a whole number of Unix seconds; round it"),
        (WHEN * 1000, "it looks like milliseconds"),
        (WHEN * 10**9, "it looks like milliseconds"),
        (4_102_444_800, "lies more than a day in the future"),
        (1e300, "more than a day in the future"),
        pytest.param(10**5000, "very many digits", id="digits"),
        (float("inf"), "inf, which is not a number"),
        (float("nan"), "nan, which is not a number"),
        (True, "found a boolean"),
        (None, "nothing (null)"),
        (str(WHEN), "found text"),
        ([WHEN], "found a list"),
    ],
)
def test_absurd_time_is_refused(when, why):
    """A time that cannot be is refused, and the message says what would be good."""
    assert why in reason(Telegram.from_json, KIT, {"time": when})


@pytest.mark.parametrize("when", [0, WHEN, float(WHEN), -0.0])
def test_whole_second_is_an_int(when):
    """A time written as 1494777772.0 is that second."""
    assert type(Telegram.from_json(KIT, {"time": when}).time) is int


def test_clock_may_be_a_day_ahead():
    """A kit whose clock is some hours ahead of this machine's is not refused."""
    soon = int(time.time()) + DAY - 60
    assert Telegram.from_json(KIT, {"time": soon}).time == soon


def test_time_is_needed():
    """Data without a time are no telegram."""
    assert "time is missing" in reason(Telegram.from_json, KIT, {"temp": 1})


# -- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "nan is not a number"),
        (float("inf"), "inf is not a number"),
        (float("-inf"), "-inf is not a number"),
        (True, "found a boolean"),
        (False, "found a boolean"),
        ([1], "found a list"),
        ({"a": 1}, "found an object"),
        (2**53 + 1, "9007199254740993 is beyond 2^53 and would be rounded"),
        (-(2**53) - 1, "is beyond 2^53"),
        pytest.param(10**5000, "very many digits is beyond 2^53", id="digits"),
        ("a\nb", "control character (U+000A) at position 2"),
        pytest.param("é" * MAX_TEXT, "longer than 65536 bytes", id="long text"),
    ],
)
def test_value_that_is_no_measurement_is_refused(value, why):
    """What is neither a number, a text nor null is refused by the name of its field."""
    found = reason(Telegram.from_json, KIT, {"time": WHEN, "temp": value})
    assert found.startswith("data temp: ")
    assert why in found


@pytest.mark.parametrize("value", [0, -0.0, 2**53, -(2**53), 5e-324, 1.7e308, 1])
def test_number_is_kept_as_a_float(value):
    """Every number that a float holds exactly is kept, zero too."""
    kept = of(temp=value).data["temp"]
    assert (type(kept), kept) == (float, value)


def test_null_is_not_measured():
    """None stays in the data and is nothing in normal form."""
    assert of(temp=None).normal() == of().normal()
    assert "temp" in of(temp=None).data


@pytest.mark.parametrize(
    "name", ["", 'a"b', "a\\b", "a\nb", "a\0", "f" * (MAX_FIELD + 1)], ids=repr
)
def test_unusable_field_name_is_refused(name):
    """A field name that would break a wire line is refused."""
    assert reason(Telegram.from_json, KIT, {"time": WHEN, name: 1.5}).startswith("data")


def test_message_stays_short_and_on_one_line():
    """A field name of a megabyte with a line break does not flood the log."""
    found = reason(Telegram.from_json, KIT, {"time": WHEN, "\n" + "x" * 1_000_000: True})
    assert len(found) < 200
    assert found.isprintable()


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_data_are_an_object(value):
    """Anything but an object is refused."""
    assert "data: expected an object" in reason(Telegram.from_json, KIT, value)


def test_telegram_cannot_be_changed():
    """A telegram in the journal is the telegram that was read."""
    with pytest.raises(TypeError):
        of(temp=1.0).data["temp"] = 2.0


def test_normal_form_leaves_out_what_is_private():
    """Version and local address do not tell two telegrams apart."""
    private = Ident.from_json({**WHO, "version": "1", "intern_ip": ["10.0.0.1"]})
    assert Telegram.from_json(private, {"time": WHEN}).normal() == of().normal()


ALPHA = Ident(project="BdP", serial="test_sense", label="alphaTest")


def identity(data, ident=ALPHA):
    return Telegram.from_json(ident, {"time": 1494777772, **data}).identity


def test_identity_is_what_the_page_says():
    """A test vector, made with printf and sha256sum; other software can rely on it."""
    assert identity({"temp": 28.75}) == "BdP_test_sense@1494777772-d6c6871033a0a47f"


def test_identity_of_texts_and_no_label():
    """A text that looks like a number is a text."""
    nameless = Ident(project="p", serial="s")
    made = identity({"\u00e9": "x", "b": 1.5, "a": "1.5"}, nameless)
    text = "\na\tt1.5\nb\tn3ff8000000000000\n\u00e9\ttx\n"
    assert made == "p_s@1494777772-" + hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "data", [{"temp": 28.75, "rh": None}, {"rh": None, "temp": 28.75}, {"temp": 28.75}]
)
def test_identity_is_of_the_normal_form(data):
    """What was not measured, and the order, make no difference."""
    assert identity(data) == identity({"temp": 28.75})


def test_zero_is_zero_and_a_whole_number_a_number():
    """-0.0 equals 0.0, and 1 equals 1.0: equal telegrams are equal in their identity."""
    assert identity({"temp": -0.0}) == identity({"temp": 0})


@pytest.mark.parametrize("data", [{"temp": 28.750000000000004}, {"temp": "28.75"}, {"rh": 28.75}])
def test_other_content_is_another_identity(data):
    """However little it differs."""
    assert identity(data) != identity({"temp": 28.75})


def test_identity_knows_the_label_and_nothing_else_of_the_ident():
    """As the journal does: a corrected description is no other telegram, a corrected label is."""
    better = attrs.evolve(ALPHA, description="corrected", fields=("time", "temp"))
    other = attrs.evolve(ALPHA, label="betaTest")
    plain = identity({"temp": 1.0})
    assert (identity({"temp": 1.0}, better) == plain, identity({"temp": 1.0}, other) == plain) == (
        True,
        False,
    )
