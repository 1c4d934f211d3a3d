"""MyINFLUXPUB against a real influxd, and against answers that a real one seldom gives."""

from __future__ import annotations

import contextlib

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.errors import MySenseError
from mysense.options import Secret
from mysense.plugin import Hold, Refused, RetryLater, TooLarge, Unacceptable
from mysense.telegram import DAY, Ident, Telegram
from tests.influx.stub import Stub, answer

NOW = 1_494_777_772


@contextlib.contextmanager
def published(port, **options):
    settings = PLUGIN.Settings(**({"hostname": "127.0.0.1", "port": port, "timeout": 5} | options))
    with PLUGIN(settings, "influxpub") as publisher:
        publisher.open(None)
        yield publisher


@pytest.fixture
def publisher(influxd):
    with published(influxd.port) as plugin:
        yield plugin


@pytest.fixture
def ident(project):
    return Ident(project=project, serial="s", label="alphaTest", geolocation="1,2,3")


@pytest.fixture
def name(influxd, ident):
    """The database of `ident`, not there yet."""
    yield ident.kit
    influxd.query(f'DROP DATABASE "{ident.kit}"')


@pytest.fixture
def made(name, influxd):
    """The database of `ident`, empty."""
    influxd.query(f'CREATE DATABASE "{name}"')
    return name


def batch(ident, *datas, new=False):
    return [Telegram(ident, {"time": NOW + at, **data}, new) for at, data in enumerate(datas)]


def login(server, name, right=None):
    """Options of a user who has `right` on database `name`."""
    server.query(f"CREATE USER \"{name}\" WITH PASSWORD 'pw'")
    if right:
        server.query(f'GRANT {right} ON "{name}" TO "{name}"')
    return {"user": name, "password": Secret("pw")}


def test_a_kit_gets_its_database(influxd, publisher, ident, name):
    """Created, with long shards, and what was sent is in it as deployed databases have it."""
    publisher.publish(batch(ident, {"temp": 21.5}, {"temp": 0.0}))
    rows = influxd.rows("SELECT temp FROM data GROUP BY *", database=name)
    assert rows == [
        {"geolocation": r'"1,2,3"', "label": '"alphaTest"', "new": "0", "time": NOW + at, "temp": t}
        for at, t in enumerate((21.5, 0.0))
    ]
    policy = influxd.rows(f'SHOW RETENTION POLICIES ON "{name}"')[0]
    assert policy["shardGroupDuration"] == "87360h0m0s"


def test_the_series_are_those_of_deployed_kits(influxd, publisher, ident, name):
    """As SHOW SERIES prints them."""
    publisher.publish(batch(ident, {"temp": 21.5}))
    keys = [row["key"] for row in influxd.rows("SHOW SERIES", database=name)]
    assert keys == [
        r'data,geolocation="1\,2\,3",label="alphaTest",new=0',
        r'info,label="alphaTest"',
    ]


def test_a_batch_sent_twice_is_there_once(influxd, publisher, ident, name):
    """A retry overwrites."""
    for _ in range(2):
        publisher.publish(batch(ident, {"temp": 21.5}, {"temp": 22.5}))
    assert influxd.rows("SELECT count(temp) FROM data", database=name)[0]["count"] == 2


def test_create_false_holds_the_kit(influxd, ident):
    """With the words an administrator needs."""
    with (
        published(influxd.port, create=False) as publisher,
        pytest.raises(Hold, match=f'CREATE DATABASE "{ident.kit}"'),
    ):
        publisher.publish(batch(ident, {"temp": 1.0}))


def test_a_database_that_comes_back_gets_info_too(influxd, ident, made):
    """Written, held while the database is away, and then complete."""
    with published(influxd.port, create=False) as publisher:
        publisher.publish(batch(ident, {"temp": 1.0}))
        influxd.query(f'DROP DATABASE "{made}"')
        with pytest.raises(Hold):
            publisher.publish(batch(ident, {"temp": 1.0}))
        influxd.query(f'CREATE DATABASE "{made}"')
        publisher.publish(batch(ident, {"temp": 1.0}))
    assert len(influxd.rows("SELECT * FROM info", database=made)) == 1


