"""MyINFLUXSUB reads kits that share a database of a real influxd 1.x."""

from __future__ import annotations

import re
import time
from array import array

import pytest

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.influx.tasks import ROLL_UPS
from mysense.options import Secret
from mysense.plugin import Refusal
from mysense.provision.rollups import POLICY
from tests.influx.publishing import published
from tests.influx.subscribing import T, day, drain, normals, read, shown, subscriber, sweep
from tests.influxd import ADMIN, ADMIN_PASSWORD

LATE = int(time.time()) // 3600 * 3600 - 2 * 86_400


@pytest.fixture
def shared(database):
    """The options by which all kits of this test are read."""
    return {"layout": "shared", "database": database}


def publish(server, telegrams, database, **options):
    with published(server.port, layout="shared", database=database, **options) as publisher:
        for kit in dict.fromkeys(telegram.kit for telegram in telegrams):
            publisher.publish([telegram for telegram in telegrams if telegram.kit == kit])


def write(server, database, *lines):
    status, text = server.write(database, "\n".join(lines))
    assert status == 204, text


def test_what_was_published_is_read(influxd, database, shared):
    """Value by value; kits of one second, the ident of each at its time."""
    sent = day("BdP", "a", "b_c", "d")
    publish(influxd, sent, database)
    items, _ = read(influxd, **shared)
    assert normals(items) == normals(sent)


def test_restart_at_every_poll_gives_each_telegram_once(influxd, database, shared):
    """One position for the database, whoever has rows in it."""
    sent = day("BdP", "a", "b", "c", count=15)
    publish(influxd, sent, database)
    found, position = [], None
    while len(found) < len(sent):
        with subscriber(influxd, **shared, bufsize=10) as made:
            items, position = made.poll(position)
        found += items
    more, _ = read(influxd, position, **shared)
    assert (normals(found), more) == (normals(sent), [])


def test_the_ident_of_one_kit_is_not_that_of_another(influxd, database, shared):
    """A kit without an info is known by its tags alone, also after a restart."""
    tags = "project=P,serial="
    write(
        influxd,
        database,
        f'info,{tags}a street="A" {T}',
        f"data,{tags}a v=1 {T}",
        f"data,{tags}b v=2 {T}",
    )
    first, position = read(influxd, **shared)
    write(influxd, database, f"data,{tags}a v=3 {T + 300}", f"data,{tags}b v=4 {T + 300}")
    second, _ = read(influxd, position, **shared)
    streets = [{item.ident.serial: item.ident.street for item in some} for some in (first, second)]
    assert streets == [{"a": "A", "b": None}] * 2


def test_what_an_info_says_of_project_and_serial_does_not_count(influxd, database, shared):
    """The tags do."""
    line = f'info,project=P,serial=a project="X",serial="y",street="A" {T}'
    write(influxd, database, line, f"data,project=P,serial=a v=1 {T}")
    (item,), _ = read(influxd, **shared)
    assert (item.kit, item.ident.street) == ("P_a", "A")


def test_projects_and_serials_are_tags(influxd, database, shared):
    """In full, and whatever the case of the letters; the position goes on with those left out."""
    kits = [("BdP", "a"), ("BdP", "b"), ("BdPx", "a"), ("X", "a")]
    lines = [f"data,project={p},serial={s} v=1 {T + at}" for at, (p, s) in enumerate(kits)]
    write(influxd, database, *lines)
    chosen = {"projects": re.compile("bdp", re.IGNORECASE), "serials": re.compile("a|c")}
    items, position = read(influxd, **shared, **chosen)
    write(influxd, database, f"data,project=X,serial=a v=1 {T + 9}")
    none, position = read(influxd, position, **shared, **chosen)
    assert [item.kit for item in items] == ["BdP_a"]
    assert (none, position[database][0]) == ([], T + 9)


def test_kits_that_were_left_out_are_not_read_later_without_a_word(
    influxd, database, shared, caplog
):
    """One position for all of them: what they had sent is behind it."""
    for at, project in enumerate(("a", "b")):
        write(influxd, database, f"data,project={project},serial=s v=1 {T + 1000 * at}")
    _, position = read(influxd, **shared, projects=re.compile("b"))
    write(influxd, database, f"data,project=a,serial=s v=2 {T + 2000}")
    items, _ = read(influxd, position, **shared)
    assert shown(items) == [("a_s", 2000, {"v": 2.0})]
    assert [r.message for r in caplog.records if "projects or serials have changed" in r.message]


