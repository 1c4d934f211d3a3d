"""JSON Lines in a file that is never cut where it is whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from channels.MyJSONL import JsonlPublisher, JsonlSettings
from mysense import jsonlines
from mysense.plugin import Misconfigured, RetryLater
from tests.channels.made import fleet, ident, series, telegram


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "out.jsonl"


def lines(*batches):
    return "".join(f"{jsonlines.line(t, identity=True)}\n" for batch in batches for t in batch)


def publish(path, *batches, receipt=None, **settings):
    with JsonlPublisher(JsonlSettings(file=path, **settings)) as publisher:
        publisher.open(receipt)
        for batch in batches:
            receipt = publisher.publish(batch)
    return receipt


def test_lines_are_those_of_the_interchange_form(path):
    """Texts, None and numbers come out as jsonlines.line gives them."""
    batch = [telegram(temp=None, note='é"\\', hpa=1e-7), telegram(1, ident("b", label=None))]
    publish(path, batch)
    assert path.read_text(encoding="utf-8") == lines(batch)


def test_lines_read_back_equal(path):
    """What was written is read again as the same telegrams."""
    publish(path, fleet())
    with path.open("rb") as stream:
        again = list(jsonlines.Reader(stream, "again"))
    assert [t.normal() for t in again] == [t.normal() for t in fleet()]


def test_appends_to_what_stands_there(path):
    """Without a receipt, what is in the file stays and new lines follow."""
    publish(path, series(3))
    publish(path, fleet())
    assert path.read_text() == lines(series(3), fleet())


def test_lines_of_others_stay(path):
    """What another run appended after our receipt is kept, ours is found behind it."""
    receipt = publish(path, series(3))
    publish(path, series(4, ident("theirs")))
    publish(path, fleet(), receipt=receipt)
    publish(path, fleet(), receipt=receipt)
    assert path.read_text() == lines(series(3), series(4, ident("theirs")), fleet())


def test_partly_written_batch_is_completed(path):
    """Lines from the first difference on are appended."""
    receipt = publish(path, series(3), fleet()[:5])
    receipt = publish(path, series(3))
    publish(path, fleet(), receipt=receipt)
    assert sorted(path.read_text().splitlines()) == sorted(lines(series(3), fleet()).splitlines())


def test_torn_line_is_cut(path):
    """The piece of a line that a crash left is removed and written whole."""
    receipt = publish(path, series(3))
    with path.open("a") as stream:
        stream.write(lines(fleet()[:4])[:-30])
    publish(path, fleet(), receipt=receipt)
    assert path.read_text() == lines(series(3), fleet())


def test_zeros_after_a_power_cut_are_cut(path):
    """Bytes that the file system never filled are removed."""
    publish(path, series(3))
    with path.open("ab") as stream:
        stream.write(b"\0" * 5000)
    publish(path, fleet())
    assert path.read_text() == lines(series(3), fleet())


@pytest.mark.parametrize("text", ["# a note", lines(series(1))[:-1]])
def test_text_of_others_without_end_is_ended(path, text):
    """A last line that is whole, or not ours at all, gets the newline it lacks."""
    path.parent.mkdir()
    path.write_text(text)
    publish(path, fleet())
    assert path.read_text() == f"{text}\n{lines(fleet())}"


def test_full_file_is_renamed(path):
    """Renamed files and the last one together hold all lines in order, sorted by name."""
    publish(path, *[series(10, start=at * 1000) for at in range(9)], max_mb=0.003, keep=0)
    files = [*sorted(path.parent.glob("out-*.jsonl")), path]
    text = "".join(file.read_text() for file in files)
    assert (text, len(files) > 3) == (
        lines(*[series(10, start=at * 1000) for at in range(9)]),
        True,
    )


def test_oldest_are_removed(path):
    """No more renamed files are kept than the option says."""
    publish(path, *[series(10, start=at * 1000) for at in range(20)], max_mb=0.003, keep=2)
    assert len(list(path.parent.glob("out-*.jsonl"))) == 2


def test_others_of_similar_names_are_not_removed(path):
    """Files that do not bear a time are nobody's business."""
    path.parent.mkdir()
    (path.parent / "out-mine.jsonl").touch()
    publish(path, *[series(10, start=at * 1000) for at in range(20)], max_mb=0.003, keep=1)
    assert (path.parent / "out-mine.jsonl").exists()


