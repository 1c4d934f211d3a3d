"""`mysense check` as somebody beside a kit reads it: what is wrong, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mysense.identity import machine_serial

HERE = pytest.mark.skipif(Path("/dev/i2c-1").exists(), reason="this machine has the hardware")
KIT = """\
[id]
project = p
serial = 1

[bme280]
input = true

[dht]
input = true

[dylos]
input = true
"""
FAULTY = '''\
"""Raises while it is checked."""

from mysense.plugin import OutputSettings, Publisher


class Foo(Publisher[OutputSettings]):
    """Nothing works."""

    Settings = OutputSettings

    def check(self):
        FAULT


PLUGIN = Foo
'''


@pytest.fixture
def kit(tmp_path):
    """Three sensors with their real backends."""
    path = tmp_path / "kit.conf"
    path.write_text(KIT)
    return path


def failures(done):
    """Section -> what is wrong, and its fix."""
    lines = done.stdout.splitlines()
    found = {}
    for line, fix in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("FAIL "):
            section, _, what = line[5:].partition(": ")
            found.setdefault(section, []).append((what, fix.partition("fix: ")[2]))
    return found


def simulated(*sections):
    return [word for each in sections for word in ("-o", f"{each}.backend=sim")]


def test_simulated_kit_is_good(mysense, kit):
    """One reading of each sensor with its units, who the kit is, what it will send; exit 0."""
    options = simulated("bme280", "dht", "dylos")
    told = mysense("check", "-c", kit, "-o", "console.output=true", *options).stdout
    assert "FAIL" not in told
    assert all(unit in told for unit in (" hPa", " C", " %", " pcs/qf"))
    assert "ok   kit: this is p_1\n" in told
    assert "its telegrams have temp, rh, hpa, dtemp, drh, pm_25, pm_10" in told


@HERE
def test_every_failure_has_one_line_and_a_fix(mysense, kit):
    """Without any hardware each sensor says once what is missing, and what to do; exit 1."""
    done = mysense("check", "-c", kit, "-o", "console.output=true", code=1)
    found = failures(done)
    assert {section: len(some) for section, some in found.items()} == {
        "bme280": 1,
        "dht": 1,
        "dylos": 1,
    }
    assert all(fix for some in found.values() for _, fix in some)
    assert "3 to mend" in done.stderr


@HERE
@pytest.mark.parametrize(
    ("option", "what", "fix"),
    [
        ("bme280.backend=i2c", "/dev/i2c-1 is not there", "raspi-config nonint do_i2c 0"),
        ("bme280.backend=iio", "the kernel shows no device bme280", "dtoverlay=i2c-sensor,bme280"),
        ("dht.backend=iio", "the kernel shows no device dht11", "dtoverlay=dht11,gpiopin=4"),
        ("dylos.usbid=Prolific", "no serial adapter matches", "plug it in"),
        ("dylos.port=/dev/ttyUSB77", "/dev/ttyUSB77 is not there", "plug it in, or correct `port`"),
        ("dylos.port=/dev/null", "/dev/null cannot be opened", "look at the cable and at `port`"),
    ],
)
def test_what_is_wrong_and_how_to_mend_it(option, what, fix, mysense, kit):
    """The text that a user reads for each thing that is missing."""
    done = mysense("check", "-c", kit, "-o", "console.output=true", "-o", option, code=1)
    section = option.partition(".")[0]
    assert [what in text and fix in how for text, how in failures(done)[section]] == [True]


def test_fields_that_two_sensors_share(mysense, kit):
    """`run` would refuse it; here it is said before."""
    kit.write_text(KIT + "\n[bme280:2]\ninput = true\ni2c = 0x76\n")
    options = simulated("bme280", "bme280:2", "dht", "dylos")
    done = mysense("check", "-c", kit, "-o", "console.output=true", *options, code=1)
    ((what, fix),) = failures(done)["kit"]
    assert what == "[bme280] and [bme280:2] both measure temp"
    assert "average = temp" in fix
    assert "both measure temp" in mysense("run", "-c", kit, *options, code=78).stderr


@pytest.mark.parametrize(
    ("fault", "told"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(3)", "SystemExit: 3")],
)
def test_fault_in_a_plugin_does_not_hide_the_others(fault, told, mysense, tmp_path, kit):
    """It is a failure of that plugin, and the rest is checked all the same."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "MyFOO.py").write_text(FAULTY.replace("FAULT", fault))
    words = ["-o", "process.plugins=own", "-o", "foo.output=true", "-o", "sqlitepub.output=true"]
    done = mysense("check", *words, "-c", kit, *simulated("bme280", "dht", "dylos"), code=1)
    ((what, _),) = failures(done)["foo"]
    assert what == f"a fault in this plugin, {told}"
    assert "engine: outputs switched on: foo, sqlitepub" in done.stdout


def test_kit_without_a_serial_has_that_of_the_machine(mysense, kit):
    """Where the machine has one it need not be written down."""
    kit.write_text(KIT.replace("serial = 1\n", ""))
    serial, options = machine_serial(), simulated("bme280", "dht", "dylos")
    words = ["check", "-c", kit, "-o", "console.output=true", *options]
    if serial is None:
        assert "kit.conf:1: [id] serial: expected a name" in mysense(*words, code=78).stderr
    else:
        assert f"this is p_{serial} (the serial number is that of" in mysense(*words).stdout


def test_kit_without_a_project_names_the_file(mysense, kit):
    """A section that is missing altogether is missing in the file."""
    kit.write_text("[bme280]\ninput = true\n")
    told = mysense("check", "-c", kit, code=78).stderr
    assert f"{kit}: [id] project: expected a name" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_journal_that_may_not_be_written(mysense, kit):
    """It says which folder, and that the service has a user of its own."""
    words = ["-o", "journal.file=/etc/journal.db", *simulated("bme280", "dht", "dylos")]
    done = mysense("check", "-c", kit, "-o", "console.output=true", *words, code=1)
    ((what, fix),) = failures(done)["journal"]
    assert (what, "/etc" in fix) == ("/etc/journal.db cannot be written by this user", True)
