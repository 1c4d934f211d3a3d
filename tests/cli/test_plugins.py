"""`mysense plugins`: what is available, from where, and what is wrong with it."""

from __future__ import annotations

import pytest

from mysense.loader import Loader, home
from tests.dropins import PUBLISHER, SENSOR, SUBSCRIBER


@pytest.fixture
def folder(tmp_path):
    """A folder with a user's own plugins of all three kinds."""
    made = tmp_path / "plugins"
    made.mkdir()
    for name, text in {"MyFOO": PUBLISHER, "MySUB": SUBSCRIBER, "MySTILL": SENSOR}.items():
        (made / f"{name}.py").write_text(text)
    return made


def listed(done):
    return {line.split()[0]: line for line in done.stdout.splitlines()}


def test_all_of_the_project_are_listed(mysense):
    """Each plugin has a line with its kind and its file."""
    lines = listed(mysense("plugins"))
    assert set(lines) == set(Loader().found)
    assert lines["jsonl"].split()[1:3] == ["output", "-"]
    assert lines["jsonl"].endswith(f"[{home() / 'channels/MyJSONL.py'}]")


def test_what_is_on_is_marked(mysense):
    """The configuration that comes along has the console on."""
    assert listed(mysense("plugins"))["console"].split()[1:3] == ["output", "on"]


def test_own_plugins_are_listed(mysense, folder):
    """A user's own are listed with their kind, their summary and their file."""
    lines = listed(mysense("plugins", "-o", f"process.plugins={folder}"))
    assert [lines[name].split()[1] for name in ("foo", "sub", "still")] == [
        "output",
        "input",
        "sensor",
    ]
    assert "Prints how many telegrams came." in lines["foo"]


def test_broken_plugin_is_said_and_the_others_listed(mysense, folder):
    """A plugin that raises while it is imported costs exit 1, not the list."""
    (folder / "MyBAD.py").write_text("1 / 0")
    (folder / "MyNONE.py").write_text("")
    done = mysense("plugins", "-o", f"process.plugins={folder}", code=1)
    assert f"bad: {folder / 'MyBAD.py'}: ZeroDivisionError: division by zero" in done.stderr
    assert f"none: {folder / 'MyNONE.py'}: PLUGIN must be" in done.stderr
    assert "foo" in listed(done)


def test_two_of_one_name_are_an_error(mysense, folder):
    """Neither is chosen."""
    (folder / "MyCSV.py").write_text(PUBLISHER)
    told = mysense("plugins", "-o", f"process.plugins={folder}", code=78).stderr
    assert "two plugins are called 'csv'" in told
    assert str(folder / "MyCSV.py") in told


def test_folder_that_is_not_there_is_a_fault(mysense):
    """A misspelt folder is not an empty one."""
    told = mysense("plugins", "-o", "process.plugins=nope", code=78).stderr
    assert "command line: [process] plugins: expected folders with plugins" in told
