"""Application: from a configuration to plugins ready to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mysense.application import Application, core_settings, default_path
from mysense.errors import PluginError
from mysense.loader import home
from mysense.options import Secret
from mysense.plugin import Publisher
from mysense.settings import SettingsError, Source
from tests.dropins import PUBLISHER, SENSOR, SUBSCRIBER


@pytest.fixture
def plugins(tmp_path):
    """A folder with a user's own plugins: foo (output), sub (input), still (sensor)."""
    made = tmp_path / "plugins"
    made.mkdir()
    for name, text in {"MyFOO": PUBLISHER, "MySUB": SUBSCRIBER, "MySTILL": SENSOR}.items():
        (made / f"{name}.py").write_text(text)
    return made


@pytest.fixture
def load(tmp_path, plugins):
    """Loads a configuration that knows the user's own plugins."""

    def load(text="", *overrides, **environ):
        path = tmp_path / "my.conf"
        path.write_text(f"[process]\nplugins = {plugins}\n{text}")
        return Application.load(path, overrides, environ)

    return load


def faults(call, *args, **options):
    with pytest.raises(SettingsError) as wrong:
        call(*args, **options)
    return str(wrong.value).splitlines()


def outputs(application):
    return [one.section for one in application.outputs()]


def test_section_that_is_on_is_an_output(load):
    """`output = true` switches a plugin on; a section without it is not started."""
    assert outputs(load("[jsonl]\noutput = true\n[csv]\n[foo]\noutput = no\n")) == ["jsonl"]


def test_section_that_is_off_is_validated(load):
    """A fault is found before somebody switches the section on."""
    assert "[csv] foldr: expected a known option" in faults(load, "[csv]\nfoldr = x\n")[0]


SUB = """
[influxsub]
input = {on}
sweep_days = {days}
sweep = {sweep}
[journal]
keep_days = {keep}
"""


@pytest.mark.parametrize(("days", "keep"), [(7, 7), (8, 7), (1, 0)])
def test_a_sweep_does_not_look_further_back_than_the_journal(load, days, keep):
    """It would take for new what the journal does not know any more."""
    (fault,) = faults(load, SUB.format(on="true", days=days, sweep=3600, keep=keep))
    told = f"[influxsub] sweep_days: expected less than [journal] keep_days, which is {keep}"
    assert f"{told}, found {days} (raise keep_days" in fault


@pytest.mark.parametrize(
    ("on", "days", "sweep"), [("true", 6, 3600), ("true", 8, 0), ("false", 8, 3600)]
)
def test_what_does_not_look_back_does_not_matter(load, on, days, sweep):
    """Nor does an input that is switched off."""
    assert load(SUB.format(on=on, days=days, sweep=sweep, keep=7))


def test_second_instance_is_a_section_of_its_own(load):
    """[jsonl] and [jsonl:backup] are two outputs with their own settings."""
    text = "[jsonl]\noutput = true\n[jsonl:backup]\noutput = true\nfile = b.jsonl\n"
    first, second = load(text, JSONL_BACKUP_MAX_MB="7", JSONL_FILE="a.jsonl").outputs()
    assert (first.section, first.settings.file, first.settings.max_mb) == (
        "jsonl",
        Path("a.jsonl"),
        100.0,
    )
    assert (second.section, second.settings.file, second.settings.max_mb) == (
        "jsonl:backup",
        Path("b.jsonl"),
        7.0,
    )


def test_environment_alone_switches_on(load):
    """A container needs no file to have an output."""
    assert outputs(load(JSONL_OUTPUT="true", JSONL_FILE="x.jsonl")) == ["jsonl"]


def test_fault_of_the_environment_alone_is_found(load):
    """What the environment says is checked like a file."""
    assert "environment JSONL_OUTPUT" in faults(load, JSONL_OUTPUT="perhaps")[0]


def test_output_by_name_knows_the_environment(load):
    """`--to foo` without a section has the environment's options and secrets."""
    foo = load(FOO_WORD="had", FOO_PASSWORD="hunter2").output("foo")
    assert (foo.settings.word, foo.settings.password) == ("had", Secret("hunter2"))


def test_output_by_name_has_its_faults_found(load):
    """`--to foo` with a fault in the environment is refused."""
    application = load(FOO_BUFSIZE="0")
    assert "environment FOO_BUFSIZE" in faults(application.output, "foo")[0]


