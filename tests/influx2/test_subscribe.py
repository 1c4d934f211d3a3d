"""MyINFLUXSUB reads from InfluxDB 2.x: all three layouts, by tokens and by users of the 1.x API."""

from __future__ import annotations

import re
import time
from array import array

import pytest

from mysense.options import Secret
from mysense.plugin import RetryLater
from tests.influx.publishing import published
from tests.influx.subscribing import T, day, drain, normals, read, shown, subscriber, sweep

pytestmark = pytest.mark.influx2

LATE = int(time.time()) // 3600 * 3600 - 2 * 86_400
LAYOUTS = ("kit", "shared", "org")


class Site:
    """An organisation with kits `a` and `b`, in the buckets of a layout.

    Attributes:
        buckets: those of kit a and of kit b.
    """

    def __init__(self, influx2, project, layout):
        self.influx2, self.project, self.layout = influx2, project, layout
        self.org = influx2.org(project)
        names = {
            "kit": [f"{project}_a", f"{project}_b"],
            "shared": [f"{project}-all"],
            "org": ["signals"],
        }
        made = [influx2.bucket(self.org, name) for name in names[layout]]
        self.buckets = [made[0], made[-1]]

    def publish(self, telegrams):
        """As MyINFLUXPUB does it, with an operator's token."""
        options = {"api": "2", "layout": self.layout, "token": Secret(self.influx2.token)}
        if self.layout != "org":
            options |= {"org": self.project, "database": self.buckets[0]["name"]}
        with published(self.influx2.port, **options) as publisher:
            for kit in dict.fromkeys(telegram.kit for telegram in telegrams):
                publisher.publish([telegram for telegram in telegrams if telegram.kit == kit])

    def make_anew(self):
        """Delete the bucket of kit a, and make it again."""
        old, other = self.buckets
        self.influx2.request("DELETE", f"/api/v2/buckets/{old['id']}")
        new = self.influx2.bucket(self.org, old["name"])
        self.buckets = [new, new if other is old else other]

    def write(self, serial, *fields, start=T):
        """Rows of a kit, one a second."""
        tags = "" if self.layout == "kit" else f",project={self.project},serial={serial}"
        bucket = self.buckets[serial == "b"]["name"]
        lines = [f"data,label=l{tags} {one} {start + at}" for at, one in enumerate(fields)]
        answer = self.influx2.write(self.org["name"], bucket, "\n".join(lines))
        assert answer[0] == 204, answer

    def token(self, *actions):
        """One of those buckets alone; it may read unless something else is said."""
        grants = [(each, bucket) for each in actions or ("read",) for bucket in self.buckets]
        return Secret(self.influx2.authorize(self.org, *grants))

    def reader(self, **more):
        """The options of a subscriber."""
        options = {"api": "2", "layout": self.layout, "projects": re.compile(self.project)}
        if self.layout == "shared":
            options["database"] = self.buckets[0]["name"]
        if not {"token", "user"} & more.keys():
            more["token"] = self.token()
        return options | more

    def user(self, name, password):
        """A user of the 1.x API who may read."""
        resources = [{"type": "buckets", "id": b["id"], "orgID": b["orgID"]} for b in self.buckets]
        permissions = [{"action": "read", "resource": resource} for resource in resources]
        wanted = {"orgID": self.org["id"], "token": name, "permissions": permissions}
        path = "/private/legacy/authorizations"
        status, made = self.influx2.request("POST", path, wanted)
        assert status == 201, made
        self.influx2.request("POST", f"{path}/{made['id']}/password", {"password": password})
        return {"user": name, "password": Secret(password)}


@pytest.fixture
def make(influx2, project):
    """`make(layout)` makes a site."""
    return lambda layout: Site(influx2, project, layout)


@pytest.fixture(params=LAYOUTS)
def site(request, make):
    """A site of each layout."""
    return make(request.param)


def told(caplog, text):
    return [record.message for record in caplog.records if text in record.message]


def test_what_was_published_is_read(site):
    """Value by value; two kits that measure in the same seconds, and change their idents."""
    sent = day(site.project, "a", "b")
    site.publish(sent)
    items, _ = read(site.influx2, **site.reader())
    assert normals(items) == normals(sent)


def test_restart_at_every_poll_gives_each_telegram_once(site):
    """The position says it all."""
    sent = day(site.project, "a", "b", count=12)
    site.publish(sent)
    found, position, reader = [], None, site.reader()
    while len(found) < len(sent):
        with subscriber(site.influx2, **reader, bufsize=10) as made:
            items, position = made.poll(position)
        found += items
    assert (normals(found), read(site.influx2, position, **reader)[0]) == (normals(sent), [])


