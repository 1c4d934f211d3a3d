"""Options: a text becomes a typed value, or the message says what was expected."""

from __future__ import annotations

import re
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.options import Secret, expectation, option, structure


@attrs.frozen(kw_only=True)
class Every:
    """One option of each type."""

    switch: bool = option(False, "a switch")
    whole: int = option(1, "a whole number", low=0, high=10)
    number: float = option(1.0, "a number", low=0)
    text: str = option("", "a text")
    path: Path | None = option(None, "a path")
    secret: Secret = option(Secret(), "a secret")
    pattern: re.Pattern[str] = option(re.compile(".*"), "a pattern")
    names: tuple[str, ...] = option((), "a list")
    choice: Literal["red", "green"] = option("red", "a choice")
    even: int = option(0, "checked", check=lambda n: "an even number" if n % 2 else None)


FIELDS = attrs.fields_dict(attrs.resolve_types(Every))


def value(name, text):
    return structure(text, FIELDS[name])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("switch", "true", True),
        ("switch", " YES ", True),
        ("switch", "1", True),
        ("switch", "off", False),
        ("whole", "7", 7),
        ("whole", "1_0", 10),
        ("number", "0.5", 0.5),
        ("number", "1e3", 1000.0),
        ("number", "500ms", 0.5),
        ("number", "90s", 90.0),
        ("number", "5m", 300.0),
        ("number", "2h", 7200.0),
        ("number", "7 d", 604_800.0),
        ("number", "1w", 604_800.0),
        ("text", "a = b ; c", "a = b ; c"),
        ("path", "/tmp/x", Path("/tmp/x")),
        ("path", "", None),
        ("path", "~/x", Path.home() / "x"),
        ("names", "a, b,,c ", ("a", "b", "c")),
        ("names", "a\nb", ("a", "b")),
        ("names", "", ()),
        ("choice", "green", "green"),
        ("secret", "hunter2", Secret("hunter2")),
    ],
)
def test_text_becomes_a_value(name, text, expected):
    """Each type reads what people write."""
    assert value(name, text) == expected


def test_pattern_ignores_case():
    """Projects and serials are matched whatever their case."""
    assert value("pattern", "bdp.*").fullmatch("BdP_1")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("switch", "maybe", "true or false"),
        ("switch", "", "true or false"),
        ("whole", "1.5", "a whole number from 0 to 10"),
        ("whole", "11", "a number from 0 to 10"),
        ("whole", "-1", "a number from 0 to 10"),
        ("whole", "", "a whole number from 0 to 10"),
        ("number", "nan", "a number from 0 up"),
        ("number", "inf", "a number from 0 up"),
        ("number", "1e400", "a number from 0 up"),
        ("number", "5 parsecs", "a number from 0 up"),
        ("number", "1,5", "a number from 0 up"),
        ("number", "-0.1", "a number from 0 up"),
        ("text", "one\ntwo", "a text"),
        ("text", "a\0b", "a text"),
        ("path", "a\nb = c", "a path"),
        ("path", "a\0b", "a path"),
        ("path", "~nobody-of-this-name/x", "a path"),
        ("pattern", "(", "a regular expression"),
        ("choice", "Red", "one of red, green"),
        ("even", "3", "an even number"),
    ],
)
def test_fault_says_what_was_expected(name, text, expected):
    """The message is about what would be good."""
    with pytest.raises(ValueError, match="^" + re.escape(expected) + "$"):
        value(name, text)


@given(st.sampled_from(sorted(FIELDS)), st.text())
def test_any_text_is_a_value_or_a_fault(name, text):
    """No text makes an option raise anything but ValueError."""
    with suppress(ValueError):
        value(name, text)


@pytest.mark.parametrize("name", FIELDS)
def test_every_type_has_words(name):
    """What is expected is said in words, never as a Python type."""
    assert re.fullmatch(r"[a-z0-9 ,]+", expectation(FIELDS[name]))


@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__, ascii])
def test_secret_is_not_shown(show):
    """No way of making a text of it shows a secret, nor does a class that holds one."""
    assert "hunter2" not in show(Secret("hunter2")) + show(Every(secret=Secret("hunter2")))


def test_secret_is_not_in_a_traceback():
    """A fault with a secret about does not print it."""
    try:
        Every(secret=Secret("hunter2"), whole=99)
    except ValueError as wrong:
        told = "".join(
            traceback.TracebackException.from_exception(wrong, capture_locals=True).format()
        )
    assert "hunter2" not in told.replace('Secret("hunter2")', "")


def test_secret_is_revealed_on_purpose():
    """Whoever needs the secret asks for it by name."""
    assert (Secret("hunter2").reveal(), bool(Secret()), bool(Secret("x"))) == (
        "hunter2",
        False,
        True,
    )
