"""Options: the typed fields of a settings class, and how a text becomes such a value."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin

import attrs

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_DURATIONS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


Interval = NewType("Interval", float)
"""Seconds; 0 stands for the word `reading`."""


class Secret:
    """A password or token: never shown by str, repr or a traceback; `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; hand it to the library that needs it, keep it nowhere."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"


def option(  # noqa: PLR0913  # each is a fact about the option, all are keywords
    default: T,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    check: Callable[[T], str | None] | None = None,
    unit: str = "",
    by_file: bool = False,
) -> T:
    """One option of a settings class.

    Args:
        default: its value when nobody says otherwise.
        text: what it does, for `--help`, errors and the generated table.
        low: smallest number accepted.
        high: largest number accepted.
        check: returns what was expected instead when a value is not acceptable.
        unit: of a number, where the name does not say it.
        by_file: the environment may name a file that holds it, as it may for every secret.
    """

    def validate(_instance: object, _attribute: object, value: T) -> None:
        number = value if isinstance(value, int | float) else None
        if number is not None and (
            (low is not None and number < low) or (high is not None and number > high)
        ):
            raise ValueError(f"a number {_range(low, high)}")
        if check is not None and (expected := check(value)):
            raise ValueError(expected)

    metadata = {"help": text, "low": low, "high": high, "unit": unit}
    metadata["by_file"] = by_file
    made: T = attrs.field(default=default, metadata=metadata, validator=validate)
    return made


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"from {low} up"
    return f"up to {high}" if low is None else f"from {low} to {high}"


def expectation(field: attrs.Attribute[Any]) -> str:
    """What a value of this option looks like, in words."""
    of: Any = field.type
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    words |= {Interval: "a number of seconds, or reading"}
    words |= {Path: "a path", Secret: "a secret", re.Pattern: "a regular expression"}
    base = _without_none(of) if _is_optional(of) else of
    if get_origin(base) is Literal:
        return "one of " + ", ".join(map(str, get_args(base)))
    if get_origin(of) is tuple:
        return "a list, separated by commas"
    base = get_origin(base) or base
    text = words.get(base, str(getattr(base, "__name__", base)))
    if base in (int, float) and field.metadata.get("low") is not None:
        text += " " + _range(field.metadata["low"], field.metadata["high"])
    return text


def structure(text: str, field: attrs.Attribute[Any]) -> Any:
    """The value of `field` that `text` stands for.

    Raises:
        ValueError: its text says what was expected.
    """
    converter = _converter()
    try:
        value = converter.structure(text, field.type)
    except Exception as wrong:  # cattrs wraps whatever a hook raises, in several classes
        raise ValueError(expectation(field)) from wrong
    if field.validator is not None:
        field.validator(None, field, value)
    return value


def _bool(text: str, _type: object) -> bool:
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(text)
    return lowered in _TRUE


def _int(text: str, _type: object) -> int:
    return int(text.replace("_", ""))


def _float(text: str, _type: object) -> float:
    """A finite number; seconds may be written with a unit: 500ms, 90s, 5m, 2h, 7d, 1w."""
    match = re.fullmatch(r"\s*([-+0-9.eE_]+)\s*(ms|[smhdw])?\s*", text)
    if match is None:
        raise ValueError(text)
    number = float(match[1]) * _DURATIONS.get(match[2], 1)
    if number - number != 0:
        raise ValueError(text)
    return number


def _text(text: str, _type: object) -> str:
    """One line: what stands indented below an option was most likely meant as another option."""
    if any(char < " " for char in text):
        raise ValueError(text)
    return text


def _interval(text: str, of: object) -> float:
    return 0.0 if text.strip().lower() == "reading" else _float(text, of)


def _path(text: str, _type: object) -> Path:
    return Path(_text(text, str)).expanduser()


def _pattern(text: str, _type: object) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


def _list(text: str, _type: object) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip())


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda of: of is wanted or get_origin(of) is wanted


def _is_optional(of: Any) -> bool:
    return get_origin(of) in (Union, types.UnionType) and type(None) in get_args(of)


def _without_none(of: Any) -> Any:
    return next(arg for arg in get_args(of) if arg is not type(None))


@lru_cache(maxsize=1)
def _converter() -> Any:
    import cattrs  # only those who read settings pay for it

    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(bool, _bool)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(Secret, lambda text, _: Secret(text))
    converter.register_structure_hook_func(_is(Interval), _interval)
    converter.register_structure_hook_func(_is(re.Pattern), _pattern)
    converter.register_structure_hook_func(_is(tuple), _list)

    def optional(text: str, of: Any) -> Any:
        return None if text.strip() == "" else converter.structure(text, _without_none(of))

    converter.register_structure_hook_func(_is_optional, optional)
    return converter
