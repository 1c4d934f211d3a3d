"""`mysense scan`: sections on stdout, talk on stderr."""

from __future__ import annotations

import json


def test_sections_can_be_pasted(mysense, tmp_path):
    """What it prints for the simulated kit is a configuration as it stands."""
    conf = tmp_path / "kit.conf"
    conf.write_text("[id]\nproject = p\nserial = 1\n\n" + mysense("scan", "--sim").stdout)
    listed = mysense("plugins", "-c", conf).stdout.splitlines()
    on = {line.split()[0] for line in listed if line.split()[2] == "on"}
    assert {"bme280", "dht", "dylos"} <= on


def test_talk_is_on_stderr(mysense):
    """What was found is told, and does not stand among the sections."""
    done = mysense("scan", "--sim")
    assert "0x76 BME280" in done.stderr
    assert all(line == "" or line[0] in "#[" or " = " in line for line in done.stdout.splitlines())


def test_json(mysense):
    """Everything in one object, nothing on stderr."""
    done = mysense("scan", "--sim", "--json")
    found = json.loads(done.stdout)
    assert (found["i2c"][0]["chips"], done.stderr) == (
        [{"address": "0x76", "chip": "BME280", "kernel": False}],
        "",
    )
    assert found["configuration"].startswith("# the serial adapter")


def test_broken_configuration_does_not_matter(mysense, tmp_path):
    """Who looks for sensors may have no good configuration yet."""
    (tmp_path / "MySense.conf").write_text("[nothing\n")
    mysense("scan", "--sim")
