"""Provisioning on a real influxd 1.x with authentication."""

from __future__ import annotations

import time

import pytest

from mysense.influx.naming import quote_identifier
from mysense.provision.rollups import continuous_query
from tests.influxd import Influxd

NASTY = "it's a \\ and: \"x\" or \\'"


@pytest.fixture
def kit(project):
    return f"{project}_one"


def until(met):
    """Wait for it, up to a minute."""
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def may_write(influxd, database, user, password):
    status, _ = influxd.write(database, "data v=1 1494777772", user=user, password=password)
    return status == 204


def test_a_kit_can_write(on_one, influxd_auth, project, kit):
    """The user of a kit writes to the kit's database with the password that was shown."""
    ran = on_one("kit", project, "one")
    assert may_write(influxd_auth, kit, kit, ran.secret(kit))


def test_a_kit_writes_nowhere_else(on_one, influxd_auth, project, kit):
    """The user of a kit may not write to another kit's database."""
    ran = on_one("kit", project, "one")
    on_one("kit", project, "two")
    assert not may_write(influxd_auth, f"{project}_two", kit, ran.secret(kit))


def test_a_kit_cannot_read(on_one, influxd_auth, project, kit):
    """The user of a kit does not even read its own database."""
    ran = on_one("kit", project, "one")
    given = {"user": kit, "password": ran.secret(kit)}
    assert influxd_auth.request(f"/query?db={kit}&q=SHOW+FIELD+KEYS", **given)[0] == 403


def test_twice_in_a_row(on_one, project):
    """A second run finds all there."""
    words = ["kit", project, "one", "--rollup", "--retention", "52w", "--rp", "raw"]
    on_one(*words)
    assert on_one(*words, "--reader", f"{project}-other").states == {"exists", "created"}
    assert on_one(*words).states == {"exists"}


def test_dry_run_makes_nothing(on_one, influxd_auth, project, kit):
    """A dry run says what it would make, and makes nothing."""
    ran = on_one("kit", project, "one", "--dry-run", "--rollup")
    assert (ran.states, kit in influxd_auth.databases()) == ({"would create"}, False)


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
def test_after_a_half_done_run(on_one, influxd_auth, project, tmp_path, done):
    """Whatever part of a run was done before, the next one completes it."""
    kit, safe = f"{project}_one", tmp_path / "safe"
    safe.mkdir()
    (safe / f"{kit}.password").write_text("from the first run")
    parts = [
        f'CREATE DATABASE "{kit}"',
        f"CREATE USER \"{kit}\" WITH PASSWORD 'from the first run'",
        f'GRANT WRITE ON "{kit}" TO "{kit}"',
        f'CREATE RETENTION POLICY "1h" ON "{kit}" DURATION INF REPLICATION 1',
    ]
    for part in parts[:done]:
        influxd_auth.query(part)
    ran = on_one("kit", project, "one", "--rollup", "--secrets", safe)
    assert (ran.code, may_write(influxd_auth, kit, kit, "from the first run")) == (0, True)


def test_password_of_the_owner(on_one, influxd_auth, project, kit, tmp_path):
    """A password that lies in the folder already is taken, with every sign in it."""
    safe = tmp_path / "safe"
    safe.mkdir()
    (safe / f"{kit}.password").write_text(NASTY + "\n")
    on_one("kit", project, "one", "--secrets", safe)
    assert may_write(influxd_auth, kit, kit, NASTY)


def test_files_are_private(on_one, project, kit, tmp_path):
    """A new password is in a file that nobody else reads, and is not shown."""
    ran = on_one("kit", project, "one", "--secrets", tmp_path / "safe")
    path = tmp_path / "safe" / f"{kit}.password"
    shown = path.read_text().strip() in str(ran.told) + ran.err
    assert (path.stat().st_mode & 0o777, shown) == (0o600, False)


