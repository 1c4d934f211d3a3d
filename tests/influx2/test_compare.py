"""Comparing with InfluxDB 2.x: what is there, what is missing, and what is deleted to be mended."""

from __future__ import annotations

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.comparing.comparison import Comparison
from mysense.comparing.influx_side import InfluxSide
from mysense.comparing.journal_side import JournalSide
from mysense.comparing.sides import CompareError, Found, Told
from mysense.journal import Journal
from tests.influx.subscribing import T, day
from tests.influx2.test_subscribe import LAYOUTS, Site

pytestmark = pytest.mark.influx2


@pytest.fixture(params=LAYOUTS)
def site(request, influx2, project):
    return Site(influx2, project, request.param)


def place(site, *actions):
    options = {"api": "2", "layout": site.layout, "token": site.token(*actions)}
    if site.layout != "org":
        options |= {"org": site.project, "database": site.buckets[0]["name"]}
    settings = PLUGIN.Settings(hostname="127.0.0.1", port=site.influx2.port, **options)
    return InfluxSide(settings, Told(settings), "influxpub")


def differences(site, telegrams, path):
    """What comparing a journal with these telegrams finds to be missing, and its total."""
    with_journal = Journal(path)
    with_journal.append(telegrams)
    with_journal.close()
    here, there = JournalSide(path), place(site)
    comparison = Comparison(here, there, low=0, high=T + 10**7, full=True)
    list(comparison.parts(comparison.kits()))
    for side in (here, there):
        side.close()
    return comparison.total


def test_what_was_published_is_the_same(site, tmp_path):
    """Of kits that share a bucket, too."""
    sent = day(site.project, "a", "b", count=10)
    site.publish(sent)
    assert differences(site, sent, tmp_path / "j.db").is_equal


def test_what_is_missing_is_found(site, tmp_path):
    """Of one of them."""
    sent = day(site.project, "a", "b", count=10)
    site.publish(sent[:-1])
    assert not differences(site, sent, tmp_path / "j.db").is_equal


def test_what_differs_is_taken_away(site):
    """Of this kit alone, whatever others measured in that second."""
    sent = day(site.project, "a", "b", count=3)
    site.publish(sent)
    side, kit = place(site, "read", "write"), f"{site.project}_a"
    side.forget(kit, {Found(sent[0]).identity}, T, T + 1)
    left = [len(list(side.telegrams(one, 0, T + 10**6))) for one in (kit, f"{site.project}_b")]
    side.close()
    assert left == [2, 3]


def test_who_may_not_delete_is_told(influx2, project):
    """And it is all there."""
    site = Site(influx2, project, "kit")
    sent = day(site.project, "a", count=1)
    site.publish(sent)
    side, kit = place(site, "read"), f"{site.project}_a"
    with pytest.raises(CompareError, match="insufficient permissions"):
        side.forget(kit, {Found(sent[0]).identity}, T, T + 1)
    left = list(side.telegrams(kit, 0, T + 10**6))
    side.close()
    assert len(left) == 1


def test_another_organisation_is_not_taken_for_an_empty_one(influx2, project):
    """Else all of it would be sent again."""
    site = Site(influx2, project, "org")
    site.publish(day(project, "a", count=1))
    side = place(site)
    with pytest.raises(CompareError, match=f"one of organisation {project}x"):
        side.span(f"{project}x_a", 0, T + 10)
    side.close()
