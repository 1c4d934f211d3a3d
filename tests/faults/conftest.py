"""What rows work with, and how they tell what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.bench import Bench
from tests.faults.table import LINE, line


@pytest.fixture
def bench(tmp_path, project, influxd) -> Iterator[Bench]:
    """Where a row works."""
    with ExitStack() as stack:
        yield Bench(tmp_path, project, influxd, stack)
    for database in influxd.databases():
        if database.startswith(f"{project}_"):
            influxd.query(f'DROP DATABASE "{database}"')


@pytest.fixture
def tell(request):
    """`tell(row, counts, verdict)` puts a line into the table."""
    began = time.monotonic()

    def told(name, counts, verdict):
        text = line(name, counts, time.monotonic() - began, verdict)
        request.node.user_properties[:] = [(LINE, text)]

    return told


@pytest.fixture(scope="session")
def in_ci() -> bool:
    """Whether a tool that is missing is a failure."""
    return os.environ.get("CI", "").lower() == "true"
