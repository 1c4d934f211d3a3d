"""Provisioning on a real influxd 1.x."""

from __future__ import annotations

import pytest

from tests.influxd import ADMIN, ADMIN_PASSWORD
from tests.provision.ran import commander


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`command(conf, *words, **env)` runs it over a configuration of these lines."""
    return commander(tmp_path, monkeypatch, capsys)


@pytest.fixture
def on_one(command, influxd_auth):
    """`on_one(*words)` provides on a real influxd 1.x with authentication."""
    conf = ["hostname = 127.0.0.1", f"port = {influxd_auth.port}"]
    env = {"PROVISION_USER": ADMIN, "PROVISION_PASSWORD": ADMIN_PASSWORD}
    return lambda *words, more=(): command([*conf, *more], *words, **env)


@pytest.fixture
def refused(on_one):
    """`refused(*words)`: why it was not done."""

    def refused(*words, **more):
        ran = on_one(*words, **more)
        assert ran.code == 1
        return ran.told["error"]

    return refused
