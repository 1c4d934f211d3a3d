"""Layouts: which database a kit's telegrams go to, and how kits are told apart there."""

from __future__ import annotations

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.influx.dialects import CLEAN
from mysense.influx.layouts import Layout, Place
from mysense.influx.lines import Book, Encoder
from mysense.influx.naming import NameRefused
from mysense.options import Secret
from mysense.plugin import Misconfigured, Refused, RetryLater
from mysense.settings import SettingsError, Source
from mysense.telegram import Ident, Telegram
from tests.influx.publishing import NOW, bad, batch, kit, published
from tests.influx.stub import Stub, answer


@pytest.fixture
def shared(influxd, project):
    """Options of a database for all kits, not there yet; it is dropped after the test."""
    yield {"layout": "shared", "database": f"{project}_all"}
    influxd.query(f'DROP DATABASE "{project}_all"')


@pytest.mark.parametrize(
    ("layout", "place"),
    [
        (Layout(org="o", rp="raw"), Place("BdP_s_1", "o", "raw")),
        (Layout(name="shared", database="all", org="o"), Place("all", "o")),
        (Layout(name="org"), Place("signals", "BdP")),
    ],
)
def test_each_layout_has_its_place(layout, place):
    """Database, organisation and policy."""
    assert layout.place(kit("BdP", "s_1")) == place


def test_a_policy_is_part_of_a_buckets_name():
    """As InfluxDB 2.x maps databases to buckets."""
    assert (Place("db", rp="1h").bucket, Place("db").bucket) == ("db/1h", "db")


@pytest.mark.parametrize("name", ["kit", "shared", "org"])
def test_no_layout_takes_a_name_that_is_none(name):
    """Before any server sees it."""
    with pytest.raises(NameRefused):
        Layout(name=name, database="all").place(kit('a"; DROP DATABASE "b'))


def lines(telegrams):
    encoded = Encoder(CLEAN, tagged=True).encode(telegrams, Book())
    assert encoded.refused == {}
    return encoded.body.decode().split("\n")


def test_shared_lines_say_whose_they_are():
    """Project and serial are tags of all lines and no fields; tags stand in their order."""
    ident = kit("BdP", label="a b", geolocation="1,2,3", street="x")
    assert lines(batch(ident, {"v": 1.0})) == [
        rf'info,label=a\ b,project=BdP,serial=s geolocation="1,2,3",street="x" {NOW}',
        rf"data,geolocation=1\,2\,3,label=a\ b,new=0,project=BdP,serial=s v=1.0 {NOW}",
    ]


def test_an_ident_without_anything_else_is_a_line_all_the_same():
    """A line needs a field: an empty text, which readers take for none."""
    assert lines(batch(kit("BdP"), {"v": 1.0}))[0] == (
        f'info,project=BdP,serial=s description="" {NOW}'
    )


@pytest.mark.parametrize("fast", [True, False])
def test_many_are_encoded_as_each_is(fast):
    """The quick ways write the same tags."""
    sent = batch(kit("B-d.P", label="x"), *[{"a1": float(at), "b": 2.5} for at in range(50)])
    encoder = Encoder(CLEAN, fast=fast, tagged=True)
    book, alone = Book(), []
    for each in sent:
        encoded = encoder.encode([each], book)
        book = encoded.book
        alone.append(encoded.body)
    assert encoder.encode(sent, Book()).body == b"\n".join(alone)


@pytest.mark.parametrize("name", ["project", "serial"])
def test_no_field_is_called_like_a_tag(name):
    """InfluxDB would hide one behind the other."""
    encoded = Encoder(CLEAN, tagged=True).encode(batch(kit("p"), {name: 1.0}), Book())
    assert "keeps something else" in encoded.refused[0]


def test_kits_of_one_second_are_both_kept(influxd, shared, project):
    """They are series of their own."""
    with published(influxd.port, **shared) as publisher:
        for serial in ("a", "b"):
            publisher.publish(batch(kit(project, serial, label="same"), {"v": 1.0}))
    rows = influxd.rows("SELECT v FROM data GROUP BY *", database=shared["database"])
    assert [(row["project"], row["serial"], row["v"]) for row in rows] == [
        (project, "a", 1),
        (project, "b", 1),
    ]
    idents = influxd.rows("SELECT * FROM info GROUP BY project,serial", database=shared["database"])
    assert [row["serial"] for row in idents] == ["a", "b"]


