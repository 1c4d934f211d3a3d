"""A real InfluxDB 1.x that is asked as if it were 2.x: it is said which option to change."""

from __future__ import annotations

import pytest

from mysense.options import Secret
from mysense.plugin import Hold, RetryLater
from tests.influx.publishing import bad, batch, kit, published
from tests.influx.stub import Stub, answer

AS_2X = {"api": "2", "org": "o", "token": Secret("t0k-en")}


def test_1x_without_the_path(influxd, project):
    """InfluxDB 1.6 answers 404."""
    with (
        published(influxd.port, **AS_2X) as publisher,
        pytest.raises(RetryLater, match=r"InfluxDB 1\..*set api = 1") as caught,
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert (caught.value.after, caught.value.alarm) == (180, True)


def test_1x_that_wants_a_user(influxd_auth, project):
    """It takes no tokens."""
    with (
        published(influxd_auth.port, **AS_2X) as publisher,
        pytest.raises(RetryLater, match=r"InfluxDB 1\..*(user and password|set api = 1)"),
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))


def test_check_says_it_too(influxd):
    """Before anything is sent."""
    found = bad(influxd.port, **AS_2X)
    assert found[0].fix == "set api = 1"


OF_18 = "X-Influxdb-Version: 1.8.10"
NO_KEYS = answer("403 Forbidden", b"{}", OF_18)
NO_DATABASE = answer("404 Not Found", b'{"error":"database not found: \\"p_s\\""}', OF_18)
MADE = answer("200 OK", b'{"results":[{"statement_id":0}]}', OF_18)
STORED = answer("204 No Content", b"", OF_18)


def test_18_takes_the_requests_of_2x():
    """It has the path; a database that is not there is made as 1.x makes it."""
    user = {"api": "2", "org": "any", "user": "u", "password": Secret("p")}
    with (
        Stub(NO_KEYS, NO_DATABASE, MADE, STORED) as stub,
        published(stub.port, **user) as publisher,
    ):
        publisher.publish(batch(kit("p"), {"v": 1.0}))
    asked = [request.split(b" HTTP")[0].split(b"?")[0] for request in stub.requests]
    assert asked == [b"GET /query", b"POST /api/v2/write", b"POST /query", b"POST /api/v2/write"]
    assert b"CREATE+DATABASE" in stub.requests[2]


def test_18_with_a_token_is_told_to_take_a_user():
    """Its words for a header that it cannot read say little."""
    refused = answer("401 No", b'{"error":"unable to parse authentication credentials"}', OF_18)
    with (
        Stub(refused) as stub,
        published(stub.port, **AS_2X) as publisher,
        pytest.raises(RetryLater, match=r"1\.8\.10, which takes no tokens; set user and password"),
    ):
        publisher.publish(batch(kit("p"), {"v": 1.0}))


def test_what_has_no_version_and_no_path():
    """A proxy may hide what it is."""
    with (
        Stub(answer("404 Not Found", b"404 page not found\n")) as stub,
        published(stub.port, **AS_2X) as publisher,
        pytest.raises(RetryLater, match="no /api/v2/write; set api = 1"),
    ):
        publisher.publish(batch(kit("p"), {"v": 1.0}))


def test_2x_that_is_asked_as_1x_holds_the_kit():
    """Another kit's bucket may be mapped."""
    unmapped = b'{"code":"not found","message":"no dbrp mapping found"}'
    with (
        Stub(answer("404 Not Found", unmapped, "X-Influxdb-Version: v2.7.12")) as stub,
        published(stub.port, token=Secret("t")) as publisher,
        pytest.raises(Hold, match=r"v2\.7\.12.*set api = 2, org and token"),
    ):
        publisher.publish(batch(kit("p"), {"v": 1.0}))
