"""Wear: how many bytes the journal has written to the disk for each telegram.

    python benchmarks/wear.py [FOLDER]

FOLDER is where the journal is made, on the disk that is meant; the working folder by default.
Two figures each, as the kernel accounts them for this process: what the journal handed to it, and
what it gave to the disk, in pages of 4 KiB; the second is what wears a card. A telegram a minute
and one a second cost the same, each is a commit of its own, and settled on its own by one output.
Checkpoints and what closing writes are in it.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import islice
from pathlib import Path

from common import telegrams

from mysense.journal import Journal, Outcome
from mysense.journal.retention import trim
from mysense.journal.view import View
from mysense.jsontext import dumps

SINGLES, BATCHES, BATCH = 3000, 50, 1000


def written() -> tuple[int, int]:
    """Bytes that this process handed over, and bytes that went on to the disk."""
    text = Path("/proc/self/io").read_text()
    counts = dict(line.split(": ") for line in text.splitlines())
    return int(counts["wchar"]), int(counts["write_bytes"])


def run(folder: Path, count: int, batch: int, *, settle: bool, keep: bool = True) -> None:
    """Append `count` telegrams in commits of `batch`, and tell what that has written."""
    source = telegrams(count, f"{count}{batch}{settle}")
    before, own = written(), 0
    journal = Journal(folder / f"{batch}{settle}{keep}.db", bulk=batch > 1)
    journal.register("one")
    with View(journal.path) as view:
        while some := list(islice(source, batch)):
            own += sum(len(dumps(dict(telegram.data))) for telegram in some)
            journal.append(some)
            if settle:
                rows = view.rows(journal.head - len(some), len(some), 10**9)
                journal.settle("one", Outcome(journal.head, rows))
    if not keep:
        trim(journal, 1e9, 0.0)
    journal.close()
    handed, disk = (after - start for after, start in zip(written(), before, strict=True))
    told = f"{'a commit each' if batch == 1 else f'{batch} a commit'}"
    told += ", delivered" if settle else ", not delivered"
    told += "" if keep else ", and let go"
    print(
        f"{told:38} {handed / count:>8,.0f} bytes written, {disk / count:>8,.0f} on the disk"
        f" a telegram of {own / count:.0f}: ratio {disk / own:.1f}"
    )


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=where, prefix=".wear") as temporary:
        for settle in (False, True):
            run(Path(temporary), SINGLES, 1, settle=settle)
            run(Path(temporary), BATCHES * BATCH, BATCH, settle=settle)
        run(Path(temporary), SINGLES, 1, settle=True, keep=False)
        run(Path(temporary), BATCHES * BATCH, BATCH, settle=True, keep=False)