def test_crash_after_renaming(path):
    """The place of the receipt is found in the renamed file, and nothing is doubled."""
    batches = [series(20, start=at * 10_000) for at in range(6)]
    receipt = publish(path, batches[0], max_mb=0.01, keep=0)
    publish(path, *batches[1:], receipt=receipt, max_mb=0.01, keep=0)
    again = [t for batch in batches[1:] for t in batch]
    publish(path, again[:33], again[33:], receipt=receipt, max_mb=0.01, keep=0)
    text = "".join(p.read_text() for p in [*sorted(path.parent.glob("out-*")), path])
    assert text == lines(*batches)


def test_the_same_again_without_a_receipt(path):
    """A second replay adds nothing, also where the first one filled several files."""
    batches = [series(20, start=at * 10_000) for at in range(6)]
    for _ in range(2):
        publish(path, *batches, max_mb=0.01, keep=0)
    text = "".join(p.read_text() for p in [*sorted(path.parent.glob("out-*")), path])
    assert text == lines(*batches)


def test_file_renamed_by_others(path):
    """When somebody takes the file away, a new one is begun."""
    with JsonlPublisher(JsonlSettings(file=path)) as publisher:
        publisher.open(None)
        publisher.publish(series(3))
        path.rename(path.with_name("taken"))
        publisher.publish(fleet())
    assert path.read_text() == lines(fleet())


def test_second_process_is_refused(path):
    """A file that is in use says so."""
    publish(path, series(1))
    with JsonlPublisher(JsonlSettings(file=path)) as first:
        first.open(None)
        with pytest.raises(Misconfigured, match="in use by another process"):
            JsonlPublisher(JsonlSettings(file=path)).open(None)


def test_folder_is_explained(tmp_path):
    """A folder in the file's place is named, with what to do."""
    with pytest.raises(Misconfigured, match="is a folder; name a file in it"):
        JsonlPublisher(JsonlSettings(file=tmp_path)).open(None)


def test_file_in_the_way_is_explained(tmp_path):
    """A file in the folder's place is named."""
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="stands where a folder is needed"):
        JsonlPublisher(JsonlSettings(file=tmp_path / "file" / "out.jsonl")).open(None)


def test_full_disk_leaves_no_half_lines(path):
    """At the limit of a file's size the batch is undone and told, later it goes on."""
    publish(path, series(3))
    code = (
        "import sys, resource, signal, pathlib\n"
        "from channels.MyJSONL import JsonlPublisher, JsonlSettings\n"
        "from mysense.plugin import RetryLater\n"
        "from tests.channels.made import fleet\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "p = JsonlPublisher(JsonlSettings(file=path)); p.open(None)\n"
        "before = path.stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (before + 1000, resource.RLIM_INFINITY))\n"
        "try: p.publish(fleet())\n"
        "except RetryLater as wrong: print(wrong, path.stat().st_size == before)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "p.publish(fleet())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert (said.split(": ", 1)[1], path.read_text()) == (
        f"{os.strerror(errno.EFBIG)} True\n",
        lines(series(3), fleet()),
    )


def test_stdout(capfdbinary):
    """The file - is stdout."""
    publish("-", fleet())
    assert capfdbinary.readouterr().out.decode() == lines(fleet())


def test_broken_pipe_is_explained(path):
    """When the reader of stdout has gone, the output stops without a traceback."""
    code = (
        "from channels.MyJSONL import JsonlPublisher, JsonlSettings\n"
        "from tests.channels.made import fleet\n"
        "from mysense.plugin import Misconfigured\n"
        "import sys\n"
        "p = JsonlPublisher(JsonlSettings(file='-')); p.open(None)\n"
        "try:\n    while True: p.publish(fleet())\n"
        "except Misconfigured as wrong: print(wrong, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        child.stdout.close()
        said = child.stderr.read()
    assert (said, child.returncode) == (b"stdout: its reader has gone\n", 0)


def test_missing_disk_is_retried(path):
    """A folder that cannot be made for now is told as something that may pass."""
    with pytest.raises(RetryLater, match="File name too long"):
        JsonlPublisher(JsonlSettings(file=path / ("x" * 300))).open(None)
