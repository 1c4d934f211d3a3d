"""deploy/compose: what can be said of it without an engine of containers."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time

import pytest
import yaml

from mysense.application import Application
from mysense.cli.grafana import Ways, files
from tests.conftest import CHECKOUT

HERE = CHECKOUT / "deploy/compose"
TEXT = (HERE / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
CONF = HERE / "MySense.conf"
DOCKERFILE = (HERE / "Dockerfile").read_text(encoding="utf-8")
KEYS = {  # of the compose specification, as far as they are used
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck",
    "image", "init", "logging", "ports", "profiles", "read_only", "restart", "secrets",
    "security_opt", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
CHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
NAMES = {  # of the environment, that the program of an image looks for
    "influxdb": "DOCKER_INFLUXDB_INIT_(MODE|USERNAME|ORG|BUCKET|(PASSWORD|ADMIN_TOKEN)_FILE)"
    "|INFLUXD_REPORTING_DISABLED",
    "grafana": "GF_SECURITY_(ADMIN_PASSWORD__FILE|DISABLE_GRAVATAR)|GF_USERS_ALLOW_SIGN_UP"
    "|GF_ANALYTICS_(REPORTING_ENABLED|CHECK_FOR_(PLUGIN_)?UPDATES)|GF_NEWS_NEWS_FEED_ENABLED"
    "|GF_PLUGINS_PREINSTALL_DISABLED",
    "mysense": "CREDENTIALS_DIRECTORY",
    "provision": "CREDENTIALS_DIRECTORY",
}
PROGRAMS = {"influxdb": "influx", "grafana": "wget", "prometheus": "wget"}  # that images have
RUNNING = [name for name in SERVICES if name != "provision"]


def secrets_of(service):
    """{file in /run/secrets: name of the secret}."""
    given = SERVICES[service].get("secrets", [])
    return {
        one if isinstance(one, str) else one["target"]: one
        if isinstance(one, str)
        else one["source"]
        for one in given
    }


def mounts():
    """(service, source, target) of every volume."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, target = mount.split(":")[:2]
            yield name, source, target


@pytest.fixture
def prepared(tmp_path):
    """A copy in which prepare.sh has made its secrets, twice."""
    folder = tmp_path / "compose"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("secrets", ".env"))
    before = {}
    for _ in range(2):
        subprocess.run([folder / "prepare.sh", "--secrets-only"], check=True)
        now = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
        assert before in ({}, now)
        before = now
    return folder


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_known_keys_alone(name):
    """A key that is misspelt would be no error for an old Compose, and do nothing."""
    assert SERVICES[name].keys() <= KEYS
    assert SERVICES[name].get("healthcheck", {}).keys() <= CHECK_KEYS
    assert set(COMPOSE) <= {"name", "services", "volumes", "secrets", "x-careful"}


def test_images_are_pinned():
    """By a whole version; that of MySense is built here."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    foreign = [image for image in images.values() if image != "mysense:local"]
    assert "build" in SERVICES["mysense"]
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(foreign) == 3
    for image in [*foreign, *bases]:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z]+)*", image)


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_has_more_rights_than_it_needs(name):
    """No way to more rights, nothing to write to but volumes, nobody is root."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not str(service.get("user", "1")).startswith("0")


