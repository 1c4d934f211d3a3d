"""MyINFLUXPUB writes to InfluxDB 2.x: all three layouts, and what goes wrong with tokens."""

from __future__ import annotations

import time

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.influx.checks import buckets
from mysense.influx.http import Server
from mysense.options import Secret
from mysense.plugin import Hold, Refused, RetryLater, Unacceptable
from mysense.telegram import Telegram
from tests.influx.publishing import NOW, bad, batch, kit, published, settings

pytestmark = pytest.mark.influx2
WEEK = 604_800


@pytest.fixture
def org(influx2, project):
    """An organisation of this test's own."""
    return influx2.org(project)


@pytest.fixture
def bucket(influx2, org, project):
    """The bucket of the kit `<project>_s`."""
    return influx2.bucket(org, f"{project}_s")


@pytest.fixture
def options(influx2, project):
    """An operator's, who may do everything."""
    return {"api": "2", "org": project, "token": Secret(influx2.token)}


def readable(influx2, org, name):
    """Rows of a query about the bucket `name`, with a token of the organisation."""
    target = f"/api/v2/buckets?orgID={org['id']}&name={name}"
    (bucket,) = influx2.request("GET", target)[1]["buckets"]
    token = influx2.authorize(org, ("read", bucket))
    return lambda text: influx2.rows(text, token=token, db=name.partition("/")[0])


def writer(influx2, org, *buckets):
    """Options with a token that may write these and nothing else."""
    token = influx2.authorize(org, *[("write", bucket) for bucket in buckets])
    return {"api": "2", "org": org["name"], "token": Secret(token)}


