"""Somebody else's listener reads our lines: both requests, all layouts, numbers and labels."""

from __future__ import annotations

import pytest

from mysense.plugin import RetryLater
from tests.influx.publishing import NOW, bad, batch, kit, published
from tests.victoria import Victoria, fields


@pytest.fixture(scope="module")
def victoria():
    with Victoria() as server:
        yield server


@pytest.mark.parametrize("api", ["1", "2"])
@pytest.mark.parametrize("gzip", [True, False])
def test_it_reads_what_was_written(victoria, project, api, gzip):
    """Values and times of each field, the tags as labels."""
    sent = batch(
        kit(project, label="a b,c=d"), {"v": 1.5, "w": -2.5e-3}, {"v": 0.0, "w": 123456.75}
    )
    options = {"api": api, "org": "any", "gzip": gzip, "layout": "shared"}
    with published(victoria.port, **options) as publisher:
        publisher.publish(sent)
    found = victoria.samples(project=project)
    assert fields(found)["data_v"] == [1.5, 0]
    assert fields(found)["data_w"] == [-2.5e-3, 123456.75]
    labels, _, times = next(each for each in found if each[0]["__name__"] == "data_v")
    assert times == [NOW, NOW + 1]
    assert (labels["label"], labels["serial"], labels["new"]) == ("a b,c=d", "s", "0")


def test_a_database_is_a_label_there(victoria, project):
    """With api = 1, as it is told."""
    with published(victoria.port, dialect="clean") as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert fields(victoria.samples(db=f"{project}_s"))["data_v"] == [1]


def test_a_large_batch_arrives_whole(victoria, project):
    """In its two parts."""
    ident = kit(project)
    with published(victoria.port, api="2", org="o", layout="shared") as publisher:
        publisher.publish(batch(ident, {"v": 0.0}))
        publisher.publish(batch(ident, *[{"v": float(at)} for at in range(3000)])[1:])
    assert fields(victoria.samples(project=project))["data_v"] == [float(at) for at in range(3000)]


def test_auto_cannot_tell_what_it_is(victoria, project):
    """Its /ping names no version: that is said, and what to set."""
    with (
        published(victoria.port, api="auto") as publisher,
        pytest.raises(RetryLater, match="set api = 1 or api = 2"),
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))


@pytest.mark.parametrize("options", [{}, {"api": "2", "org": "o"}])
def test_check_lets_it_pass(victoria, options):
    """What only InfluxDB has is not asked of it."""
    assert [each.what for each in bad(victoria.port, **options)] == []
