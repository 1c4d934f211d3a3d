"""The service unit, its rules and its page, checked without a Pi and without root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from mysense.application import Application
from mysense.cli import CONFIGURATION, USAGE, VERBS
from mysense.hw.scan import look
from mysense.hw.sim_machine import kit
from mysense.hw.stanzas import stanzas, text
from mysense.service import SAMPLING_PATIENCE
from tests.conftest import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
UNIT = (DEPLOY / "mysense.service").read_text(encoding="utf-8")
RULES = (DEPLOY / "60-mysense.rules").read_text(encoding="utf-8")
USERS = (DEPLOY / "mysense.sysusers").read_text(encoding="utf-8")
PAGE = (CHECKOUT / "docs/install-pi.md").read_text(encoding="utf-8")
EXPOSURE = 2.0  # of 10, by systemd-analyze; 1.9 with systemd 252


def need(name):
    """The path of a program; where it is missing nothing is checked, which is a failure in CI."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is missing: install the Debian package systemd")
    return found or pytest.skip(f"{name} is not here")


def carried_out(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def values(key):
    """All words that the unit gives for `key`."""
    return " ".join(re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)).split()


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that exists here."""
    path = tmp_path / "mysense.service"
    path.write_text(re.sub(r"(?<=^ExecStart=)\S+", sys.executable, UNIT, flags=re.MULTILINE))
    return path


def test_unit_is_understood(unit):
    """The service manager has nothing to say against it."""
    done = carried_out(need("systemd-analyze"), "verify", unit)
    said = [line for line in done.stderr.splitlines() if "mysense" in line]
    assert (done.returncode, said) == (0, [])


def test_exposure_is_low(unit):
    """What the service could do if it were taken over is little."""
    analyze = need("systemd-analyze")
    done = carried_out(
        analyze, "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", unit
    )
    score = float(re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)[1])
    print(f"exposure of mysense.service: {score} of 10")
    assert (done.returncode, score <= EXPOSURE) == (0, True)


def test_user_has_its_groups(tmp_path):
    """The user that is made is in all groups that the unit needs."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("dialout:x:20:\n")
    done = carried_out(need("systemd-sysusers"), f"--root={tmp_path}", "--inline", *entries(USERS))
    assert done.returncode == 0, done.stderr
    groups = {
        line.split(":")[0]: line.split(":")[3].split(",")
        for line in (tmp_path / "etc/group").read_text().splitlines()
    }
    missing = [g for g in values("SupplementaryGroups") if "mysense" not in groups.get(g, ())]
    assert missing == []
    assert (tmp_path / "etc/passwd").read_text().startswith("mysense:")


def entries(config):
    return [line for line in config.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("line", entries(RULES))
def test_rule_is_well_formed(line):
    """Each part of a rule is a key, an operator and a quoted value; it matches, then assigns."""
    part = r'[A-Z]+(?:\{\w+\})?(==|!=|\+=|=)"[^"]*"'
    assert re.fullmatch(rf"{part}(, {part})*", line)
    operators = re.findall(r'(==|!=|\+=|=)"', line)
    assert operators == sorted(operators, key=lambda operator: operator in ("=", "+="))


def test_rules_give_devices_to_groups_of_the_service():
    """No other group, and none is left out."""
    assert set(re.findall(r'GROUP="(\w+)"', RULES)) == set(values("SupplementaryGroups"))


def test_wrong_configuration_is_not_tried_again():
    """These exit codes do not mend themselves."""
    assert values("RestartPreventExitStatus") == [str(USAGE), str(CONFIGURATION)]


def test_watchdog_is_more_patient_than_sampling():
    """A pause that sampling may take does not end the service."""
    (limit,) = values("WatchdogSec")
    assert float(limit) > SAMPLING_PATIENCE


def test_page_installs_every_file():
    """Each file of deploy/ is installed where its first lines say."""
    installed = dict(re.findall(r"install -D -m 644 (\S+) (\S+)", PAGE))
    files = {
        path.name: path.read_text(encoding="utf-8") for path in DEPLOY.iterdir() if path.is_file()
    }
    assert installed.keys() == files.keys()
    assert [name for name, path in installed.items() if path not in files[name][:250]] == []


def test_page_has_the_paths_of_the_unit():
    """Program, configuration and state are where the page puts them."""
    program, _, _, conf = values("ExecStart")
    assert f"ln -sf {program} " in PAGE
    assert f"tee {conf} " in PAGE
    assert f"/var/lib/{values('StateDirectory')[0]}" in PAGE


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks("sh"))
def test_commands_of_the_page_are_good_shell(block):
    """A shell reads them, and their verbs exist."""
    done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    verbs = re.findall(r"^(?:sudo -u mysense )?mysense ([a-z]+)", block, re.MULTILINE)
    assert set(verbs) <= set(VERBS)


def test_configuration_of_the_page_is_good(tmp_path):
    """What the page puts together loads, and what is meant to be on is on."""
    head = re.search(r"<<'END'\n(.*?)^END$", PAGE, re.MULTILINE | re.DOTALL)[1]
    sections = [block for block in blocks("ini") if "[Service]" not in block]
    path = tmp_path / "MySense.conf"
    path.write_text(head + "\n".join(sections))
    on = {one.section for one in Application.load(path, environ={}).configured if one.on}
    assert on == {"csv", "dylos", "bme280", "dht", "influxpub"}


def test_page_shows_what_scan_prints():
    """The sections are those of the simulated kit, but for the paths in comments."""
    with kit() as machine:
        made = text(stanzas(look(machine), ("dylos", "bme280", "dht")), lambda _: ())
    lines = [line for line in made.splitlines() if not line.startswith("#")]
    assert "\n".join(lines) in re.sub(r"^#.*\n", "", PAGE, flags=re.MULTILINE)


def test_credentials_of_the_page_are_found(tmp_path):
    """The name of the credential is the one that the section looks for."""
    name = re.search(r"^LoadCredential=(\w+):", PAGE, re.MULTILINE)[1]
    (tmp_path / name).write_text("hidden")
    source = ["influxpub.output=true"]
    loaded = Application.load(None, source, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert loaded.section("influxpub").settings.password.reveal() == "hidden"
