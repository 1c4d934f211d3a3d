"""What a server drops because it is too old: known exactly, in two requests, however much it is."""

from __future__ import annotations

import json
import time

import pytest

from mysense.influx.beyond import dropped, last_dropped
from mysense.plugin import Refused, Unacceptable
from mysense.points import Point, Series
from mysense.telegram import DAY, Telegram
from tests.influx.publishing import kit, published
from tests.influx.stub import Stub, answer

HOUR = 3600


@pytest.fixture
def now():
    return int(time.time())


@pytest.fixture
def policy(influxd, project):
    """Makes the kit's database, which keeps what is so many seconds old."""
    name = f"{project}_s"

    def make(seconds):
        duration = f'WITH DURATION {seconds}s SHARD DURATION 1h NAME "short"'
        influxd.query(f'CREATE DATABASE "{name}" {duration}')
        return name

    yield make
    influxd.query(f'DROP DATABASE "{name}"')


def telegrams(project, *times):
    """One for each time, with that as its value."""
    ident = kit(project, label="lab")
    return [Telegram(ident, {"time": at, "v": float(at)}, new=False) for at in times]


def refused(publisher, batch):
    """The indices of those that were refused."""
    with pytest.raises(Refused, match="beyond retention policy") as caught:
        publisher.publish(batch)
    return sorted(caught.value.reasons)


def stored(influxd, name, series="data"):
    return [row["time"] for row in influxd.rows(f"SELECT * FROM {series}", database=name)]


def writes(influxd):
    """How many requests to write it has had."""
    _, told = influxd.request("/debug/vars")
    (found,) = [each for key, each in json.loads(told).items() if key.startswith("httpd")]
    return found["values"]["writeReq"]


def test_the_old_are_refused_and_the_young_are_stored(influxd, policy, project, now):
    """Whatever their order is."""
    name = policy(10 * HOUR)
    ages = [60, 3 * DAY, 120, DAY, 180, 2 * DAY]
    with published(influxd.port) as publisher:
        assert refused(publisher, telegrams(project, *(now - age for age in ages))) == [1, 3, 5]
    assert stored(influxd, name) == [now - 180, now - 120, now - 60]


def test_the_young_have_their_info(influxd, policy, project, now):
    """The one that was written with an old telegram was dropped with it."""
    name = policy(10 * HOUR)
    with published(influxd.port) as publisher:
        refused(publisher, telegrams(project, now - DAY, now - 60))
    assert stored(influxd, name, "info") == [now - 60]


def test_what_shares_a_shard_with_younger_ones_is_not_refused(influxd, policy, project, now):
    """The server keeps it, though it is beyond its policy."""
    keeps = HOUR + (now - HOUR // 2) % HOUR  # so that its end lies in the middle of a shard
    name = policy(keeps)
    end = now - keeps
    sent = [end - HOUR, end - HOUR // 3, end + HOUR // 3]
    with published(influxd.port) as publisher:
        assert refused(publisher, telegrams(project, *sent)) == [0]
    assert stored(influxd, name) == sent[1:]


def test_many_old_ones_take_few_requests(influxd, policy, project, now):
    """Not two for each of them."""
    policy(HOUR)
    old = [now - DAY - at for at in range(4000)]
    with published(influxd.port) as publisher:
        before = writes(influxd)
        found = refused(publisher, telegrams(project, *old))
        assert writes(influxd) - before <= 4
    assert found == list(range(4000))


def test_others_are_refused_beside_them(influxd, policy, project, now):
    """Each for its own reason."""
    name = policy(10 * HOUR)
    sent = telegrams(project, now - DAY, now - 3, now - 2, now - 1)
    sent[2] = Telegram(sent[2].ident, {"time": now - 2, "v": "text"}, new=False)
    with published(influxd.port) as publisher, pytest.raises(Refused) as caught:
        publisher.publish(sent)
    reasons = caught.value.reasons
    assert sorted(reasons) == [0, 2]
    assert "beyond retention" in reasons[0]
    assert "beyond retention" not in reasons[2]
    assert stored(influxd, name) == [now - 3, now - 1]


def test_points_as_well(influxd, project, now):
    """Those of others are told apart in the same way."""
    influxd.query(f'CREATE DATABASE "{project}" WITH DURATION 1h NAME "short"')
    series = Series("bme", (("feed", "temps"),))
    sent = [
        Point(series, {"time": at * 10**9, "n": 1}) for at in (now - DAY, now - 9, now - 2 * DAY)
    ]
    options = {"layout": "shared", "database": project}
    with published(influxd.port, **options) as publisher:
        assert refused(publisher, sent) == [0, 2]
        assert refused(publisher, sent[::2]) == [0, 1]
    assert stored(influxd, project, "bme") == [now - 9]
    influxd.query(f'DROP DATABASE "{project}"')


OLD = answer(
    "400 Bad", b'{"error":"partial write: points beyond retention policy dropped=2"}'
)  # info and data of the first
KEYS = answer("200 OK", b'{"results":[{}]}')


def test_where_others_were_dropped_the_batch_is_divided(now):
    """As the young ones, sent again, are not all taken, it is not known which were not."""
    batch = telegrams("p", now - 3, now - 2, now - 1)
    with (
        Stub(KEYS, OLD) as stub,
        published(stub.port) as publisher,
        pytest.raises(Unacceptable, match="beyond retention policy"),
    ):
        publisher.publish(batch)
    assert len(stub.requests) == 3


OF_2_7 = (
    "failure writing points to database: partial write: dropped 3 points outside retention policy "
    "of duration 1h0m0s - oldest point x dropped=3"
)
REPEATED = 'partial write: field type conflict: input field "points beyond retention policy '


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("partial write: points beyond retention policy dropped=12", 12),
        ("points beyond retention policy dropped=1", 1),
        (OF_2_7, 3),
        (f'{REPEATED}dropped=1" dropped=9', 0),
        ("partial write: points beyond retention policy", 0),
        ("unable to parse 'points beyond retention policy dropped=1'", 0),
    ],
)
def test_how_many(message, count):
    """Only where the server itself says so, and not a name that it repeats."""
    assert dropped(message) == count


@pytest.mark.parametrize(
    ("count", "last"), [(0, None), (1, 5), (2, None), (3, 7), (4, 9), (5, None)]
)
def test_the_oldest(count, last):
    """All of a second, or none."""
    assert last_dropped([7, 9, 5, 7], count) == last