def test_rows_of_no_kit_are_told_once(influxd, database, shared):
    """Without tags, or with names that no kit can have."""
    lines = [f"data v=1 {T}", f"data,project=P,serial=/ v=2 {T}", f'info street="A" {T}']
    write(influxd, database, *lines, f"data,project=P,serial=a v=3 {T}")
    first, position = read(influxd, **shared)
    write(influxd, database, f"data,project=P,serial=a v=4 {T + 1}")
    second, _ = read(influxd, position, **shared)
    refused = [item.reason for item in first if isinstance(item, Refusal)]
    assert (len(refused), len(first), len(second)) == (3, 4, 1)
    assert all("tag project" in reason or "tag serial" in reason for reason in refused)


def test_fields_may_stand_for_tags(influxd, database, shared):
    """As people insert them by hand."""
    write(influxd, database, f'data project="P",serial="a",v=1 {T}')
    (item,), _ = read(influxd, **shared)
    assert (item.kit, dict(item.data)) == ("P_a", {"time": T, "v": 1.0})


def test_quotes_around_tags_are_no_part_of_them(influxd, database, shared):
    """Of somebody who writes as the classic dialect does."""
    write(influxd, database, f'info,project="P",serial="a" street="A" {T}')
    write(influxd, database, f'data,project="P",serial="a",label="l" v=1 {T + 1}')
    write(influxd, database, f"data,project=P,serial=a,label=l v=2 {T + 2}")
    items, _ = read(influxd, **shared)
    assert [(item.kit, item.ident.street, item.data["v"]) for item in items] == [
        ("P_a", "A", 1.0),
        ("P_a", "A", 2.0),
    ]


@pytest.mark.parametrize("restart", [False, True])
def test_late_rows_of_each_kit_are_found_once(influxd, database, shared, restart):
    """By the sweep, where others of the same second were read in time, with their own idents."""
    early = day("P", "a", "b", count=30, start=LATE)
    late = day("P", "c", count=20, start=LATE) + day("P", "a", count=5, start=LATE + 7)
    now = day("P", "a", count=1, start=LATE + 86_400)
    publish(influxd, early + now, database)
    options = shared | {"sweep": 0.01}
    with subscriber(influxd, **options) as made:
        before, position = sweep(made, None)
        publish(influxd, late, database)
        if restart:
            made.close()
            made.open()
        found, position = sweep(made, position)
        again, _ = sweep(made, position)
    kinds = {one.normal() for one in found}
    assert normals(before) == normals(early + now)
    assert {one.normal() for one in late} <= kinds <= {one.normal() for one in early + late + now}
    assert ((restart or len(found) == len(late)), again) == (True, [])


def test_kits_with_other_sensors_do_not_make_each_other_wait(influxd, database, shared):
    """What a kit has not got, others have: its rows are whole at first sight, once known."""
    tags = "data,project=P,serial="
    write(influxd, database, *(f"{tags}all a=1,b=1 {T + at}" for at in range(0, 40, 2)))
    write(influxd, database, *(f"{tags}one a=1 {T + at}" for at in range(0, 40, 2)))
    with subscriber(influxd, **shared) as made:
        _, position = drain(made)
        cursor = made._cursors[database]
        write(influxd, database, f"{tags}all a=2,b=2 {T + 50}", f"{tags}one a=2 {T + 50}")
        rows = [[T + 50, 2, 2, None, None, None, "P", "all"]]
        rows.append([T + 50, 2, None, None, None, None, "P", "one"])
        doubts = [
            cursor.trust.doubts([row], values, [])
            for row, values in zip(rows, _values(rows), strict=True)
        ]
        items, _ = drain(made, position)
    assert (doubts, len(items)) == ([False, False], 2)


def _values(rows):
    return [array("l", [2 - row[1:3].count(None)]) for row in rows]


