"""Loader: plugins by name, from the project, from folders and from packages, never two of one."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from mysense.errors import PluginError
from mysense.loader import Loader, home
from tests.dropins import PUBLISHER, SENSOR, SUBSCRIBER


@pytest.fixture
def folder(tmp_path):
    """Writes plugin files: `folder(MyFOO="...")` gives the folder that holds them."""

    def write(name="mine", **files):
        made = tmp_path / name
        made.mkdir(exist_ok=True)
        for stem, text in files.items():
            (made / f"{stem}.py").write_text(textwrap.dedent(text))
        return made

    return write


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package, as far as entry points can tell, that brings plugins."""

    def install(module, points, group="mysense.channels", name="sense_more"):
        (tmp_path / f"{name}.py").write_text(module)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def refusal(loader, name):
    with pytest.raises(PluginError) as wrong:
        loader.load(name)
    return str(wrong.value)


@pytest.mark.parametrize("name", ["jsonl", "JSONL", "jsonl:backup", "Jsonl:b.2"])
def test_section_names_a_plugin(name):
    """The section, in any case and with any suffix, finds MyJSONL."""
    assert Loader().load(name).__name__ == "JsonlPublisher"


def test_unknown_plugin_is_refused_with_a_guess():
    """A misspelt name gets the one that was meant."""
    assert "no plugin is called 'jsnl' (did you mean jsonl?)" in refusal(Loader(), "jsnl")


def test_nothing_is_imported_before_it_is_asked_for():
    """Listing names costs no import of any plugin."""
    code = (
        "import sys; from mysense.loader import Loader; Loader().found;"
        "sys.exit(any(m.startswith(('channels.', 'sensors.', 'influxdb')) for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home(), check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "base"),
    [(PUBLISHER, "Publisher"), (SUBSCRIBER, "Subscriber"), (SENSOR, "Sensor")],
)
def test_own_folder_is_searched(folder, text, base):
    """A user's MyFOO.py is the plugin foo, of each of the three kinds."""
    plugin = Loader([folder(MyFOO=text)]).load("foo")
    assert [kind.__name__ for kind in plugin.__mro__][1] == base


def test_own_settings_may_use_any_annotation(folder):
    """Annotations that are texts (from __future__ import annotations) are found."""
    text = """
        from __future__ import annotations
        from pathlib import Path
        import attrs
        from mysense.options import option
        from mysense.plugin import OutputSettings, Publisher

        @attrs.frozen(kw_only=True)
        class FooSettings(OutputSettings):
            place: Path = option(Path("x"), "where")

        class Foo(Publisher[FooSettings]):
            Settings = FooSettings

        PLUGIN = Foo
    """
    assert Loader([folder(MyFOO=text)]).load("foo").Settings().place.name == "x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def", "SyntaxError: "),
        ("\0", "source code string cannot contain null bytes"),
        ("", "PLUGIN must be a Sensor, Publisher or Subscriber class"),
        ("PLUGIN = 7", "PLUGIN must be a Sensor, Publisher or Subscriber class"),
        ("PLUGIN = dict", "PLUGIN must be a Sensor, Publisher or Subscriber class"),
        (
            "from mysense.plugin import Publisher\nclass PLUGIN(Publisher): pass",
            "PLUGIN.Settings must be a subclass of OutputSettings",
        ),
        (
            (
                "from mysense.plugin import Publisher, SensorSettings\n"
                "class PLUGIN(Publisher): Settings = SensorSettings"
            ),
            "PLUGIN.Settings must be a subclass of OutputSettings",
        ),
        (
            (
                "import attrs\nfrom mysense.plugin import Publisher, OutputSettings\n"
                "@attrs.frozen\nclass Odd(OutputSettings):\n    x: 'NoSuchType' = 1\n"
                "class PLUGIN(Publisher): Settings = Odd"
            ),
            "Odd: name 'NoSuchType' is not defined",
        ),
    ],
)
def test_broken_plugin_is_refused_with_its_file(folder, text, why):
    """Whatever is wrong with a file, the message says which file and what."""
    place = folder(MyFOO=text)
    found = refusal(Loader([place]), "foo")
    assert found.startswith(f"{place / 'MyFOO.py'}: ")
    assert why in found


def test_broken_plugin_harms_no_other(folder):
    """The plugins beside a broken one load."""
    loader = Loader([folder(MyBAD="1 / 0", MyFOO=PUBLISHER)])
    assert (loader.load("foo").__name__, "bad" in loader.found) == ("Foo", True)


@pytest.mark.parametrize("stem", ["MyJSONL", "MyJsonl"])
def test_plugin_named_like_one_of_the_project_is_an_error(folder, stem):
    """Neither the first nor the last wins."""
    place = folder(**{stem: PUBLISHER})
    loader = Loader([place])
    assert "two plugins are called 'jsonl'" in refusal(loader, "jsonl")
    assert str(place / f"{stem}.py") in loader.problems[0]


def test_two_own_plugins_of_one_name_are_an_error(folder):
    """Two folders may not both have a MyFOO."""
    loader = Loader([folder("one", MyFOO=PUBLISHER), folder("two", MyFOO=PUBLISHER)])
    assert len(loader.problems) == 1


def test_folder_that_is_not_there_is_a_problem(tmp_path):
    """A misspelt folder is said, not skipped."""
    assert Loader([tmp_path / "nope"]).problems == [f"{tmp_path / 'nope'} is not a folder"]


def test_other_files_in_the_folder_are_left_alone(folder):
    """Helpers, notes and backups are no plugins."""
    place = folder(helper="1 / 0", my_foo="1 / 0", MyFOO=PUBLISHER)
    (place / "MyFOO.py~").write_text("1 / 0")
    assert set(Loader([place]).found) - set(Loader().found) == {"foo"}


@pytest.mark.parametrize("target", ["sense_more", "sense_more:PLUGIN"])
def test_installed_package_brings_plugins(package, monkeypatch, target):
    """An entry point names a module with PLUGIN, or the class itself."""
    package(PUBLISHER, f"more = {target}")
    found = Loader().found["more"]
    monkeypatch.delitem(sys.modules, "sense_more", raising=False)
    assert (Loader().load("more").__name__, found.origin) == ("Foo", "package sense_more")


def test_installed_package_that_is_broken_is_named(package):
    """The message says which package it was."""
    package("", "more = no_such_module_of_it")
    assert refusal(Loader(), "more").startswith("package sense_more: ModuleNotFoundError")


def test_installed_package_may_not_take_a_name(package):
    """A package with a plugin named like one of the project is an error."""
    package(PUBLISHER, "jsonl = sense_more")
    assert "package sense_more" in refusal(Loader(), "jsonl")
