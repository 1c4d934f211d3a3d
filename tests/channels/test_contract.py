"""What every output that needs no server must hold."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from mysense.files.lines import Lines
from mysense.loader import Loader
from mysense.plugin import Publisher
from mysense.store import Reader
from tests.channels.made import fleet, ident, series


def _publishers():
    loader = Loader()
    every = {name: loader.load(name) for name in loader.found}
    return {
        name: plugin
        for name, plugin in every.items()
        if issubclass(plugin, Publisher) and "hostname" not in attrs.fields_dict(plugin.Settings)
    }


PUBLISHERS = _publishers()


def _jsonl(folder):
    return (folder / "out.jsonl").read_text().splitlines()


def _csv(folder):
    files = sorted((folder / "csv").glob("*.csv"))
    return [line for file in files for line in file.read_text().splitlines()]


def _sqlitepub(folder):
    reader = Reader(folder / "store.db")
    try:
        return Lines()(stored.telegram for stored in reader.changes(0, 10**9, 10**6))
    finally:
        reader.close()


# option that names the place, the place, and how to read back what was written there
KEPT = {
    "jsonl": ("file", "out.jsonl", _jsonl),
    "csv": ("folder", "csv", _csv),
    "sqlitepub": ("file", "store.db", _sqlitepub),
}
FORGETFUL = {"console"}  # a terminal cannot be read back


def make(name, folder):
    plugin = PUBLISHERS[name]
    option, place, _ = KEPT.get(name, (None, None, None))
    return plugin(plugin.Settings(**({option: folder / place} if option else {})))


def read(name, folder):
    return KEPT[name][2](folder)


every = pytest.mark.parametrize("name", sorted(PUBLISHERS))
kept = pytest.mark.parametrize("name", sorted(KEPT))


def test_every_output_is_covered():
    """Each output is read back here, or known to be unreadable."""
    assert set(PUBLISHERS) == set(KEPT) | FORGETFUL


@every
def test_construction_touches_nothing(name, tmp_path):
    """An output that was only made has left no file."""
    make(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@every
def test_close_without_open_and_twice(name, tmp_path):
    """Closing is always possible."""
    publisher = make(name, tmp_path)
    publisher.close()
    publisher.open(None)
    publisher.close()
    assert publisher.close() is None


@every
def test_preview_touches_nothing(name, tmp_path):
    """A preview of an output that is not open gives lines and leaves no file."""
    lines = list(make(name, tmp_path).preview(fleet()))
    assert (len(lines) >= len(fleet()), list(tmp_path.iterdir())) == (True, [])


@every
def test_empty_batch(name, tmp_path):
    """An empty batch is accepted."""
    with make(name, tmp_path) as publisher:
        publisher.open(None)
        publisher.publish([])
        assert publisher.publish(series(1)) is None or name == "jsonl"


@kept
def test_preview_is_what_is_written(name, tmp_path):
    """The preview of one kit's day is what is then found."""
    batch = series(20)
    with make(name, tmp_path) as publisher:
        preview = list(publisher.preview(batch))
        publisher.open(None)
        publisher.publish(batch)
    assert read(name, tmp_path) == preview


def test_console_preview_is_what_is_written(tmp_path, capsys):
    """The preview of the console is what it then prints."""
    with make("console", tmp_path) as publisher:
        preview = list(publisher.preview(fleet()))
        publisher.open(None)
        publisher.publish(fleet())
    assert capsys.readouterr().out.splitlines() == preview


@kept
@pytest.mark.parametrize("committed", [0, 1, 2])
@pytest.mark.parametrize("cut", [1, 7, 30])
def test_crash_before_the_receipt_is_kept(name, committed, cut, tmp_path):
    """What was written and not committed comes again in other batches, and stands there once."""
    batches = [fleet()[at : at + 20] for at in range(0, 60, 20)]
    receipts = [None]
    with make(name, tmp_path) as publisher:
        publisher.open(None)
        receipts += [publisher.publish(batch) for batch in batches]
    once = read(name, tmp_path)
    again = [telegram for batch in batches[committed:] for telegram in batch]
    with make(name, tmp_path) as publisher:
        publisher.open(receipts[committed])
        for at in range(0, len(again), cut):
            publisher.publish(again[at : at + cut])
        publisher.publish(series(3, ident("later")))
    with_later = read(name, tmp_path)
    assert (set(once) <= set(with_later), len(with_later) - len(once)) in [(True, 3), (True, 4)]


@kept
def test_killed_while_writing(name, tmp_path):
    """After a kill -9 at any moment, the same telegrams again make it complete and single."""
    code = (
        "import sys, pathlib\n"
        "from tests.channels.test_contract import make\n"
        "from tests.channels.made import fleet\n"
        f"p = make({name!r}, pathlib.Path(sys.argv[1])); p.open(None)\n"
        "print('open', flush=True)\n"
        "[p.publish([t]) for t in fleet(3, 400)]\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as killed:
        killed.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            killed.wait(0.05)
        killed.kill()
    (tmp_path / "whole").mkdir()
    for folder in (tmp_path, tmp_path / "whole"):
        with make(name, folder) as publisher:
            publisher.open(None)
            publisher.publish(fleet(3, 400))
    assert sorted(read(name, tmp_path)) == sorted(read(name, tmp_path / "whole"))
