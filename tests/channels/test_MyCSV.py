"""Tables per kit and day."""

from __future__ import annotations

import csv
import logging

import pytest

from channels.MyCSV import CsvPublisher, CsvSettings
from mysense.plugin import Misconfigured
from tests.channels.made import T0, fleet, ident, series, telegram

DAY = "2017-05-14"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tables"


def publish(folder, *batches):
    with CsvPublisher(CsvSettings(folder=folder)) as publisher:
        publisher.open(None)
        for batch in batches:
            publisher.publish(batch)


def lines(folder, name=f"BdP_one_{DAY}.csv"):
    return (folder / name).read_text(encoding="utf-8").splitlines()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_table(folder):
    """Header with units, times in UTC, empty cells for what is missing, no needless .0."""
    batch = [telegram(temp=28.75, rh=None), telegram(T0 + 60, temp=-3.0), telegram(T0 + 9, rh=0.0)]
    publish(folder, batch)
    assert lines(folder) == [
        "time(UTC);label;temp(C);rh(%)",
        "2017-05-14 16:02:52;lab;28.75;",
        "2017-05-14 16:03:52;lab;-3;",
        "2017-05-14 16:03:01;lab;;0",
    ]


def test_file_per_kit_and_day(folder):
    """Each kit has a table and a text for each day in UTC."""
    midnight = 1494806400
    publish(folder, [telegram(midnight - 1), telegram(midnight), telegram(T0, ident("two"))])
    assert names(folder) == [
        f"BdP_{kit}.{suffix}"
        for kit in ("one_2017-05-14", "one_2017-05-15", "two_2017-05-14")
        for suffix in ("csv", "txt")
    ]


def test_changed_fields_begin_another_table(folder):
    """Other units or fields go to _2 and _3, and the old ones back to the first."""
    other = ident(units=["s", "K", "%"])
    more = ident(fields=["time", "temp", "rh", "hpa"], units=["s", "C", "%", "hPa"])
    telegrams = [telegram(T0 + at, who) for at, who in enumerate([None, other, more, None, other])]
    publish(folder, telegrams[:2], telegrams[2:])
    counts = [len(lines(folder, f"BdP_one_{DAY}{part}.csv")) for part in ("", "_2", "_3")]
    assert counts == [3, 3, 2]


def test_fewer_fields_stay_in_the_table(folder):
    """An ident that lists less fits into the table that has more."""
    fewer = ident(fields=["time", "rh"], units=["s", "%"])
    publish(folder, [telegram(), telegram(T0 + 1, fewer, rh=1.0)])
    assert names(folder) == [f"BdP_one_{DAY}.csv", f"BdP_one_{DAY}.txt"]


def test_restart_writes_no_second_header(folder):
    """The same telegrams after a restart change nothing, new ones follow."""
    publish(folder, series(5))
    publish(folder, series(7))
    assert (len(lines(folder)), len(set(lines(folder)))) == (8, 8)


def test_many_days(folder):
    """More days of kits than are remembered at once, repeated, are written once."""
    days = [telegram(T0 + at * 86_400) for at in range(100)]
    publish(folder, days, days)
    assert {len(path.read_text().splitlines()) for path in folder.glob("*.csv")} == {2}


def test_written_by_two_processes(folder):
    """Two publishers on one folder see each other's rows."""
    first, second = (CsvPublisher(CsvSettings(folder=folder)) for _ in range(2))
    for at, publisher in enumerate([first, second, first, second]):
        publisher.open(None)
        publisher.publish(series(3 + at))
    assert len(lines(folder)) == 7


def test_torn_line_is_cut_and_said(folder, caplog):
    """A line without its end is removed, shown in the log, and written whole."""
    publish(folder, series(3))
    path = folder / f"BdP_one_{DAY}.csv"
    path.write_text(path.read_text()[:-4])
    with caplog.at_level(logging.WARNING):
        publish(folder, series(3))
    assert (len(lines(folder)), "unfinished last line cut off" in caplog.text) == (4, True)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_formulas_are_disarmed(folder, text):
    """Texts, labels and names of fields that a spreadsheet would compute get an apostrophe."""
    publish(folder, [telegram(T0, ident(label=text), **{text: text})])
    header, row = csv.reader(lines(folder), delimiter=";")
    assert (header[4], row[1], row[4]) == (f"'{text}",) * 3


def test_delimiters_and_quotes_survive(folder):
    """A text with ; and quotes is one cell."""
    publish(folder, [telegram(note='a;"b"')])
    assert list(csv.reader(lines(folder), delimiter=";"))[1][4] == 'a;"b"'


def test_columns_of_one_name_are_kept_apart(folder):
    """A field called label does not take the place of the label."""
    publish(folder, [telegram(label="mine")])
    assert lines(folder)[0] == "time(UTC);label;temp(C);rh(%);label 2"


def test_ident_text(folder):
    """Who measured stands beside the table, readable, with the moment from which it holds."""
    publish(folder, [telegram(T0, ident(geolocation="51.4,6.1,22.9", village="Grub"))])
    assert (folder / f"BdP_one_{DAY}.txt").read_text() == (
        "from: 2017-05-14 16:02:52 UTC\nproject: BdP\nserial: one\nlabel: lab\n"
        "geolocation: 51.4,6.1,22.9\nvillage: Grub\n"
        "fields: time, temp, rh\nunits: s, C, %\n\n"
    )


def test_ident_text_grows_with_changes_only(folder):
    """A changed ident adds a block; repeated and late telegrams add none."""
    changed = [
        telegram(T0 + at, ident(village=v)) for at, v in enumerate(["A", "A", "B", "B", "A"])
    ]
    publish(folder, changed, changed[:1], changed[1:3])
    publish(folder, changed[1:])
    text = lines(folder, f"BdP_one_{DAY}.txt")
    assert [line for line in text if "village" in line] == [
        "village: A",
        "village: B",
        "village: A",
    ]


def test_notes_in_the_ident_text_stay(folder):
    """What somebody wrote below the ident is kept."""
    publish(folder, series(2))
    path = folder / f"BdP_one_{DAY}.txt"
    with path.open("a") as stream:
        stream.write("moved to the garden")
    publish(folder, [telegram(T0 + 999, ident(village="B"))])
    assert "moved to the garden\n\nfrom: " in path.read_text()


def test_file_in_place_of_the_folder(tmp_path):
    """A file where the folder should be is named."""
    (tmp_path / "csv").touch()
    with pytest.raises(Misconfigured, match="a file stands where a folder is needed"):
        CsvPublisher(CsvSettings(folder=tmp_path / "csv")).open(None)


def test_fleet(folder):
    """Kits that alternate in a batch each get their own rows."""
    publish(folder, fleet(3, 20))
    assert [len(lines(folder, f"BdP_k{kit}_{DAY}.csv")) for kit in range(3)] == [21, 21, 21]


def test_check_says_what_to_fix(tmp_path):
    """A place that cannot be a folder fails the check."""
    (tmp_path / "csv").touch()
    findings = CsvPublisher(CsvSettings(folder=tmp_path / "csv")).check()
    assert [finding.good for finding in findings] == [False]


def test_ident_of_a_late_telegram_does_not_hold_on(folder):
    """A late telegram of another ident adds its block, and the newest ident stays in force."""
    publish(folder, [telegram(T0 + at, ident(village=v)) for at, v in ((0, "A"), (20, "C"))])
    publish(folder, [telegram(T0 + at, ident(village=v)) for at, v in ((10, "B"), (30, "C"))])
    text = lines(folder, f"BdP_one_{DAY}.txt")
    assert [line[-1] for line in text if "village" in line] == ["A", "C", "B"]
