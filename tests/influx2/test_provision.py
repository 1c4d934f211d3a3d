"""`mysense provision` on InfluxDB 2.x."""

from __future__ import annotations

import base64
import time

import pytest

from mysense.provision.tokens import Tokens

pytestmark = pytest.mark.influx2

NASTY = 'it\'s a \\ and: "x"'


@pytest.fixture
def kit(project):
    return f"{project}_one"


@pytest.fixture
def on_two(command, influx2, project):
    """`on_two(*words)` provides in an organisation called as the project."""
    conf = ["hostname = " + influx2.host, f"port = {influx2.port}", "api = auto"]

    def on_two(*words, more=None):
        more = [f"org = {project}"] if more is None else more
        return command([*conf, *more], *words, PROVISION_TOKEN=influx2.token)

    yield on_two
    influx2.drop_org(project)


def writes(influx2, org, bucket, token):
    return influx2.write(org, bucket, "data temp=1 1494777772", token=token)[0]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_kit_can_write(on_two, influx2, project, kit):
    """The token of a kit writes to the kit's bucket."""
    ran = on_two("kit", project, "one")
    assert writes(influx2, project, kit, ran.secret(kit, "token")) == 204


def test_a_kit_writes_nowhere_else(on_two, influx2, project, kit):
    """The token of a kit is refused for another kit's bucket, and for that of its roll-ups."""
    token = on_two("kit", project, "one", "--rollup").secret(kit, "token")
    on_two("kit", project, "two")
    others = (f"{project}_two", f"{kit}/1h")
    answers = {writes(influx2, project, bucket, token) for bucket in others}
    assert answers <= {401, 403, 404}


def test_a_kit_cannot_read(on_two, influx2, project, kit):
    """The token of a kit sees no database."""
    token = on_two("kit", project, "one").secret(kit, "token")
    assert influx2.rows("SHOW DATABASES", token=token) == []


def test_twice_in_a_row(on_two, project, tmp_path):
    """A second run with all there is finds it all there."""
    (tmp_path / "value").write_text("hush")
    words = ["kit", project, "one", "--rollup", "--retention", "52w", "--rp", "infinite", "--v1"]
    words += ["--reader", f"{project}-reader", "--member", f"{project}-jan"]
    words += ["--secret", f"KEY={tmp_path / 'value'}", "--secrets", tmp_path / "safe"]
    first, second = on_two(*words), on_two(*words)
    assert (first.states, second.states) == ({"created"}, {"exists"})


def test_dry_run_makes_nothing(on_two, influx2, project):
    """A dry run says what it would make, and makes nothing."""
    ran = on_two(
        "kit", project, "one", "--dry-run", "--rollup", "--v1", "--member", f"{project}-jan"
    )
    status, answer = influx2.request("GET", f"/api/v2/orgs?org={project}")
    assert (ran.states, status == 404 or answer["orgs"] == []) == ({"would create"}, True)


def test_half_done_token(on_two, influx2, project, kit, monkeypatch):
    """A token that was made and never told is made anew; no other of that kind stays."""
    with monkeypatch.context() as broken:
        broken.setattr("mysense.provision.safe.Safe.keep", None)
        with pytest.raises(TypeError):
            on_two("kit", project, "one")
    token = on_two("kit", project, "one").secret(kit, "token")
    org = influx2.request("GET", f"/api/v2/orgs?org={project}")[1]["orgs"][0]
    found = influx2.request("GET", f"/api/v2/authorizations?orgID={org['id']}")[1]["authorizations"]
    left = [one["status"] for one in found if kit in one["description"]]
    assert (writes(influx2, project, kit, token), left) == (204, ["active"])


def test_half_done_user_of_1x(on_two, influx2, project, kit, monkeypatch):
    """A user of the 1.x API without a password gets one by the next run."""
    with monkeypatch.context() as broken:
        broken.setattr(Tokens, "_first_password", None)
        with pytest.raises(TypeError):
            on_two("kit", project, "one", "--v1")
    password = on_two("kit", project, "one", "--v1").secret(kit)
    given = {"Authorization": basic(kit, password)}
    assert influx2.request("GET", "/query?q=SHOW+DATABASES", token="", **given)[0] == 200


def test_renew(on_two, influx2, project, kit):
    """--renew makes the old token void and shows another."""
    old = on_two("kit", project, "one").secret(kit, "token")
    new = on_two("kit", project, "one", "--renew").secret(kit, "token")
    assert [writes(influx2, project, kit, token) for token in (old, new)] == [401, 204]


