"""The fake answers as InfluxDB 2.x does; the same tests run against a real one."""

from __future__ import annotations

import base64

import pytest

pytestmark = pytest.mark.influx2


@pytest.fixture
def bucket(influx2, org, project):
    """A bucket in it, for a kit."""
    return influx2.bucket(org, f"{project}_kit")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_it_says_what_it_is(influx2):
    """Its health names a version 2."""
    status, answer = influx2.request("GET", "/health", token="")
    assert (status, answer["version"].removeprefix("v")[:2]) == (200, "2.")


def test_set_up_once(new_influx2):
    """A new server wants the first set-up, once."""
    server = new_influx2()
    before = server.request("GET", "/api/v2/setup", token="")[1]["allowed"]
    server.set_up()
    after = server.request("GET", "/api/v2/setup", token="")[1]["allowed"]
    assert (before, after) == (True, False)


def test_write_and_read_as_a_database(influx2, org, bucket):
    """A bucket can be read as the database of its name, without a mapping."""
    token = influx2.authorize(org, ("write", bucket), ("read", bucket))
    assert influx2.write(org["name"], bucket["name"], "data v=1 1494777772", token=token)[0] == 204
    text = f'SELECT * FROM "{bucket["name"]}"."autogen"."data"'
    assert influx2.rows(text, token=token) == [{"time": 1494777772, "v": 1}]


def test_one_bad_line_refuses_all(influx2, org, bucket):
    """A line that cannot be parsed is 400, and nothing of its body is stored."""
    status, answer = influx2.write(org["name"], bucket["name"], "data v=1 1494777772\ndata v= 1")
    token = influx2.authorize(org, ("read", bucket))
    rows = influx2.rows("SELECT * FROM data", token=token, db=bucket["name"])
    assert (status, answer["code"], rows) == (400, "invalid", [])


def test_type_conflict_keeps_the_rest(influx2, org, bucket):
    """A field of another type is 422; the other points of that body are stored."""
    influx2.write(org["name"], bucket["name"], "data v=1 1494777772")
    lines = 'data v="a" 1494777773\ndata v=2 1494777774'
    status, answer = influx2.write(org["name"], bucket["name"], lines)
    token = influx2.authorize(org, ("read", bucket))
    rows = influx2.rows("SELECT * FROM data", token=token, db=bucket["name"])
    assert (status, answer["code"], [row["v"] for row in rows]) == (
        422,
        "unprocessable entity",
        [1, 2],
    )


def test_beyond_retention(influx2, org, project):
    """A point older than the bucket keeps is 422."""
    bucket = influx2.bucket(org, f"{project}_short", 3600)
    assert influx2.write(org["name"], bucket["name"], "data v=1 1494777772")[0] == 422


def test_wrong_token(influx2, org, bucket):
    """A token that nobody has is 401 in the error form of 2.x."""
    status, answer = influx2.write(org["name"], bucket["name"], "data v=1 1", token="wrong")
    assert (status, answer["code"]) == (401, "unauthorized")


def test_token_of_another_bucket(influx2, org, bucket, project):
    """A token that may write one bucket may not write another."""
    other = influx2.bucket(org, f"{project}_other")
    token = influx2.authorize(org, ("write", other))
    assert influx2.write(org["name"], bucket["name"], "data v=1 1", token=token)[0] in {401, 403}


def test_read_only_token(influx2, org, bucket):
    """A token that may only read does not write."""
    token = influx2.authorize(org, ("read", bucket))
    assert influx2.write(org["name"], bucket["name"], "data v=1 1", token=token)[0] in {401, 403}


def test_inactive_token(influx2, org, bucket):
    """A token that was switched off is a wrong one."""
    permission = {"action": "write", "resource": {"type": "buckets", "orgID": org["id"]}}
    made = influx2.make(
        "authorizations", orgID=org["id"], permissions=[permission], status="inactive"
    )
    answer = influx2.write(org["name"], bucket["name"], "data v=1 1", token=made["token"])
    assert answer[0] in {401, 403}


def test_unknown_bucket(influx2, org):
    """A bucket that is not there is 404."""
    status, answer = influx2.write(org["name"], "nowhere", "data v=1 1")
    assert (status, answer["code"]) == (404, "not found")


