"""Some hours of one kit, telegram by telegram: who misses what, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from mysense.comparing.content import content
from mysense.comparing.hours import Hour, Part
from mysense.comparing.sides import HOUR, Found, Identity
from mysense.telegram import Telegram

Finds = dict[Identity, list[Found]]
Slot = tuple[str, int]
"""A label and an hour."""

View = Callable[[Telegram], Telegram]
"""A telegram as both places are told of it."""


@attrs.frozen
class Held:
    """What one place has of some hours.

    Attributes:
        finds: its telegrams.
        let_go: how many it has let go of.
        given_up: how many of these it had given up unsent.
    """

    finds: Finds
    let_go: Mapping[Slot, int]
    given_up: Callable[[int], int]


def differing(here: Finds, there: Finds, told: View) -> set[Identity]:
    """What is in one place only, or has not the same content in both."""

    def contents(finds: list[Found]) -> set[object]:
        return {content(told(each.telegram)) for each in finds}

    every = here.keys() | there.keys()
    return {
        one
        for one in every
        if not (one in here and one in there and contents(here[one]) == contents(there[one]))
    }


class Judge:
    """Sorts what differs.

    Args:
        part: to be filled.
        here, there: what the two places have.
        told: a telegram as both places are told of it.
    """

    def __init__(self, part: Part, here: Held, there: Held, told: View) -> None:
        self._part = part
        self._here, self._there = here, there
        self._told = told
        self._hours: dict[Slot, Hour] = {}

    def judge(self, identities: set[Identity]) -> None:
        """Fill the part; `identities` are those that differ."""
        part = self._part
        for identity in self._here.finds:
            self._hour(_slot(identity)).here += 1
        for identity in self._there.finds:
            self._hour(_slot(identity)).there += 1
        for identity in sorted(identities, key=lambda one: one[1]):
            self._one(identity)
        self._let_go(self._here, "here", "there")
        self._let_go(self._there, "there", "here")
        keys = sorted(self._hours, key=lambda slot: (slot[1], slot[0]))
        part.hours = [self._hours[key] for key in keys]

    def _hour(self, slot: Slot) -> Hour:
        if slot not in self._hours:
            self._hours[slot] = Hour(kit=self._part.kit, label=slot[0], hour=slot[1])
        return self._hours[slot]

    def _one(self, identity: Identity) -> None:
        hour, part = self._hour(_slot(identity)), self._part
        here, there = self._here.finds.get(identity), self._there.finds.get(identity)
        if here and there:
            if self._is_told(here, there) or self._is_told(there, here):
                hour.count("dead")
                return
            hour.count("different")
            part.different.append((here, there))
        elif (found := (here or there or [])[0]).state:
            hour.count(found.state)
            return
        elif here:
            hour.count("missing_there")
            if _slot(identity) not in self._there.let_go:  # else it may be one of those
                part.missing_there.append(found.telegram)
        else:
            hour.count("missing_here")
        hour.name(identity[1])

    def _is_told(self, own: list[Found], other: list[Found]) -> bool:
        """Whether what sets them apart are dead letters: a second content for the same second."""
        every = {content(self._told(each.telegram)) for each in own}
        alive = {content(self._told(each.telegram)) for each in own if each.state != "dead"}
        found = {content(self._told(each.telegram)) for each in other}
        return alive != every and alive <= found <= every

    def _let_go(self, own: Held, me: str, other: str) -> None:
        """Let what a place let go of count: nobody knows which those were, only how many."""
        aside = Counter(_slot(one) for one, finds in own.finds.items() if finds[0].aside)
        for slot, count in own.let_go.items():
            hour, unknown = self._hour(slot), max(count - aside[slot], 0)
            hour.counts_only = True
            hour.count(me, unknown)
            extra = getattr(hour, f"missing_{me}")
            short = max(unknown - extra, 0)
            given_up = min(short, own.given_up(slot[1]))
            hour.count("given_up", given_up)
            hour.count(f"missing_{other}", short - given_up)
            setattr(hour, f"missing_{me}", max(extra - unknown, 0))


def _slot(identity: Identity) -> Slot:
    return identity[0], identity[1] // HOUR
