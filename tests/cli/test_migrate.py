"""`mysense migrate`: from one real server to another, all of it, once, and whatever happens."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from mysense import jsonlines
from mysense.cli import main
from mysense.jsonlines import Reader
from mysense.telegram import Telegram
from tests.cli.conftest import environment
from tests.cli.places import HOUR, T0, places_in
from tests.conftest import CHECKOUT
from tests.influxd import Influxd

RECORDING = CHECKOUT.parent / "shared/data/kit-scom-16422.jsonl"


@pytest.fixture(scope="module")
def target():
    """Where everything goes."""
    with Influxd() as server:
        yield server


@pytest.fixture
def old(tmp_path, influxd, project, monkeypatch):
    """The project's kits on the old server."""
    with places_in(tmp_path, influxd, project, monkeypatch) as made:
        yield made


class Migrate:
    """Runs `mysense migrate influxsub:old influxpub:new`, in this process or in one of its own."""

    def __init__(self, folder, old, target, capsys):
        self.folder, self.old, self.target = folder, old, target
        self._capsys = capsys
        self.out = self.err = ""
        self.configure()

    def configure(self, *new, here=(), there=("influxpub:new",)):
        """Write the configuration: more options of FROM and TO."""
        old, target = self.old, self.target
        lines = [
            "[influxsub:old]",
            f"hostname = {old.server.host}",
            f"port = {old.server.port}",
            f"projects = {old.project}",
            *here,
        ]
        for section in there:
            lines += [f"[{section}]", f"hostname = {target.host}", f"port = {target.port}", *new]
        self.path = self.folder / "MySense.conf"
        self.path.write_text("\n".join(lines))
        self.path.chmod(0o600)

    def __call__(self, *words, source="influxsub:old", to="influxpub:new"):
        self._capsys.readouterr()
        code = main(["migrate", "-c", str(self.path), source, to, *map(str, words)])
        self.out, self.err = self._capsys.readouterr()
        return code

    def process(self, *words, **options):
        """The real command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mysense", "migrate", "influxsub:old", "influxpub:new", *words],
            cwd=self.folder,
            env=environment(self.folder),
            **({"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options),
        )

    def rows(self, series="data", database=None):
        return self.target.rows(f"SELECT * FROM {series}", database=database or self.old.kit)

    @property
    def left_over(self):
        """Journals of runs that are not done."""
        return sorted((self.folder / "state/mysense/migrate").glob("*.db"))


@pytest.fixture
def migrate(tmp_path, old, target, capsys):
    yield Migrate(tmp_path, old, target, capsys)
    for name in target.databases():
        if name.startswith((old.project, "all")):
            target.query(f'DROP DATABASE "{name}"')


def telegrams_of(migrate, *more):
    """What `verify --full` has to say of both servers."""
    words = ["verify", "-c", str(migrate.path), "influxsub:old", "influxpub:new", "--full", *more]
    return main(words)


# -- all of it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["dialect = clean"],
        ["dialect = classic"],
        ["layout = shared", "database = all_kits"],
    ],
)
def test_everything_is_kept(old, migrate, options):
    """Times, labels, places, texts, `new` and idents at their times, in any layout and dialect."""
    ident = {"geolocation": "51.4,6.1,22", "street": "Kerkstraat 1, links", "fields": ("time",)}
    telegrams = old.telegrams(40, **ident) + old.telegrams(40, T0 + 300, label="b, c", **ident)
    moved = old.telegrams(20, T0 + 30 * HOUR, **ident | {"street": "Elsewhere"})
    for batch in (telegrams[:40], telegrams[40:], moved):
        old.into_server(batch)
    old.write(f'data,geolocation="1\\,2\\,3",label="lab",new=0 temp=1,note="a \\"b\\", c" {T0 + 1}')
    migrate.configure(*options)
    assert migrate() == 0, migrate.out + migrate.err
    assert telegrams_of(migrate) == 0
    assert "101 telegrams read, 101 written" in migrate.err
    assert migrate.left_over == []


def test_shared_layout_has_tags(old, migrate):
    """Project and serial of each kit, also where both have the same second."""
    old.into_server(old.telegrams(4))
    old.server.query(f'CREATE DATABASE "{old.project}_x_y"')
    old.write(f"data temp=3 {T0}", kit=f"{old.project}_x_y")
    migrate.configure("layout = shared", "database = all_kits")
    assert migrate() == 0
    found = [(row["project"], row["serial"]) for row in migrate.rows(database="all_kits")]
    assert sorted(found) == sorted([(old.project, "k")] * 4 + [(old.project, "x_y")])


def test_layout_changes_on_the_same_server(old, migrate):
    """The database of all kits may be called as a kit is: it is not copied into itself."""
    name = f"{old.project}_all"
    old.into_server(old.telegrams(8))
    migrate.target = old.server
    migrate.configure("layout = shared", f"database = {name}")
    assert [migrate(), migrate()] == [0, 0], migrate.out + migrate.err
    assert len(migrate.rows(database=name)) == 8


def test_true_time_is_in_its_field(old, migrate):
    """The deployed publisher let the server stamp the arrival."""
    old.server.query(f'CREATE DATABASE "{old.kit}"')
    late = T0 + 26 * HOUR
    old.write(
        f'info,label="lab" label="lab",street="Kerkstraat" {T0}',
        *(
            f'data,label="lab",new=0 temp={at},timestamp={T0 + at * 60} {late + at}'
            for at in range(200)
        ),
    )
    migrate.configure("dialect = clean")
    assert migrate() == 0, migrate.out + migrate.err
    rows = migrate.rows()
    assert [row["time"] for row in rows] == [T0 + at * 60 for at in range(200)]
    assert "timestamp" not in rows[0]


@pytest.mark.skipif(not RECORDING.exists(), reason="the recording is not here")
def test_recording(old, migrate):
    """45 days of a real kit, with its gaps; classic into clean."""
    with RECORDING.open("rb") as stream:
        telegrams = [one for one in Reader(stream, "recording") if isinstance(one, Telegram)]
    lines = [json.loads(line) for line in jsonlines.write(telegrams)]
    for line in lines:
        line["ident"]["project"] = old.project
    path = migrate.folder / "kit.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    where = ["-o", f"influxpub.port={old.server.port}"]
    assert main(["replay", str(path), "--to", "influxpub", *where]) == 0
    migrate.configure("dialect = clean")
    assert migrate() == 0
    assert f"{len(telegrams)} written" in migrate.err


# -- what happens on the way ------------------------------------------------------------------


@pytest.mark.parametrize("new", [["dialect = clean"], ["layout = shared", "database = all_kits"]])
def test_killed_in_the_middle_and_again(old, migrate, new):
    """The real command; it goes on where it was, and nothing is doubled."""
    step, count = 15, 40_000
    for begin in range(0, count, 10_000):
        old.into_server(old.telegrams(10_000, T0 + begin * step, step))
    migrate.configure(*new)
    database = "all_kits" if "shared" in new[0] else old.kit
    migrate.target.query(f'CREATE DATABASE "{database}"')
    process = migrate.process()
    written = f'SELECT count(temp) FROM "{database}"..data'
    deadline = time.monotonic() + 60
    while not migrate.target.rows(written):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    (before,) = migrate.target.rows(written)
    assert 0 < before["count"] < count
    assert migrate() == 0, migrate.out + migrate.err
    assert "going on where an earlier run left off" in migrate.err
    (after,) = migrate.target.rows(written)
    assert after["count"] == count
    assert int(migrate.err.split(" telegrams read")[0].rsplit(maxsplit=1)[-1]) < count


def test_killed_after_it_was_done(old, migrate):
    """A second run over what is there doubles nothing."""
    old.into_server(old.telegrams(20))
    assert [migrate(), migrate()] == [0, 0]
    assert len(migrate.rows()) == 20


def test_interrupted(old, migrate):
    """Ctrl-C ends it soon, with 1, and the same command goes on."""
    old.into_server(old.telegrams(10_000, step=15))
    process = migrate.process()
    deadline = time.monotonic() + 60
    while not migrate.left_over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert b"Traceback" not in out
    assert process.returncode == 1, out
    assert migrate() == 0


def test_server_that_stops(old, migrate, new_influxd):
    """It is given up after a while; the same command goes on when it is there again."""
    server = new_influxd()
    migrate.target = server
    migrate.configure("timeout = 2")
    old.into_server(old.telegrams(20))
    server.kill()
    assert migrate("--timeout", "1") == 1
    assert "the same command goes on there" in migrate.err
    server.start()
    assert migrate() == 0
    assert len(server.rows("SELECT * FROM data", database=old.kit)) == 20


# -- what cannot be written -------------------------------------------------------------------


def test_dead_letters(old, migrate):
    """They have their reasons, are counted, the rest is copied, and it is no success."""
    old.into_server(old.telegrams(20))
    old.write(f"data wrong=true,temp=1 {T0 + 1}", f"data temp=5 {T0 + 2}")
    old.write(f'info,label="bad" description="a \\\\ b" {T0 + 3}')
    old.write(f'data,label="bad" temp=1 {T0 + 4}')
    migrate.configure("dialect = classic")
    assert migrate() == 1
    assert "2 rows cannot be written, now dead letters" in migrate.err
    assert "found a boolean" in migrate.err
    assert "use dialect = clean" in migrate.err
    assert len(migrate.rows()) == 21
    assert "(rows that hold no telegram)  1 (0)  0 (0)" in migrate.out


def test_two_in_one_second(old, migrate):
    """Their times are whole seconds: the second one has no place, and that is said."""
    old.server.query(f'CREATE DATABASE "{old.kit}"')
    lines = [f"data temp={at} {T0}{at}00000000" for at in (1, 2)]
    assert old.server.write(old.kit, "\n".join(lines), precision="ns")[0] == 204
    assert migrate() == 1
    assert "1 x second taken" in migrate.err
    assert "temp  2 (3)  1 (1)" in migrate.out


def test_names_that_a_terminal_would_act_upon(old, migrate):
    """Are escaped."""
    old.into_server(old.telegrams(2))
    old.write(f"bell\x07 v=1 {T0}", f"data,label=b\x1b[2J te\x1bmp=1 {T0}")
    assert migrate() == 1
    assert not {"\x07", "\x1b"} & {*migrate.err, *migrate.out}


def test_types_of_the_target(old, migrate):
    """What fits without loss is converted, and counts as the same."""
    migrate.target.query(f'CREATE DATABASE "{old.kit}"')
    migrate.target.write(old.kit, f'data temp="x",rh=1i {T0 - HOUR}')
    old.into_server(old.telegrams(20))
    assert migrate("--since", T0) == 0, migrate.out
    assert "20 written" in migrate.err


def test_left_is_told(old, migrate):
    """Roll-ups, other measurements, tags and infos: everything that is no telegram."""
    old.into_server(old.telegrams(8))
    old.server.query(f'CREATE RETENTION POLICY "1h" ON "{old.kit}" DURATION INF REPLICATION 1')
    old.server.request(f"/write?db={old.kit}&rp=1h&precision=s", f"data mean_temp=1 {T0}")
    old.write(
        f"points,feed=a v=1 {T0}",
        f"points,feed=b v=1 {T0}",
        f'data,label="lab",new=0,site=here temp=99 {T0 + 1}',
        f'info,label="lab" version="1.0",mood="good" {T0 + 50 * HOUR}',
        f"data temp=1 {int(time.time()) + 10 * HOUR}",
    )
    assert migrate() == 0, migrate.out + migrate.err
    lines = [line for line in migrate.err.splitlines() if f"left: {old.kit}" in line]
    told = [line.split(": ", 2)[2] for line in lines]
    assert [line.split(" from ")[0] for line in told] == [
        "measurement 'points', 2 points",
        "retention policy 1h (data: 1 points)",
        "tags of data: site",
        "of info: version, which are never sent",
        "of info: mood, which no ident has",
        "rows of the future,",
    ]


def test_database_of_no_kit_is_told(old, migrate):
    """By its name, unless kits are named."""
    name = f"0{old.project}weather"  # the first of them: not all are listed
    old.server.query(f'CREATE DATABASE "{name}"')
    old.into_server(old.telegrams(1))
    assert (migrate("--dry-run"), name in migrate.err) == (0, True)
    assert (migrate("--dry-run", "--kit", "*_k"), name in migrate.err) == (0, False)


# -- what differs -----------------------------------------------------------------------------


def spoil(old, migrate):
    """One value changed, one row gone, of what was copied."""
    assert old.project
    old.into_server(old.telegrams(40))
    assert migrate() == 0
    migrate.target.write(old.kit, f'data,label="lab",new=0 temp=99 {T0 + HOUR}')
    where = f"time = {T0 + 2 * HOUR}s"
    migrate.target.query(f"DELETE FROM data WHERE {where}", database=old.kit)


def test_differences(old, migrate):
    """Hour, label, field, counts and sums; exit 1; nothing is copied."""
    spoil(old, migrate)
    assert migrate("--verify-only", "--json") == 1
    *found, total = map(json.loads, migrate.out.splitlines())
    names = ("hour", "label", "field", "here", "there")
    assert [tuple(one[name] for name in names) for one in found] == [
        (T0 + HOUR, "lab", "temp", {"count": 4, "total": 5.5}, {"count": 4, "total": 103.5}),
        (T0 + 2 * HOUR, "lab", "rh", {"count": 4, "total": 200}, {"count": 3, "total": 150}),
        (T0 + 2 * HOUR, "lab", "temp", {"count": 4, "total": 9.5}, {"count": 3, "total": 7.5}),
    ]
    assert total["total"]["differing"] == 3


def test_differences_for_people(old, migrate):
    """The same in words, and what to do."""
    spoil(old, migrate)
    assert migrate("--verify-only") == 1
    assert f"{old.kit}  2017-05-14 17:00  lab  temp  4 (5.5)  4 (103.5)" in migrate.out
    assert "mysense backfill influxsub:old influxpub:new" in migrate.out


def test_doubles_are_one(old, migrate):
    """Rows that differ only in `new` are one telegram."""
    old.into_server(old.telegrams(8))
    old.write(f'data,label="lab",new=1 temp=1,rh=50 {T0 + HOUR}')
    assert migrate() == 0, migrate.out
    assert len(migrate.rows()) == 8


def test_more_in_the_target(old, migrate):
    """That is a difference too."""
    old.into_server(old.telegrams(4))
    assert migrate() == 0
    migrate.target.write(old.kit, f'data,label="lab",new=0 temp=1 {T0 + 9 * HOUR}')
    assert migrate("--verify-only") == 1
    assert migrate("--verify-only", "--until", T0 + 9 * HOUR) == 0


# -- what is chosen ---------------------------------------------------------------------------


def test_bounds_and_kits(old, migrate):
    """Only these are copied and compared."""
    old.into_server(old.telegrams(40))
    other = f"{old.project}_other"
    old.server.query(f'CREATE DATABASE "{other}"')
    old.write(f"data temp=1 {T0}", kit=other)
    words = ["--kit", "*_k", "--since", T0 + HOUR, "--until", T0 + 2 * HOUR]
    assert migrate(*words) == 0, migrate.out
    assert [row["time"] - T0 for row in migrate.rows()] == [3600, 4500, 5400, 6300]
    assert [name for name in migrate.target.databases() if old.project in name] == [old.kit]


def test_bounds_where_points_are_at_arrival(old, migrate):
    """They are of the telegrams."""
    old.server.query(f'CREATE DATABASE "{old.kit}"')
    old.write(*(f"data temp=1,timestamp={T0 + at} {T0 + 5 * HOUR + at}" for at in range(9)))
    assert migrate("--since", T0 + 2, "--until", T0 + 5) == 0, migrate.out
    assert [row["time"] - T0 for row in migrate.rows()] == [2, 3, 4]


def test_dry_run(old, migrate):
    """Counts of each kit, and nothing is written."""
    old.into_server(old.telegrams(40))
    migrate.configure("layout = shared", "database = all_kits")
    assert migrate("--dry-run") == 0
    times = "2017-05-14 16:00:00 to 2017-05-15 01:45:00"
    assert migrate.out.splitlines() == [
        f"{old.kit}         40 telegrams  {times}  -> database all_kits",
        "total 1 kit, about 40 telegrams",
    ]
    assert "all_kits" not in migrate.target.databases()


def test_options_of_the_target_are_told(old, migrate):
    """What the output is not told is not copied either, and somebody says so."""
    old.into_server(old.telegrams(8, geolocation="51.4567,6.1234,22", street="Kerkstraat 1"))
    migrate.configure("omit = street", "round_location = 1", "exclude = */rh")
    assert migrate() == 0, migrate.out
    for option in ("omit = street", "round_location = 1", "exclude = */rh"):
        assert f"{option} of influxpub:new holds" in migrate.err
    assert {row["geolocation"] for row in migrate.rows()} == {'"51.5,6.1,22"'}
    assert "rh" not in migrate.rows()[0]
    assert "street" not in migrate.rows("info")[0]
    every = [f"influxpub:new.{name}=" for name in ("omit", "round_location", "exclude")]
    assert migrate(*(word for one in every for word in ("-o", one)), "--fresh") == 1
    assert "rh" in migrate.rows()[0]  # and the rows with the rounded place are there as well


def test_an_idle_output_is_used(old, migrate):
    """Who migrates wants it sent."""
    old.into_server(old.telegrams(2))
    migrate.configure("state = idle")
    assert migrate() == 0


def test_a_kit_that_may_not_be_written(old, migrate, new_influxd):
    """The others are copied; it is told, and goes on when somebody let it in."""
    server = new_influxd(auth=True)
    migrate.target = server
    user = ["user = u", "password = secret", "create = false"]
    migrate.configure(*user)
    other = f"{old.project}_a"
    for kit in (old.kit, other):
        server.query(f'CREATE DATABASE "{kit}"')
    server.query("CREATE USER u WITH PASSWORD 'secret'")
    server.query(f'GRANT ALL ON "{old.kit}" TO u')
    old.into_server(old.telegrams(4))
    old.server.query(f'CREATE DATABASE "{other}"')
    old.write(f"data temp=1 {T0}", kit=other)
    assert migrate("--timeout", "1") == 1
    assert "1 held" in migrate.err
    server.query(f'GRANT ALL ON "{other}" TO u')
    assert migrate() == 0, migrate.err
    assert len(server.rows("SELECT * FROM data", database=other)) == 1
    assert len(server.rows("SELECT * FROM data", database=old.kit)) == 4


def test_a_kit_that_may_not_be_read(old, migrate, new_influxd):
    """The others are copied, and it is no success."""
    before, server = old.server, new_influxd(auth=True)
    old.server = server
    server.query("CREATE USER u WITH PASSWORD 'secret'")
    for kit, right in (("a", "WRITE"), ("k", "READ")):
        server.query(f'CREATE DATABASE "{old.project}_{kit}"')
        old.write(f"data temp=1 {T0}", kit=f"{old.project}_{kit}")
        server.query(f'GRANT {right} ON "{old.project}_{kit}" TO u')
    migrate.configure(here=["user = u", "password = secret"])
    code, old.server = migrate(), before
    assert code == 1
    assert f"not all was read: {old.project}_a" in migrate.err
    assert "no difference" in migrate.out
    assert len(migrate.rows()) == 1


def test_progress_on_a_terminal_alone(old, migrate):
    """Elsewhere there are no control characters."""
    old.into_server(old.telegrams(10))
    ours, theirs = pty.openpty()
    process = migrate.process(stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # its end
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"\r\x1b[K" in shown
    assert (migrate(), "\r" in migrate.err) == (0, False)


@pytest.mark.parametrize(
    ("source", "to", "why"),
    [
        ("influxsub:old", "influxsub:old", "are the same databases"),
        ("influxsub:old", "console", "console is no InfluxDB server"),
        ("journal", "influxpub:new", "journal"),
    ],
)
def test_what_cannot_be(migrate, source, to, why):
    """Is said before anything is copied."""
    assert migrate(source=source, to=to) != 0
    assert why in migrate.err
