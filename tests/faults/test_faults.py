"""Every fault that can be provoked here: nothing lost, nothing doubled.

`make faults` runs all of it; the tests marked quick are the short form, and part of `make test`.
"""

from __future__ import annotations

import pytest

from tests.conftest import CHECKOUT
from tests.faults.every import ROWS, told
from tests.faults.ledger import balance
from tests.faults.rows import Cannot, Missing, Row

QUICK = [row for row in ROWS if row.quick is not None]


def name(row):
    return row.name.replace(" ", "-")


@pytest.mark.quick
@pytest.mark.parametrize("row", QUICK, ids=name)
def test_quick(row, bench, tell, in_ci):
    """The short form of a fault."""
    provoke(row, row.quick, bench, tell, in_ci)


@pytest.mark.faults
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_whole(row, bench, tell, in_ci):
    """The whole form of a fault."""
    provoke(row, row.whole, bench, tell, in_ci)


def provoke(row, arguments, bench, tell, in_ci):
    """Run a row and judge its ledger."""
    try:
        for need in row.needs:
            need()
    except (Missing, Cannot) as wrong:
        fails = in_ci and isinstance(wrong, Missing)
        tell(row.name, None, f"{'missing' if fails else 'cannot here'}: {wrong}")
        (pytest.fail if fails else pytest.skip)(str(wrong))
    tell(row.name, None, "FAILED before it could be counted")
    ledger = row.run(bench, **arguments)
    if row.loses:
        verdict = "lost, as it must" if ledger.lost else "FAILED: nothing was lost"
    else:
        verdict = "; ".join(ledger.faults) or "ok"
    tell(row.name, ledger.counts, verdict)
    assert verdict in {"ok", "lost, as it must"}, verdict


def test_every_row_says_what_it_shows():
    """Each has a docstring of one sentence and a name of its own."""
    assert all(row.says for row in ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_page_tells_of_every_row():
    """docs/faults.md is as `python -m tests.faults` would write it."""
    page = CHECKOUT / "docs/faults.md"
    assert told(page.read_text()) == page.read_text(), "run: python -m tests.faults"


@pytest.mark.parametrize(
    ("wrong", "in_ci", "outcome", "said"),
    [
        (Missing("no strace"), False, pytest.skip.Exception, "cannot here: no strace"),
        (Missing("no strace"), True, pytest.fail.Exception, "missing: no strace"),
        (Cannot("needs root"), True, pytest.skip.Exception, "cannot here: needs root"),
    ],
)
def test_what_cannot_be_provoked_is_told(wrong, in_ci, outcome, said):
    """A right that is not given is told; a tool that could be installed is a failure in CI."""

    def need():
        raise wrong

    lines = []
    with pytest.raises(outcome):
        provoke(Row("x", None, (need,)), {}, None, lambda *line: lines.append(line), in_ci)
    assert lines == [("x", None, said)]


@pytest.mark.parametrize(("loses", "stored"), [(False, []), (True, [("k", {})])])
def test_a_row_that_does_not_hold_fails(loses, stored):
    """Something is lost; or nothing is, in a control."""
    ledger = balance({"k": {}}, stored, injected=1)
    with pytest.raises(AssertionError):
        provoke(Row("x", lambda _: ledger, loses=loses), {}, None, lambda *_: None, in_ci=False)