def test_a_database_that_was_dropped_is_made_again_with_info(influxd, publisher, ident, name):
    """Types and ident that were there are gone with it."""
    publisher.publish(batch(ident, {"v": 1.0}))
    influxd.query(f'DROP DATABASE "{name}"')
    publisher.publish(batch(ident, {"v": "text now"}))
    assert len(influxd.rows("SELECT * FROM info", database=name)) == 1


def test_info_comes_with_the_ident_and_once_a_day(influxd, publisher, ident, name):
    """Of five telegrams over two days two carry it, and one more that is new."""
    times = [0, 1, DAY, DAY + 1]
    publisher.publish([Telegram(ident, {"time": NOW + at, "v": 1.0}) for at in times])
    publisher.publish([Telegram(ident, {"time": NOW + DAY + 9, "v": 1.0}, True)])
    found = [row["time"] - NOW for row in influxd.rows("SELECT * FROM info", database=name)]
    assert found == [0, DAY, DAY + 9]


def test_types_are_learned_before_the_first_write(influxd, publisher, ident, made):
    """Numbers go into a text column as text, texts of numbers into a number column."""
    influxd.write(made, 'data t="x",f=1,i=1i 1')
    publisher.publish(batch(ident, {"t": 62.0, "f": "62.5", "i": 62.0}))
    (_, row) = influxd.rows("SELECT t,f,i FROM data", database=made)
    assert row == {"time": NOW, "t": "62", "f": 62.5, "i": 62}


def test_what_does_not_fit_is_refused_and_the_rest_is_stored(influxd, publisher, ident, made):
    """By index, with a reason."""
    influxd.write(made, "data v=1 1")
    with pytest.raises(Refused) as caught:
        publisher.publish(batch(ident, {"v": "text"}, {"v": 2.0}, {"v": None}))
    assert list(caught.value.reasons) == [0, 2]
    assert "does not fit its column of type float" in caught.value.reasons[0]
    assert influxd.rows("SELECT v FROM data", database=made)[1:] == [{"time": NOW + 1, "v": 2.0}]


def test_conflicts_teach_a_user_who_may_not_read(influxd_auth, ident):
    """The batch is sent again, converted, within one publish."""
    influxd_auth.query(f'CREATE DATABASE "{ident.kit}"')
    influxd_auth.write(ident.kit, f'data t="x",f=1 {NOW - 1}')
    user = login(influxd_auth, ident.kit, "WRITE")
    with published(influxd_auth.port, **user) as publisher, pytest.raises(Refused) as caught:
        publisher.publish(batch(ident, {"t": 62.0, "f": "62.5"}, {"f": "no"}, {"t": 1.0}))
    assert list(caught.value.reasons) == [1]
    rows = influxd_auth.rows("SELECT t,f FROM data", database=ident.kit)[1:]
    assert rows == [
        {"time": NOW, "t": "62", "f": 62.5},
        {"time": NOW + 2, "t": "1", "f": None},
    ]


def test_a_field_that_changes_its_type_while_we_write(influxd, publisher, ident, made):
    """What was learned before is learned anew."""
    publisher.publish(batch(ident, {"v": 1.0}))
    influxd.query('DROP MEASUREMENT "data"', database=made)
    influxd.write(made, f'data v="text" {NOW - 1}')
    publisher.publish(batch(ident, {"v": 2.5}))
    assert influxd.rows("SELECT v FROM data", database=made)[1]["v"] == "2.5"


