"""MyINFLUXSUB on a real influxd: everything once, in order, whatever happened to it."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import time
import uuid
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.options import Secret
from mysense.plugin import Refusal, RetryLater
from tests.influxd import ADMIN, ADMIN_PASSWORD, Influxd

T = 1_494_777_772
WEEK = 7 * 86_400


@contextmanager
def subscriber(server: Influxd, **options):
    options = {"hostname": server.host, "port": server.port} | options
    with closing(MyINFLUXSUB(MyINFLUXSUB.Settings(**options))) as made:
        made.open()
        yield made


def only(database):
    return {"databases": (database,)}


def drain(made, position=None):
    """Everything there is, and the position behind it."""
    found = []
    while True:
        items, position = made.poll(position)
        if not items:
            return found, position
        found += items


def read(server, database, position=None, **options):
    with subscriber(server, **only(database), **options) as made:
        return drain(made, position)


def write(server, database, *lines):
    status, text = server.write(database, "\n".join(lines))
    assert status == 204, text


def contents(items):
    return [dict(item.data) for item in items]


def times(items):
    return [item.data["time"] for item in items]


def test_the_deployed_format_is_read(influxd, database):
    """Server-stamped points, the true time in a field, quotes in tags, backslashes in texts."""
    write(
        influxd,
        database,
        'info,label="alphaTest" label="alphaTest",geolocation="51.420635\\,6.1356117\\,22.9",'
        f'fields="time\\,pm_25\\,pm_10",units="s\\,pcs/qf\\,pcs/qf",project="x" {T + 5}',
        'data,geolocation="51.420635\\,6.1356117\\,22.9",label="alphaTest",new=0 '
        f"pm_25=318,pm_10=62,timestamp={T} {T + 6}",
    )
    (telegram,), _ = read(influxd, database)
    assert telegram.to_json() == {
        "ident": {
            "project": database.partition("_")[0],
            "serial": "kit",
            "label": "alphaTest",
            "geolocation": "51.420635,6.1356117,22.9",
            "fields": ["time", "pm_25", "pm_10"],
            "units": ["s", "pcs/qf", "pcs/qf"],
        },
        "data": {"time": T, "pm_25": 318.0, "pm_10": 62.0},
    }


def test_inserts_by_hand_are_read(influxd, database):
    """An info without anything known, and data beside it."""
    write(
        influxd,
        database,
        f'info,label="myTest" temperature=32 {T}',
        f'data,label="myTest" temperature=31 {T + 1}',
    )
    (telegram,), _ = read(influxd, database)
    assert (telegram.ident.label, dict(telegram.data)) == (
        "myTest",
        {"time": T + 1, "temperature": 31.0},
    )


def test_both_dialects_mix_in_one_database(influxd, database):
    """The same telegram in either dialect is one telegram."""
    write(
        influxd,
        database,
        f'info,label="a" geolocation="1\\,2\\,3" {T}',
        f'data,label="a",geolocation="1\\,2\\,3",new=1 t=1 {T}',
        f"data,label=a,geolocation=1\\,2\\,3,new=0 t=1 {T}",
        f"data,label=a,geolocation=1\\,2\\,3,new=0 t=2 {T + 1}",
    )
    items, _ = read(influxd, database)
    assert contents(items) == [{"time": T, "t": 1.0}, {"time": T + 1, "t": 2.0}]


def test_start_after_a_change_of_label_finds_the_ident(influxd, database):
    """The infos that hold at `start` are looked up before it."""
    write(
        influxd,
        database,
        f'info,label=a description="first" {T}',
        f"data,label=a t=1 {T}",
        f'info,label=b description="second" {T + 100}',
        f"data,label=b t=2 {T + 100}",
        f"data,label=a t=3 {T + 200}",
        f"data,label=b t=4 {T + 201}",
    )
    items, _ = read(influxd, database, start=str(T + 150))
    assert [(i.ident.label, i.ident.description, i.data["t"]) for i in items] == [
        ("a", "first", 3.0),
        ("b", "second", 4.0),
    ]


def test_a_point_in_the_year_2100_does_not_blind(influxd, database):
    """It waits for its time; what is live is read."""
    now = int(time.time())
    write(influxd, database, f"data t=1 {now - 10}", "data t=9 4102444800")
    with subscriber(influxd, **only(database)) as made:
        before, position = drain(made)
        write(influxd, database, f"data t=2 {now - 5}")
        after, _ = drain(made, position)
    assert [item.data["t"] for item in before + after] == [1.0, 2.0]


def test_only_a_point_in_the_future_is_nothing_yet(influxd, database):
    """A database that begins later than now is at rest, and read when it has more."""
    write(influxd, database, "data t=9 4102444800")
    with subscriber(influxd, **only(database)) as made:
        before, position = drain(made)
        write(influxd, database, f"data t=2 {T}")
        after, _ = drain(made, position)
    assert (before, contents(after)) == ([], [{"time": T, "t": 2.0}])


def test_a_record_in_the_second_of_the_last_poll_is_neither_missed_nor_repeated(influxd, database):
    """Rows given before are known by their content."""
    write(influxd, database, f"data,label=a t=1 {T}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        write(influxd, database, f"data,label=b t=2 {T}")
        items, position = drain(made, position)
        again, _ = drain(made, position)
    assert ([i.ident.label for i in items], again) == (["b"], [])


def test_a_row_that_is_a_little_late_is_found(influxd, database):
    """The overlap is read again, also after a restart."""
    write(influxd, database, f"data t=1 {T}", f"data t=3 {T + 100}")
    _, position = read(influxd, database)
    write(influxd, database, f"data t=2 {T + 50}")
    items, _ = read(influxd, database, position)
    assert contents(items) == [{"time": T + 50, "t": 2.0}]


def test_a_backlog_written_later_is_found(influxd, database):
    """The position is the newest row, not the clock."""
    write(influxd, database, f"data t=1 {T}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        write(influxd, database, *(f"data t=2 {T + 60 * at}" for at in range(1, 50)))
        items, _ = drain(made, position)
    assert times(items) == [T + 60 * at for at in range(1, 50)]


def test_an_info_that_comes_with_its_data_counts(influxd, database):
    """Also when it is written while the subscriber is at rest."""
    write(influxd, database, f"data,label=a t=1 {T}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        write(
            influxd, database, f'info,label=a description="d" {T + 9}', f"data,label=a t=2 {T + 9}"
        )
        items, _ = drain(made, position)
    assert [item.ident.description for item in items] == ["d"]


def test_a_new_field_is_never_missed(influxd, database):
    """Neither in a row of its own nor beside known fields."""
    write(influxd, database, f"data t=1 {T}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        write(influxd, database, f"data other=2 {T + 1}", f'data t=3,text="x" {T + 2}')
        items, _ = drain(made, position)
    assert contents(items) == [
        {"time": T + 1, "other": 2.0},
        {"time": T + 2, "t": 3.0, "text": "x"},
    ]


def test_a_field_of_another_type_in_another_shard_is_read(influxd, database):
    """`SELECT *` would hide one of the two."""
    write(influxd, database, f"data pm=1 {T}")
    write(influxd, database, f'data pm="low" {T + 4 * WEEK}')
    items, _ = read(influxd, database)
    assert [item.data["pm"] for item in items] == [1.0, "low"]


def test_gaps_of_years_are_crossed(influxd, database):
    """Empty windows grow."""
    write(influxd, database, "data t=1 86400", f"data t=2 {T}", f"data t=3 {T + 200 * WEEK}")
    items, _ = read(influxd, database)
    assert times(items) == [86400, T, T + 200 * WEEK]


def test_more_rows_than_fit_come_whole_and_in_order(influxd, database):
    """A window that is cut goes on at its last second."""
    write(influxd, database, *(f"data t={at} {T + at // 3}" + "" for at in range(0, 900, 3)))
    write(influxd, database, *(f"data,label=b t={at} {T + at // 3}" for at in range(1, 900, 3)))
    items, _ = read(influxd, database, bufsize=10)
    assert [i.data["t"] for i in items] == [float(at) for at in range(900) if at % 3 < 2]


def test_more_infos_than_fit_are_joined_right(influxd, database):
    """Data are not joined beyond the last info that was read."""
    lines = [f'info,label=l{n} description="{at}" {T + at}' for at in range(30) for n in range(4)]
    write(influxd, database, *lines, *(f"data,label=l1 t={at} {T + at}" for at in range(30)))
    items, _ = read(influxd, database, bufsize=10)
    assert [i.ident.description for i in items] == [str(at) for at in range(30)]


def test_sparse_rows_that_lack_a_field_are_read_to_the_end(influxd, database):
    """Each window waits to be counted again, and the one behind it is cut: it stood still there."""
    write(influxd, database, f"data t=1,u=1 {T}")
    late = [T + WEEK * 25 + 400 * at for at in range(60)]
    write(influxd, database, *(f"data t={at} {second}" for at, second in enumerate(late)))
    items, _ = read(influxd, database, bufsize=10)
    assert times(items) == [T, *late]


def test_more_rows_in_one_second_than_fit_are_read(influxd, database):
    """A second is never cut."""
    write(influxd, database, *(f"data,label=l{at:02} t={at} {T}" for at in range(50)))
    write(influxd, database, f"data t=0 {T - 1}", f"data t=99 {T + 1}")
    items, _ = read(influxd, database, bufsize=10)
    assert sorted(item.data["t"] for item in items) == [0.0, *map(float, range(50)), 99.0]


def test_many_rows_in_a_recent_second_are_read(influxd, database):
    """Also where the window reaches up to now."""
    now = int(time.time()) - 3
    write(influxd, database, *(f"data,label=l{at:02} t={at} {now}" for at in range(50)))
    items, _ = read(influxd, database, bufsize=10)
    assert len(items) == 50


def test_a_refused_row_is_told_once(influxd, database):
    """Not again in the overlap, and not after a restart."""
    write(influxd, database, f'data t="a\nb" {T}', f'data t="c" {T + 1}')
    items, position = read(influxd, database)
    again, _ = read(influxd, database, position)
    assert ([isinstance(i, Refusal) for i in items], again) == ([True, False], [])


def test_a_faulty_info_is_told_once(influxd, database):
    """Its good parts are used."""
    write(
        influxd,
        database,
        f'info,label=a description="a\nb",street="s" {T}',
        f"data,label=a t=1 {T}",
    )
    items, position = read(influxd, database)
    again, _ = read(influxd, database, position)
    assert (isinstance(items[0], Refusal), items[1].ident.street, again) == (True, "s", [])


def test_restart_at_every_poll_gives_each_telegram_once(influxd, database):
    """A crash between two polls loses nothing and repeats nothing."""
    lines = [f"data,label={'ab'[at % 2]} t={at} {T + at * at * 40}" for at in range(60)]
    lines += [f'info,label=a description="{at}" {T + at * at * 40}' for at in range(0, 60, 7)]
    write(influxd, database, *lines)
    whole, _ = read(influxd, database)
    position, found = None, []
    while True:
        with subscriber(influxd, **only(database), bufsize=10) as made:
            items, position = made.poll(position)
        if not items:
            break
        found += items
    assert [i.to_json() for i in found] == [i.to_json() for i in whole]


def test_going_back_to_an_older_position_gives_the_same_again(influxd, database):
    """A commit that failed is as if the poll had never been."""
    write(influxd, database, *(f"data t={at} {T + at * 1000}" for at in range(40)))
    with subscriber(influxd, **only(database), bufsize=10) as made:
        _, position = made.poll(None)
        made.poll(position)
        items, _ = drain(made, position)
    assert times(items) == [T + at * 1000 for at in range(40)][-len(items) :]
    assert contents(items) == contents(read(influxd, database, position)[0])


def test_what_is_written_behind_a_window_that_was_read(influxd, database):
    """A kit that writes on in the second just read, and then weeks later, loses nothing."""
    write(influxd, database, "data,label=a t=0 86400")
    with subscriber(influxd, **only(database), bufsize=10) as made:
        first, position = made.poll(None)
        write(influxd, database, "data,label=b t=1 86400", "data t=2 86500")
        write(influxd, database, f"data t=3 {86_400 + 4 * WEEK}")
        rest, _ = drain(made, position)
    assert sorted(item.data["t"] for item in [*first, *rest]) == [0.0, 1.0, 2.0, 3.0]


def test_a_backlog_that_is_written_while_it_is_read(influxd, database):
    """In the order of times, over years, as fast as the server takes it: none is missed."""
    count, step = 30_000, 7_000

    def write_all():
        for at in range(0, count, 100):
            some = range(at, at + 100)
            write(influxd, database, *(f"data t={n} {T - (count - n) * step}" for n in some))

    writer = threading.Thread(target=write_all)
    found, position = [], None
    with subscriber(influxd, **only(database), bufsize=500) as made:
        writer.start()
        while writer.is_alive():
            items, position = made.poll(position)
            found += [item.data["t"] for item in items]
        for _ in range(2):  # the second time after what was read last has been counted again
            items, position = drain(made, position)
            found += [item.data["t"] for item in items]
            time.sleep(1.1)
    assert set(found) == {float(n) for n in range(count)}
    assert len(found) < 1.5 * count


@pytest.mark.parametrize("others", [0, 1])
def test_telegrams_that_are_just_being_stored_are_given_whole(influxd, database, others):
    """In the order of times, flat out; also where no row has every field that there is."""
    count, fields = 7000, 8
    write(influxd, database, *[f"data other=1 {T - WEEK}"] * others, f"data,label=x f0=1 {T}")

    def write_all():
        for at in range(0, count, 7):
            values = ((n, ",".join(f"f{i}={n}" for i in range(fields))) for n in range(at, at + 7))
            write(influxd, database, *(f"data {row} {T + 60 + n * 60}" for n, row in values))

    writer = threading.Thread(target=write_all)
    found, position = [], None
    with subscriber(influxd, **only(database)) as made:
        writer.start()
        while writer.is_alive():
            items, position = made.poll(position)
            found += items
        found += drain(made, position)[0]
    writer.join()
    assert [len(i.data) for i in found if i.time > T] == [fields + 1] * count


def test_a_row_that_lacks_something_is_given_after_a_second_look(influxd, database):
    """Kits with several sensors have rows of several kinds: none waits for ever."""
    write(influxd, database, *(f"data {'ab'[at % 2]}=1 {T + at}" for at in range(100)))
    write(influxd, database, *(f"data a=1,b=1 {T + at}" for at in range(100, 200)))
    items, _ = read(influxd, database, bufsize=10)
    assert times(items) == [*range(T, T + 200)]


def test_a_database_that_was_made_anew_is_read_anew(influxd, database, caplog):
    """Between two polls: what was read last is not there any more, nor anything before it."""
    write(influxd, database, f"data t=1 {T}", f"data t=2 {T + 1000}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        influxd.query(f'DROP DATABASE "{database}"; CREATE DATABASE "{database}"')
        before, position = drain(made, position)
        write(influxd, database, f"data t=3 {T + 10}", f"data t=4 {T + 5000}")
        after, _ = drain(made, position)
    assert (before, [item.data["t"] for item in after]) == ([], [3.0, 4.0])
    assert [r.message for r in caplog.records if "read anew" in r.message]


@pytest.mark.parametrize("restart", [False, True])
def test_a_database_that_was_away_is_read_anew(influxd, database, caplog, restart):
    """Also with a backlog that has rows as they were read last."""
    write(influxd, database, f"data t=1 {T}", f"data t=2 {T + 1000}")
    with subscriber(influxd, update=1.0, projects=re.compile(database.partition("_")[0])) as made:
        _, position = drain(made)
        influxd.query(f'DROP DATABASE "{database}"')
        if restart:
            made.close()
            made.open()
        else:
            time.sleep(1.1)
        _, position = drain(made, position)
        influxd.query(f'CREATE DATABASE "{database}"')
        write(influxd, database, f"data t=0 {T - 10}", f"data t=2 {T + 1000}")
        time.sleep(1.1)
        after, _ = drain(made, position)
    assert [item.data["t"] for item in after] == [0.0, 2.0]
    assert [r.message for r in caplog.records if "read anew" in r.message]


def test_rows_that_were_deleted_do_not_make_it_read_all_again(influxd, database, caplog):
    """Older rows may be more than the journal still knows."""
    write(influxd, database, f"data t=1 {T}", f"data t=2 {T + 1000}")
    with subscriber(influxd, **only(database)) as made:
        _, position = drain(made)
        influxd.query(f"DELETE FROM data WHERE time = {T + 1000}s", database=database)
        before, position = drain(made, position)
        write(influxd, database, f"data t=3 {T + 2000}")
        after, _ = drain(made, position)
    assert (before, contents(after)) == ([], [{"time": T + 2000, "t": 3.0}])
    assert [r.message for r in caplog.records if "somebody deleted" in r.message]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_happens_between_each_telegram_is_committed_once(influxd, data):
    """Rows in order of time, with and without a field, restarts, polls whose commit fails."""
    database = f"t{uuid.uuid4().hex[:10]}_kit"
    influxd.query(f'CREATE DATABASE "{database}"')
    steps = data.draw(st.lists(st.sampled_from(["write", "poll", "fail", "restart"]), max_size=25))
    written, committed, position, second = [], [], None, 86_400
    with subscriber(influxd, **only(database), bufsize=10) as made:
        for step in steps:
            if step == "write":
                more = data.draw(st.sampled_from(["", ",u=1"]))
                for _ in range(data.draw(st.integers(1, 15))):
                    second += data.draw(st.sampled_from([0, 0, 1, 60, 5000, 4 * WEEK]))
                    written.append(float(len(written)))
                    values = f"t={written[-1]}{more}"
                    write(influxd, database, f"data,label=l{len(written)} {values} {second}")
            elif step == "poll":
                items, position = made.poll(position)
                committed += [item.data["t"] for item in items]
            elif step == "fail":
                made.poll(position)
            else:
                made.close()
                made.open()
        items, position = drain(made, position)
    committed += [item.data["t"] for item in items]
    influxd.query(f'DROP DATABASE "{database}"')
    assert sorted(committed) == written


def test_start_now_begins_with_what_comes(influxd, database):
    """And stays there after a restart, for databases without any row too."""
    write(influxd, database, f"data t=1 {int(time.time()) - 30}")
    before, position = read(influxd, database, start="now")
    write(influxd, database, f"data t=2 {int(time.time())}")
    items, _ = read(influxd, database, position, start="now")
    assert (before, [item.data["t"] for item in items]) == ([], [2.0])


def test_start_now_stays_where_a_commit_failed(influxd, database):
    """The second first poll begins where the first one did."""
    with subscriber(influxd, **only(database), start="now") as made:
        _, first = made.poll(None)
        time.sleep(1.1)
        _, second = made.poll(None)
    assert first == second != {}


def test_a_retention_policy_can_be_named(influxd, database):
    """The default one is not read then."""
    influxd.query(f'CREATE RETENTION POLICY "raw" ON "{database}" DURATION INF REPLICATION 1')
    influxd.request(f"/write?db={database}&rp=raw&precision=s", f"data t=1 {T}")
    write(influxd, database, f"data t=2 {T}")
    items, _ = read(influxd, database, rp="raw")
    assert contents(items) == [{"time": T, "t": 1.0}]


def test_projects_and_serials_choose(influxd, project):
    """In full, and whatever the case of the letters."""
    for serial in ("one", "two", "one2"):
        influxd.query(f'CREATE DATABASE "{project}_{serial}"')
        write(influxd, f"{project}_{serial}", f"data t=1 {T}")
    options = {
        "projects": re.compile(project, re.IGNORECASE),
        "serials": re.compile("ONE", re.IGNORECASE),
    }
    with subscriber(influxd, **options) as made:
        items, _ = drain(made)
    assert [item.kit for item in items] == [f"{project}_one"]


def test_a_new_database_appears(influxd, project):
    """Databases are listed again every `update` seconds."""
    options = {"projects": re.compile(project), "update": 1.0}
    with subscriber(influxd, **options) as made:
        before, position = drain(made)
        influxd.query(f'CREATE DATABASE "{project}_late"')
        write(influxd, f"{project}_late", f"data t=1 {T}")
        time.sleep(1.1)
        items, _ = drain(made, position)
    assert (before, len(items)) == ([], 1)


def test_one_dropped_and_one_forbidden_do_not_stop_the_others(new_influxd, caplog):
    """Ninety-eight of a hundred kits lag less than two seconds."""
    server = new_influxd(auth=True)
    kits = [f"p_{at}" for at in range(100)]
    server.query("CREATE USER reader WITH PASSWORD 'secret'")
    server.query(";".join(f'CREATE DATABASE "{kit}"' for kit in kits))
    grants = [f'GRANT {"WRITE" if kit == "p_41" else "READ"} ON "{kit}" TO reader' for kit in kits]
    server.query(";".join(grants))
    for kit in kits:
        write(server, kit, f"data t=1 {T}")
    with subscriber(server, user="reader", password=Secret("secret")) as made:
        before, position = drain(made)
        server.query('DROP DATABASE "p_17"')
        others = [kit for kit in kits if kit not in ("p_17", "p_41")]
        for kit in others:
            write(server, kit, f"data t=2 {T + 1}")
        begin = time.monotonic()
        after, position = drain(made, position)
        lag = time.monotonic() - begin
    assert (len(before), sorted(i.kit for i in after)) == (99, sorted(others))
    assert lag < 2.0
    told = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert [re.findall("p_41|p_17", text)[0] for text in told] == ["p_41", "p_17"]


def test_a_forbidden_database_is_read_when_it_is_allowed(influxd_auth, project):
    """It is tried again, from where it was left."""
    name = f"{project}_kit"
    influxd_auth.query(f'CREATE DATABASE "{name}"')
    influxd_auth.query(f"CREATE USER {project} WITH PASSWORD 'secret'")
    write(influxd_auth, name, f"data t=1 {T}")
    options = {"user": project, "password": Secret("secret"), "update": 1.0}
    with subscriber(influxd_auth, **only(name), **options) as made:
        before, position = drain(made)
        influxd_auth.query(f'GRANT READ ON "{name}" TO {project}')
        time.sleep(1.1)
        after, _ = drain(made, position)
    assert (before, len(after)) == ([], 1)


def test_a_wrong_password_is_a_reason_to_wait(influxd_auth):
    """Somebody may set it right; nothing is lost meanwhile."""
    with (
        subscriber(influxd_auth, user=ADMIN, password=Secret("wrong")) as made,
        pytest.raises(RetryLater, match="401"),
    ):
        made.poll(None)


def test_with_authentication_everything_is_read(influxd_auth, project):
    """User and password are enough."""
    name = f"{project}_kit"
    influxd_auth.query(f'CREATE DATABASE "{name}"')
    write(influxd_auth, name, f"data t=1 {T}")
    options = {"user": ADMIN, "password": Secret(ADMIN_PASSWORD)}
    items, _ = read(influxd_auth, name, **options)
    assert len(items) == 1


def test_after_an_outage_reading_goes_on(new_influxd):
    """A poll that failed gave nothing and lost nothing."""
    server = new_influxd()
    server.query('CREATE DATABASE "a_b"')
    write(server, "a_b", *(f"data t={at} {T + 1000 * at}" for at in range(40)))
    with subscriber(server, bufsize=10) as made:
        found, position = made.poll(None)
        found = list(found)
        server.kill()
        with contextlib.suppress(RetryLater):
            while True:  # what was under way may still be there
                items, position = made.poll(position)
                found += items
        server.start()
        items, _ = drain(made, position)
    assert times(found + items) == [T + 1000 * at for at in range(40)]


def poll_on(made):
    """Until the server has to answer: what was on its way may still be given."""
    for _ in range(1000):
        made.poll(None)


def test_a_poll_can_be_interrupted(new_influxd):
    """While the server hangs, stopping takes no time."""
    server = new_influxd()
    server.query('CREATE DATABASE "a_b"')
    with subscriber(server) as made:
        made.poll(None)
        server.hang()
        threading.Timer(0.3, made.interrupt).start()
        begin = time.monotonic()
        with pytest.raises(RetryLater):
            poll_on(made)
        assert time.monotonic() - begin < 15.0


def test_without_orjson_the_same_is_read(influxd, database, monkeypatch):
    """The extra `fast` only makes it fast."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    write(influxd, database, f"data t=1 {T}")
    items, _ = read(influxd, database)
    assert contents(items) == [{"time": T, "t": 1.0}]


def test_a_hundred_databases_at_rest_are_looked_at_quickly(influxd, project):
    """A round of idle databases takes well below a second."""
    for at in range(100):
        influxd.query(f'CREATE DATABASE "{project}_{at}"')
        write(influxd, f"{project}_{at}", f"data t=1 {T}")
    with subscriber(influxd, projects=re.compile(project)) as made:
        _, position = drain(made)
        made.poll(position)
        begin = time.monotonic()
        made.poll(position)
        assert time.monotonic() - begin < 10
    influxd.query(";".join(f'DROP DATABASE "{project}_{at}"' for at in range(100)))


def test_check_tells_what_can_be_read(influxd, database):
    """And says so when the server is not there."""
    with subscriber(influxd, **only(database)) as made:
        good = [finding.good for finding in made.check()]
    with subscriber(influxd, port=1) as made:
        bad = [finding.good for finding in made.check()]
    assert (set(good), bad) == ({True}, [False])
