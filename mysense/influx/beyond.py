"""Which points a server has dropped because they are beyond its retention: it says only how many.

It drops whatever is older than its policy lets it keep, but for what shares a shard with younger
points of the same request. So they are the oldest, up to some second. That this is so shows when
the others are sent again: as many were dropped as are left out, and of the others none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from mysense.influx.lines import Encoded
from mysense.telegram import Telegram

_DROPPED = re.compile(  # as servers begin: what follows repeats a point, and could say anything
    r"(?:failure writing points to database: )?(?:partial write: )?"
    r"(?:points beyond retention policy dropped=(\d+)"
    r"|dropped (\d+) points outside retention policy)"  # InfluxDB 2.7
)
_DURATION = re.compile(r"outside retention policy of duration (\w+)")


def dropped(message: str) -> int:
    """How many points were dropped for that, and for nothing else; 0 by other answers."""
    match = _DROPPED.match(message)
    return int(match[1] or match[2]) if match else 0


def last_dropped(times: Iterable[int], count: int) -> int | None:
    """The time up to which points were dropped, if these are the oldest; None if they are not.

    Args:
        times: of the points that were sent, one for each line.
        count: how many were dropped.
    """
    for time, lines in sorted(Counter(times).items()):
        count -= lines
        if count == 0:
            return time
        if count < 0:
            break
    return None


def beyond(bucket: str, message: str) -> str:
    """What to tell of one that was dropped; the rest of the message is about all of them."""
    match = _DURATION.search(message)
    lives = f" of duration {match[1]}" if match else ""
    why = "the server keeps nothing as old as this"
    return f"{bucket}: partial write: points beyond retention policy{lives}: {why}"


class Remaining:
    """What is left of a batch when those that were dropped are left out.

    Args:
        batch: telegrams of one kit.
    """

    def __init__(self, batch: Sequence[Telegram]) -> None:
        self.kit = batch[0].kit
        self.telegrams = batch
        self._places: Sequence[int] = range(len(batch))
        self._dropped: dict[int, str] = {}

    def leave_out(self, message: str, encoded: Encoded, bucket: str) -> bool:
        """Leave out what an answer says was dropped; False where it does not tell which.

        Nor does it where some were left out before: then these were perhaps not the dropped ones,
        and a smaller batch shows which are.
        """
        count = dropped(message)
        if not count or self._dropped:
            return False
        sent = [at for at in range(len(self.telegrams)) if at not in encoded.refused]
        times = [self.telegrams[at].time for at in sent]
        last = last_dropped([*times, *encoded.infos], count)
        if last is None:
            return False
        why = beyond(bucket, message)
        self._dropped = {at: why for at, time in zip(sent, times, strict=True) if time <= last}
        self._places = [at for at in range(len(self.telegrams)) if at not in self._dropped]
        self.telegrams = [self.telegrams[at] for at in self._places]
        return True

    def all(self, encoded: Encoded) -> Encoded:
        """What was accepted of them, as that of the whole batch."""
        refused = {self._places[at]: why for at, why in encoded.refused.items()}
        return attrs.evolve(encoded, refused=self._dropped | refused)