def test_a_kit_gets_its_bucket(influx2, org, project, options):
    """Made when it may, with long shards; what was sent is in it, the ident too."""
    with published(influx2.port, **options) as publisher:
        publisher.publish(batch(kit(project, label="a"), {"temp": 21.5}, {"temp": 0.0}))
    rows = readable(influx2, org, f"{project}_s")
    assert [(row["time"] - NOW, row["temp"]) for row in rows("SELECT temp FROM data")] == [
        (0, 21.5),
        (1, 0),
    ]
    assert rows("SELECT serial FROM info") == [{"time": NOW, "serial": "s"}]
    target = f"/api/v2/buckets?orgID={org['id']}&name={project}_s"
    (bucket,) = influx2.request("GET", target)[1]["buckets"]
    assert bucket["retentionRules"] == [
        {"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 520 * WEEK}
    ]


def test_a_batch_sent_twice_is_there_once(influx2, org, bucket, project, options):
    """A retry overwrites."""
    with published(influx2.port, **options) as publisher:
        for _ in range(2):
            publisher.publish(batch(kit(project), {"v": 1.0}, {"v": 2.0}))
    assert len(readable(influx2, org, bucket["name"])("SELECT v FROM data")) == 2


def test_a_token_of_this_bucket_is_enough(influx2, org, bucket, project):
    """It need not read, and need not see the organisation."""
    with published(influx2.port, **writer(influx2, org, bucket)) as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert len(readable(influx2, org, bucket["name"])("SELECT v FROM data")) == 1


@pytest.mark.parametrize("gzip", [True, False])
def test_a_large_batch_in_two_parts(influx2, org, bucket, options, gzip):
    """Compressed or not, all of it is there."""
    project = org["name"]
    with published(influx2.port, gzip=gzip, **options) as publisher:
        publisher.publish(batch(kit(project), {"v": 0.0}))
        publisher.publish(batch(kit(project), *[{"v": float(at)} for at in range(3000)]))
    (row,) = readable(influx2, org, bucket["name"])("SELECT count(v), sum(v) FROM data")
    assert (row["count"], row["sum"]) == (3000, 2999 * 1500)


def test_a_policy_is_a_bucket_of_its_own(influx2, org, project, options):
    """As 1.x queries ask for it."""
    with published(influx2.port, rp="raw", **options) as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    rows = readable(influx2, org, f"{project}_s/raw")
    assert rows(f'SELECT v FROM "{project}_s"."raw"."data"') == [{"time": NOW, "v": 1}]


def test_auto_finds_2x(influx2, org, bucket, project, options):
    """And asks it as such."""
    with published(influx2.port, **options | {"api": "auto"}) as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert len(readable(influx2, org, bucket["name"])("SELECT v FROM data")) == 1


def test_types_are_learned_where_they_may_be_read(influx2, org, bucket, project):
    """Numbers go into a text column as text, texts of numbers into a number column."""
    influx2.write(org["name"], bucket["name"], f'data t="x",f=1,i=1i {NOW - 1}')
    token = influx2.authorize(org, ("read", bucket), ("write", bucket))
    options = {"api": "2", "org": org["name"], "token": Secret(token)}
    with published(influx2.port, **options) as publisher, pytest.raises(Refused) as caught:
        publisher.publish(batch(kit(project), {"t": 62.0, "f": "62.5", "i": 62.0}, {"f": "no"}))
    assert list(caught.value.reasons) == [1]
    (row,) = readable(influx2, org, bucket["name"])(f"SELECT t,f,i FROM data WHERE time = {NOW}s")
    assert row == {"time": NOW, "t": "62", "f": 62.5, "i": 62}


def test_conflicts_teach_a_token_that_may_not_read(influx2, org, bucket, project):
    """422: the good points are stored, others are converted or refused by name."""
    influx2.write(org["name"], bucket["name"], f'data t="x",f=1 {NOW - 1}')
    sent = batch(kit(project), {"t": 62.0, "f": "62.5"}, {"f": "no"}, {"t": 1.0}, {"f": 4.0})
    with (
        published(influx2.port, **writer(influx2, org, bucket)) as publisher,
        pytest.raises(Refused) as caught,
    ):
        publisher.publish(sent)
    assert list(caught.value.reasons) == [1]
    rows = readable(influx2, org, bucket["name"])(f"SELECT t,f FROM data WHERE time >= {NOW}s")
    assert [(row["time"] - NOW, row["t"], row["f"]) for row in rows] == [
        (0, "62", 62.5),
        (2, "1", None),
        (3, None, 4),
    ]


def test_times_beyond_retention_are_refused(influx2, org, project, options):
    """They alone: what is young enough is stored."""
    influx2.bucket(org, f"{project}_s", 3600)
    sent = batch(kit(project), {"v": 1.0}, {"v": 2.0})
    sent.append(Telegram(kit(project), {"time": int(time.time()), "v": 3.0}, new=False))
    with (
        published(influx2.port, **options) as publisher,
        pytest.raises(Refused, match=r"beyond retention policy of duration 1h0m0s") as caught,
    ):
        publisher.publish(sent)
    assert list(caught.value.reasons) == [0, 1]
    rows = readable(influx2, org, f"{project}_s")("SELECT v FROM data")
    assert [row["v"] for row in rows] == [3]


def test_a_line_that_cannot_be_parsed_is_unacceptable(influx2, org, bucket, project, options):
    """Nothing of that request is stored; the core bisects."""
    with published(influx2.port, **options) as publisher:
        encode = publisher._writer._encoder.encode
        publisher._writer._encoder.encode = lambda *given: _spoiled(encode(*given))
        with pytest.raises(Unacceptable, match="unable to parse"):
            publisher.publish(batch(kit(project), {"v": 1.0}))
    assert readable(influx2, org, bucket["name"])("SELECT v FROM data") == []


def _spoiled(encoded):
    import attrs

    return attrs.evolve(encoded, body=encoded.body + b"\ndata v= 1")


def test_create_false_holds_the_kit(influx2, org, project, options):
    """With what an administrator can do; other kits go on."""
    with (
        published(influx2.port, create=False, **options) as publisher,
        pytest.raises(Hold, match=rf"switched off.*make bucket {project}_s in {project}"),
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))


def test_a_token_that_may_not_create_holds_the_kit(influx2, org, bucket, project):
    """It is let in as soon as the bucket is there and another token says so."""
    with (
        published(influx2.port, **writer(influx2, org, bucket)) as publisher,
        pytest.raises(Hold, match=rf'bucket "{project}_other" not found'),
    ):
        publisher.publish(batch(kit(project, "other"), {"v": 1.0}))


