"""The files of `mysense grafana`, read as Grafana's provisioning reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from channels.MyINFLUXPUB import InfluxPubSettings
from mysense.cli.common import VerbError
from mysense.cli.grafana import Ways, files, main
from mysense.influx.access import ServerSettings


def sources(written, name="mysense"):
    return yaml.safe_load(written[f"provisioning/datasources/{name}.yaml"])["datasources"]


def test_sources_say_where_and_tell_no_secret():
    """For 1.x by user and password out of Grafana's environment."""
    settings = ServerSettings(hostname="db.example.org", user="graf$ana", ssl=True)
    written = dict(files(settings, Ways(dashboards="/dashboards")))
    assert sources(written) == [
        {
            "name": "MySense (InfluxQL)",
            "uid": "mysense-influxql",
            "type": "influxdb",
            "access": "proxy",
            "url": "https://db.example.org:8086",
            "user": "graf$$ana",
            "jsonData": {"dbName": "mysense", "version": "InfluxQL", "httpMode": "POST"},
            "secureJsonData": {"password": "$INFLUX_PASSWORD"},
        }
    ]
    providers = yaml.safe_load(written["provisioning/dashboards/mysense.yaml"])
    assert providers["providers"][0]["options"]["path"] == "/dashboards"


def test_2_x_has_both_languages():
    """InfluxQL by the header with the token, Flux with organisation and token."""
    written = dict(files(ServerSettings(api="2", org="BdP"), Ways()))
    influxql, flux = sources(written)
    assert influxql["jsonData"]["httpHeaderName1"] == "Authorization"
    assert influxql["secureJsonData"] == {"httpHeaderValue1": "Token $INFLUX_TOKEN"}
    assert (flux["jsonData"]["version"], flux["jsonData"]["organization"]) == ("Flux", "BdP")
    assert flux["secureJsonData"] == {"token": "$INFLUX_TOKEN"}


def test_dashboards_name_sources_that_are_there():
    """In every layout."""
    for options in ({"org": "o"}, {"org": "o", "layout": "shared"}, {"layout": "org"}):
        settings = InfluxPubSettings(api="2", **options)
        ways = Ways(org="a project with a long name", prometheus="http://prometheus:9090")
        written = dict(files(settings, ways))
        found = {
            source["uid"]
            for name, text in written.items()
            if name.startswith("provisioning/datasources/")
            for source in yaml.safe_load(text)["datasources"]
        }
        used = {
            target["datasource"]["uid"]
            for name, text in written.items()
            if name.startswith("dashboards/")
            for panel in json.loads(text)["panels"]
            for target in panel["targets"]
        }
        assert used == found
        assert len(found) == 3


def test_organisations_do_not_get_in_each_others_way():
    """With layout org each has files, sources and dashboards of its own."""
    settings = InfluxPubSettings(api="2", layout="org")
    one, other = (dict(files(settings, Ways(org=org))) for org in ("BdP", "other/project"))
    assert set(one) & set(other) == {"provisioning/dashboards/mysense.yaml"}
    flux = sources(one, "mysense-BdP")[1]
    assert (flux["jsonData"]["organization"], flux["jsonData"]["defaultBucket"]) == (
        "BdP",
        "signals",
    )
    with pytest.raises(VerbError, match="--org"):
        dict(files(settings, Ways()))


def test_flux_needs_an_organisation():
    """It is said before anything is written."""
    with pytest.raises(VerbError, match="name the organisation"):
        dict(files(ServerSettings(api="2"), Ways()))


def test_auto_asks_the_server(influxd):
    """Or is told, where there is none yet."""
    settings = ServerSettings(api="auto", hostname="127.0.0.1", port=influxd.port, org="o")
    assert len(sources(dict(files(settings, Ways())))) == 1
    nobody = ServerSettings(api="auto", hostname="127.0.0.1", port=1, org="o")
    with pytest.raises(VerbError, match="--api 2"):
        dict(files(nobody, Ways()))
    assert len(sources(dict(files(nobody, Ways(api=2))))) == 2


@pytest.mark.parametrize("ca", [None, Path("/etc/ssl/own.pem")])
def test_own_certificates_are_read_by_grafana(ca):
    """By its own means; with verify_ssl = false none is looked at."""
    (source,) = sources(dict(files(ServerSettings(user="g", ssl=True, ca_file=ca), Ways())))
    assert source["secureJsonData"].get("tlsCACert") == (ca and f"$__file{{{ca}}}")
    (source,) = sources(dict(files(ServerSettings(ssl=True, verify_ssl=False), Ways())))
    assert source["jsonData"]["tlsSkipVerify"] is True


def test_a_secret_may_be_in_a_file():
    """Grafana reads it when it starts; it is not read here."""
    ways = Ways(secret_file="/run/secrets/grafana")
    (source,) = sources(dict(files(ServerSettings(user="grafana"), ways)))
    assert source["secureJsonData"] == {"password": "$__file{/run/secrets/grafana}"}


def test_the_verb_writes_them(tmp_path, capsys):
    """Twice is the same as once; no secret of the configuration is in any."""
    conf = tmp_path / "MySense.conf"
    conf.write_text("[influxpub]\napi = 2\norg = BdP\ntoken = very-secret\n")
    conf.chmod(0o600)
    words = ["-c", str(conf), str(tmp_path / "out"), "--prometheus", "http://localhost:9090"]
    texts = []
    for _ in range(2):
        assert main(words) == 0
        written = [Path(line) for line in capsys.readouterr().out.splitlines()]
        texts.append({path: path.read_text() for path in written})
    assert texts[0] == texts[1]
    assert len(texts[0]) == 14
    assert "very-secret" not in "".join(texts[0].values())


def test_another_section_is_refused(tmp_path):
    """Which names no InfluxDB."""
    conf = tmp_path / "MySense.conf"
    conf.write_text("[console]\n")
    with pytest.raises(VerbError, match="is no InfluxDB"):
        main(["-c", str(conf), "--section", "console", str(tmp_path / "out")])