def test_what_comes_is_read(site):
    """By one that has read before: rows, new fields, and a kit that was not there."""
    site.write("a", "v=1")
    with subscriber(site.influx2, **site.reader(), update=1) as made:
        _, position = drain(made)
        site.write("a", "v=2", "w=3", start=T + 1)
        site.write("b", "v=4", start=T + 1)
        items, _ = drain(made, position)
    assert shown(items) == [
        (f"{site.project}_a", 1, {"v": 2.0}),
        (f"{site.project}_a", 2, {"w": 3.0}),
        (f"{site.project}_b", 1, {"v": 4.0}),
    ]


def test_late_rows_are_found_once_by_the_sweep(site):
    """Of each kit, between rows that were read long ago."""
    early = day(site.project, "a", "b", count=30, start=LATE)
    late = day(site.project, "a", "b", count=5, start=LATE + 7)
    now = day(site.project, "a", "b", count=1, start=LATE + 86_400)
    site.publish(early + now)
    with subscriber(site.influx2, **site.reader(sweep=0.01)) as made:
        before, position = sweep(made, None)
        site.publish(late)
        found, position = sweep(made, position)
        again, _ = sweep(made, position)
    assert (normals(before), normals(found), again) == (normals(early + now), normals(late), [])


def test_rows_that_are_being_stored_are_given_whole(site):
    """Field by field, as far as a reader can tell."""
    site.write("a", *[f"a={at},b={at}" for at in range(100)])
    with subscriber(site.influx2, **site.reader()) as made:
        _, position = drain(made)
        site.write("a", "a=1", start=T + 500)
        cursor = made._cursors[site.buckets[0]["name"]]
        held = cursor.trust.doubts(
            [[T, 1, None, "l", None, None, site.project, "a"]], array("l", [1]), []
        )
        items, _ = drain(made, position)
    assert (held, shown(items)) == (True, [(f"{site.project}_a", 500, {"a": 1.0})])


@pytest.mark.parametrize("api", ["1", "2", "auto"])
def test_a_user_of_the_1x_api(site, api):
    """By name and password, with every sign in it; as a 1.x server would be asked, too."""
    if site.layout == "org" and api == "1":
        pytest.skip("refused at the start")
    site.write("a", "v=1")
    given = site.user(f"{site.project}-reader", "it's \\ a: secret")
    items, _ = read(site.influx2, **site.reader(**given) | {"api": api})
    assert shown(items) == [(f"{site.project}_a", 0, {"v": 1.0})]


def test_a_wrong_password_of_the_1x_api(site):
    """It says whose."""
    given = site.user(f"{site.project}-reader", "good-password") | {"password": Secret("wrong")}
    with (
        subscriber(site.influx2, **site.reader(**given)) as made,
        pytest.raises(RetryLater, match=f"user {site.project}-reader is refused"),
    ):
        made.poll(None)


def test_a_token_as_password(site):
    """Of a user that nobody knows."""
    site.write("a", "v=1")
    given = {"user": "anybody", "password": site.token()}
    assert len(read(site.influx2, **site.reader(**given))[0]) == 1


@pytest.mark.parametrize("given", [{"token": Secret("wrong")}, {"user": ""}])
def test_whoever_is_not_let_in_is_told_what_to_set(site, given):
    """A wrong token, none at all; never the token itself."""
    with (
        subscriber(site.influx2, **site.reader(**given)) as made,
        pytest.raises(RetryLater, match="token") as caught,
    ):
        made.poll(None)
    assert ("InfluxDB v2" in str(caught.value), "wrong" in str(caught.value)) == (True, False)


def test_a_token_that_was_switched_off_while_it_reads(site):
    """Nothing is forgotten: with another token it goes on where it was."""
    token = site.token()
    site.write("a", "v=1")
    with subscriber(site.influx2, **site.reader(token=token)) as made:
        first, position = drain(made)
        _switch_off(site, token)
        with pytest.raises(RetryLater, match="token is refused"):
            drain(made, position)
    site.write("a", "v=2", start=T + 1)
    second, _ = read(site.influx2, position, **site.reader())
    assert (len(first), [item.data["v"] for item in second]) == (1, [2.0])


def _switch_off(site, token):
    path = "/api/v2/authorizations"
    target = f"{path}?orgID={site.org['id']}"
    for one in site.influx2.request("GET", target)[1]["authorizations"]:
        if one["description"] != "operator":
            site.influx2.request("PATCH", f"{path}/{one['id']}", {"status": "inactive"})
    assert site.influx2.query("SHOW DATABASES", token=token.reveal())[0] == 401