@pytest.mark.parametrize("name", ["foo:", "foo:a b", "", ":", "foo/bar"])
def test_unusable_section_name_is_refused(load, name):
    """The name of a section is part of file names and log lines."""
    with pytest.raises(PluginError, match="is no section"):
        load().output(name)


@pytest.mark.parametrize("name", ["sub", "still"])
def test_input_is_no_output(load, name):
    """An input as an output is refused."""
    with pytest.raises(PluginError, match=f"{name} is an input"):
        load().output(name)


def test_own_plugins_are_found(load):
    """A user's own output is switched on like any other."""
    (foo,) = load("[foo]\noutput = true\nword = had\n").outputs()
    assert isinstance(foo, Publisher)


def test_unknown_section_is_a_fault_with_a_guess(load):
    """A misspelt section is not skipped."""
    (told,) = faults(load, "[jsonn]\n")
    assert told.endswith("a section that names a plugin, found 'jsonn' (did you mean jsonl?)")


def test_broken_plugin_is_a_fault_of_its_section(load, plugins):
    """A plugin that raises while it is imported is named with its file."""
    (plugins / "MyBAD.py").write_text("1 / 0")
    (told,) = faults(load, "[bad]\n")
    assert f"my.conf:3: [bad]: expected a plugin that loads, found {plugins / 'MyBAD.py'}" in told


def test_broken_plugin_that_nobody_names_is_no_fault(load, plugins):
    """A file that is not used does not stop the station."""
    (plugins / "MyBAD.py").write_text("1 / 0")
    assert load("[foo]\n").configured[0].section == "foo"


def test_two_plugins_of_one_name_are_a_fault(load, plugins):
    """Also where no section uses them, and only once where one does."""
    (plugins / "MyJSONL.py").write_text(PUBLISHER)
    (told,) = faults(load, "[jsonl]\n")
    assert "my.conf:2: [process] plugins: expected folders with plugins of different names" in told


def test_folder_that_is_not_there_is_one_fault_of_many(load):
    """It does not hide the others."""
    told = faults(load, "[csv]\nfoldr = 1\n", "process.plugins=/no/such/folder")
    assert [line.partition(": ")[0] for line in told] == ["my.conf:4", "command line"]


def test_ident_faults_are_all_found(load):
    """Project and serial are both checked in one go."""
    told = faults(load, "[id]\nproject = a b\nserial = x/y\nlabel = ok\n")
    assert [line.split(": expected")[0] for line in told] == [
        "my.conf:4: [id] project",
        "my.conf:5: [id] serial",
    ]


def test_sensor_needs_to_know_whose_it_is(load):
    """A sensor without project and serial is a fault of the settings, not of the first reading."""
    told = faults(load, "[still]\ninput = true\n[id]\nserial = k1\n")
    assert told == [
        (
            "my.conf:5: [id] project: expected a name, found nothing "
            "(sensors need to know whose they are)"
        )
    ]


@pytest.mark.parametrize("more", ["[id]\nproject = BdP\nserial = k1\n", "[sub]\ninput = true\n"])
def test_sensor_that_knows_or_is_switched_off_is_no_fault(load, more):
    """With an ident, or with a SUB channel instead, all is well."""
    assert load("[still]\ninput = true\n" + more).configured


def test_nothing_needs_a_file():
    """Defaults and overrides are enough."""
    assert outputs(Application.load(None, ["jsonl.output=true"], {})) == ["jsonl"]


def test_application_does_not_show_a_secret(load):
    """No repr has what the file or the environment has."""
    application = load("[foo]\npassword = hunter2\n", FOO_WORD="hi", SUB_PASSWORD="hunter2")
    assert "hunter2" not in repr(application)


def test_core_settings_need_no_plugin(tmp_path):
    """The journal is found also where another section has faults."""
    path = tmp_path / "my.conf"
    path.write_text("[journal]\nfile = j.db\n[csv]\nnonsense = 1\n[what]\n")
    assert core_settings(Source(path, (), {}))[1].path == Path("j.db")


def test_configuration_is_searched_in_order(tmp_path, monkeypatch):
    """Here, then in the user's configuration, then the one that comes with the program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [default_path()]
    own = tmp_path / ".config/mysense/MySense.conf"
    own.parent.mkdir(parents=True)
    own.touch()
    found.append(default_path())
    Path("MySense.conf").touch()
    found.append(default_path())
    assert found == [home() / "MySense.conf", own, Path("MySense.conf")]
