"""From the journal to InfluxDB 2.x: what it refuses is a dead letter, all else is there."""

from __future__ import annotations

import time

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.journal import Journal
from mysense.options import Secret
from mysense.telegram import Telegram
from tests.influx.publishing import kit, settings
from tests.pipeline import Rig, counts

pytestmark = pytest.mark.influx2


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def deliver(influx2, journal, project):
    """`deliver(telegrams)` carries them to a shared bucket of the organisation until it rests."""
    rigs = []

    def start(telegrams, **options):
        journal.append(telegrams)
        given = {"api": "2", "org": project, "token": Secret(influx2.token)} | options
        rigs.append(Rig(journal, PLUGIN(settings(influx2.port, **given), "influx")))
        rigs[-1].settle()

    yield start
    for rig in rigs:
        rig.close()


def stored(influx2, org, bucket, field):
    token = influx2.authorize(org, ("read", bucket))
    rows = influx2.rows(f"SELECT {field} FROM data", token=token, db=bucket["name"])
    return sorted(row[field] for row in rows)


def test_what_is_too_old_for_the_bucket_is_dead(influx2, journal, deliver, project):
    """The answer names no telegram: bisecting finds it, wherever it stands."""
    org = influx2.org(project)
    bucket = influx2.bucket(org, f"{project}_s", 3600)
    now = int(time.time())
    times = [now - 60, now - 50, now - 86_400, now - 40, now - 30]
    deliver([Telegram(kit(project), {"time": at, "v": float(n)}) for n, at in enumerate(times)])
    assert counts(journal, "influx") == (4, 0, 0, 1, 0)
    assert stored(influx2, org, bucket, "v") == [0, 1, 3, 4]


def test_what_does_not_fit_others_is_dead(influx2, journal, deliver, project):
    """Of two kits in one bucket that take turns."""
    org = influx2.org(project)
    bucket = influx2.bucket(org, f"{project}-all")
    now = int(time.time()) - 1000
    values = [("a", 1.0), ("b", 2.0), ("a", "text"), ("b", "3"), ("b", "text"), ("a", 4.0)]
    sent = [
        Telegram(kit(project, serial), {"time": now + at, "v": value})
        for at, (serial, value) in enumerate(values)
    ]
    deliver(sent, layout="shared", database=bucket["name"])
    assert counts(journal, "influx") == (4, 0, 0, 2, 0)
    assert stored(influx2, org, bucket, "v") == [1, 2, 3, 4]


def test_a_kit_without_a_bucket_is_held(influx2, journal, deliver, project):
    """The other goes on."""
    org = influx2.org(project)
    bucket = influx2.bucket(org, f"{project}_a")
    now = int(time.time()) - 1000
    sent = [Telegram(kit(project, s), {"time": now, "v": 1.0}) for s in ("a", "b")]
    deliver(sent, create=False)
    assert counts(journal, "influx") == (1, 0, 1, 0, 0)
    assert stored(influx2, org, bucket, "v") == [1]
