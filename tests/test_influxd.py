"""The private influxd that other tests rely on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.influxd import Influxd, InfluxdError


def test_what_is_written_can_be_read(influxd, database):
    """Rows come back with the time in seconds and the values as written."""
    influxd.write(database, "data temp=21.5 1494777772")
    rows = influxd.rows("SELECT * FROM data", database=database)
    assert rows == [{"time": 1494777772, "temp": 21.5}]


def test_write_gives_status_and_text(influxd, database):
    """A bad line is answered with 400 and influxd's own words."""
    status, text = influxd.write(database, "data temp=nonsense 1")
    assert (status, "unable to parse" in text) == (400, True)


def test_error_inside_an_answer_is_raised(influxd):
    """An error inside HTTP 200 does not pass as an empty result."""
    with pytest.raises(InfluxdError, match="database not found"):
        influxd.query("SELECT * FROM data", database="absent")


def test_kill_keeps_data_and_port(new_influxd):
    """After kill and start, port and points are those of before."""
    server = new_influxd()
    server.query('CREATE DATABASE "x"')
    server.write("x", "data temp=1 10")
    port = server.port
    server.kill()
    server.start()
    assert (server.port, server.rows("SELECT * FROM data", database="x")) == (
        port,
        [{"time": 10, "temp": 1}],
    )


def test_extra_configuration_is_used(new_influxd):
    """A body over the configured limit is refused."""
    server = new_influxd(config={"http": {"max-body-size": 100}})
    server.query('CREATE DATABASE "x"')
    assert server.write("x", "data temp=1 10\n" * 100)[0] == 413


def test_nobody_may_not_query_with_authentication(influxd_auth):
    """Without credentials a query is refused; the administrator is the default."""
    assert influxd_auth.databases() is not None
    with pytest.raises(InfluxdError, match="401"):
        influxd_auth.query("SHOW DATABASES", user="")


def test_missing_influxd_says_how_to_install(monkeypatch):
    """A machine without influxd fails with the command that helps."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(InfluxdError, match="apt-get install influxdb"):
        Influxd()


def test_no_server_outlives_the_tests():
    """When the process that started a server is killed, the server and its folder go too."""
    code = "from tests.influxd import Influxd; s = Influxd(); s.start(); print(s.pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code + "; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        server = Path("/proc", owner.stdout.readline().decode().strip())
        assert server.exists()
        owner.kill()
    deadline = time.monotonic() + 20
    while server.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.exists()
