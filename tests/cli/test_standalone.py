"""One plugin on its own: as a module, as a file, under pdb, and installed as `mysense plugin`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mysense.loader import home
from tests.cli.conftest import environment, run
from tests.conftest import CHECKOUT, INSTALLED
from tests.dropins import PUBLISHER, SENSOR, SUBSCRIBER
from tests.telegrams import data, kits_and_seconds, telegram

PDB = ["-m", "pdb", "-c", "continue", "-c", "quit"]
FROM_CHECKOUT = {
    "module": ["-m", "channels.MyJSONL"],
    "file": [CHECKOUT / "channels/MyJSONL.py"],
    "module under pdb": ["-m", "pdb", "-c", "continue", "-c", "quit", "-m", "channels.MyJSONL"],
    "file under pdb": [
        "-m",
        "pdb",
        "-c",
        "continue",
        "-c",
        "quit",
        CHECKOUT / "channels/MyJSONL.py",
    ],
}
INSTALLED_TOO = {"plugin": ["-m", "mysense", "plugin", "jsonl"]}
WAYS = INSTALLED_TOO if INSTALLED else FROM_CHECKOUT | INSTALLED_TOO
EXAMPLE = home() / "testdata/example.jsonl"


@pytest.fixture(params=WAYS)
def jsonl(request, tmp_path):
    """Runs MyJSONL on its own, one way or another, writing to stdout."""
    words = [*WAYS[request.param], "-o", "jsonl.file=-"]

    def start(*more, code=0):
        return run([*words, *more], tmp_path, code=0 if "pdb" in request.param else code)

    return start


@pytest.fixture
def mine(mysense, tmp_path):
    """Runs a user's own plugin: `mine("foo", ...)`."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in {"MyFOO": PUBLISHER, "MySUB": SUBSCRIBER, "MySTILL": SENSOR}.items():
        (folder / f"{name}.py").write_text(text)
    where = ("-o", f"process.plugins={folder}")
    return lambda name, *words, **more: mysense("plugin", name, *where, *words, **more)


def telegrams(done):
    """The lines on stdout that are telegrams; pdb adds some of its own."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_output_replays_the_testdata(jsonl):
    """Without a file the three telegrams of the documentation are sent."""
    assert len(telegrams(jsonl())) == 3


def test_output_replays_a_file(jsonl, write):
    """With a file it is that one."""
    done = jsonl(write("in.jsonl", telegram(0), data(5)))
    assert [one["data"]["time"] - 1_494_777_772 for one in telegrams(done)] == [0, 5]


def test_count_ends_it(jsonl):
    """-n COUNT sends that many telegrams."""
    assert len(telegrams(jsonl("-n", "2"))) == 2


def test_fault_is_said(jsonl):
    """What is wrong with the settings is told, not traced."""
    assert "[jsonl] nope: expected a known option" in jsonl("-o", "jsonl.nope=1", code=78).stderr


def test_an_option_of_another_section_is_refused(mysense):
    """A slip of the pen would go unnoticed, and telegrams to another server."""
    said = mysense("plugin", "jsonl", "-o", "jsnol.file=x", code=78).stderr
    assert "[jsnol] file: expected an option of [jsonl], which runs alone, found 'jsnol'" in said


def test_there_are_no_other_outputs(mysense):
    """It is the one, and `--to` would be passed over."""
    said = mysense("plugin", "jsonl", EXAMPLE, "--to", "csv", code=64).stderr
    assert "unrecognized arguments: --to" in said


def test_bad_line_is_said(jsonl, write):
    """A line that is refused makes it fail as replay does."""
    assert "in.jsonl:1: not JSON" in jsonl(write("in.jsonl", "nonsense"), code=1).stderr


@pytest.mark.skipif(INSTALLED, reason="plugins run as files from a checkout alone")
@pytest.mark.parametrize(("words", "code"), [(["-o", "nonsense"], 64), (["-o", "jsonl.a=1"], 78)])
def test_exit_codes_are_those_of_the_command(tmp_path, words, code):
    """64 for usage, 78 for configuration, also without the command around it."""
    assert run(["-m", "channels.MyJSONL", *words], tmp_path, code=code).stdout == ""


@pytest.mark.skipif(INSTALLED, reason="plugins run as files from a checkout alone")
def test_file_runs_from_any_folder_without_a_path(tmp_path):
    """`python /where/it/is/channels/MyJSONL.py` needs no PYTHONPATH."""
    env = environment(tmp_path)
    del env["PYTHONPATH"]
    words = [sys.executable, str(CHECKOUT / "channels/MyJSONL.py"), "-o", "jsonl.file=-"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3


def test_configuration_is_read(mysense, tmp_path):
    """-c FILE gives the section; others may be wrong."""
    (tmp_path / "my.conf").write_text("[jsonl]\nfile = here.jsonl\n[csv]\nfoldr = wrong\n")
    mysense("plugin", "jsonl", "-c", "my.conf")
    assert len((tmp_path / "here.jsonl").read_text().splitlines()) == 3


def test_second_instance(mysense, tmp_path):
    """`mysense plugin jsonl:backup` uses that section."""
    (tmp_path / "my.conf").write_text("[jsonl:backup]\nfile = backup.jsonl\n")
    mysense("plugin", "jsonl:backup", "-c", "my.conf")
    assert (tmp_path / "backup.jsonl").exists()


def test_dry_run(mysense, tmp_path):
    """An output on its own takes what replay takes."""
    done = mysense("plugin", "csv", EXAMPLE, "--dry-run")
    assert done.stdout.startswith("time(UTC);")
    assert list(tmp_path.iterdir()) == []


def test_own_output(mine):
    """A user's own output runs alone from its folder."""
    assert mine("foo", "-o", "foo.word=had").stdout == "had 3\n"


def test_own_input_prints_telegrams(mine):
    """A SUB channel prints JSON Lines until COUNT."""
    done = mine("sub", "-n", "2")
    assert [one["data"]["time"] for one in telegrams(done)] == [1, 2]


def test_own_sensor_prints_readings(mine):
    """A sensor that is not there at first and fails once prints one object a reading."""
    done = mine("still", "-n", "1")
    (reading,) = telegrams(done)
    assert (reading["temp"], set(reading)) == (21.5, {"time", "temp"})
    assert "not plugged in yet" in done.stderr
    assert "no answer this time" in done.stderr


def test_own_plugin_that_is_broken_is_said(mine, tmp_path):
    """A plugin that raises while it is imported is named with its file."""
    path = tmp_path / "plugins/MyBAD.py"
    path.write_text("1 / 0")
    assert f"{path}: ZeroDivisionError" in mine("bad", code=78).stderr


def test_input_reads_a_store(mysense, write):
    """What one plugin stored the other prints."""
    mysense("plugin", "sqlitepub", write("in.jsonl", telegram(0), data(1)))
    done = mysense("plugin", "sqlitesub", "-n", "2")
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 1)]


@pytest.mark.parametrize("name", ["jsonl", "sqlitesub", "JSONL"])
def test_help_is_the_plugins_own(mysense, name):
    """`mysense plugin NAME --help` shows its arguments."""
    assert f"usage: mysense plugin {name.lower()}" in mysense("plugin", name, "--help").stdout
