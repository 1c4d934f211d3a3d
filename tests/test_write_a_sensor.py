"""What docs/write-a-sensor.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import attrs
import pytest

from mysense.plugin import Sensor, SensorSettings
from tests.cli.conftest import run
from tests.conftest import CHECKOUT, path_for_processes

PAGE = (CHECKOUT / "docs/write-a-sensor.md").read_text(encoding="utf-8")
DRIVER, TESTS, TWIN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A folder of plugins with the driver of the page and its tests."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "MyCPU.py").write_text(DRIVER, encoding="utf-8")
    (folder / "test_cpu.py").write_text(TESTS, encoding="utf-8")
    return folder


@pytest.fixture
def cpu(folder, tmp_path):
    """Runs `mysense VERB ...` with this driver, over a file in place of the kernel's."""
    (tmp_path / "temp").write_text("48312\n")
    (tmp_path / "MySense.conf").write_text(
        f"[process]\nplugins = {folder}\n[id]\nproject = BdP\nserial = page\n"
        f"[console]\noutput = true\n[cpu]\ninput = true\nfile = {tmp_path}/temp\n"
    )
    conf = ("-c", "MySense.conf")
    return lambda *words, **more: run(["-m", "mysense", *words, *conf], tmp_path, **more)


def test_readings(cpu):
    """`mysense plugin cpu` prints raw values."""
    assert json.loads(cpu("plugin", "cpu", "-n", "1").stdout)["cpu_temp"] == 48.312


def test_telegram(cpu):
    """`mysense run --test` makes a telegram: name, unit and type, the value rounded."""
    telegram = json.loads(cpu("run", "--test").stdout)
    ident = telegram["ident"]
    shown = [ident[key][-1] for key in ("fields", "units", "types")]
    assert (shown, telegram["data"]["cpu_temp"]) == (["cpu_temp", "C", "CPU"], 48.3)


def test_check(cpu):
    """`mysense check` shows what the driver found."""
    assert "the processor has 48.3 C" in cpu("check").stdout


def test_gone(cpu, tmp_path):
    """Without its device, it says which file is not there."""
    (tmp_path / "temp").unlink()
    assert f"{tmp_path}/temp is not there" in cpu("run", "--test", code=1).stderr


def test_tests_of_the_page(folder):
    """The tests that the page shows pass."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    env = {"PYTHONPATH": path_for_processes(), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        pytest_, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "6 passed" in done.stdout) == (0, True), done.stdout


def test_twin_of_the_page(capsys):
    """The simulated port that the page shows says where it is."""
    exec(TWIN, {})  # it is the page's
    assert "usb-Somebody_Thermometer" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Settings", "fields", "warm_up", "paced", "patience"])
def test_attributes(name):
    """The page explains every attribute of the contract."""
    assert name in Sensor.__annotations__ | vars(Sensor) | {"Settings": SensorSettings}
    assert f"| `{name}` |" in PAGE


def test_methods():
    """The page explains every method of the contract."""
    methods = {name for of in Sensor.__mro__ for name in vars(of) if name.islower()}
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    ours = {"open", "read", "close", "interrupt", "check"}
    assert ours <= methods & explained


def test_driver_of_the_page_is_formatted(folder):
    """The page's code keeps to the rules of this repository."""
    files = [str(folder / name) for name in ("MyCPU.py", "test_cpu.py")]
    config = str(CHECKOUT / "pyproject.toml")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", config, "--select", "E,F,I", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_options_have_a_text(folder):
    """The settings of the page are complete."""
    from mysense.loader import Loader

    settings = Loader([folder]).load("cpu").Settings
    assert all(field.metadata.get("help") for field in attrs.fields(settings))