def test_wrong_password_in_the_folder(refused, on_one, project, kit, tmp_path):
    """A file with another password than the user's is told, not obeyed."""
    on_one("kit", project, "one", "--secrets", tmp_path)
    (tmp_path / f"{kit}.password").write_text("another")
    assert "is not the right one" in refused("kit", project, "one", "--secrets", tmp_path)


def test_renew(on_one, influxd_auth, project, kit):
    """--renew makes the old password void and shows another."""
    old = on_one("kit", project, "one").secret(kit)
    new = on_one("kit", project, "one", "--renew").secret(kit)
    works = [may_write(influxd_auth, kit, kit, password) for password in (old, new)]
    assert works == [False, True]


def test_both_is_all(on_one, influxd_auth, project, kit):
    """Who shall read and write gets ALL at once, as a second grant replaces the first."""
    on_one("database", kit, "--reader", f"{kit}-both", "--writer", f"{kit}-both")
    rows = influxd_auth.rows(f'SHOW GRANTS FOR "{kit}-both"')
    assert rows == [{"database": kit, "privilege": "ALL PRIVILEGES"}]


def test_writer_is_not_widened(refused, on_one, influxd_auth, project, kit):
    """Asked to let a writer read, it refuses: neither widened nor replaced without a word."""
    on_one("kit", project, "one")
    refused("database", kit, "--reader", kit)
    rows = influxd_auth.rows(f'SHOW GRANTS FOR "{kit}"')
    assert rows == [{"database": kit, "privilege": "WRITE"}]


def test_shorter_retention_is_refused(refused, on_one, kit):
    """Points are not deleted without being told to."""
    on_one("database", kit)
    assert "--shorten" in refused("database", kit, "--retention", "4w")


def test_other_retention(on_one, influxd_auth, kit):
    """With --shorten, retention becomes what was asked for."""
    on_one("database", kit)
    ran = on_one("database", kit, "--retention", "4w", "--shorten")
    rows = influxd_auth.rows(f'SHOW RETENTION POLICIES ON "{kit}"')
    assert (ran.states, rows[0]["duration"]) == ({"exists", "changed"}, "672h0m0s")


def test_reader_of_all(on_one, influxd_auth, project, kit):
    """A reader sees the databases of all kits."""
    on_one("kit", project, "one")
    ran = on_one("reader", f"{project}-viewer")
    name = f"{project}-viewer"
    rows = influxd_auth.rows("SHOW DATABASES", user=name, password=ran.secret(name))
    assert kit in {row["name"] for row in rows}


def test_roll_ups_are_no_kit(on_one, influxd_auth, project, kit):
    """Roll-ups add no database that a subscriber would take for a kit."""
    before = set(influxd_auth.databases())
    on_one("kit", project, "one", "--rollup")
    assert set(influxd_auth.databases()) - before == {kit}


def test_late_points_count(new_influxd):
    """A point that arrives after its mean was made changes that mean."""
    fast = {"run-interval": "1s", "log-enabled": False}
    server: Influxd = new_influxd(config={"continuous_queries": fast})
    server.query('CREATE DATABASE "p_s"')
    server.query('CREATE RETENTION POLICY "2s" ON "p_s" DURATION INF REPLICATION 1')
    server.query(continuous_query("p_s", "autogen", late=600, window="2s"))
    then = int(time.time()) // 2 * 2 - 120
    server.write("p_s", f"data,label=a,new=1 temp=1 {then}")
    means = 'SELECT mean_temp FROM "p_s"."2s"."data"'
    until(lambda: [row["mean_temp"] for row in server.rows(means)] == [1])
    server.write("p_s", f"data,label=a,new=0 temp=3 {then + 1}")
    until(lambda: [row["mean_temp"] for row in server.rows(means)] == [2])
    assert len(server.rows(means)) == 1


def test_first_administrator(command, new_influxd):
    """A set-up makes the first administrator of a server that has none."""
    server = new_influxd(config={"http": {"auth-enabled": True}})
    conf = ["hostname = 127.0.0.1", f"port = {server.port}"]
    env = {"PROVISION_USER": "root", "PROVISION_PASSWORD": NASTY}
    made = command(conf, "setup", **env).states
    assert (made, command(conf, "setup", **env).states) == ({"created"}, {"exists"})