@pytest.mark.parametrize("restart", [False, True])
def test_rights_that_were_lost_for_a_while(site, restart, caplog):
    """InfluxDB 2.x says of a forbidden bucket that there is none: that is not believed."""
    site.write("a", "v=1", "v=2")
    with subscriber(site.influx2, **site.reader(), update=1) as made:
        first, position = drain(made)
    blind = site.reader(token=site.token("write"), update=1)
    with subscriber(site.influx2, **blind) as made:
        nothing, position = drain(made, position)
        time.sleep(0 if restart else 1.1)
        more, position = drain(made, position)
    site.write("a", "v=3", start=T + 2)
    second, _ = read(site.influx2, position, **site.reader())
    assert (len(first), nothing, more, [item.data["v"] for item in second]) == (2, [], [], [3.0])
    assert told(caplog, "read anew") == []


def test_a_bucket_that_was_made_anew_is_read_anew(site, caplog):
    """What was read last is not there any more, nor anything before it."""
    site.write("a", "v=1")
    _, position = read(site.influx2, **site.reader())
    site.make_anew()
    with subscriber(site.influx2, **site.reader()) as made:
        before, position = drain(made, position)
        site.write("a", "v=2", start=T - 1000)
        site.write("a", "v=3", start=T + 1000)
        after, _ = drain(made, position)
    assert (before, [item.data["v"] for item in after]) == ([], [2.0, 3.0])
    assert told(caplog, "read anew") != []


def test_two_kits_of_one_organisation_in_one_second(site):
    """With the same label and fields: both are kept."""
    site.write("a", "v=1")
    site.write("b", "v=2")
    items, _ = read(site.influx2, **site.reader())
    assert shown(items) == [
        (f"{site.project}_a", 0, {"v": 1.0}),
        (f"{site.project}_b", 0, {"v": 2.0}),
    ]


def test_equal_rows_of_two_kits_are_two(site):
    """Also where the second one comes a little later, into the overlap."""
    site.write("a", "v=1")
    with subscriber(site.influx2, **site.reader()) as made:
        _, position = drain(made)
        site.write("b", "v=1")
        items, _ = drain(made, position)
    assert shown(items) == [(f"{site.project}_b", 0, {"v": 1.0})]


def roll_up(site, bucket, at=0):
    """A row as the task for `bucket` writes it, in the bucket of roll-ups."""
    tags = "" if site.layout == "kit" else f",project={site.project},serial=a"
    line = f"data,label=l{tags} mean_v=9 {T + at}"
    answer = site.influx2.write(site.org["name"], bucket["name"], line)
    assert answer[0] == 204, answer


def test_roll_ups_are_no_kits_while_all_projects_are_read(site):
    """They go on being made while `projects = .*` is read with a token for all of it."""
    hourly = [
        site.influx2.bucket(site.org, f"{b['name']}/1h")
        for b in {one["id"]: one for one in site.buckets}.values()
    ]
    grants = [("read", bucket) for bucket in (*site.buckets, *hourly)]
    token = Secret(site.influx2.authorize(site.org, *grants))
    reader = site.reader(token=token, sweep=0.01) | {"projects": re.compile(".*")}
    site.write("a", "v=1")
    roll_up(site, hourly[0])
    with subscriber(site.influx2, **reader, update=1) as made:
        first, position = sweep(made, None)
        roll_up(site, hourly[0], 3600)
        site.write("a", "v=2", start=T + 1)
        time.sleep(1.1)
        second, _ = sweep(made, position)
    assert shown(first + second) == [
        (f"{site.project}_a", 0, {"v": 1.0}),
        (f"{site.project}_a", 1, {"v": 2.0}),
    ]


@pytest.mark.parametrize("default", [False, True])
def test_roll_ups_alone_are_no_kit(make, default, caplog):
    """For a token that may read nothing else, and where a mapping makes them the default."""
    site = make("kit")
    hourly = site.influx2.bucket(site.org, f"{site.project}_a/1h")
    roll_up(site, hourly)
    if default:
        site.influx2.make(
            "dbrps",
            orgID=site.org["id"],
            bucketID=hourly["id"],
            database=f"{site.project}_a",
            retention_policy="1h",
            default=True,
        )
    token = Secret(site.influx2.authorize(site.org, ("read", hourly)))
    items, _ = read(site.influx2, **site.reader(token=token))
    assert (items, len(told(caplog, f"{site.project}_a"))) == ([], 1)


def test_a_policy_is_a_bucket_of_its_own(make):
    """Whose fields the other one does not have."""
    site = make("kit")
    raw = site.influx2.bucket(site.org, f"{site.project}_a/raw")
    site.write("a", "v=1")
    site.influx2.write(site.org["name"], raw["name"], f"data,label=l u=2 {T}")
    token = Secret(site.influx2.authorize(site.org, ("read", raw)))
    items, _ = read(site.influx2, **site.reader(token=token, rp="raw"))
    assert shown(items) == [(f"{site.project}_a", 0, {"u": 2.0})]