def test_reader_of_1x(on_two, influx2, project, kit, tmp_path):
    """A user of the 1.x API reads by name and password, with every sign in it."""
    name = f"{project}-reader"
    (tmp_path / f"{name}.password").write_text(NASTY)
    words = ["--reader", name, "--v1", "--secrets", tmp_path]
    on_two("kit", project, "one", *words)
    given = {"Authorization": basic(name, NASTY)}
    status, answer = influx2.request("GET", "/query?q=SHOW+DATABASES", token="", **given)
    assert (status, answer["results"][0]["series"][0]["values"]) == (200, [[kit]])


def test_reader_of_all(on_two, influx2, project, kit):
    """The token of a reader sees buckets that are made later, and roll-ups as no kit."""
    name = f"{project}-viewer"
    token = on_two("reader", name).secret(name, "token")
    on_two("kit", project, "one", "--rollup")
    names = {row["name"] for row in influx2.rows("SHOW DATABASES", token=token)}
    assert {one for one in names if not one.startswith("_")} == {kit}


def test_mapping(on_two, influx2, project, kit):
    """With --rp the bucket answers as that retention policy too, and as the default one."""
    token = on_two("kit", project, "one", "--rp", "infinite").secret(kit, "token")
    writes(influx2, project, kit, token)
    name = f"{project}-viewer"
    viewer = on_two("reader", name).secret(name, "token")
    rows = [
        influx2.rows(f'SELECT temp FROM "{kit}".{rp}."data"', token=viewer)
        for rp in ('"infinite"', "")
    ]
    assert rows == [[{"time": 1494777772, "temp": 1}]] * 2


def test_member(on_two, influx2, project, tmp_path):
    """A member signs in with the password that was kept."""
    name = f"{project}-jan"
    (tmp_path / f"{name}.password").write_text(NASTY)
    on_two("kit", project, "one", "--member", name, "--secrets", tmp_path)
    given = {"Authorization": basic(name, NASTY)}
    assert influx2.request("POST", "/api/v2/signin", token="", **given)[0] == 204


def test_shorter_retention_is_refused(on_two, project):
    """Points are not deleted without being told to."""
    on_two("kit", project, "one")
    ran = on_two("kit", project, "one", "--retention", "4w")
    assert (ran.code, "--shorten" in ran.told["error"]) == (1, True)


def test_other_retention(on_two, project, influx2, kit):
    """With --shorten, retention becomes what was asked for."""
    on_two("kit", project, "one")
    on_two("kit", project, "one", "--retention", "4w", "--shorten")
    org = influx2.request("GET", f"/api/v2/orgs?org={project}")[1]["orgs"][0]
    found = influx2.request("GET", f"/api/v2/buckets?orgID={org['id']}&name={kit}")[1]["buckets"]
    assert found[0]["retentionRules"][0]["everySeconds"] == 28 * 86_400


def test_retention_below_the_length_of_a_shard(on_two, project, influx2, kit):
    """Shards become as short as points live, also those of the server's own length."""
    for more in ([f"org = {project}"], [f"org = {project}", "layout = shared"]):
        words = ["database", kit if len(more) == 1 else f"{project}-all"]
        on_two(*words, more=more)
        assert on_two(*words, "--retention", "1d", "--shorten", more=more).code == 0
        target = f"/api/v2/orgs?org={project}"
        org = influx2.request("GET", target)[1]["orgs"][0]["id"]
        target = f"/api/v2/buckets?orgID={org}&name={words[1]}"
        (rule,) = influx2.request("GET", target)[1]["buckets"][0]["retentionRules"]
        assert (rule["everySeconds"], rule["shardGroupDurationSeconds"]) == (86_400, 86_400)


def test_another_task(on_two, project):
    """A task whose script is another one is changed."""
    on_two("kit", project, "one", "--rollup")
    ran = on_two("kit", project, "one", "--rollup", "--late", "14d")
    changed = [step["kind"] for step in ran.told["steps"] if step["state"] == "changed"]
    assert changed == ["task"]