def test_info_is_written_for_each_kit(influxd, shared, project):
    """Once a day each, however they take turns."""
    with published(influxd.port, **shared) as publisher:
        for at in range(3):
            for serial in ("a", "b"):
                publisher.publish([Telegram(kit(project, serial), {"time": NOW + at, "v": 1.0})])
    query = "SELECT count(description) FROM info GROUP BY serial"
    rows = influxd.rows(query, database=shared["database"])
    assert [row["count"] for row in rows] == [1, 1]


def test_what_one_kit_made_a_text_is_one_for_the_others(influxd, shared, project):
    """Numbers are converted without loss; what cannot be is a dead letter, and the rest goes in."""
    with published(influxd.port, **shared) as publisher:
        publisher.publish(batch(kit(project, "a"), {"t": "x", "f": 1.0}))
        with pytest.raises(Refused) as caught:
            publisher.publish(batch(kit(project, "b"), {"t": 62.0, "f": "2.5"}, {"f": "no"}))
    assert list(caught.value.reasons) == [1]
    query = "SELECT t,f FROM data WHERE serial = 'b'"
    rows = influxd.rows(query, database=shared["database"])
    assert rows == [{"time": NOW, "t": "62", "f": 2.5}]


def test_another_process_made_it_a_text_meanwhile(influxd, shared, project):
    """The answer teaches it, whoever it was."""
    with published(influxd.port, **shared) as one, published(influxd.port, **shared) as other:
        one.publish(batch(kit(project, "a"), {"v": 1.0}))
        other.publish(batch(kit(project, "b"), {"t": "text"}))
        one.publish(batch(kit(project, "a"), {"v": 1.0}, {"t": 5.0}))
    query = "SELECT t FROM data WHERE serial = 'a'"
    assert influxd.rows(query, database=shared["database"])[0]["t"] == "5"


def test_a_shared_database_that_was_dropped_gets_every_info_again(influxd, shared, project):
    """Also of the kits that did not notice."""
    with published(influxd.port, **shared) as publisher:
        for _ in range(2):
            for serial in ("a", "b"):
                publisher.publish(batch(kit(project, serial), {"v": 1.0}))
            rows = influxd.rows("SHOW SERIES FROM info", database=shared["database"])
            assert len(rows) == 2
            influxd.query(f'DROP DATABASE "{shared["database"]}"')


def test_a_shared_database_keeps_the_servers_shards(influxd, shared, project):
    """What all kits write in ten years is no single shard."""
    with published(influxd.port, **shared) as publisher:
        publisher.publish(batch(kit(project), {"v": 1.0}))
    (policy,) = influxd.rows(f'SHOW RETENTION POLICIES ON "{shared["database"]}"')
    assert policy["shardGroupDuration"] == "168h0m0s"


def test_a_missing_shared_database_stops_all_kits(influxd, shared, project):
    """Nobody could go on, so all wait, in order, and somebody is told what to do."""
    with (
        published(influxd.port, create=False, **shared) as publisher,
        pytest.raises(RetryLater, match=r"switched off.*CREATE DATABASE") as caught,
    ):
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert (caught.value.after, caught.value.alarm) == (180, True)


def test_a_shared_database_that_may_not_be_written_stops_all_kits(influxd_auth, project):
    """Until somebody grants it."""
    name = f"{project}_all"
    influxd_auth.query(f"CREATE USER \"{name}\" WITH PASSWORD 'pw'")
    influxd_auth.query(f'CREATE DATABASE "{name}"')
    user = {"user": name, "password": Secret("pw")}
    with published(influxd_auth.port, layout="shared", database=name, **user) as publisher:
        with pytest.raises(RetryLater, match=r"not authorized to write.*GRANT ALL"):
            publisher.publish(batch(kit(project), {"v": 1.0}))
        influxd_auth.query(f'GRANT WRITE ON "{name}" TO "{name}"')
        publisher.publish(batch(kit(project), {"v": 1.0}))
    assert influxd_auth.rows("SELECT v FROM data", database=name) == [{"time": NOW, "v": 1}]


