"""Servers of InfluxDB 2.x for tests.

The fake, unless MYSENSE_TEST_INFLUX2=real, which `make test-influx2` sets: then the binary that
INFLUXD2 names, else the server of INFLUX2_URL and INFLUX2_TOKEN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.influx2.fake import Fake
from tests.influx2.real import Own, given
from tests.influx2.server import Server
from tests.influxd import Influxd
from tests.provision.ran import commander

REAL = os.environ.get("MYSENSE_TEST_INFLUX2") == "real"
BINARY = os.environ.get("INFLUXD2", "")


@pytest.fixture
def fake2(influxd: Influxd) -> Iterator[Fake]:
    """A fake of this test's own, set up; use it where a test looks inside or breaks it."""
    with Fake(influxd) as server:
        server.set_up()
        yield server
    assert server.violations == []


@pytest.fixture
def new_influx2(request: pytest.FixtureRequest) -> Iterator[Callable[[], Server]]:
    """Starts servers that were never set up."""
    with ExitStack() as stack:

        def start() -> Server:
            if not REAL:
                influxd: Influxd = request.getfixturevalue("influxd")
                return stack.enter_context(Fake(influxd))
            if not BINARY:
                pytest.skip("a new server needs a binary, INFLUXD2")
            return stack.enter_context(Own(BINARY))

        yield start


@pytest.fixture(scope="session")
def _influx2(request: pytest.FixtureRequest) -> Iterator[Server]:
    if REAL and not BINARY:
        yield given()
        return
    influxd = None if REAL else request.getfixturevalue("influxd")
    with Own(BINARY) if influxd is None else Fake(influxd) as server:
        server.set_up()
        yield server


@pytest.fixture
def org(influx2: Server, project: str) -> dict[str, Any]:
    """An organisation of this test's own, called as its project."""
    return influx2.org(project)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """`command(conf, *words, **env)` runs `mysense provision`."""
    return commander(tmp_path, monkeypatch, capsys)


@pytest.fixture
def influx2(_influx2: Server) -> Iterator[Server]:
    """An InfluxDB 2.x, set up and shared by all tests: use names of your own."""
    yield _influx2
    while _influx2.made:
        _influx2.drop_org(_influx2.made.pop())
    if isinstance(_influx2, Fake):
        broken, _influx2.violations = _influx2.violations, []
        assert broken == []
