"""The telegram files that come with the project."""

from __future__ import annotations

import importlib.util
import itertools
from functools import cache

import pytest

from mysense.jsonlines import BadLine, Reader
from mysense.loader import home
from mysense.telegram import Telegram

TESTDATA = home() / "testdata"
FILES = ("example.jsonl", "day.jsonl", "fleet.jsonl")


@cache
def made():
    spec = importlib.util.spec_from_file_location("testdata_make", TESTDATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render()


@cache
def read(name):
    with (TESTDATA / name).open("rb") as stream:
        return list(Reader(stream, name))


def telegrams(name):
    return [found for found in read(name) if isinstance(found, Telegram)]


def test_every_file_is_made_by_the_script():
    """No telegram file lies in the folder that the script does not make."""
    assert sorted(path.name for path in TESTDATA.glob("*.jsonl")) == sorted(made())


@pytest.mark.parametrize("name", FILES)
def test_file_is_what_the_script_makes(name):
    """The committed bytes are those of testdata/make.py."""
    assert (TESTDATA / name).read_bytes().decode() == made()[name]


@pytest.mark.parametrize("name", FILES)
def test_file_has_no_bad_line(name):
    """Every line is accepted."""
    assert [str(found) for found in read(name) if isinstance(found, BadLine)] == []


@pytest.mark.parametrize("name", FILES)
def test_no_identity_comes_twice(name):
    """Kit, label and second name one telegram each, so that all can be counted at the far end."""
    found = telegrams(name)
    assert len({(one.kit, one.ident.label, one.time) for one in found}) == len(found)


def test_together_the_files_are_small():
    """They travel in the wheel: below 600 kB together."""
    assert sum((TESTDATA / name).stat().st_size for name in FILES) < 600_000


def test_day_has_a_gap():
    """A power cut of seventeen minutes is in the day."""
    times = [one.time for one in telegrams("day.jsonl")]
    assert max(b - a for a, b in itertools.pairwise(times)) == 18 * 60


def test_day_has_zeros_nothings_and_texts():
    """All kinds of values occur."""
    values = [v for one in telegrams("day.jsonl") for k, v in one.data.items() if k != "time"]
    assert {"zero": 0.0 in values, "none": None in values, "text": "" in values} == {
        "zero": True,
        "none": True,
        "text": True,
    }


def test_day_changes_its_ident():
    """The kit moves once, and one telegram brings a geolocation of its own."""
    found = telegrams("day.jsonl")
    own = [one.data["geolocation"] for one in found if "geolocation" in one.data]
    assert (len({one.ident for one in found}), own) == (2, ["51.5257,5.9743,25"])


def test_fleet_has_ten_kits():
    """Ten kits of two projects over one hour."""
    found = telegrams("fleet.jsonl")
    span = max(one.time for one in found) - min(one.time for one in found)
    assert (len({one.kit for one in found}), span < 3600) == (10, True)