def test_a_database_of_kits_is_read_where_it_is_the_only_one_that_may_be(influxd_auth, project):
    """As a user who may read that one; another one of kits of their own is not touched."""
    one, other = f"{project}_all", f"{project}_kit"
    for name in (one, other):
        influxd_auth.query(f'CREATE DATABASE "{name}"')
        write(influxd_auth, name, f"data,project=P,serial=a v=1 {T}")
    influxd_auth.query(f"CREATE USER \"{project}\" WITH PASSWORD 'x'")
    influxd_auth.query(f'GRANT READ ON "{one}" TO "{project}"')
    options = {"layout": "shared", "database": one, "user": project, "password": Secret("x")}
    items, position = read(influxd_auth, **options)
    admin = {"user": ADMIN, "password": Secret(ADMIN_PASSWORD)}
    assert ([item.kit for item in items], other in position) == (["P_a"], False)
    assert len(read(influxd_auth, **options | admin)[0]) == 1


def test_a_shared_database_that_is_not_there_is_waited_for(influxd, project, caplog):
    """And told once."""
    options = {"layout": "shared", "database": f"{project}_later", "update": 1.0}
    with subscriber(influxd, **options) as made:
        before, position = drain(made)
        influxd.query(f'CREATE DATABASE "{project}_later"')
        write(influxd, f"{project}_later", f"data,project=P,serial=a v=1 {T}")
        deadline = time.monotonic() + 60
        items = []
        while not items and time.monotonic() < deadline:
            items, position = made.poll(position)
            time.sleep(0.05)
    told = [r.message for r in caplog.records if "cannot be read: database not found" in r.message]
    assert (before, len(items), len(told)) == ([], 1, 1)


def test_roll_ups_are_no_telegrams(influxd, database):
    """Neither those beside the kit's rows, nor where their policy is the default one."""
    project, serial = database.split("_", 1)
    influxd.query(
        f'CREATE RETENTION POLICY "{ROLL_UPS}" ON "{database}" DURATION INF REPLICATION 1'
    )
    target = f"/write?db={database}&rp={ROLL_UPS}&precision=s"
    influxd.request(target, f"data,label=a mean_v=9 {T}")
    write(influxd, database, f"data,label=a v=1 {T}")
    chosen = {"projects": re.compile(project), "serials": re.compile(serial)}
    first, position = read(influxd, **chosen)
    influxd.query(f'ALTER RETENTION POLICY "{ROLL_UPS}" ON "{database}" DEFAULT')
    influxd.request(target, f"data,label=a mean_v=9 {T + 1000}")
    second, _ = read(influxd, position, **chosen)
    assert (shown(first), second, ROLL_UPS) == ([(database, 0, {"v": 1.0})], [], POLICY)


def test_fields_of_a_named_policy_alone_are_read(influxd, database):
    """Those that the default one does not have."""
    influxd.query(f'CREATE RETENTION POLICY "raw" ON "{database}" DURATION INF REPLICATION 1')
    influxd.request(f"/write?db={database}&rp=raw&precision=s", f"data,label=a u=1 {T}")
    items, _ = read(influxd, databases=(database,), rp="raw")
    assert shown(items) == [(database, 0, {"u": 1.0})]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layout": "org"}, "api = 2 with layout = org"),
        ({"layout": "org", "api": "2", "org": "x"}, "no org with layout = org"),
        ({"layout": "shared", "databases": ("a_b",)}, "no databases with layout = shared"),
        ({"layout": "org", "api": "2", "databases": ("a_b",)}, "no databases with layout = org"),
        ({"push": "8189", "api": "2"}, "no push with api = 2"),
        ({"rp": ROLL_UPS}, "another rp than 1h"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(options, expected):
    """With what to set instead."""
    with pytest.raises(ValueError, match=expected):
        MyINFLUXSUB.Settings(**options)


def test_check_tells_whose_rows_there_are(influxd, database, shared):
    """By their projects."""
    write(influxd, database, f"data,project=P,serial=a v=1 {T}")
    with subscriber(influxd, **shared) as made:
        findings = list(made.check())
    assert all(finding.good for finding in findings)
    assert findings[-1].what == f"database {database} of all kits: projects P"


def test_check_tells_of_a_shared_database_that_is_not_there(influxd, project):
    """And that layout org is for InfluxDB 2.x."""
    with subscriber(influxd, layout="shared", database=f"{project}-no") as made:
        missing = [finding.what for finding in made.check() if not finding.good]
    with subscriber(influxd, layout="org", api="auto") as made:
        org = [finding.what for finding in made.check() if not finding.good]
    assert missing[0] == f"database {project}-no: database not found: {project}-no"
    assert "layout = org is for InfluxDB 2.x" in org[0]
