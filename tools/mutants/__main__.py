"""Tries all mutants, and prints a table and what survived.

    python -m tools.mutants [--files GLOB,GLOB] [--sample N] [--survivors] [--rest]
                            [--again] [--workers N] [--minutes N] [--seconds N]

It ends with 1 where a mutant survives that docs/mutants.md does not explain, where one that is
explained there is killed or is no more, or where the time was too short for all. What became of
each is in build/mutants/results.json, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tools.mutants import trial
from tools.mutants.covering import Covering, cover
from tools.mutants.making import Mutant, mutants

HERE = Path(__file__).resolve().parents[2]
BUILD = HERE / "build" / "mutants"
PAGE = HERE / "docs" / "mutants.md"
TREE = ("mysense", "channels", "sensors", "testdata", "tests", "docs", "pyproject.toml")
FILES = (
    "mysense/journal/*.py",
    "mysense/delivery/*.py",
    *(f"mysense/{name}.py" for name in ("backoff", "intake")),
)
TESTS = (
    *("tests/journal", "tests/delivery"),
    *("tests/test_intake*.py", "tests/test_backoff*.py"),
    *(f"tests/test_{name}.py" for name in ("doubt", "excluding", "ledger")),
    "tests/sampling/test_dating.py",
)
LEFT_OUT = (  # by name: they look at the time and may fail by chance; or trace other processes
    "not linear and not next_to_nothing and not test_errors_of_the_disk"
)
TOO_LONG = 3.0  # seconds; a test that takes longer is for `make test`
_ID = re.compile(r"`([\w/]+\.py:[\w.]*:[0-9a-f]{6}(?:\.\d+)?)`")
NO_TEST, NOT_TRIED = "no test", "not tried"
COLUMNS = (trial.KILLED, trial.SURVIVED, trial.TIMED_OUT, NO_TEST, NOT_TRIED)


def main() -> int:
    """Do it all."""
    asked = arguments()
    trees = [copy(BUILD / f"tree{number}") for number in range(asked.workers)]
    made = choose(asked, trees[0])
    print(f"{len(made)} mutants; the tests without any", flush=True)
    trial.prepare()
    lines = BUILD / "covering.json"
    if asked.again:
        covering = Covering.read(lines)
    else:
        covering = cover(trees[0], lines, tests(trees[0]), files(trees[0]))
    warm(trees, covering)
    print(f"{len(covering.seconds)} tests, {sum(covering.seconds.values()):.0f} s", flush=True)
    until = time.monotonic() + 60 * asked.minutes
    became = Run(trees, covering, until, asked.seconds).all(made)
    return tell(made, became, whole=about_all(asked))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools.mutants")
    parser.add_argument("--files", default="*", help="only these: journal/log.py,delivery/*.py")
    parser.add_argument("--sample", type=int, default=0, help="so many of each function")
    parser.add_argument("--survivors", action="store_true", help="only those of the last run")
    parser.add_argument("--rest", action="store_true", help="only those not tried before")
    parser.add_argument("--again", action="store_true", help="no line has moved, no test is new")
    parser.add_argument("--seconds", type=float, default=25, help="of tests for a mutant, at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=90)
    return parser.parse_args()


def about_all(asked: argparse.Namespace) -> bool:
    """Whether it is about all mutants."""
    return asked.files == "*" and not (asked.sample or asked.survivors or asked.rest)


def copy(tree: Path) -> Path:
    """A new copy of the tree, for one worker."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in TREE:
        if (HERE / name).is_dir():
            shutil.copytree(HERE / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(HERE / name, tree / name)
    return tree


def files(tree: Path) -> list[str]:
    """What is mutated."""
    found = [file for pattern in FILES for file in sorted(tree.glob(pattern))]
    return [file.relative_to(tree).as_posix() for file in found]


def tests(tree: Path) -> list[str]:
    """What has to find it."""
    found = [file for pattern in TESTS for file in sorted(tree.glob(pattern))]
    names = [file.relative_to(tree).as_posix() for file in found]
    return [*names, f"-k={LEFT_OUT}"]


def choose(asked: argparse.Namespace, tree: Path) -> list[Mutant]:
    """The mutants that were asked for."""
    made = [
        mutant
        for file in files(tree)
        if any(fnmatch(file, f"mysense/{one}") for one in asked.files.split(","))
        for mutant in mutants(tree, file)
    ]
    before = known()
    if asked.survivors:
        made = [one for one in made if before.get(one.id) not in (trial.KILLED, trial.TIMED_OUT)]
    if asked.rest:
        made = [one for one in made if one.id not in before]
    if asked.sample:
        functions: dict[tuple[str, str], list[Mutant]] = {}
        for one in made:
            functions.setdefault((one.file, one.function), []).append(one)
        pick = random.Random(1).sample  # noqa: S311  # the same ones each time
        made = [
            one for some in functions.values() for one in pick(some, min(asked.sample, len(some)))
        ]
    return made


def warm(trees: Iterable[Path], covering: Covering) -> None:
    """All tests in each copy as they run over mutants: they have to pass."""
    names, seconds = list(covering.seconds), covering.seconds
    begun = {trial.begin(tree, None, names, seconds, write=True): tree for tree in trees}
    for pid, tree in begun.items():
        _, status = os.waitpid(pid, 0)
        if trial.end(pid, tree, None, status) != trial.SURVIVED:
            raise SystemExit(f"without any mutant {trial.killer(tree)} fails; nothing can be said")


class Run:
    """Trials, one in each copy of the tree at a time."""

    def __init__(
        self, trees: Iterable[Path], covering: Covering, until: float, most: float
    ) -> None:
        self._free, self._covering, self._until, self._most = list(trees), covering, until, most
        self._running: dict[int, tuple[Mutant, Path]] = {}
        self._became: dict[str, str] = {}
        self._kills: Counter[tuple[str, str]] = Counter()

    def all(self, made: Sequence[Mutant]) -> dict[str, str]:
        """Try them; what became of each, by its id."""
        for number, mutant in enumerate(made):
            if time.monotonic() > self._until:
                break
            if number % 50 == 0:
                keep(self._became)
                print(f"{number} of {len(made)}, {self._count()}", file=sys.stderr, flush=True)
            self._begin(mutant)
        while self._running:
            self._end()
        keep(self._became)
        return self._became

    def _count(self) -> str:
        return ", ".join(
            f"{count} {what}" for what, count in Counter(self._became.values()).items()
        )

    def _begin(self, mutant: Mutant) -> None:
        tree = self._tree()
        quick = self._tests(mutant, tree)
        if not quick:
            self._became[mutant.id] = NO_TEST
            self._free.append(tree)
            return
        self._running[trial.begin(tree, mutant, quick, self._covering.seconds)] = mutant, tree

    def _tests(self, mutant: Mutant, tree: Path) -> list[str]:
        """The most promising tests: of that file, quick, and good at this function before."""
        seconds, kills = self._covering.seconds, self._kills
        stem = Path(mutant.file).stem

        def price(test: str) -> float:
            own = any(word in test.partition("::")[0] for word in (stem, "mutants"))
            return (0.1 + seconds[test]) / (1 + kills[mutant.function, test]) / (5 if own else 1)

        quick: list[str] = []
        total = 0.0
        for test in sorted(self._covering.of(mutant, tree), key=price):
            total += seconds[test]
            if seconds[test] <= TOO_LONG and (not quick or total <= self._most):
                quick.append(test)
        first: dict[str, int] = {}
        for at, test in enumerate(quick):
            first.setdefault(test.partition("::")[0], at)
        return sorted(quick, key=lambda test: first[test.partition("::")[0]])  # file by file

    def _tree(self) -> Path:
        while not self._free:
            self._end()
        return self._free.pop()

    def _end(self) -> None:
        pid, status = os.wait()
        mutant, tree = self._running.pop(pid)
        became = trial.end(pid, tree, mutant, status)
        self._became[mutant.id] = became
        if found := trial.killer(tree):
            self._kills[mutant.function, found] += 1
        if became != trial.KILLED:
            keep(self._became)  # so that one need not wait for the end to begin
        self._free.append(tree)


def keep(became: dict[str, str]) -> None:
    """Write down what became of each, and of those that were not tried this time."""
    text = json.dumps(known() | became, indent=0, sort_keys=True)
    (BUILD / "results.json").write_text(text, encoding="utf-8")


def known() -> dict[str, str]:
    """What has become of all that were ever tried."""
    file = BUILD / "results.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def tell(made: Sequence[Mutant], became: dict[str, str], *, whole: bool) -> int:
    """The table and the survivors; returns 1 where something has to be done."""
    explained = set(_ID.findall(PAGE.read_text(encoding="utf-8"))) if PAGE.exists() else set()
    table(made, became, explained)
    left = [one for one in made if became.get(one.id) in (trial.SURVIVED, NO_TEST)]
    for one in sorted(left, key=lambda one: one.id in explained):
        said = "explained" if one.id in explained else "NOT EXPLAINED"
        print(f"\n{one.id} {became[one.id]}, {said}, {one.operator}")
        print(one.diff((HERE / one.file).read_text(encoding="utf-8")))
    idle = [one.id for one in made if one.id in explained and became.get(one.id) == trial.KILLED]
    if whole:
        idle += explained - {one.id for one in made}
    for name in sorted(idle):
        print(f"\n{name} is explained in {PAGE.name}, but is killed, or is no more")
    missing = [one.id for one in left if one.id not in explained]
    tried = len(became) == len(made)
    print(f"\n{len(left)} survivors, {len(missing)} without an explanation")
    return int(bool(missing or idle) or not tried)


def table(made: Sequence[Mutant], became: dict[str, str], explained: set[str]) -> None:
    """A line for each file, and one for all."""
    head = ("mutants", *COLUMNS, "explained")
    print(f"\n{'file':32}", *(f"{one:>10}" for one in head))
    groups: dict[str, list[Mutant]] = {}
    for one in made:
        groups.setdefault(one.file, []).append(one)
    for file, some in [*groups.items(), ("all", list(made))]:
        count = Counter(became.get(one.id, NOT_TRIED) for one in some)
        known = sum(
            one.id in explained and became.get(one.id) in (trial.SURVIVED, NO_TEST) for one in some
        )
        cells = (len(some), *(count[column] for column in COLUMNS), known)
        print(f"{file.removeprefix('mysense/'):32}", *(f"{cell:10}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
