"""Delivery: one worker an output carries telegrams from the journal to its publisher.

`worker` takes them from the journal in batches, `sending` hands a batch over, part by part, `held`
keeps the kits that must wait, `search` and `blame` find the telegrams on which a plugin fails,
`health` says how it goes, and `doubt` sends again what a server may have forgotten.
"""

from __future__ import annotations

from mysense.delivery.held import PROBE_EVERY
from mysense.delivery.worker import Delivery

__all__ = ["PROBE_EVERY", "Delivery"]
