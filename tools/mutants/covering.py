"""Which tests run which lines, and how long each takes: found out once, before any mutant.

python -m tools.mutants.covering TREE OUT TEST...   runs the tests there, and writes that down
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from tools.mutants.making import Mutant, Places

_NAME = re.compile(r"^([A-Za-z_]\w*)(?:: [^=]+)? = ")


@attrs.frozen
class Covering:
    """Tests by file and line, and the seconds that each test takes."""

    tests: dict[str, dict[int, frozenset[str]]]
    seconds: dict[str, float]

    @classmethod
    def read(cls, file: Path) -> Covering:
        """What was written down."""
        known = json.loads(file.read_text(encoding="utf-8"))
        tests = {
            name: {int(line): frozenset(found) for line, found in lines.items()}
            for name, lines in known["tests"].items()
        }
        return cls(tests, known["seconds"])

    def of(self, mutant: Mutant, tree: Path) -> list[str]:
        """The tests that run the statement, the quickest first.

        What is done once when a module is imported no test runs by itself. A constant belongs to
        those that run a line which names it, a decorator to those that name or run its function.
        """
        lines = self.tests.get(mutant.file, {})
        found = frozenset().union(*(lines.get(line, frozenset()) for line in mutant.lines))
        if not found:
            found = frozenset().union(*self._indirectly(mutant, tree))
        return sorted(found, key=lambda test: (self.seconds[test], test))

    def _indirectly(self, mutant: Mutant, tree: Path) -> Iterator[frozenset[str]]:
        text = (tree / mutant.file).read_text(encoding="utf-8").splitlines()
        constant = _NAME.match(text[mutant.lines.start - 1].lstrip())  # or of a class
        if constant:
            yield from self._naming(constant[1], tree)
        elif text[mutant.lines.start - 1].strip().startswith(("@", "def ", "class ")):
            yield from self._naming(mutant.function.split(".")[-1], tree)
            body = Places("\n".join(text)).body(mutant.function)
            yield from (self.tests.get(mutant.file, {}).get(line, frozenset()) for line in body)
        elif mutant.lines.start - 1 < len(text) and not text[mutant.lines.start - 1].startswith(
            " "
        ):
            yield from self.tests.get(mutant.file, {}).values()

    def _naming(self, name: str, tree: Path) -> Iterator[frozenset[str]]:
        named = re.compile(rf"\b{re.escape(name)}\b")
        for file, lines in self.tests.items():
            text = (tree / file).read_text(encoding="utf-8").splitlines()
            for line, found in lines.items():
                # a statement of several lines is run where it begins
                if any(named.search(one) for one in text[line - 1 : line + 6]):
                    yield found


class _Watch:
    """Tells coverage which test is running, and notes how long it takes."""

    def __init__(self, cov: Any) -> None:
        self._cov = cov
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._cov.switch_context(nodeid)
        self._began = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._cov.switch_context("")
        self.seconds[nodeid] = time.monotonic() - self._began

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def cover(tree: Path, out: Path, tests: Sequence[str], files: Sequence[str]) -> Covering:
    """Run the tests in a process of their own, in a copy of the tree."""
    here = Path(__file__).resolve().parents[2]
    script = [sys.executable, str(Path(__file__).resolve()), str(out), ",".join(files)]
    environment = os.environ | {"PYTHONPATH": str(here)}
    done = subprocess.run(  # noqa: S603  # ourselves
        [*script, *tests], cwd=tree, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit("the tests fail without any mutant; nothing can be said of mutants")
    return Covering.read(out)


def main(out: str, files: str, *tests: str) -> int:
    """Run the tests once under coverage; ends with 1 where one of them fails."""
    import coverage
    import pytest

    included = {file: str(Path(file).resolve()) for file in files.split(",")}
    cov = coverage.Coverage(data_file=None, include=list(included.values()))
    watch = _Watch(cov)
    cov.start()
    code = pytest.main([*tests, "-q", "-p", "no:cacheprovider"], plugins=[watch])
    cov.stop()
    known: dict[str, dict[int, list[str]]] = {}
    for file, path in included.items():
        lines = cov.get_data().contexts_by_lineno(path)
        known[file] = {line: [one for one in found if one] for line, found in lines.items()}
    text = json.dumps({"tests": known, "seconds": watch.seconds})
    Path(out).write_text(text, encoding="utf-8")
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