def test_shards_of_different_types_end_in_bisecting(influxd, ident, made):
    """Each half, at last each telegram, gets the type of its shard."""
    week = 7 * DAY
    influxd.query(f'ALTER RETENTION POLICY autogen ON "{made}" SHARD DURATION 7d')
    influxd.write(made, f'data v="text" {NOW}')
    influxd.write(made, f"data v=1 {NOW + 4 * week}")
    sent = [Telegram(ident, {"time": NOW + at, "v": 2.0}) for at in (1, 4 * week + 1)]
    with published(influxd.port) as publisher:
        publisher._writer._field_keys = lambda _: b""  # as without the right to read
        with pytest.raises(Unacceptable, match="field type conflict"):
            publisher.publish(sent)
        for each in sent:
            publisher.publish([each])
    found = [
        influxd.rows(
            f"SELECT v FROM data WHERE time > {low}s AND time < {low + week}s", database=made
        )[-1]["v"]
        for low in (NOW, NOW + 4 * week)
    ]
    assert found == ["2", 2]


def test_an_info_made_by_hand_with_numbers_holds_the_kit(influxd, publisher, ident, made):
    """It says which field; once it is gone the telegrams go in."""
    influxd.write(made, "info,label=x geolocation=32 1")
    with pytest.raises(Hold, match="info geolocation"):
        publisher.publish(batch(ident, {"v": 1.0}))
    influxd.query('DROP MEASUREMENT "info"', database=made)
    publisher.publish(batch(ident, {"v": 1.0}))
    assert influxd.rows("SELECT v FROM data", database=made) == [{"time": NOW, "v": 1}]


def test_a_new_field_of_two_types_does_not_lose_the_batch(influxd, publisher, ident, name):
    """The first value decides, the other telegram is refused."""
    with pytest.raises(Refused) as caught:
        publisher.publish(batch(ident, {"v": 1.0}, {"v": "text"}, {"v": 3.0}))
    assert list(caught.value.reasons) == [1]
    assert len(influxd.rows("SELECT v FROM data", database=name)) == 2


def test_a_time_beyond_retention_is_refused(influxd, publisher, ident, made):
    """It becomes a dead letter with that reason."""
    influxd.query(f'ALTER RETENTION POLICY autogen ON "{made}" DURATION 52w SHARD DURATION 1w')
    with pytest.raises(Refused, match="beyond retention policy") as caught:
        publisher.publish(batch(ident, {"v": 1.0}))
    assert list(caught.value.reasons) == [0]


def test_an_unknown_retention_policy_holds(influxd, ident, made):
    """It is the option rp, or the policy that is missing."""
    with (
        published(influxd.port, rp="nope") as publisher,
        pytest.raises(Hold, match=r"retention policy not found: nope.*rp"),
    ):
        publisher.publish(batch(ident, {"v": 1.0}))


def test_a_database_is_made_with_the_policy_asked_for(influxd, ident, name):
    """So that the first batch finds it."""
    with published(influxd.port, rp="raw", shard="") as publisher:
        publisher.publish(batch(ident, {"v": 1.0}))
    assert influxd.rows(f'SHOW RETENTION POLICIES ON "{name}"')[0]["name"] == "raw"


def test_a_body_that_is_too_large_is_halved(new_influxd, ident):
    """413, whatever the limit of this server is."""
    influxd = new_influxd(config={"http": {"max-body-size": 1000}})
    with published(influxd.port) as publisher, pytest.raises(TooLarge):
        publisher.publish(batch(ident, *[{"v": 1.0}] * 100))


def test_a_wrong_password_waits_and_says_what_to_fix(influxd_auth, ident):
    """Not every second: somebody has to do something."""
    options = {"user": "nobody", "password": Secret("wrong-one")}
    with (
        published(influxd_auth.port, **options) as publisher,
        pytest.raises(RetryLater, match="user nobody is refused") as caught,
    ):
        publisher.publish(batch(ident, {"v": 1.0}))
    assert caught.value.after == 180
    assert "wrong-one" not in str(caught.value)