@pytest.mark.parametrize("layout", ["kit", "shared"])
def test_a_run_of_the_task(on_two, influx2, project, layout):
    """Means of whole hours, of numbers alone; telegrams that differ only in `new` count once."""
    if influx2.kind == "fake":
        pytest.skip("the fake runs no tasks: make test-influx2 runs this")
    bucket = f"{project}_one" if layout == "kit" else f"{project}-all"
    on_two("database", bucket, "--rollup", more=[f"org = {project}", f"layout = {layout}"])
    hour = int(time.time()) // 3600 * 3600 - 7200
    kits = ["", ""] if layout == "kit" else [",project=p,serial=s", ",project=p,serial=t"]
    lines = [
        f'data{kits[0]},label=a,new=0 temp=1,state="on" {hour + 10}',
        f"data{kits[0]},label=a,new=1 temp=1 {hour + 10}",
        f"data{kits[1]},label=a,new=0 temp=4 {hour + 20}",
    ]
    assert influx2.write(project, bucket, "\n".join(lines))[0] == 204
    org = influx2.request("GET", f"/api/v2/orgs?org={project}")[1]["orgs"][0]
    (task,) = influx2.request("GET", f"/api/v2/tasks?orgID={org['id']}")[1]["tasks"]
    status, run = influx2.request("POST", f"/api/v2/tasks/{task['id']}/runs", {})
    assert status == 201, run
    viewer = on_two("reader", f"{project}-viewer").secret(f"{project}-viewer", "token")
    text = f'SELECT * FROM "{bucket}"."1h"."data"'
    mean = {"time": hour, "label": "a"}
    wanted = {
        "kit": [mean | {"mean_temp": 2.5}],
        "shared": [
            mean | {"project": "p", "serial": serial, "mean_temp": temp}
            for serial, temp in (("s", 1), ("t", 4))
        ],
    }[layout]
    deadline = time.monotonic() + 60
    while (rows := influx2.rows(text, token=viewer)) != wanted:
        _, now = influx2.request("GET", f"/api/v2/tasks/{task['id']}")
        assert time.monotonic() < deadline, (rows, now)
        time.sleep(0.5)


def test_organisation_of_a_project(on_two, influx2, project, kit):
    """In layout org each project is an organisation; a token of one cannot write to another."""
    token = on_two("kit", project, "one", more=["layout = org"]).secret(kit, "token")
    on_two("kit", f"{project}x", "one", more=["layout = org"])
    try:
        answers = [writes(influx2, org, "signals", token) for org in (project, f"{project}x")]
    finally:
        influx2.drop_org(f"{project}x")
    assert (answers[0], answers[1] in {401, 403, 404}) == (204, True)


def test_wrong_token(command, influx2, project):
    """An administrator's token that nobody has is told, and the token is not."""
    conf = ["hostname = " + influx2.host, f"port = {influx2.port}", "api = 2", f"org = {project}"]
    ran = command(conf, "kit", project, "one", PROVISION_TOKEN="mistaken")
    assert (ran.code, ran.told["error"][:3], "mistaken" in ran.err) == (1, "401", False)


def test_set_up(command, new_influx2):
    """A set-up makes a new server's first user, and its token provides for a kit; once."""
    server = new_influx2()
    conf = ["hostname = " + server.host, f"port = {server.port}", "api = 2", "org = air"]
    ran = command(conf, "setup", PROVISION_USER="root")
    again = command(conf, "setup")
    made = command(conf, "kit", "p", "s", PROVISION_TOKEN=ran.secret("root", "token"))
    assert (ran.states, again.states, made.code) == ({"created"}, {"exists"}, 0)


def test_set_up_with_a_password_that_2x_would_refuse(command, new_influx2):
    """It is told before anything is made, and nothing of the password is."""
    server = new_influx2()
    conf = ["hostname = " + server.host, f"port = {server.port}", "api = 2", "org = air"]
    ran = command(conf, "setup", PROVISION_USER="root", PROVISION_PASSWORD="zq7")
    allowed = server.request("GET", "/api/v2/setup")[1]["allowed"]
    assert (ran.code, "8 to 72 bytes" in ran.told["error"], allowed) == (1, True, True)
    assert "zq7" not in ran.err


def test_set_up_that_ended_half_done(command, new_influx2, tmp_path):
    """The token is in its file before the server has it: nothing is lost with the answer."""
    server = new_influx2()
    conf = ["hostname = " + server.host, f"port = {server.port}", "api = 2", "org = air"]
    command(conf, "setup", "--secrets", tmp_path / "safe", PROVISION_USER="root")
    token = (tmp_path / "safe/root.token").read_text().strip()
    assert server.request("GET", "/api/v2/me", token=token)[1]["name"] == "root"


def test_api_of_another_version(command, influx2, project):
    """A server of 2.x is told from what the configuration says."""
    conf = ["hostname = " + influx2.host, f"port = {influx2.port}", "api = 1"]
    assert "set api = 2" in command(conf, "kit", project, "one").told["error"]
