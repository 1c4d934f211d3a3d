"""What is remembered of databases: columns by database, idents by kit."""

from __future__ import annotations

from mysense.influx.layouts import Place
from mysense.influx.lines import Book
from mysense.influx.shelf import Shelf
from mysense.influx.types import Columns
from tests.influx.publishing import kit

HERE, THERE = Place("x", "o"), Place("x", "other")


def book(ident, **types):
    return Book(ident, 7, Columns({name: (kind,) for name, kind in types.items()}))


def shelf():
    made = Shelf()
    made.keep(HERE, "p_a", book(kit("p", "a"), v="float"))
    made.keep(HERE, "p_b", book(kit("p", "b"), v="float", t="string"))
    return made


def test_columns_are_everybodys():
    """What one kit was taught, the others know."""
    assert shelf().book(HERE, "p_a").data.of("t") == ("string",)


def test_idents_are_a_kits_own():
    """So each writes its own info, on its own days."""
    assert [shelf().book(HERE, name).ident for name in ("p_a", "p_b", "p_c")] == [
        kit("p", "a"),
        kit("p", "b"),
        None,
    ]


def test_each_organisation_has_its_own():
    """A bucket of the same name is another one."""
    made = shelf()
    assert (THERE in made, made.book(THERE, "p_a").ident) == (False, None)


def test_what_is_forgotten_is_gone_for_all():
    """A database that was dropped has nobody's info."""
    made = shelf()
    made.forget(HERE)
    assert (HERE in made, made.book(HERE, "p_b").ident) == (False, None)