def test_check_looks_at_the_shared_database(influxd_auth, project):
    """Whether it is there, and may be written."""
    name = f"{project}_all"
    influxd_auth.query(f"CREATE USER \"{name}\" WITH PASSWORD 'pw'")
    options = {"layout": "shared", "database": name, "create": False}
    options |= {"user": name, "password": Secret("pw")}
    assert [each.what for each in bad(influxd_auth.port, **options)] == [f"{name}: not there"]
    influxd_auth.query(f'CREATE DATABASE "{name}"')
    (found,) = bad(influxd_auth.port, **options)
    assert found.what == f"may not write to database {name}"
    influxd_auth.query(f'GRANT ALL ON "{name}" TO "{name}"')
    assert bad(influxd_auth.port, **options) == []


def test_preview_shows_the_lines_of_the_layout(project):
    """Without a server."""
    publisher = PLUGIN(PLUGIN.Settings(layout="shared"))
    shown = list(publisher.preview(batch(kit(project), {"v": 1.0})))
    assert shown == [
        f'info,project={project},serial=s description="" {NOW}',
        f"data,new=0,project={project},serial=s v=1.0 {NOW}",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layout": "shared", "dialect": "classic"}, "dialect = clean"),
        ({"layout": "org", "api": "2", "dialect": "classic"}, "dialect = clean"),
        ({"layout": "org"}, "api = 2"),
        ({"layout": "org", "api": "auto", "org": "o"}, "no org"),
        ({"api": "2"}, "an org"),
        ({"database": 'a"b'}, "a letter or digit"),
        ({"shard": "1y"}, "520w"),
    ],
)
def test_options_that_do_not_go_together(options, expected):
    """Are said before anything is sent."""
    source = Source(None, [f"influxpub.{name}={text}" for name, text in options.items()], {})
    source.structure("influxpub", PLUGIN.Settings)
    with pytest.raises(SettingsError, match=expected):
        source.finish()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "classic"),
        ({"dialect": "clean"}, "clean"),
        ({"layout": "shared"}, "clean"),
        ({"layout": "shared", "dialect": "clean"}, "clean"),
    ],
)
def test_the_dialect_is_that_of_the_layout(options, name):
    """Unless somebody says otherwise."""
    assert PLUGIN(PLUGIN.Settings(**options))._encoder._dialect.name == name


@pytest.mark.parametrize(
    ("version", "options", "expected"),
    [
        ("1.8.10", {"layout": "org"}, "layout = org needs 2.x"),
        ("v2.7.12", {}, "needs the option org"),
    ],
)
def test_auto_finds_a_server_that_the_options_do_not_fit(version, options, expected):
    """It is said, and the output stops until they are mended."""
    with (
        Stub(answer("204 No Content", b"", f"X-Influxdb-Version: {version}")) as stub,
        published(stub.port, api="auto", **options) as publisher,
        pytest.raises(Misconfigured, match=expected),
    ):
        publisher.publish(batch(kit("p"), {"v": 1.0}))


@pytest.mark.parametrize("text", ["False", "no", "0", "off", "FALSE"])
def test_what_says_no_is_no(text):
    """Whatever the environment's habits are."""
    made = Source(None, (), {"INFLUXPUB_VERIFY_SSL": text, "INFLUXPUB_PROTOCOL": "json"})
    options = made.structure("influxpub", PLUGIN.Settings)
    assert (options.verify_ssl, options.protocol) == (False, "json")


def test_protocol_json_is_sent_as_lines(influxd, project):
    """The option is there for configurations of other publishers."""
    try:
        with published(influxd.port, protocol="json") as publisher:
            publisher.publish(batch(kit(project), {"v": 1.0}))
        assert influxd.rows("SELECT v FROM data", database=f"{project}_s")[0]["v"] == 1
    finally:
        influxd.query(f'DROP DATABASE "{project}_s"')


def test_an_ident_without_label_is_not_the_one_with():
    """Tags are those of the ident, also where two idents take turns in a batch."""
    first, second = kit("p", label="x"), Ident(project="p", serial="s")
    sent = [*batch(first, {"v": 1.0}), *batch(second, {"v": 1.0})]
    assert [line.split(" ")[0] for line in lines(sent)] == [
        "info,label=x,project=p,serial=s",
        "data,label=x,new=0,project=p,serial=s",
        "info,project=p,serial=s",
        "data,new=0,project=p,serial=s",
    ]
