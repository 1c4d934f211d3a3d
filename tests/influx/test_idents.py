"""Rows of info, and which ident a row of data gets."""

from __future__ import annotations

import pytest

from mysense.errors import TelegramError
from mysense.influx.idents import Idents, InfoReader, clean_tag, clean_text, split_name

NAMES = ("description", "extern_ip", "fields", "geolocation", "label", "project", "serial")


def row(time=0, label=None, **values):
    return [time, label, *(values.get(name) for name in NAMES)]


def read(database="A_1", **values):
    return InfoReader(database).read(row(**values), NAMES)


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ('"52.42,5.13,22.9"', "52.42,5.13,22.9"),
        ('"a"b"', 'a"b'),
        ('"', '"'),
        ("a\\,b", "a,b"),
        ("plain", "plain"),
        (None, None),
    ],
)
def test_tags_lose_the_quotes_of_the_classic_dialect(stored, meant):
    """One pair of outer quotes and the backslash of a comma are not part of the value."""
    assert clean_tag(stored) == meant


def test_texts_keep_their_quotes():
    """In fields the quotes are not stored, so one that is there is meant."""
    assert clean_text('"a\\,b"') == '"a,b"'


@pytest.mark.parametrize("name", ["A", "_internal", "A_", "a b_c", "A_/etc"])
def test_only_names_of_kits_are_split(name):
    """A database that cannot be a kit's is not taken for one."""
    with pytest.raises(TelegramError):
        split_name(name)


def test_lists_are_split_in_both_dialects():
    """The classic backslash makes no difference to a list."""
    assert read(fields="time\\,pm_10").ident.fields == read(fields="time,pm_10").ident.fields


def test_project_and_serial_of_an_info_win_where_they_join_to_the_name():
    """Only the info knows at which `_` a name has to be split."""
    ident = read("my_lab_1", project="my_lab", serial="1").ident
    assert (ident.project, ident.serial) == ("my_lab", "1")


@pytest.mark.parametrize("values", [{}, {"project": "other"}, {"project": "A", "serial": "x/y"}])
def test_the_name_decides_where_an_info_does_not_fit(values):
    """Data are never given to another kit than the database's."""
    assert read(**values).ident.kit == "A_1"


def test_numbers_become_texts():
    """People insert numbers where texts are meant."""
    assert read(description=32, geolocation=True).ident.description == "32"


def test_the_tag_label_wins_over_the_field():
    """The tag is what data are joined by."""
    assert read(label='"a"').label == "a"


def test_an_unacceptable_part_is_left_out_and_told():
    """One bad text does not take the rest of the ident with it."""
    info = read(description="a\nb", geolocation="1,2,3")
    assert (info.ident.description, info.ident.geolocation) == (None, "1,2,3")
    assert "description" in info.fault


def idents(*rows):
    reader = InfoReader("A_1")
    made = Idents(reader.plain)
    made.add(reader.read(each, NAMES) for each in rows)
    return made


def at(made, second, label):
    walk = made.walk()
    walk.to(second)
    return walk.ident(label)


def test_the_newest_info_of_the_own_label_is_taken():
    """A newer one of another label does not count."""
    made = idents(row(1, "a", description="old"), row(2, "a", description="mine"), row(3, "b"))
    assert at(made, 9, "a").description == "mine"


def test_an_info_of_the_same_second_counts():
    """Info is sorted before data."""
    assert at(idents(row(5, "a", description="d")), 5, "a").description == "d"


def test_a_later_info_does_not_count():
    """What is measured before an info belongs to the one before it."""
    assert at(idents(row(6, "a", description="d")), 5, "a").description is None


def test_any_label_does_where_the_own_has_no_info():
    """The ident is that of another label, the label is the row's own."""
    ident = at(idents(row(1, "a", description="d")), 5, "b")
    assert (ident.label, ident.description) == ("b", "d")


def test_data_without_label_keep_the_label_of_the_ident():
    """A value inserted by hand without a label belongs to the station."""
    assert at(idents(row(1, "a")), 5, None).label == "a"


def test_without_any_info_the_name_makes_the_ident():
    """Such data are readable too."""
    assert at(idents(), 5, "x").kit == "A_1"


def test_forgetting_keeps_what_still_holds():
    """Of each label the newest info before the second stays."""
    made = idents(row(1, "a", description="old"), row(2, "a", description="new"), row(3, "b"))
    made.forget(10)
    assert [at(made, 9, label).description for label in ("a", "b")] == ["new", None]
