"""`mysense migrate` from a real InfluxDB 1.x into InfluxDB 2.x and back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from mysense.cli import main
from tests.cli.conftest import environment
from tests.cli.places import DAY, HOUR, T0, places_in

pytestmark = pytest.mark.influx2


@pytest.fixture
def old(tmp_path, influxd, project, monkeypatch):
    """The project's kits on the old server."""
    with places_in(tmp_path, influxd, project, monkeypatch) as made:
        yield made


class Migrate:
    """Runs the command; `token` is of [influxpub:new]."""

    def __init__(self, folder, old, influx2, capsys):
        self.folder, self.old, self.influx2 = folder, old, influx2
        self._capsys = capsys
        self.out = self.err = ""

    def configure(self, token, *new, org=True):
        lines = [
            "[influxsub:old]",
            f"hostname = {self.old.server.host}",
            f"port = {self.old.server.port}",
            f"projects = {self.old.project}",
            "[influxpub:new]",
            f"hostname = {self.influx2.host}",
            f"port = {self.influx2.port}",
            "api = 2",
            f"token = {token}",
            *([f"org = {self.old.project}"] if org else []),
            *new,
            "[influxpub:back]",
            f"hostname = {self.old.server.host}",
            f"port = {self.old.server.port}",
            "layout = shared",
            f"database = {self.old.project}_back",
        ]
        self.path = self.folder / "MySense.conf"
        self.path.write_text("\n".join(lines))
        self.path.chmod(0o600)

    def words(self, *words, source="influxsub:old", to="influxpub:new"):
        return ["migrate", "-c", str(self.path), source, to, *map(str, words)]

    def __call__(self, *words, **places):
        self._capsys.readouterr()
        code = main(self.words(*words, **places))
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def migrate(tmp_path, old, influx2, capsys):
    return Migrate(tmp_path, old, influx2, capsys)


@pytest.fixture
def bucket(influx2, org, old):
    """The bucket of the kit."""
    return influx2.bucket(org, old.kit)


def both(influx2, org, bucket):
    """A token that may read and write it."""
    return influx2.authorize(org, ("read", bucket), ("write", bucket))


def two_labels(old, count=20):
    place = {"geolocation": "51.4,6.1,22", "street": "Kerkstraat 1, links"}
    old.into_server(old.telegrams(count, **place))
    old.into_server(old.telegrams(count, T0 + 300, label="b, c", **place))


def test_into_a_bucket(influx2, org, bucket, old, migrate):
    """With a token of this bucket; compared telegram by telegram as well."""
    two_labels(old)
    token = both(influx2, org, bucket)
    migrate.configure(token, "dialect = clean", "create = false")
    assert migrate() == 0, migrate.out + migrate.err
    assert "40 telegrams read, 40 written" in migrate.err
    verify = ["verify", "-c", str(migrate.path), "influxsub:old", "influxpub:new", "--full"]
    assert main(verify) == 0
    rows = influx2.rows("SELECT * FROM data", token=token, db=old.kit)
    assert {row["label"] for row in rows} == {"lab", "b, c"}


def test_into_a_shared_bucket(influx2, org, old, migrate):
    """Project and serial are tags."""
    two_labels(old)
    token = both(influx2, org, influx2.bucket(org, "mysense"))
    migrate.configure(token, "layout = shared")
    assert migrate() == 0, migrate.out + migrate.err
    rows = influx2.rows("SELECT * FROM data", token=token, db="mysense")
    assert {(row["project"], row["serial"]) for row in rows} == {(old.project, "k")}


def test_into_an_organisation_for_each_project(influx2, org, old, migrate):
    """Compared with the project's own token."""
    two_labels(old)
    token = both(influx2, org, influx2.bucket(org, "signals"))
    migrate.configure(token, "layout = org", org=False)
    assert migrate() == 0, migrate.out + migrate.err
    assert "compared" in migrate.out


def test_buckets_are_made(influx2, org, old, migrate):
    """Where the token may do so; into an organisation that the token reads."""
    assert org["name"] == old.project
    old.into_server(old.telegrams(4))
    everything = [
        {"action": action, "resource": {"type": "buckets", "orgID": org["id"]}}
        for action in ("read", "write")
    ]
    orgs = {"action": "read", "resource": {"type": "orgs", "id": org["id"]}}
    made = influx2.make("authorizations", orgID=org["id"], permissions=[*everything, orgs])
    migrate.configure(made["token"])
    assert migrate() == 0, migrate.out + migrate.err


def test_killed_in_the_middle_and_again(influx2, org, bucket, old, migrate):
    """The real command; it goes on where it was, and nothing is doubled."""
    for begin in range(0, 30_000, 10_000):
        old.into_server(old.telegrams(10_000, T0 + begin * 15, 15))
    token = both(influx2, org, bucket)
    migrate.configure(token, "dialect = clean")

    def stored():
        rows = influx2.rows("SELECT count(temp) FROM data", token=token, db=old.kit)
        return rows[0]["count"] if rows else 0

    with subprocess.Popen(
        [sys.executable, "-m", "mysense", *migrate.words()],
        cwd=migrate.folder,
        env=environment(migrate.folder),
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while not stored():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 0 < stored() < 30_000
    assert migrate() == 0, migrate.out + migrate.err
    assert stored() == 30_000


def test_what_is_older_than_the_bucket_keeps(influx2, org, old, migrate):
    """422: these are dead letters, the others are there, and it is no success."""
    token = both(influx2, org, influx2.bucket(org, old.kit, 30 * DAY))
    now = int(time.time()) // HOUR * HOUR - HOUR
    old.into_server([*old.telegrams(3), *old.telegrams(2, now - HOUR)])
    migrate.configure(token)
    assert migrate() == 1
    assert "3 rows cannot be written, now dead letters" in migrate.err
    assert len(influx2.rows("SELECT * FROM data", token=token, db=old.kit)) == 2


def test_token_that_may_not_read(influx2, org, bucket, old, migrate):
    """All is written, and nothing is said to be equal."""
    old.into_server(old.telegrams(4))
    migrate.configure(influx2.authorize(org, ("write", bucket)))
    assert migrate() == 1
    assert "4 written" in migrate.err
    assert f"nothing can be seen of 1 kit in influxpub:new: {old.kit}" in migrate.out


def test_nothing_there_yet(influx2, org, old, migrate):
    """A bucket that is missing has nothing of a kit: that is a difference, no error."""
    old.into_server(old.telegrams(4))
    migrate.configure(both(influx2, org, influx2.bucket(org, "other")))
    assert migrate("--verify-only", "--json") == 1
    *found, _ = map(json.loads, migrate.out.splitlines())
    assert {one["there"]["count"] for one in found} == {0}


def test_there_and_back(influx2, org, bucket, old, migrate):
    """From 2.x into another layout of 1.x: what left comes back."""
    two_labels(old)
    migrate.configure(both(influx2, org, bucket), "dialect = clean")
    assert migrate() == 0, migrate.err
    words = ["--kit", old.kit]
    assert migrate(*words, source="influxpub:new", to="influxpub:back") == 0, migrate.err
    assert migrate("--verify-only", to="influxpub:back") == 0, migrate.out


def test_dry_run_names_the_bucket(influx2, org, old, migrate):
    """And nothing is written."""
    assert org["name"] == old.project
    old.into_server(old.telegrams(4))
    migrate.configure("none")
    assert migrate("--dry-run") == 0
    assert f"-> bucket {old.kit} of {old.project}" in migrate.out
