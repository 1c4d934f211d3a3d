"""The users of the documentation can do their work on a real server, and nothing else."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from channels.MyINFLUXPUB import InfluxPub, InfluxPubSettings
from channels.MyINFLUXSUB import InfluxSubSettings, MyINFLUXSUB
from mysense.options import Secret
from mysense.plugin import Hold, RetryLater
from mysense.telegram import Ident, Telegram
from tests.influxd import InfluxdError

PASSWORD = 'it\'s a \\ "pass": word'


@pytest.fixture
def kit(influxd_auth, project):
    """A kit with a user as docs/influxdb.md makes it, and a neighbour with a database as well."""
    name, other = f"{project}_1", f"{project}_2"
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    for database in (name, other):
        influxd_auth.query(f'CREATE DATABASE "{database}"')
    for user, right in ((f"{project}w", "WRITE"), (f"{project}r", "READ")):
        influxd_auth.query(f"CREATE USER \"{user}\" WITH PASSWORD '{quoted}'")
        influxd_auth.query(f'GRANT {right} ON "{name}" TO "{user}"')
    yield name
    for user in (f"{project}w", f"{project}r"):
        influxd_auth.query(f'DROP USER "{user}"')
    for database in (name, other):
        influxd_auth.query(f'DROP DATABASE "{database}"')


def publisher(server, user, **options):
    settings = InfluxPubSettings(
        port=server.port, user=user, password=Secret(PASSWORD), output=True, **options
    )
    made = InfluxPub(settings, "influxpub")
    made.open(None)
    return made


def telegrams(kit, *, count=3):
    project, _, serial = kit.partition("_")
    ident = Ident(project=project, serial=serial)
    data = [{"time": 1494777772 + at, "temp": 21.5 + at} for at in range(count)]
    return [Telegram(ident, MappingProxyType(each), at == 0) for at, each in enumerate(data)]


def test_a_user_who_may_write_one_database_is_all_a_kit_needs(influxd_auth, kit, project):
    """Types are learned without reading, and texts against numbers are told as what they are."""
    with publisher(influxd_auth, f"{project}w") as output:
        output.publish(telegrams(kit))
        output.publish(telegrams(kit))
    rows = influxd_auth.rows("SELECT temp FROM data", database=kit)
    assert [row["temp"] for row in rows] == [21.5, 22.5, 23.5]


@pytest.mark.parametrize("other", ["_2", "_3"])
def test_it_reaches_no_other_kit(influxd_auth, kit, project, other):
    """Neither one that is there nor one that is not; its telegrams wait and nothing is made."""
    with (
        publisher(influxd_auth, f"{project}w") as output,
        pytest.raises(Hold, match=f"{project}{other}"),
    ):
        output.publish(telegrams(f"{project}{other}"))
    assert [n for n in influxd_auth.databases() if n.startswith(project)] == [kit, f"{project}_2"]
    assert influxd_auth.rows("SELECT * FROM data", database=f"{project}_2") == []


@pytest.mark.parametrize(
    "statement",
    [
        'DROP DATABASE "{kit}"',
        'SELECT * FROM "{kit}".autogen.data',
        'SELECT * FROM "{other}".autogen.data',
        "SHOW USERS",
        "CREATE USER x WITH PASSWORD 'x' WITH ALL PRIVILEGES",
        'GRANT ALL ON "{kit}" TO "{project}w"',
    ],
)
def test_who_steals_its_password_can_do_nothing_else(influxd_auth, kit, project, statement):
    """A kit hangs on a lamp post: whoever takes it down has what is on its card."""
    text = statement.format(kit=kit, other=f"{project}_2", project=project)
    with pytest.raises(InfluxdError, match=r"not authorized|403|requires admin"):
        influxd_auth.query(text, user=f"{project}w", password=PASSWORD)


def test_it_can_erase_what_is_its_own(influxd_auth, kit, project):
    """So it is said in docs/security.md; where this fails, that page is to be corrected."""
    influxd_auth.write(kit, "data temp=21.5 1494777772")
    influxd_auth.query("DELETE FROM data", user=f"{project}w", password=PASSWORD, database=kit)
    assert influxd_auth.rows("SELECT * FROM data", database=kit) == []


def test_a_user_who_may_read_is_all_a_subscriber_needs(influxd_auth, kit, project):
    """It finds the databases that it may read, and reads them."""
    influxd_auth.write(kit, "data temp=21.5 1494777772")
    settings = InfluxSubSettings(
        port=influxd_auth.port, user=f"{project}r", password=Secret(PASSWORD), input=True
    )
    reader = MyINFLUXSUB(settings, "influxsub")
    reader.open()
    try:
        given, _ = reader.poll(None)
    finally:
        reader.close()
    assert [(one.kit, one.data["temp"]) for one in given] == [(kit, 21.5)]


def test_a_wrong_password_holds_everything(influxd_auth, kit, project):
    """It is said who could not log in, and tried again after minutes."""
    settings = InfluxPubSettings(
        port=influxd_auth.port, user=f"{project}w", password=Secret("wrong"), output=True
    )
    output = InfluxPub(settings, "influxpub")
    output.open(None)
    with output, pytest.raises(RetryLater, match=f"{project}w") as wrong:
        output.publish(telegrams(kit))
    assert wrong.value.after >= 60
