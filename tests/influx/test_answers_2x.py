"""The table of answers for InfluxDB 2.x and 3, in the words that its source has."""

from __future__ import annotations

import json

import pytest

from mysense.errors import MySenseError
from mysense.options import Secret
from mysense.plugin import Hold, RetryLater, TooLarge, Unacceptable
from tests.influx.publishing import batch, kit, published
from tests.influx.stub import Stub, answer

V2 = ("X-Influxdb-Build: OSS", "X-Influxdb-Version: v2.7.12")
NOT_TOLD = answer("403 Forbidden", b"{}", *V2)
STORED = answer("204 No Content", b"", *V2)
OPTIONS = {"api": "2", "org": "o", "token": Secret("t0k-en")}
PARTLY = "failure writing points to database: partial write: "
DISK = "unexpected error writing points to database: write: no space left on device"


def said(status, code, message, **more):
    body = {"code": code, "message": message} | more
    return answer(f"{status} No", json.dumps(body).encode(), *V2)


def outcome(*replies, **options):
    """What publish raises when it is answered so, after it was not told the types of fields."""
    with Stub(NOT_TOLD, *replies) as stub, published(stub.port, **OPTIONS | options) as publisher:
        try:
            publisher.publish(batch(kit("p"), {"v": 1.0}))
        except MySenseError as raised:
            return raised, stub.requests
    return None, stub.requests


OUTSIDE = PARTLY + (
    "dropped 1 points outside retention policy of duration 1h0m0s - oldest point data,new=0 at "
    "2017-05-14T16:02:52Z dropped because it violates a Retention Policy Lower Bound dropped=1 "
    "for database: 0123 for retention policy: autogen"
)
TABLE = {
    "parse": (said(400, "invalid", "unable to parse 'x': missing fields"), Unacceptable, None),
    "line": (said(400, "invalid", "unable to parse 'x': bad", line=2), Unacceptable, None),
    "retention": (
        said(422, "unprocessable entity", PARTLY + "points beyond retention policy dropped=1"),
        Unacceptable,
        None,
    ),
    "retention-2.7": (said(422, "unprocessable entity", OUTSIDE), Unacceptable, None),
    "deletion": (
        said(422, "unprocessable entity", PARTLY + "shard 7 is pending deletion dropped=1"),
        RetryLater,
        None,
    ),
    "disk": (said(500, "internal error", DISK), RetryLater, None),
    "401": (said(401, "unauthorized", "unauthorized access"), RetryLater, 180.0),
    "401-right": (
        said(401, "unauthorized", "write:orgs/01/buckets/02 is unauthorized"),
        Hold,
        None,
    ),
    "403": (said(403, "forbidden", "insufficient permissions for write"), Hold, None),
    "inactive": (
        said(403, "forbidden", "insufficient permissions for write: token is inactive"),
        RetryLater,
        180.0,
    ),
    "413": (
        said(413, "request too large", "unable to read data: points batch is too large"),
        TooLarge,
        None,
    ),
    "429": (
        answer("429 No", b'{"code":"too many requests","message":"x"}', "Retry-After: 7", *V2),
        RetryLater,
        7.0,
    ),
    "503": (said(503, "unavailable", "not now"), RetryLater, None),
    "404-path": (said(404, "not found", "path not found"), RetryLater, None),
    "3-partly": (
        answer(
            "400 No",
            b'{"error":"partial write of line protocol occurred","data":[{"error_message":"x"}]}',
        ),
        Unacceptable,
        None,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_answer_has_its_meaning(name):
    """As the table of 1.x has it."""
    reply, kind, after = TABLE[name]
    raised, _ = outcome(reply)
    assert (type(raised), getattr(raised, "after", None)) == (kind, after)


@pytest.mark.parametrize("name", ["403", "401-right"])
def test_where_all_kits_go_all_wait(name):
    """One bucket for all."""
    raised, _ = outcome(TABLE[name][0], layout="shared")
    assert (type(raised), raised.after, raised.alarm) == (RetryLater, 180.0, True)


def test_a_conflict_that_does_not_end_is_bisected():
    """A server that says the same for ever does not hold us in a loop."""
    conflict = PARTLY + (
        'field type conflict: input field "v" on measurement "data" is type float, already exists '
        "as type string dropped=1"
    )
    raised, requests = outcome(said(422, "unprocessable entity", conflict))
    assert (type(raised), len(requests)) == (Unacceptable, 3)


def test_a_user_of_1x_cannot_write_as_2x_does():
    """It is a token that is missing, and nothing else."""
    options = {"token": Secret(), "user": "u", "password": Secret("p")}
    raised, _ = outcome(TABLE["401"][0], **options)
    assert str(raised).endswith("it is InfluxDB v2.7.12; set token")


def test_a_bucket_may_be_called_like_an_organisation():
    """It holds that kit and not all."""
    missing = said(404, "not found", 'bucket "organization_s" not found')
    assert isinstance(outcome(missing, create=False)[0], Hold)


MISSING = said(404, "not found", 'bucket "p_s" not found')
ORG = answer("200 OK", b'{"orgs":[{"id":"07","name":"o"}]}', *V2)


def test_a_bucket_that_somebody_else_made_meanwhile():
    """It is there, which is all that was wanted."""
    taken = said(422, "conflict", "bucket with name p_s already exists")
    raised, requests = outcome(MISSING, ORG, taken, STORED)
    assert (raised, len(requests)) == (None, 5)


def test_a_bucket_that_is_not_to_be_seen_after_it_was_made():
    """It is tried again, and not made for ever."""
    made = answer("201 Created", b'{"id":"08"}', *V2)
    raised, requests = outcome(MISSING, ORG, made, MISSING)
    assert (type(raised), len(requests)) == (RetryLater, 5)


def test_a_server_that_fails_while_a_bucket_is_made():
    """It is tried again."""
    raised, _ = outcome(MISSING, ORG, said(503, "unavailable", "not now"))
    assert isinstance(raised, RetryLater)


def test_a_failed_batch_comes_again_as_the_same_bytes():
    """Nothing is remembered of what was not acknowledged."""
    sent = batch(kit("p"), {"v": 1.0}, {"w": "x"}, new=True)
    with (
        Stub(NOT_TOLD, said(503, "unavailable", "x"), NOT_TOLD, STORED) as stub,
        published(stub.port, **OPTIONS) as publisher,
    ):
        with pytest.raises(RetryLater):
            publisher.publish(sent)
        publisher.publish(sent)
    writes = [request for request in stub.requests if request.startswith(b"POST /api/v2/write")]
    assert (len(writes), len(set(writes))) == (2, 1)