def test_a_mapping_gives_a_bucket_the_name_of_a_kit(make):
    """Whatever it is called; another policy may be the default one."""
    site = make("kit")
    other = site.influx2.bucket(site.org, f"{site.project} of old")
    site.influx2.make(
        "dbrps",
        orgID=site.org["id"],
        bucketID=other["id"],
        database=f"{site.project}_c",
        retention_policy="infinite",
        default=True,
    )
    site.influx2.write(site.org["name"], other["name"], f"data,label=l v=5 {T}")
    token = Secret(site.influx2.authorize(site.org, ("read", other)))
    items, _ = read(site.influx2, **site.reader(token=token))
    assert shown(items) == [(f"{site.project}_c", 0, {"v": 5.0})]


def test_databases_can_be_named(make, caplog):
    """One that is not there does not stop the other."""
    site = make("kit")
    site.write("a", "v=1")
    names = (f"{site.project}_a", f"{site.project}_none")
    items, _ = read(site.influx2, **site.reader(databases=names))
    assert (len(items), len(told(caplog, "no mapping leads to"))) == (1, 1)


def test_a_token_reads_its_own_organisation(influx2, make):
    """Each has a section of its own, with a position of its own; kits of one name do not mix."""
    first = make("org")
    second = Site(influx2, f"{first.project}x", "org")
    for value, site in enumerate((first, second)):
        line = f"data,project=P,serial=a v={value} {T}"
        influx2.write(site.org["name"], "signals", line)
    found = []
    for site in (first, second):
        items, _ = read(influx2, **site.reader() | {"projects": re.compile(".*")})
        found += [(item.kit, item.data["v"]) for item in items]
    assert found == [("P_a", 0.0), ("P_a", 1.0)]


# -- what `check` says -----------------------------------------------------------------------------


def checked(site, **more):
    with subscriber(site.influx2, **site.reader(**more)) as made:
        return list(made.check())


def bad(findings):
    return [f"{finding.what} -> {finding.fix}" for finding in findings if not finding.good]


def test_check_finds_a_reader_good(site):
    """And names what it reads."""
    site.write("a", "v=1")
    findings = checked(site)
    names = {
        "kit": f"2 databases to read: {site.project}_a, {site.project}_b",
        "shared": f"database {site.project}-all of all kits: projects {site.project}",
        "org": f"database signals of all kits: projects {site.project}",
    }
    assert (bad(findings), findings[-1].what) == ([], names[site.layout])


def test_check_of_a_user_of_the_1x_api(site):
    """Who has no way to the other API."""
    assert bad(checked(site, **site.user(f"{site.project}-reader", "good-password"))) == []


def test_check_finds_a_wrong_token(site):
    """It says what to set."""
    (found,) = bad(checked(site, token=Secret("wrong")))
    assert "the token is refused" in found


def test_check_finds_a_token_that_only_writes(site):
    """It says what to grant, and how."""
    found = bad(checked(site, token=site.token("write")))
    assert found
    assert "may read" in found[0]
    assert "mysense provision" in found[0]


def test_check_tells_an_operator_whose_organisation_is_read(make):
    """With layout org: that of the token, whatever else it sees."""
    site = make("org")
    findings = checked(site, token=Secret(site.influx2.token))
    (told,) = [f.what for f in findings if f.what.startswith("sees the organisations")]
    assert site.project in told or "more" in told


def test_check_finds_buckets_of_another_organisation(make):
    """Which the token sees, and which no query reaches."""
    site = make("kit")
    options = {"token": Secret(site.influx2.token), "org": site.project}
    found = bad(checked(site, **options))
    assert f"cannot be read as databases: {site.project}_a, {site.project}_b" in found[0]


def test_a_bucket_without_a_mapping(fake2, project, command):
    """As on servers before 2.4: check says so, provision makes one, and it is read."""
    site = Site(fake2, project, "kit")
    fake2.state.virtual = False
    site.write("a", "v=1")
    before = bad(checked(site, org=project))
    conf = ["hostname = 127.0.0.1", f"port = {fake2.port}", "api = 2", f"org = {project}"]
    words = ["database", f"{project}_a", "--rp", "autogen"]
    ran = command(conf, *words, PROVISION_TOKEN=fake2.token)
    items, _ = read(fake2, **site.reader())
    assert (ran.code, shown(items)) == (0, [(f"{project}_a", 0, {"v": 1.0})])
    assert f"cannot be read as databases: {project}_a, {project}_b" in before[0]


def test_a_server_that_is_unwell(fake2, project):
    """Its message is told, and nothing is lost."""
    site = Site(fake2, project, "shared")
    site.write("a", "v=1")
    with subscriber(fake2, **site.reader()) as made:
        fake2.unwell = 503
        with pytest.raises(RetryLater, match="503: not now"):
            made.poll(None)
        fake2.unwell = None
        items, _ = drain(made)
    assert len(items) == 1