def test_databases_are_those_that_may_be_read(influx2, org, bucket, project):
    """SHOW DATABASES lists the buckets that the token reads, by the names before their slash."""
    influx2.bucket(org, f"{project}_other")
    hourly = influx2.bucket(org, f"{bucket['name']}/1h")
    token = influx2.authorize(org, ("read", bucket), ("read", hourly))
    assert influx2.rows("SHOW DATABASES", token=token) == [{"name": bucket["name"]}]


def test_slash_names_a_retention_policy(influx2, org, bucket):
    """The bucket X/1h is retention policy 1h of database X."""
    hourly = influx2.bucket(org, f"{bucket['name']}/1h")
    influx2.write(org["name"], hourly["name"], "data v=3 1494777600")
    token = influx2.authorize(org, ("read", bucket), ("read", hourly))
    text = f'SELECT v FROM "{bucket["name"]}"."1h"."data"'
    assert influx2.rows(text, token=token) == [{"time": 1494777600, "v": 3}]


def test_user_of_1x(influx2, org, bucket):
    """A user of the 1.x API reads what its authorization allows, by name and password."""
    name, password = f"{bucket['name']}-reader", "it's \\ a: secret"
    permission = {
        "action": "read",
        "resource": {"type": "buckets", "id": bucket["id"], "orgID": org["id"]},
    }
    wanted = {"orgID": org["id"], "token": name, "permissions": [permission]}
    status, made = influx2.request("POST", "/private/legacy/authorizations", wanted)
    assert status == 201, made
    path = f"/private/legacy/authorizations/{made['id']}/password"
    influx2.request("POST", path, {"password": password})
    given = {"Authorization": basic(name, password)}
    status, answer = influx2.request("GET", "/query?q=SHOW+DATABASES", token="", **given)
    assert (status, answer["results"][0]["series"][0]["values"]) == (200, [[bucket["name"]]])


def test_token_as_password(influx2, org, bucket):
    """An unknown user's password is taken for a token."""
    token = influx2.authorize(org, ("write", bucket), ("read", bucket))
    given = {"Authorization": basic("nobody", token)}
    target = f"/write?db={bucket['name']}&precision=s"
    status, answer = influx2.request("POST", target, b"data v=1 1", token="", **given)
    assert status == 204, answer


def test_mapping(influx2, org, bucket, project):
    """An explicit mapping gives a bucket the name of another database and policy."""
    influx2.make(
        "dbrps",
        orgID=org["id"],
        bucketID=bucket["id"],
        database=f"{project}_mapped",
        retention_policy="infinite",
        default=True,
    )
    influx2.write(org["name"], bucket["name"], "data v=5 1494777772")
    token = influx2.authorize(org, ("read", bucket))
    text = f'SELECT v FROM "{project}_mapped"."infinite"."data"'
    assert [row["v"] for row in influx2.rows(text, token=token)] == [5]


def test_unknown_database(influx2, org, bucket):
    """A database that is not there is an error inside 200."""
    token = influx2.authorize(org, ("read", bucket))
    status, results = influx2.query('SELECT * FROM "nowhere".."data"', token=token)
    assert (status, "error" in results[0]) == (200, True)


def test_buckets_come_in_pages(influx2, org, project):
    """No more than 100 buckets are listed at a time."""
    influx2.bucket(org, f"{project}_a")
    target = f"/api/v2/buckets?orgID={org['id']}"
    first = influx2.request("GET", f"{target}&limit=2")[1]["buckets"]
    rest = influx2.request("GET", f"{target}&limit=100&offset=2")[1]["buckets"]
    found = {one["name"] for one in first + rest}
    assert (len(first), found) == (2, {"_monitoring", "_tasks", f"{project}_a"})


def test_a_name_taken_is_a_conflict(influx2, org):
    """A second organisation of one name is 422, not 409."""
    status, answer = influx2.request("POST", "/api/v2/orgs", {"name": org["name"]})
    assert (status, answer["code"]) == (422, "conflict")


def test_too_large(fake2):
    """A body above the limit is 413."""
    fake2.max_body = 10
    assert fake2.write("first", "first", "data v=1 1494777772")[0] == 413


def test_contract_is_minded(fake2):
    """What InfluxData's OpenAPI file does not allow is refused and remembered."""
    if not fake2.judged:
        pytest.skip("InfluxData's OpenAPI file is not here")
    fake2.request("POST", "/api/v2/orgs", {"nam": "x"})
    broken, fake2.violations = fake2.violations, []
    assert "'name' is a required property" in broken[0]