def test_a_kits_token_on_another_bucket_holds_the_kit(influx2, org, bucket, project):
    """And its own goes on."""
    influx2.bucket(org, f"{project}_other")
    with published(influx2.port, **writer(influx2, org, bucket)) as publisher:
        with pytest.raises(Hold, match=f"bucket {project}_other of organisation {project}"):
            publisher.publish(batch(kit(project, "other"), {"v": 1.0}))
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert len(readable(influx2, org, bucket["name"])("SELECT v FROM data")) == 1


def test_a_token_that_only_reads_holds_the_kit(influx2, org, bucket, project):
    """It says what is missing."""
    token = influx2.authorize(org, ("read", bucket))
    options = {"api": "2", "org": project, "token": Secret(token)}
    with (
        published(influx2.port, **options) as publisher,
        pytest.raises(Hold, match="let the token write"),
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))


def test_a_wrong_token_waits_and_is_not_told(influx2, org, bucket, project):
    """All kits wait: it is good for none."""
    options = {"api": "2", "org": project, "token": Secret("not-the-token")}
    with (
        published(influx2.port, **options) as publisher,
        pytest.raises(RetryLater, match="the token is refused") as caught,
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert (caught.value.after, "not-the-token" in str(caught.value)) == (180, False)


def test_no_token_says_what_to_set(influx2, org, bucket, project):
    """As a user without one would ask."""
    with (
        published(influx2.port, api="2", org=project) as publisher,
        pytest.raises(RetryLater, match="token"),
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))


def test_a_token_that_was_switched_off(influx2, org, bucket, project):
    """Whichever of its answers the server gives, all kits wait."""
    permission = {"action": "write", "resource": {"type": "buckets", "orgID": org["id"]}}
    made = influx2.make(
        "authorizations", orgID=org["id"], permissions=[permission], status="inactive"
    )
    options = {"api": "2", "org": project, "token": Secret(made["token"])}
    with published(influx2.port, **options) as publisher, pytest.raises(RetryLater) as caught:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert caught.value.after == 180