def test_a_user_without_rights_holds_the_kit(influxd_auth, ident):
    """Missing and forbidden databases, with what an administrator can do."""
    user = login(influxd_auth, ident.kit)
    with published(influxd_auth.port, **user) as publisher:
        with pytest.raises(Hold, match=r"may not create it.*CREATE DATABASE"):
            publisher.publish(batch(ident, {"v": 1.0}))
        influxd_auth.query(f'CREATE DATABASE "{ident.kit}"')
        with pytest.raises(Hold, match=r"not authorized to write.*GRANT ALL"):
            publisher.publish(batch(ident, {"v": 1.0}))
        influxd_auth.query(f'GRANT WRITE ON "{ident.kit}" TO "{ident.kit}"')
        publisher.publish(batch(ident, {"v": 1.0}))
    assert len(influxd_auth.rows("SELECT * FROM info", database=ident.kit)) == 1


def test_a_server_that_is_away_is_tried_again(new_influxd, ident):
    """With the very same batch, which then arrives whole."""
    influxd = new_influxd()
    with published(influxd.port, timeout=1) as publisher:
        publisher.publish(batch(ident, {"v": 1.0}))
        influxd.kill()
        with pytest.raises(RetryLater, match=f"127.0.0.1:{influxd.port}"):
            publisher.publish(batch(ident, {"v": 2.0}))
        influxd.start()
        publisher.publish(batch(ident, {"v": 2.0}))
    rows = influxd.rows("SELECT v FROM data", database=ident.kit)
    assert rows == [{"time": NOW, "v": 2}]


def test_a_name_that_makes_no_database_never_reaches_the_server(publisher):
    """Even if it came past the telegram's own checks."""
    evil = Ident(project='a"; DROP DATABASE "b', serial="s")
    with pytest.raises(Refused, match="cannot name a database"):
        publisher.publish(batch(evil, {"v": 1.0}))


STORED = answer("204 No Content")
NOT_TOLD = answer("403 Forbidden", b'{"error":"no right to read"}')


def outcome(reply, ident, **options):
    """What publish raises when the write is answered with `reply`."""
    with Stub(NOT_TOLD, reply) as stub, published(stub.port, **options) as publisher:
        try:
            publisher.publish(batch(ident, {"v": 1.0}))
        except MySenseError as raised:
            return raised
    return None


@pytest.mark.parametrize(
    ("reply", "kind", "after", "words"),
    [
        (answer("200 OK", b"<html>log in</html>"), RetryLater, None, "portal"),
        (answer("302 Found", b"", "Location: http://portal/"), RetryLater, None, "portal"),
        (answer("429 No", b"", "Retry-After: 7"), RetryLater, 7.0, "429"),
        (answer("503 No", b"busy"), RetryLater, None, "503 busy"),
        (answer("408 No"), RetryLater, None, "408"),
        (answer("404 Not Found", b"page not found"), RetryLater, None, "404 page"),
        (
            answer("400 No", b'{"error":"partial write: no space left on device dropped=3"}'),
            RetryLater,
            None,
            "no space left",
        ),
        (answer("400 No", b'{"error":"unexpected EOF"}'), RetryLater, None, "unexpected EOF"),
        (
            answer("400 No", b'{"error":"partial write: unable to parse \'x\': bad dropped=0"}'),
            Unacceptable,
            None,
            "unable to parse",
        ),
        (
            answer("400 No", b'{"error":"unable to parse \'x\': time outside range"}'),
            Unacceptable,
            None,
            "time outside range",
        ),
        (
            answer("422 No", b'{"error":"partial write: points beyond retention policy"}'),
            Unacceptable,
            None,
            "beyond retention",
        ),
        (answer("413 No", b"too large"), TooLarge, None, "too large"),
        (answer("403 No", b'{"error":"forbidden"}'), Hold, None, "GRANT"),
        (answer("401 No", b'{"error":"no"}'), RetryLater, 180.0, "set user and password"),
        (None, RetryLater, None, "127.0.0.1"),
    ],
)
def test_each_answer_has_its_meaning(reply, kind, after, words, ident):
    """The table of answers."""
    raised = outcome(reply, ident)
    assert (type(raised), getattr(raised, "after", None)) == (kind, after)
    assert words in str(raised)


