"""The ledger sees what is lost, doubled, changed or never made: else no row could fail."""

from __future__ import annotations

from tests.faults.ledger import Account, balance

MADE = {("p_k", "l", second): {"temp": second / 7} for second in range(10)}
STORED = list(MADE.items())


def counts(ledger):
    return (ledger.stored, ledger.waiting, ledger.dead, ledger.gap, len(ledger.lost))


def test_all_is_well():
    """Everything is stored, with its values."""
    ledger = balance(MADE, STORED, injected=1)
    assert (ledger.stored, ledger.faults) == (10, [])


def test_one_that_is_nowhere_is_lost():
    """One less at the destination."""
    assert balance(MADE, STORED[1:], injected=1).lost == (("p_k", "l", 0),)


def test_one_with_other_values_is_lost():
    """The last digit differs."""
    wrong = (STORED[0][0], {"temp": 1e-17})
    assert balance(MADE, [wrong, *STORED[1:]], injected=1).lost == (("p_k", "l", 0),)


def test_one_too_many_is_doubled():
    """The same twice, as rows that differ in `new` alone are."""
    assert balance(MADE, [*STORED, STORED[3]], injected=1).doubled == (("p_k", "l", 3),)


def test_what_nobody_made_is_strange():
    """A telegram out of nowhere."""
    assert balance(MADE, [*STORED, (("p_x", "l", 1), {"temp": 1.0})], injected=1).strange


def test_what_was_in_hand_may_be_there_or_not():
    """The process was killed before it could know."""
    perhaps = {("p_k", "l", 10): {"temp": 1.0}}
    there = [*STORED, *perhaps.items()]
    both = [balance(MADE, rows, injected=1, perhaps=perhaps).faults for rows in (STORED, there)]
    assert both == [[], []]


def test_each_telegram_is_in_one_place():
    """Stored counts before waiting, waiting before dead, dead before a gap."""
    keys = list(MADE)
    account = Account(
        frozenset(keys[2:5]), frozenset(keys[4:7]), (("p_k", 6, 9, 2), ("p_other", 0, 9, 10))
    )
    ledger = balance(MADE, STORED[:3], account, injected=1)
    assert counts(ledger) == (3, 2, 2, 2, 1)


def test_a_fault_that_did_not_happen_proves_nothing():
    """Nothing was injected, or nothing was made."""
    assert balance(MADE, STORED, injected=0).faults
    assert balance({}, [], injected=1).faults
