"""All rows, and the list of them in docs/faults.md."""

from __future__ import annotations

import re

from tests.faults import (
    clock,
    descriptors,
    disk,
    fsync,
    kill,
    network,
    powercut,
    proxy,
    scenarios,
    server,
    stub,
)
from tests.faults.rows import rows_of

MODULES = (kill, fsync, powercut, disk, descriptors, clock, network, proxy, server, stub, scenarios)
ROWS = rows_of(MODULES)
_BLOCK = re.compile("<!-- faults -->\n.*?<!-- /faults -->", re.DOTALL)


def told(page: str) -> str:
    """The page with all rows between its marks."""
    lines = ["| fault | what holds | in `make test` |", "|---|---|---|"]
    for row in ROWS:
        short = "" if row.quick is None else "short form"
        lines.append(f"| {row.name} | {row.says} | {short} |")
    block = "\n".join(["<!-- faults -->", *lines, "<!-- /faults -->"])
    return _BLOCK.sub(lambda _: block, page)
