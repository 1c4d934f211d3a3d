"""`mysense demo`: a kit and a server in one go, with a ledger at the end."""

from __future__ import annotations

import pytest

from tests.conftest import CHECKOUT
from tests.telegrams import data, telegram


def ledger(done) -> dict[str, int]:
    """The last lines: how many telegrams were made, and what became of them."""
    lines = done.stdout.rpartition("\n\n")[2].splitlines()
    return {name: int(count) for name, count in (line.split(":") for line in lines)}


def test_demo_loses_nothing(mysense):
    """What three simulated sensors measure goes all the way."""
    done = mysense("demo", "-n", "4")
    rows = ledger(done)
    assert rows["made"] == rows["stored"] == rows["received"] == 4
    assert (rows["waiting"], rows["dead"], rows["lost"]) == (0, 0, 0)
    assert all(field in done.stdout for field in ("temp ", "hpa ", "drh ", "pm_25 "))


def test_demo_does_not_alarm_who_sees_it_first(mysense):
    """The server begins when there is something to read."""
    assert "there is no store yet" not in mysense("demo", "-n", "1").stderr


def test_demo_of_a_whole_day(mysense):
    """A file of the project's testdata goes all the way as well."""
    rows = ledger(mysense("demo", "--file", CHECKOUT / "testdata" / "day.jsonl"))
    assert rows["made"] == rows["stored"] == rows["received"] > 1000
    assert (rows["waiting"], rows["dead"], rows["lost"]) == (0, 0, 0)


def test_demo_leaves_nothing_behind(mysense, tmp_path):
    """Without --folder it tidies up."""
    mysense("demo", "-n", "1", env={"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_demo_of_ones_own_file_is_kept_in_a_folder(mysense, write, tmp_path):
    """With --folder all its files can be looked at, and a second demo adds nothing."""
    path = write("in.jsonl", telegram(0), data(1), telegram(2, serial="k2"))
    for _ in range(2):
        rows = ledger(mysense("demo", "--file", path, "--folder", "kept"))
        assert (rows["made"], rows["received"], rows["lost"]) == (3, 3, 0)
    assert len((tmp_path / "kept/received.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--file", "nope.jsonl"], 1, "nope.jsonl: No such file"),
        (["--file", "."], 1, ".: Is a directory"),
        (["--file", "/dev/null"], 1, "/dev/null: no telegrams in it"),
        (["--folder", "/dev/null"], 1, "/dev/null: "),
        (["--influx", "localhost"], 64, "expected HOST:PORT, found 'localhost'"),
        (["--influx", ":8086"], 64, "expected HOST:PORT, found ':8086'"),
        (["--influx", "localhost:99999"], 64, "expected HOST:PORT, found 'localhost:99999'"),
        (["--timeout", "0"], 64, "expected seconds above 0, found '0'"),
    ],
)
def test_impossible_demo_is_said(mysense, words, code, why):
    """What is wrong is told, never a traceback."""
    assert why in mysense("demo", *words, code=code).stderr


def test_bad_lines_of_the_file_make_it_fail(mysense, write):
    """A line that is refused is named, and the demo was not all good."""
    done = mysense("demo", "--file", write("in.jsonl", telegram(0), "nonsense"), code=1)
    assert "in.jsonl:2: not JSON" in done.stderr
    assert ledger(done)["received"] == 1
