"""Moving what InfluxDB databases hold to another server, version or layout.

`place` is a server and the kits on it, `moving` reads them as an input of an engine, `left` says
what is not copied, `tally` counts and adds up hours, `checking` compares these on both sides.
"""

from __future__ import annotations
