"""What all tests share: real influxd servers, and names nobody else uses.

`MYSENSE_TEST_INSTALLED=1` says that the installed wheel is under test, and makes sure of it.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
INSTALLED = os.environ.get("MYSENSE_TEST_INSTALLED") == "1"

if not INSTALLED and str(CHECKOUT) not in sys.path:
    sys.path.insert(0, str(CHECKOUT))

import mysense  # noqa: E402  # the path decides which one this is
from mysense.loader import home, put_home_first  # noqa: E402
from tests.disks import disk  # noqa: E402, F401  # a fixture
from tests.faults.table import Table  # noqa: E402
from tests.influxd import Influxd  # noqa: E402

put_home_first()  # tests import channels.* and sensors.* as plugins do


def path_for_processes() -> str:
    """A PYTHONPATH by which processes find plugins and tests, but mysense where we found it."""
    if not INSTALLED:
        return str(CHECKOUT)
    beside = CHECKOUT / "build" / "path"
    beside.mkdir(parents=True, exist_ok=True)
    if not (beside / "tests").exists():
        (beside / "tests").symlink_to(CHECKOUT / "tests")
    return os.pathsep.join(map(str, (home(), beside)))


os.environ["PYTHONPATH"] = path_for_processes()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed may hold what UTF-8 does not, and reports travel between processes."""
    report = yield
    report.sections = [(name, _in_utf8(text)) for name, text in report.sections]
    return report


def _in_utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table(config), "faults-table")


def pytest_report_header() -> str:
    return f"mysense: {Path(mysense.__file__).parent}"


def pytest_sessionstart() -> None:
    if not INSTALLED:
        return
    site_packages = Path(sysconfig.get_path("purelib")).resolve()
    if not Path(mysense.__file__).resolve().is_relative_to(site_packages):
        pytest.exit(f"the wheel is to be tested, not {mysense.__file__}", returncode=1)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Verbs that run in this process set up logging; the next test begins without that."""
    logger = logging.getLogger("mysense")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def influxd() -> Iterator[Influxd]:
    """An influxd without authentication, shared by all tests: use names of your own."""
    with Influxd() as server:
        yield server


@pytest.fixture(scope="session")
def influxd_auth() -> Iterator[Influxd]:
    """An influxd that wants user and password (admin, admin-secret), shared by all tests."""
    with Influxd(auth=True) as server:
        yield server


@pytest.fixture
def new_influxd() -> Iterator[Callable[..., Influxd]]:
    """Starts servers for this test alone: `new_influxd(auth=False, config={...})`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Influxd(**options))


@pytest.fixture
def project() -> str:
    """A project's name that no other test uses, so its databases are this test's own."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def database(influxd: Influxd) -> Iterator[str]:
    """The name of a new, empty database on `influxd`; it is dropped after the test."""
    name = f"t{uuid.uuid4().hex[:10]}_kit"
    influxd.query(f'CREATE DATABASE "{name}"')
    yield name
    influxd.query(f'DROP DATABASE "{name}"')
