"""Comparing what two places hold of the same kits: journal, embedded store, InfluxDB, file.

`sides` says what a place must be able to tell, the modules `*_side` are the places, `named` finds
the one that a word means. `comparison` walks through both, hour by hour; `ledger` tells the
account of one journal by hours.
"""

from __future__ import annotations