def test_nothing_listens_to_other_machines():
    """Unless asked to."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    for port in ports:
        assert re.fullmatch(r"\$\{[A-Z]+_LISTEN:-127\.0\.0\.1\}:\d+:\d+", port)


def test_the_administrators_token_is_for_setting_up():
    """Only the server itself and the one-shot service have it, and that is not started by `up`."""
    have = {name for name in SERVICES if "influxdb_admin_token" in secrets_of(name).values()}
    assert have == {"influxdb", "provision"}
    assert SERVICES["provision"]["profiles"] == ["provision"]


def test_secrets_are_declared_and_used():
    """All of them, and none is a text in the file."""
    used = {secret for name in SERVICES for secret in secrets_of(name).values()}
    assert used == set(COMPOSE["secrets"])
    assert re.findall(r"(?i)(?:password|token): (?!/run/secrets/)\S+", TEXT) == []


def test_secrets_are_made(prepared):
    """By prepare.sh, the tokens by the provisioning that it calls; nobody else can reach them."""
    script = (prepared / "prepare.sh").read_text()
    readers = re.findall(r"^\./provision\.sh reader (\w+)$", script, re.MULTILINE)
    made = {f"./secrets/{name}.token" for name in readers}
    made |= {f"./secrets/{path.name}" for path in (prepared / "secrets").iterdir()}
    assert made == {secret["file"] for secret in COMPOSE["secrets"].values()}
    assert stat.S_IMODE((prepared / "secrets").stat().st_mode) == 0o700
    for path in (prepared / "secrets").iterdir():
        assert 30 <= len(path.read_bytes()) <= 72  # the server takes 8 to 72
        assert re.fullmatch(r"[A-Za-z0-9]+", path.read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_the_environment_is_what_somebody_reads(name):
    """Names that the image or MySense knows; files in it are secrets of that service."""
    for key, value in SERVICES[name].get("environment", {}).items():
        assert re.fullmatch(NAMES[name], key), key
        if key.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in secrets_of(name)


def test_mysense_finds_its_secrets_there(tmp_path):
    """By the names of their sections and options."""
    targets = [*secrets_of("mysense"), *secrets_of("provision")]
    for target in targets:
        (tmp_path / target).write_text(f"the-{target}\n")
    loaded = Application.load(CONF, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    found = {"influxsub_token": loaded.section("influxsub").settings.token.reveal()}
    found["provision_token"] = loaded.provision.token.reveal()
    assert found == {target: f"the-{target}" for target in targets}


def test_the_configuration_is_good():
    """It reads all kits over the API of 2.x, and keeps them in store and JSON Lines."""
    loaded = Application.load(CONF, environ={})
    inputs = [one for one in loaded.configured if one.on and one.plugin.direction == "input"]
    assert [one.section for one in inputs] == ["influxsub"]
    assert [one.section for one in loaded.outputs()] == ["sqlitepub", "jsonl"]
    for section in ("influxsub", "influxpub"):
        settings = loaded.section(section).settings
        environment = SERVICES["influxdb"]["environment"]
        assert (settings.hostname, settings.api) == ("influxdb", "2")
        assert settings.org == environment["DOCKER_INFLUXDB_INIT_ORG"]
    state = "/var/lib/mysense"
    for section, option in (("sqlitepub", "file"), ("jsonl", "file")):
        path = getattr(loaded.section(section).settings, option)
        assert str(path).startswith(f"{state}/")
    assert f"STATE_DIRECTORY={state}" in DOCKERFILE


def test_mounted_files_and_volumes_are_there():
    """Each volume is declared, each path exists or is made by prepare.sh."""
    sources = {source for _, source, _ in mounts()}
    assert {one for one in sources if not one.startswith(".")} == set(COMPOSE["volumes"])
    paths = {one for one in sources if one.startswith(".") and one != "./secrets"}
    assert all((HERE / path).exists() for path in paths)


def grafana_files():
    ways = Ways(
        url="http://influxdb:8086",
        dashboards="/etc/mysense-dashboards",
        secret_file="/run/secrets/grafana_token",
        prometheus="http://prometheus:9090",
    )
    settings = Application.load(CONF, environ={}).section("influxpub").settings
    return dict(files(settings, ways))


def test_the_files_of_grafana_are_current():
    """Else: the command in docs/compose.md under Upgrade."""
    there = {
        path.relative_to(HERE / "grafana").as_posix(): path.read_text(encoding="utf-8")
        for path in (HERE / "grafana").rglob("*")
        if path.is_file()
    }
    assert there == grafana_files()


def test_the_files_of_grafana_name_what_there_is():
    """Hosts are services, the secret is Grafana's, dashboards lie where they are mounted."""
    text = "".join(text for name, text in grafana_files().items() if name.startswith("prov"))
    assert set(re.findall(r"http://(\w+):", text)) <= set(SERVICES)
    secrets = set(re.findall(r"\$__file\{/run/secrets/(\w+)\}", text))
    assert secrets <= set(secrets_of("grafana"))
    (folder,) = re.findall(r'path: "([^"]+)"', text)
    assert folder in {target for name, _, target in mounts() if name == "grafana"}


