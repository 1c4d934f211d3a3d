"""The embedded store: written once, read by range, followed by change."""

from __future__ import annotations

import re
import sqlite3

import pytest

from channels.MySQLITEPUB import SqlitePublisher, SqlitePubSettings
from channels.MySQLITESUB import SqliteSubscriber, SqliteSubSettings
from mysense.options import structure
from mysense.plugin import Misconfigured, RetryLater
from mysense.store import Reader, Writer, default_file
from mysense.telegram import Telegram
from tests.channels.made import T0, fleet, ident, series, telegram


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "store.db"


def write(path, *batches):
    writer = Writer(path)
    for batch in batches:
        writer.write(batch)
    writer.close()


@pytest.fixture
def reader(path):
    opened = []

    def make():
        opened.append(Reader(path))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def subscriber(path):
    opened = []

    def make(**settings):
        opened.append(SqliteSubscriber(SqliteSubSettings(file=path, **settings)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def normal(telegrams):
    return [one.normal() for one in telegrams]


def drain(subscriber, position=None):
    every = []
    while True:
        some, position = subscriber.poll(position)
        every += some
        if not some:
            return every, position


def test_telegrams_read_back_equal(path, reader):
    """Numbers, texts, idents and `new` come back as they went in, by time."""
    batch = [telegram(T0 + 5, temp="off", rh=1.0), telegram(T0, temp=2.5, geolocation="1,2,3")]
    write(path, batch)
    assert normal(reader().read("BdP_one")) == normal(reversed(batch))


def test_kits_and_fields(path, reader):
    """Kits are listed, and the fields of each with their units."""
    write(path, fleet(2, 3), [telegram(T0, ident("k0", units=["s", "K", "%"], label="b"))])
    store = reader()
    assert (store.kits(), store.fields("BdP_k0")) == (
        ["BdP_k0", "BdP_k1"],
        [("temp", "C"), ("rh", "%"), ("temp", "K")],
    )


def test_range_of_a_field(path, reader):
    """A range has its start and not its end."""
    write(path, series(5))
    found = list(reader().range("BdP_one", "rh", T0 + 60, T0 + 180))
    assert found == [(T0 + 60, 1.0), (T0 + 120, 2.0)]


def test_read_in_pages(path, reader):
    """More telegrams than a page, with two labels in the same seconds, are all read once."""
    both = [
        t for pair in zip(series(1500), series(1500, ident(label="b")), strict=True) for t in pair
    ]
    write(path, both)
    assert normal(reader().read("BdP_one", T0 + 60)) == normal(both[2:])


def test_same_telegram_changes_nothing(path, reader):
    """A repeated telegram, also with another version, keeps its number."""
    write(path, series(5), series(5, ident(version="2")), series(7))
    found = reader().changes(0, 99, 99)
    assert ([one.seq for one in found], len(found)) == ([1, 2, 3, 4, 5, 6, 7], 7)


def test_other_content_replaces(path, reader):
    """Other content for the same second takes the older one's place, with a new number."""
    write(path, series(3), [telegram(T0, note="new")])
    store = reader()
    found = store.changes(3, 99, 99)
    assert ([one.seq for one in found], normal(store.read("BdP_one", T0, T0 + 1))) == (
        [4],
        normal([telegram(T0, note="new")]),
    )


def test_batch_with_repeats_inside(path, reader):
    """A batch that holds a telegram twice is stored once."""
    write(path, [*series(3), *series(4)])
    assert normal(reader().read("BdP_one")) == normal(series(4))


def test_failed_batch_leaves_nothing(path, reader):
    """A batch that fails half-way is undone, and numbers given in it are forgotten."""
    writer = Writer(path)
    with pytest.raises(RetryLater):
        writer.write([telegram(), Telegram(ident(), {"time": T0 + 1, "temp": {}})])
    writer.write(series(2))
    writer.close()
    assert normal(reader().read("BdP_one")) == normal(series(2))


def test_newer_layout_is_explained(path):
    """A store of a newer MySense is left alone."""
    write(path, series(1))
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Misconfigured, match=r"newer MySense \(layout 99, this one knows 1\)"):
        Writer(path)


def test_database_of_something_else_is_left_alone(tmp_path):
    """Tables of others are not touched."""
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE bank (account)")
    db.close()
    with pytest.raises(Misconfigured, match="something else"):
        Writer(tmp_path / "other.db")


@pytest.mark.parametrize("of", [Writer, Reader])
def test_text_file_is_explained(tmp_path, of):
    """A file that is no database is named."""
    (tmp_path / "notes.db").write_text("no database " * 1000)
    with pytest.raises(Misconfigured, match="not a MySense store"):
        of(tmp_path / "notes.db")


@pytest.mark.parametrize("of", [Writer, Reader])
def test_folder_is_explained(tmp_path, of):
    """A folder in the file's place is named."""
    with pytest.raises(Misconfigured, match="is a folder"):
        of(tmp_path)


def test_reader_cannot_write(path, reader):
    """What is opened for reading refuses to write."""
    write(path, series(1))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader()._db.execute("DELETE FROM telegram")


def test_durable(path):
    """The log is synced with every commit."""
    writer = Writer(path)
    found = [
        writer._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")
    ]
    writer.close()
    assert found == ["wal", 2]


def test_store_replaced_while_open(path, reader):
    """When the file is removed under a publisher, the next batch makes a new one."""
    with SqlitePublisher(SqlitePubSettings(file=path)) as publisher:
        publisher.open(None)
        publisher.publish(series(3))
        for each in path.parent.iterdir():
            each.unlink()
        publisher.publish(fleet())
    assert reader().kits() == ["BdP_k0", "BdP_k1", "BdP_k2"]


def test_default_file_is_in_the_state_folder(tmp_path, monkeypatch):
    """The service manager's folder comes first."""
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/other")
    assert default_file() == tmp_path / "store.db"


def test_subscriber_reads_all_once(path, subscriber):
    """Everything stored comes in order, in more than one poll, and then nothing."""
    write(path, fleet(3, 100))
    assert normal(drain(subscriber(bufsize=7))[0]) == normal(fleet(3, 100))


def test_subscriber_keeps_new(path, subscriber):
    """The flag that a kit's ident is new is handed on."""
    write(path, [type(t)(t.ident, t.data, at == 0) for at, t in enumerate(series(2))])
    assert [t.new for t in drain(subscriber())[0]] == [True, False]


def test_subscriber_finds_late_telegrams(path, subscriber):
    """Telegrams of long ago that are stored later are found after the position."""
    write(path, series(3))
    _, position = drain(subscriber())
    write(path, [telegram(5)])
    assert normal(drain(subscriber(), position)[0]) == normal([telegram(5)])


def test_subscriber_chooses_kits(path, subscriber):
    """Projects and serials are matched fully, in any case, and kits that come later too."""
    one = subscriber(serials=structure("K[02]", _field("serials")), bufsize=4)
    write(path, fleet(2, 10))
    found, position = drain(one)
    write(path, fleet(3, 11))
    found += drain(one, position)[0]
    assert sorted(t.kit for t in found) == ["BdP_k0"] * 11 + ["BdP_k2"] * 11


def _field(name):
    import attrs

    return attrs.fields_dict(attrs.resolve_types(SqliteSubSettings))[name]


def test_subscriber_moves_over_what_is_not_wanted(path, subscriber):
    """The position reaches the end also when nothing is wanted."""
    write(path, fleet(2, 10))
    assert subscriber(projects=re.compile("other")).poll(None)[1]["seq"] == 20


def test_subscriber_starts_now(path, subscriber):
    """Only what is stored after the first poll comes."""
    write(path, series(3))
    one = subscriber(start="now")
    _, position = one.poll(None)
    write(path, series(4))
    assert normal(drain(one, position)[0]) == normal(series(4)[3:])


@pytest.mark.parametrize("start", ["2017-05-14T16:03:52Z", str(T0 + 60)])
def test_subscriber_starts_at_a_time(path, subscriber, start):
    """What was measured before is left out."""
    write(path, series(3))
    assert normal(drain(subscriber(start=start))[0]) == normal(series(3)[1:])


def test_start_is_checked():
    """A start that is no time is refused with what is expected."""
    with pytest.raises(ValueError, match="beginning, now, or a time"):
        SqliteSubSettings(start="yesterday")


def test_subscriber_waits_for_the_store(path, subscriber):
    """No store yet is no fault; all that is then stored is news, also with start = now."""
    one = subscriber(start="now")
    with pytest.raises(RetryLater, match="there is no store yet"):
        one.open()
    write(path, series(3))
    assert normal(drain(one)[0]) == normal(series(3))


def test_subscriber_notices_another_store(path, subscriber, caplog):
    """A store that was made anew is read from its beginning, with a warning."""
    write(path, series(30))
    one = subscriber()
    _, position = drain(one)
    for each in path.parent.iterdir():
        each.unlink()
    write(path, fleet())
    assert (normal(drain(one, position)[0]), "another store" in caplog.text) == (
        normal(fleet()),
        True,
    )


def test_subscriber_notices_an_older_copy(path, subscriber, caplog):
    """A store brought back from a copy is read again, with a warning."""
    write(path, series(3))
    one = subscriber()
    _, position = drain(one)
    found, _ = drain(one, position | {"seq": 99})
    assert (len(found), "older than before" in caplog.text) == (3, True)
