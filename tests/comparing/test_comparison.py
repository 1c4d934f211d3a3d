"""Walking through two places: in pages, in parts, and twice where something differs."""

from __future__ import annotations

import pytest

from mysense.comparing import comparison as walking
from mysense.comparing import reading
from mysense.comparing.comparison import Comparison
from mysense.comparing.influx_side import InfluxSide
from mysense.comparing.journal_side import JournalSide
from mysense.comparing.sides import Told
from mysense.influx.http import ServerSettings
from mysense.journal import Journal
from tests.cli.places import T0, places_in


@pytest.fixture
def places(tmp_path, influxd, project, monkeypatch):
    with places_in(tmp_path, influxd, project, monkeypatch) as made:
        yield made


@pytest.fixture
def server(places):
    settings = ServerSettings(hostname=places.server.host, port=places.server.port)
    side = InfluxSide(settings, Told(), "influxpub")
    yield side
    side.close()


def compare(here, there, **options):
    """All parts, and the total."""
    comparison = Comparison(here, there, low=0, high=T0 + 10**7, **options)
    return list(comparison.parts(comparison.kits())), comparison.total


class Arriving(JournalSide):
    """A journal into which telegrams come when it is read for the first time."""

    late = ()

    def telegrams(self, kit, low, high):
        found = list(super().telegrams(kit, low, high))
        late, self.late = self.late, ()
        if late:
            journal = Journal(self.view.path)
            journal.append(late)
            journal.close()
        return iter(found)


def test_what_is_just_arriving_is_no_difference(places, server):
    """What differs is looked at again before anything is said."""
    telegrams = places.telegrams(20)
    places.into_journal(telegrams[:-1])
    places.into_server(telegrams)
    side = Arriving(places.journal)
    side.late = telegrams[-1:]
    _, total = compare(server, side)
    side.close()
    assert total.is_equal


def test_pages_and_parts_are_seamless(places, server, monkeypatch):
    """Rows come in pages that never cut a second, and hours in parts."""
    monkeypatch.setattr(reading, "_PAGE", 3)
    monkeypatch.setattr(walking, "_AT_ONCE", 30)
    one = places.telegrams(60, step=60, street="a")
    two = places.telegrams(60, step=60, label="two", street="b")
    others = [places.telegrams(1, T0 + 120, label=f"l{at}")[0] for at in range(8)]
    places.into_journal([*one, *two, *others])
    for telegrams in (one, two, others):
        places.into_server(telegrams)
    side = JournalSide(places.journal)
    parts, total = compare(side, server, full=True)
    side.close()
    assert (total.is_equal, sum(hour.there for part in parts for hour in part.hours)) == (True, 128)


def test_parts_are_bounded(places, server, monkeypatch):
    """No more telegrams are held at once than there may be, but for a single hour's."""
    monkeypatch.setattr(walking, "_AT_ONCE", 16)
    telegrams = places.telegrams(40)
    places.into_journal(telegrams)
    places.into_server(telegrams)
    side = JournalSide(places.journal)
    parts, _ = compare(side, server, full=True)
    side.close()
    assert [len(part.hours) for part in parts] == [2, 2, 2, 2, 2]
