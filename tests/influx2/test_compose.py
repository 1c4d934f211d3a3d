"""What prepare.sh and provision.sh of deploy/compose do, against an InfluxDB 2.x."""

from __future__ import annotations

import re

import pytest
import yaml

from mysense.cli.provision import main
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.influx2
HERE = CHECKOUT / "deploy/compose"


@pytest.fixture
def provision(influx2, project, tmp_path, monkeypatch):
    """`provision(*words)` carries out what the service of that name does; returns its secrets."""
    influx2.org(project)
    credentials, secrets = tmp_path / "run", tmp_path / "secrets"
    credentials.mkdir()
    (credentials / "provision_token").write_text(influx2.token)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("INFLUXPUB_HOSTNAME", influx2.host)
    monkeypatch.setenv("INFLUXPUB_PORT", str(influx2.port))
    monkeypatch.setenv("INFLUXPUB_ORG", project)
    service = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]["provision"]
    places = {"/etc/mysense/MySense.conf": str(HERE / "MySense.conf"), "/secrets": str(secrets)}
    words = [places.get(word, word) for word in service["entrypoint"][2:]]

    def provision(*more):
        assert main([*words, *more]) == 0
        return {path.name: path.read_text().strip() for path in secrets.iterdir()}

    return provision


def test_readers_may_read_what_kits_write(influx2, project, provision):
    """The tokens of MySense and Grafana read a kit that came later, and write nothing."""
    script = (HERE / "prepare.sh").read_text()
    readers = re.findall(r"^\./provision\.sh (reader) (\w+)$", script, re.MULTILINE)
    for words in readers:
        made = provision(*words)
    assert set(made) == {"mysense.token", "grafana.token"}
    kit = provision("kit", project, "k", "--rollup")[f"{project}_k.token"]
    assert influx2.write(project, f"{project}_k", "data temp=1 1494774000", token=kit)[0] == 204
    for name in ("mysense.token", "grafana.token"):
        rows = influx2.rows(f'SELECT * FROM "{project}_k".."data"', token=made[name])
        assert [row["temp"] for row in rows] == [1]
        refused = influx2.write(project, f"{project}_k", "data temp=2 1", token=made[name])
        assert refused[0] in {401, 403, 404}


def test_repeating_it_keeps_the_tokens(provision):
    """As prepare.sh promises."""
    assert provision("reader", "mysense") == provision("reader", "mysense")
