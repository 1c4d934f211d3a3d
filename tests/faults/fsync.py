"""System calls of the journal that fail: a card that returns errors, a disk that is full."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kill import tampered
from tests.faults.ledger import Ledger
from tests.faults.rows import row


def _survives(bench: Bench, call: str, error: str, whens: Iterable[str]) -> Ledger:
    """A kit each for every `when` of strace; each goes on by itself."""
    injected = 0
    kit = bench.kit(bench.to_influx(), radio={"size": 7, "rate": 600})
    count = 0
    for when in whens:
        count += 500
        kit.sections["radio"]["count"] = count
        before = len(kit.log)
        if kit.once(under=tampered(call, f"error={error}:when={when}"), code=None):
            kit.once()  # it could not begin, and the service manager starts it again
        said = kit.log[before:]
        assert "Traceback" not in said, said[-2000:]
        injected += _SAYS[error] in said.lower()
    kit.finish()
    return bench.ledger(kit, injected=injected)


_SAYS = {"EIO": "i/o error", "ENOSPC": "full"}


@row(
    "fsync fails",
    needs.strace,
    needs.tracing,
    quick={"whens": ("12",)},
    whole={"whens": ("12", "3..4", "5+9", "20..23", "15+17")},
)
def fsync_fails(bench: Bench, whens: Iterable[str]) -> Ledger:
    """What was written before a failed fsync is not trusted: read back, written again."""
    return _survives(bench, "fdatasync", "EIO", whens)


@row(
    "writing the journal fails",
    needs.strace,
    needs.tracing,
    whole={"whens": ("70", "75..77", "80+97")},
)
def write_fails(bench: Bench, whens: Iterable[str]) -> Ledger:
    """A card that returns errors now and then costs time, no telegram."""
    return _survives(bench, "pwrite64", "EIO", whens)


@row(
    "the disk is full at the K-th write",
    needs.strace,
    needs.tracing,
    quick={"whens": ("75+200",)},
    whole={"whens": ("68", "75..77", "80+97", "7+153")},
)
def write_is_full(bench: Bench, whens: Iterable[str]) -> Ledger:
    """No space left, at a write that is chosen, in the middle of a transaction too."""
    return _survives(bench, "pwrite64", "ENOSPC", whens)


@row(
    "reading the journal fails",
    needs.strace,
    needs.tracing,
    whole={"whens": ("12+9", "30..32", "7+23")},
)
def read_fails(bench: Bench, whens: Iterable[str]) -> Ledger:
    """A sector that cannot be read for a while."""
    return _survives(bench, "pread64", "EIO", whens)