def test_an_organisation_that_is_not_there_stops_all(influx2, project, options):
    """It is an option, and not a kit's fault."""
    with (
        published(influx2.port, **options) as publisher,
        pytest.raises(RetryLater, match=f"no organisation {project}") as caught,
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert caught.value.alarm


def test_shared_keeps_kits_of_one_second_apart(influx2, org, project, options):
    """One bucket for all, made on the way, kits as tags."""
    name = f"{project}-all"
    with published(influx2.port, layout="shared", database=name, **options) as publisher:
        for serial in ("a", "b"):
            publisher.publish(batch(kit(project, serial), {"v": 1.0}))
    rows = readable(influx2, org, name)("SELECT v FROM data GROUP BY project,serial")
    assert rows == [{"project": project, "serial": s, "time": NOW, "v": 1} for s in ("a", "b")]


def test_a_shared_bucket_that_may_not_be_written_stops_all(influx2, org, bucket, project):
    """Nobody could go on."""
    name = f"{project}-all"
    influx2.bucket(org, name)
    given = writer(influx2, org, bucket)
    with (
        published(influx2.port, layout="shared", database=name, **given) as publisher,
        pytest.raises(RetryLater, match=f"bucket {name}") as caught,
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert caught.value.after == 180


def test_what_one_kit_made_a_text_is_one_for_the_others(influx2, org, project, options):
    """In one bucket each field has one type, whoever wrote first."""
    name = f"{project}-all"
    with published(influx2.port, layout="shared", database=name, **options) as publisher:
        publisher.publish(batch(kit(project, "a"), {"t": "x", "f": 1.0}))
        with pytest.raises(Refused) as caught:
            publisher.publish(batch(kit(project, "b"), {"t": 62.0, "f": 2.0}, {"f": "no"}))
    assert list(caught.value.reasons) == [1]
    rows = readable(influx2, org, name)("SELECT t,f FROM data WHERE serial = 'b'")
    assert rows == [{"time": NOW, "t": "62", "f": 2}]


def test_each_project_has_its_organisation(influx2, project):
    """Made with its one bucket; a kit of another project is somewhere else."""
    options = {"api": "2", "layout": "org", "token": Secret(influx2.token)}
    with published(influx2.port, **options) as publisher:
        for name in (project, f"{project}x"):
            for serial in ("a", "b"):
                publisher.publish(batch(kit(name, serial), {"v": 1.0}, {"v": 2.0}))
    for name in (project, f"{project}x"):
        (org,) = influx2.request("GET", f"/api/v2/orgs?org={name}")[1]["orgs"]
        rows = readable(influx2, org, "signals")("SELECT v FROM data GROUP BY project,serial")
        assert {(row["project"], row["serial"]) for row in rows} == {(name, "a"), (name, "b")}
        assert len(rows) == 4


def test_types_of_an_organisation_are_its_own(influx2, project):
    """What one project made a text is a number in another."""
    options = {"api": "2", "layout": "org", "token": Secret(influx2.token)}
    with published(influx2.port, **options) as publisher:
        publisher.publish(batch(kit(project), {"v": "text"}))
        publisher.publish(batch(kit(f"{project}x"), {"v": 1.0}))
        publisher.publish(batch(kit(project, "b"), {"v": 2.0}))
    (org,) = influx2.request("GET", f"/api/v2/orgs?org={project}x")[1]["orgs"]
    assert readable(influx2, org, "signals")("SELECT v FROM data") == [{"time": NOW, "v": 1}]
    (org,) = influx2.request("GET", f"/api/v2/orgs?org={project}")[1]["orgs"]
    rows = readable(influx2, org, "signals")("SELECT v FROM data WHERE serial = 'b'")
    assert rows == [{"time": NOW, "v": "2"}]


def test_types_of_the_tokens_own_organisation_are_not_taken_for_others(fake2, project):
    """Queries are answered for the organisation of the token, whichever is meant."""
    (own,) = fake2.request("GET", "/api/v2/orgs?org=first")[1]["orgs"]
    fake2.bucket(own, "signals")
    fake2.write("first", "signals", f'data v="text" {NOW}')
    options = {"api": "2", "layout": "org", "token": Secret(fake2.token)}
    with published(fake2.port, **options) as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    (org,) = fake2.request("GET", f"/api/v2/orgs?org={project}")[1]["orgs"]
    assert readable(fake2, org, "signals")("SELECT v FROM data") == [{"time": NOW, "v": 1}]


def test_fields_of_others_are_not_tried_out_again(fake2, project):
    """Where types cannot be asked for, what was learned holds, and nothing is sent.

    A text could make the field one of texts in the next shard, for every kit there.
    """
    options = {"api": "2", "layout": "org", "token": Secret(fake2.token)}
    with published(fake2.port, **options) as publisher:
        publisher.publish(batch(kit(project, "a"), {"v": 1.0}))
        asked = len(fake2.requests)
        with pytest.raises(Refused):
            publisher.publish(batch(kit(project, "b"), {"v": "text"}))
    assert len(fake2.requests) == asked


def test_a_project_without_an_organisation_holds_its_kits(influx2, project):
    """Those of other projects go on."""
    options = {"api": "2", "layout": "org", "token": Secret(influx2.token), "create": False}
    with published(influx2.port, **options) as publisher, pytest.raises(Hold, match="organi"):
        publisher.publish(batch(kit(project), {"v": 1.0}))


def test_asked_as_1x_it_says_which_option_to_change(influx2, org, project):
    """With a token, with a user, and with nothing."""
    for given in ({"token": Secret(influx2.token)}, {"user": "x", "password": Secret("y")}, {}):
        with (
            published(influx2.port, **given) as publisher,
            pytest.raises((Hold, RetryLater), match="set api = 2, org and token"),
        ):
            publisher.publish(batch(kit(project), {"v": 1.0}))


def test_check_finds_an_operator_good(influx2, org, bucket, project, options):
    """Reachable, let in, may create and write; and nothing was made or written."""
    assert bad(influx2.port, **options) == []
    target = f"/api/v2/buckets?orgID={org['id']}&limit=100"
    names = {each["name"] for each in influx2.request("GET", target)[1]["buckets"]}
    assert {name for name in names if not name.startswith("_")} == {bucket["name"]}
    assert readable(influx2, org, bucket["name"])("SHOW MEASUREMENTS") == []


def test_check_finds_what_a_token_may_not(influx2, org, bucket, project):
    """Not create, and not write where it may read."""
    token = influx2.authorize(org, ("read", bucket))
    found = bad(influx2.port, api="2", org=project, token=Secret(token))
    assert [each.what for each in found] == [
        "may create buckets for new kits",
        f"may not write to bucket {bucket['name']} of organisation {project}",
    ]


def test_check_finds_a_wrong_token(influx2, org, project):
    """As the last of its findings."""
    (found,) = bad(influx2.port, api="2", org=project, token=Secret("wrong"))
    assert "the token is refused" in found.what


def test_check_finds_the_wrong_api(influx2, project):
    """It says which to set."""
    found = bad(influx2.port, token=Secret(influx2.token))
    assert found[0].fix == "set api = 2, org and token"


def test_check_of_the_shared_bucket(influx2, org, bucket, project):
    """Not there and not to be made; then it may be written."""
    given = writer(influx2, org, bucket)
    given |= {"layout": "shared", "create": False}
    (found,) = bad(influx2.port, database=f"{project}-all", **given)
    assert found.what == f"{project}-all: not there"
    assert bad(influx2.port, database=bucket["name"], **given) == []


def checked(port, project, **options):
    """What `check` says of writing, with the kit `<project>_s` expected."""
    with PLUGIN(settings(port, **options), "influxpub") as publisher:
        publisher.kits = (kit(project),)
        return [(one.good, one.what) for one in publisher.check()][-1:]


def test_check_tries_the_kits_own_bucket(influx2, org, bucket, project):
    """A token that only writes sees no bucket; that of the kit is known without."""
    good = checked(influx2.port, project, **writer(influx2, org, bucket))
    assert good == [(True, "may write to 1 bucket")]
    other = influx2.bucket(org, f"{project}_other")
    found = checked(influx2.port, project, **writer(influx2, org, other))
    what = f"may not write to bucket {bucket['name']} of organisation {project}"
    assert found == [(False, what)]


def test_check_says_where_it_could_try_nothing(influx2, org, bucket, project):
    """Silence would be taken for a yes."""
    given = writer(influx2, org, bucket)
    found = [one.what for one in PLUGIN(settings(influx2.port, **given)).check()]
    assert "sees no buckets, so whether it may write to some shows with the first" in found[-1]


def test_check_of_a_bucket_that_is_not_there_yet(influx2, org, bucket, project):
    """Whether it may be made nobody can know; where it is not to be, it has to be there."""
    influx2.bucket(org, "x")
    options = {"api": "2", "org": project}
    token = influx2.authorize(org, ("write", bucket), ("read", bucket))
    given = options | {"token": Secret(token), "create": False}
    with PLUGIN(settings(influx2.port, **given), "influxpub") as publisher:
        publisher.kits = (kit(project, "new"),)
        wrong = [one.what for one in publisher.check() if not one.good]
    assert wrong == [f"{project}_new: not there"]


def test_lists_are_read_to_their_end(fake2):
    """They come in pages of a hundred, and of a page what may not be seen is left out."""
    org = fake2.org("many")
    made = [fake2.bucket(org, f"many_{number:03}") for number in range(230)]
    every = {"api": "2", "org": "many", "token": Secret(fake2.token)}
    few = every | {"token": Secret(fake2.authorize(org, ("read", made[3]), ("read", made[229])))}
    found = []
    for options in (every, few):
        server = Server(settings(fake2.port, **options))
        server.open()
        found.append([name for name, _ in buckets(server, "many")])
        server.close()
    assert [len(found[0]), found[1]] == [230, ["many_003", "many_229"]]