def test_a_conflict_that_does_not_end_is_bisected(ident):
    """A server that says the same for ever does not hold us in a loop."""
    message = (
        b'{"error":"partial write: field type conflict: input field \\"v\\" on measurement '
        b'\\"data\\" is type float, already exists as type string dropped=1"}'
    )
    assert isinstance(outcome(answer("400 No", message), ident), Unacceptable)


def test_a_failed_batch_comes_again_as_the_same_bytes(ident):
    """Nothing is remembered of what was not acknowledged."""
    sent = batch(ident, {"v": 1.0}, {"w": "x"}, new=True)
    with (
        Stub(NOT_TOLD, answer("503 No"), NOT_TOLD, STORED) as stub,
        published(stub.port) as publisher,
    ):
        with pytest.raises(RetryLater):
            publisher.publish(sent)
        publisher.publish(sent)
    writes = [request for request in stub.requests if request.startswith(b"POST /write")]
    assert len(writes) == 2
    assert writes[0] == writes[1]


def test_preview_shows_what_would_be_posted(influxd, ident, made):
    """Line by line, touching nothing, and posted by hand it is what publish stores."""
    publisher = PLUGIN(PLUGIN.Settings(port=1))
    sent = batch(ident, {"v": 1.0}, {"v": 2.0, "note": 'a, "b"'})
    lines = [*publisher.preview(sent[:1]), *publisher.preview(sent[1:])]
    assert influxd.write(made, "\n".join(lines)) == (204, "")
    by_hand = influxd.rows("SELECT * FROM data", database=made)
    influxd.query(f'DROP DATABASE "{made}"')
    with published(influxd.port) as other:
        other.publish(sent)
    assert influxd.rows("SELECT * FROM data", database=made) == by_hand


@pytest.mark.parametrize("dialect", ["classic", "clean"])
def test_preview_says_what_would_be_refused(dialect, ident, caplog):
    """On the log, not among the lines."""
    publisher = PLUGIN(PLUGIN.Settings(dialect=dialect))
    assert list(publisher.preview(batch(ident, {"v": None}))) == []
    assert "no value" in caplog.text


def test_check_finds_a_good_server_good(influxd):
    """Reachable, let in, may create."""
    plugin = PLUGIN(PLUGIN.Settings(hostname="127.0.0.1", port=influxd.port))
    assert all(finding.good for finding in plugin.check())


def test_check_says_that_nobody_is_there():
    """And what to look at."""
    (finding,) = PLUGIN(PLUGIN.Settings(hostname="127.0.0.1", port=1)).check()
    assert (finding.good, "refused" in finding.what, bool(finding.fix)) == (False, True, True)


def test_check_says_that_the_password_is_wrong(influxd_auth):
    """As the last of its findings: the rest cannot be known."""
    settings = PLUGIN.Settings(
        hostname="127.0.0.1", port=influxd_auth.port, user="x", password=Secret("y")
    )
    findings = list(PLUGIN(settings).check())
    assert [finding.good for finding in findings] == [True, False]
    assert "user x is refused" in findings[-1].what


def test_check_says_what_a_user_may_not(influxd_auth, project):
    """Not create, and not write here; and it leaves nothing behind."""
    influxd_auth.query(f'CREATE DATABASE "{project}"')
    user = login(influxd_auth, project, "READ")
    settings = PLUGIN.Settings(hostname="127.0.0.1", port=influxd_auth.port, **user)
    bad = [finding for finding in PLUGIN(settings).check() if not finding.good]
    assert [finding.what for finding in bad] == [
        "may create databases for new kits",
        f"may not write to database {project}",
    ]
    assert influxd_auth.rows("SHOW MEASUREMENTS", database=project) == []


@pytest.mark.parametrize("shard", ["1y", "x", "520", "1w; DROP DATABASE x"])
def test_a_shard_duration_is_one(shard):
    """It goes into a statement."""
    with pytest.raises(ValueError, match="520w"):
        PLUGIN.Settings(shard=shard)
