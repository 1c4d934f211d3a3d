"""Mutants of a file: each is the file with one fault."""

from __future__ import annotations

import ast
import hashlib
import pickle
from collections import Counter
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import attrs
import parso
from cosmic_ray.ast import ast_nodes

from tools.mutants.operators import operators

_FORMATS = ("formats", "pages", "leaves")


@attrs.frozen
class Mutant:
    """A file with one fault; `id` stays as long as the line and its function do."""

    id: str
    file: str
    function: str
    operator: str
    lines: range
    """Of the file: those of the statement where the fault is."""
    source: str = attrs.field(repr=False)

    def diff(self, original: str) -> str:
        """What was changed, without the lines around it."""
        changed = unified_diff(original.splitlines(), self.source.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in changed if line[:3] not in ("---", "+++", "@@ "))


def mutants(tree: Path, file: str) -> Iterator[Mutant]:
    """All mutants of a file that differ from it and from each other in what they do."""
    source = (tree / file).read_text(encoding="utf-8")
    places = Places(source)
    seen, twice = {_meaning(source)}, Counter[str]()
    for name, line, text in _changed(source):
        meaning = _meaning(text)
        if meaning is None or meaning in seen:
            continue
        seen.add(meaning)
        function, lines = places.of(line)
        if name == "NumberReplacer" and _spared(file, function, source, text):
            continue
        draft = Mutant("", file, function, name, lines, text)
        mark = hashlib.sha256(draft.diff(source).encode()).hexdigest()[:6]
        where = f"{Path(file).relative_to('mysense')}:{function}:{mark}"
        twice[where] += 1
        yield attrs.evolve(draft, id=where if twice[where] == 1 else f"{where}.{twice[where]}")


def _changed(source: str) -> Iterator[tuple[str, int, str]]:
    """The operator, the line and the new text of every change."""
    tree = parso.parse(source)
    kept = pickle.dumps(tree)
    chosen = operators()
    for at, node in enumerate(list(ast_nodes(tree))):
        for name, operator in chosen.items():
            for index, (start, _) in enumerate(operator.mutation_positions(node)):
                fresh = pickle.loads(kept)  # noqa: S301  # made just above
                place = _nth(fresh, at)
                parent = place.parent
                new = operator.mutate(place, index)
                if new is not place and parent is not None:
                    _replace(parent, place, new)
                yield name, start[0], fresh.get_code()


def _nth(tree: Any, at: int) -> Any:
    for number, node in enumerate(ast_nodes(tree)):
        if number == at:
            return node
    raise IndexError(at)


def _replace(parent: Any, old: Any, new: Any) -> None:
    at = next(at for at, child in enumerate(parent.children) if child is old)
    parent.children[at : at + 1] = [] if new is None else [new]


def _spared(file: str, function: str, source: str, text: str) -> bool:
    """Whether another number says nothing.

    Constants are paces, where a step more or less is as good, but for those that tell of a file's
    format. Of what has one value only, the last is the first.
    """
    return (not function and Path(file).stem not in _FORMATS) or (
        text.count("[ -1]") > source.count("[ -1]")
    )


def _meaning(source: str) -> str | None:
    """The code without what has no effect; None where it is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arguments):  # how they are passed is for those who call
            node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            node.posonlyargs, node.kwonlyargs = [], []
            node.defaults += [one for one in node.kw_defaults if one is not None]
            node.kw_defaults = []
    return ast.dump(tree)


class Places:
    """Which statement and function a line belongs to."""

    def __init__(self, source: str) -> None:
        self._functions: list[tuple[str, range]] = []
        self._statements: list[range] = []
        self._visit(ast.parse(source), "")

    def _visit(self, node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}".lstrip(".")
                first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
                self._functions.append((inner, range(first, (child.end_lineno or first) + 1)))
                self._statements.append(range(first, child.body[0].lineno))
            elif isinstance(child, ast.stmt | ast.ExceptHandler):
                self._statements.append(_own_lines(child))
            self._visit(child, inner)

    def of(self, line: int) -> tuple[str, range]:
        """The name of the function, and the lines of the statement."""
        names = [name for name, lines in self._functions if line in lines]
        around = [lines for lines in self._statements if line in lines]
        return names[-1] if names else "", min(around, key=len, default=range(line, line + 1))

    def body(self, function: str) -> range:
        """All lines of a function."""
        return next((lines for name, lines in self._functions if name == function), range(0))


def _own_lines(node: ast.stmt | ast.ExceptHandler) -> range:
    """A statement's lines without those of the statements in it."""
    last = node.end_lineno or node.lineno
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        last = max(node.lineno, body[0].lineno - 1)
    return range(node.lineno, last + 1)