@pytest.mark.parametrize("name", ['a"; DROP DATABASE "b', "../x", ""])
def test_bad_names(refused, name):
    """What cannot name a kit's database is refused."""
    assert "cannot name a database" in refused("database", name)


def test_a_colon_in_a_name(refused, kit):
    """A user that could never log in is refused."""
    assert "at the colon" in refused("database", kit, "--reader", "a:b")


def test_secrets_in_errors(on_one, influxd_auth, kit, tmp_path, monkeypatch):
    """What the server says about a refused password does not repeat it."""
    monkeypatch.setattr("mysense.provision.users.quote_string", lambda text: f"{text} oops")
    (tmp_path / f"{kit}.password").write_text("hush")
    ran = on_one("database", kit, "--writer", kit, "--secrets", tmp_path)
    assert (ran.code, "hush" in str(ran.told) + ran.err) == (1, False)


def test_api_of_another_version(refused, project):
    """A server of 1.x is told from what the configuration says."""
    why = refused("kit", project, "one", more=["api = 2", "org = x"])
    assert "set api = 1" in why


def test_stanza_is_a_configuration(on_one, influxd_auth, project, kit, tmp_path):
    """What is printed loads as a configuration that logs in."""
    from mysense.application import Application

    path = tmp_path / "kit.conf"
    path.touch(0o600)
    path.write_text(on_one("kit", project, "one").told["configuration"])
    made = Application.load(path, environ={})
    settings = made.section("influxpub").settings
    good = may_write(influxd_auth, kit, settings.user, settings.password.reveal())
    assert (made.ident().kit, good) == (kit, True)


def test_names_are_quoted(on_one, influxd_auth, kit):
    """A user's name may hold quotes."""
    name = f'{kit} "o\'x"'
    on_one("database", kit, "--reader", name)
    rows = influxd_auth.rows(f"SHOW GRANTS FOR {quote_identifier(name)}")
    assert [row["privilege"] for row in rows] == ["READ"]


def test_no_server(command, project):
    """Where nobody listens, it says so."""
    ran = command(["hostname = 127.0.0.1", "port = 1"], "kit", project, "one")
    assert (ran.code, "connection refused" in ran.told["error"]) == (1, True)


def test_interrupted(on_one, project, kit, monkeypatch):
    """What was made before Ctrl-C is shown all the same."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mysense.provision.users.Users._grant", interrupted)
    assert on_one("kit", project, "one").secret(kit)


def test_retention_below_the_length_of_a_shard(on_one, influxd_auth, project):
    """Shards of the server's own, of a week, become as short as points live."""
    words = ["database", f"{project}_all", "--retention", "1d"]
    more = ["layout = shared"]
    on_one(*words[:2], more=more)
    assert on_one(*words, "--shorten", more=more).code == 0
    (row,) = influxd_auth.rows(f'SHOW RETENTION POLICIES ON "{project}_all"')
    assert (row["duration"], row["shardGroupDuration"]) == ("24h0m0s", "24h0m0s")


def test_no_organisations(refused, influxd_auth, project):
    """The layout that needs them is refused before anything is made."""
    before = influxd_auth.rows("SHOW DATABASES")
    assert "layout = org needs 2.x" in refused(
        "kit", project, "one", more=["api = auto", "layout = org"]
    )
    assert influxd_auth.rows("SHOW DATABASES") == before


def test_retention_of_a_named_policy_is_that_of_no_other(on_one, influxd_auth, kit):
    """What is in the policy that was the default one is kept as long as before."""
    on_one("database", kit)
    assert on_one("database", kit, "--rp", "raw", "--retention", "4w").code == 0
    rows = influxd_auth.rows(f'SHOW RETENTION POLICIES ON "{kit}"')
    assert {row["name"]: row["duration"] for row in rows} == {"autogen": "0s", "raw": "672h0m0s"}
