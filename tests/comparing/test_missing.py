"""What is missing, as an input: it begins anew where comparing was interrupted."""

from __future__ import annotations

import pytest

from mysense.comparing.hours import Part
from mysense.comparing.missing import Missing
from mysense.plugin import RetryLater
from tests.pipeline import keys, telegram


def test_interrupted_comparing_begins_anew():
    """A server that does not answer once may not end it early."""
    faults = [RetryLater("down")]

    def parts():
        yield Part("p_a", 0, 3600, missing_there=[telegram(1)])
        if faults:
            raise faults.pop()
        yield Part("p_a", 3600, 7200)
        yield Part("p_a", 7200, 10800, missing_there=[telegram(7201)])

    source, found = Missing(parts), []
    found += source.poll(None)[0]
    with pytest.raises(RetryLater):
        source.poll(None)
    while batch := source.poll(None)[0]:
        found += batch
    assert keys(found) == [("a", 1), ("a", 1), ("a", 7201)]
