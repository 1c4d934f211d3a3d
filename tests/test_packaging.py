"""What is installed, what it brings along, and what it gets along with."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mysense
from mysense.loader import home
from tests.conftest import CHECKOUT, INSTALLED

installed_only = pytest.mark.skipif(not INSTALLED, reason="`make test` installs the wheel")
REQUIREMENTS = sorted((CHECKOUT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
LOADED = """
import sys
from mysense.loader import Loader
plugin = Loader().load("csv")
print(sys.modules[plugin.__module__].__file__)
"""


def run(*words, cwd, **environ):
    """Run Python, with the mysense under test, and return what it did."""
    path = os.pathsep.join(filter(None, [environ.pop("first", ""), str(package_parent())]))
    return subprocess.run(
        [sys.executable, *words],
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def package_parent():
    return Path(mysense.__file__).resolve().parents[1]


def test_plugins_of_ours_win_over_strangers(tmp_path):
    """Packages called `channels` and `sensors` that come first on the path change nothing."""
    for name in ("channels", "sensors"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a stranger')\n")
    done = run("-c", LOADED, cwd=tmp_path, first=str(tmp_path))
    assert (done.stdout.strip(), done.stderr) == (str(home() / "channels/MyCSV.py"), "")


@installed_only
def test_a_stranger_is_installed_beside():
    """PyPI's package `channels` is here, so that the tests that passed, passed beside it."""
    files = importlib.metadata.files("channels") or []
    assert "channels/__init__.py" in [file.as_posix() for file in files]


@installed_only
def test_wheel_brings_everything():
    """Plugins, example telegrams, the default configuration and the schema are in the wheel."""
    files = {file.as_posix() for file in importlib.metadata.files("mysense") or []}
    wanted = {f"mysense/bundled/{name}" for name in ("MySense.conf", "testdata/day.jsonl")}
    for folder in ("channels", "sensors"):
        for path in (CHECKOUT / folder).glob("My*.py"):
            wanted.add(f"mysense/bundled/{folder}/{path.name}")
    assert (wanted | {"mysense/journal/schema.sql"}) - files == set()


@installed_only
def test_wheel_keeps_to_itself():
    """Nothing is installed outside the package, its metadata and the command."""
    tops = {file.parts[0] for file in importlib.metadata.files("mysense") or []}
    assert tops == {"mysense", f"mysense-{mysense.__version__}.dist-info", ".."}


@installed_only
def test_command_is_installed(tmp_path):
    """The command `mysense` works in any folder."""
    command = Path(sys.executable).with_name("mysense")
    done = subprocess.run(
        [command, "--version"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == f"mysense {mysense.__version__}\n"


def test_launcher_works_from_anywhere(tmp_path):
    """`python MySense.py` needs the checkout and the dependencies, nothing installed."""
    done = run(str(CHECKOUT / "MySense.py"), "--version", cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"mysense {mysense.__version__}\n", "")


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_pinned(path):
    """Every requirement has one version and at least one hash."""
    text = path.read_text().replace("\\\n", " ")
    loose = [
        line
        for line in text.splitlines()
        if not line.startswith("#") and not re.match(r"[\w.-]+==[^ ]+ .*--hash=sha256:", line)
    ]
    assert loose == []


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_name_no_host(path):
    """Whoever installs takes them from where their own pip is told to."""
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links", path.read_text()) == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("run", PROJECT["project"]["dependencies"]),
        ("fast", PROJECT["project"]["optional-dependencies"]["fast"]),
        ("sensors", PROJECT["project"]["optional-dependencies"]["sensors"]),
        ("dev", PROJECT["dependency-groups"]["dev"]),
        ("docs", PROJECT["dependency-groups"]["docs"]),
        ("build", PROJECT["build-system"]["requires"]),
        ("audit", PROJECT["dependency-groups"]["audit"]),
    ],
)
def test_requirements_are_those_of_the_project(lock, wanted):
    """What pyproject.toml asks for is locked; else run `make lock`."""
    text = (CHECKOUT / "requirements" / f"{lock}.txt").read_text()
    names = [re.match(r"[\w.-]+", one)[0] for one in wanted]
    assert [name for name in names if not re.search(rf"^{name}==", text, re.MULTILINE)] == []


def test_version_is_in_the_changelog():
    """The changelog says what is in this version, or in the next."""
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[(Unreleased|{re.escape(mysense.__version__)})\]", text, re.MULTILINE)