def test_prometheus_asks_where_mysense_answers():
    """Under the name of the job that the dashboard looks for."""
    (job,) = yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]
    port = Application.load(CONF, environ={}).process.metrics.rpartition(":")[2]
    assert job["job_name"] == "mysense"
    assert job["static_configs"] == [{"targets": [f"mysense:{port}"]}]


@pytest.mark.parametrize("name", RUNNING)
def test_health_is_asked_by_a_program_that_is_there(name):
    """Of every service that stays."""
    how, program = SERVICES[name]["healthcheck"]["test"][:2]
    if name != "mysense":
        assert (how, program) == ("CMD", PROGRAMS[name])
        return
    words = re.findall(r"(?:^|\| )(\w+)", program)
    assert (how, words) == ("CMD-SHELL", ["mysense", "grep"])


def test_influxdb_is_not_healthy_before_its_set_up_is_done():
    """The server of the set-up has another port, and ends; what the client knows is that one."""
    words = SERVICES["influxdb"]["healthcheck"]["test"]
    published = SERVICES["influxdb"]["ports"][0].rpartition(":")[2]
    assert words[-2:] == ["--host", f"http://127.0.0.1:{published}"]


def test_health_of_mysense_is_that_of_its_engine(tmp_path):
    """The very line of the file: good while it runs, bad before and after."""
    conf = tmp_path / "MySense.conf"
    conf.write_text(f"[sqlitesub]\ninput = true\n[jsonl]\noutput = true\nfile = {tmp_path}/out\n")
    mysense = f"{sys.executable} -m mysense"
    line = SERVICES["mysense"]["healthcheck"]["test"][1]
    line = line.replace("mysense status", f"{mysense} status").replace(
        "/etc/mysense/MySense.conf", str(conf)
    )
    env = _environment(tmp_path)

    def healthy():
        done = subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, check=False)
        return done.returncode == 0

    assert not healthy()
    run = subprocess.Popen([*mysense.split(), "run", "-c", str(conf)], env=env)
    try:
        deadline = time.monotonic() + 60
        while not healthy() and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert healthy()
    finally:
        run.terminate()
        run.wait(30)
    assert not healthy()


def _environment(folder):
    return {**os.environ, "STATE_DIRECTORY": str(folder / "state")}


def test_the_image_has_what_it_copies():
    """Sources exist, and are sent; packages are those that were locked."""
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    sent = re.findall(r"^!(\S+)$", (HERE / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert copied
    for path in copied:
        assert (CHECKOUT / path).exists()
        assert path.split("/")[0] in sent
    for line in re.findall(r"pip install (.+?)(?:\n[^ ]|\Z)", DOCKERFILE, re.DOTALL):
        assert "--require-hashes" in line or "--no-index" in line


def test_the_image_runs_as_nobody_in_particular():
    """And begins what pyproject.toml names."""
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["mysense"]
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    scripts = re.search(r"\[project\.scripts\]\n(\w+) =", (CHECKOUT / "pyproject.toml").read_text())
    assert json.loads(entry) == [scripts[1]]
    words = SERVICES["mysense"]["command"]
    assert words[0] == "run"
    assert words[-1] in {target for name, _, target in mounts() if name == "mysense"}


@pytest.mark.parametrize("script", ["prepare.sh", "provision.sh"])
def test_scripts_are_understood(script):
    """By a shell, and can be started."""
    assert subprocess.run(["/bin/sh", "-n", HERE / script], check=False).returncode == 0
    assert (HERE / script).stat().st_mode & 0o111


def test_secrets_are_not_committed():
    """Git is told."""
    assert "secrets/" in (HERE / ".gitignore").read_text().split()


def test_compose_itself_understands_it(prepared):
    """Its command alone is enough for that, where it is installed."""
    docker = shutil.which("docker") or pytest.skip("there is no docker here")
    for name in ("mysense.token", "grafana.token"):
        (prepared / "secrets" / name).touch()
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose here")
    words = [docker, "compose", "--profile", "provision", "config", "--quiet"]
    done = subprocess.run(words, cwd=prepared, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
