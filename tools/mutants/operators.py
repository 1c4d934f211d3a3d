"""Which faults are put in: a choice of cosmic-ray's operators, and our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import parso  # first: cosmic-ray imports its parts in an order that is not theirs
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

Position = tuple[tuple[int, int], tuple[int, int]]
_COMPARISONS = ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")
_EQUALS = ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")
_SUMS = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul")
_BITS = ("BitAnd_BitOr", "BitOr_BitAnd", "LShift_RShift", "RShift_LShift")
CHOSEN = (
    *(f"core/ReplaceComparisonOperator_{name}" for name in (*_COMPARISONS, *_EQUALS)),
    *(f"core/ReplaceBinaryOperator_{name}" for name in (*_SUMS, *_BITS)),
    *(f"core/ReplaceUnaryOperator_{name}" for name in ("Delete_Not", "USub_UAdd")),
    *(f"core/Replace{name}" for name in ("TrueWithFalse", "FalseWithTrue")),
    *(f"core/Replace{name}" for name in ("AndWithOr", "OrWithAnd")),
    *(f"core/Replace{name}" for name in ("BreakWithContinue", "ContinueWithBreak")),
    "core/AddNot",
    "core/NumberReplacer",
    "core/RemoveDecorator",
    "core/ZeroIterationForLoop",
)
_SQL = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|FROM|VALUES|SET|ORDER BY|GROUP BY|JOIN|PRAGMA|BEGIN"
    r"|COMMIT|ROLLBACK|ON CONFLICT|CREATE|ALTER|journal_mode|synchronous|HAVING|UNION)\b"
)


def _another(found: re.Match[str]) -> str:
    """Another number: for yes no, for no yes."""
    return {"0": "1", "1": "0"}.get(found[0], f"{found[0]}1")


_Else = str | Callable[[re.Match[str]], str]
# what may stand in SQL, and what it becomes
_SAYS_ELSE: tuple[tuple[str, _Else], ...] = (
    (r" >= ", " > "),
    (r" > ", " >= "),
    (r" <= ", " < "),
    (r" < ", " <= "),
    (r" != ", " = "),
    (r"(?<= WHERE )(.*?) = ", r"\1 != "),
    (r"(?<= AND )(\w+(?:\.\w+)?) = ", r"\1 != "),
    (r" AND ", " OR "),
    (r" OR (?!IGNORE|REPLACE)", " AND "),
    (r"\bmin\(", "max("),
    (r"\bmax\(", "min("),
    (r"\bsum\(", "max("),
    (r" DESC\b", ""),
    (r"(ORDER BY [\w.]+)(?! DESC|[\w.])", r"\1 DESC"),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " / "),
    (r" OR IGNORE\b", ""),
    (r" OR REPLACE\b", " OR IGNORE"),
    (r" IS NOT ", " IS "),
    (r" IS (?!NOT)", " IS NOT "),
    (r" NOT IN ", " IN "),
    (r" NOT EXISTS ", " EXISTS "),
    (r"(?<!NOT )\bEXISTS ", "NOT EXISTS "),
    (r"\bBETWEEN\b", "NOT BETWEEN"),
    (r"= FULL\b", "= NORMAL"),
    (r"= WAL\b", "= DELETE"),
    (r"\bIMMEDIATE\b", "DEFERRED"),
    (r"\bINCREMENTAL\b", "NONE"),
    (r"\bCOMMIT\b", "ROLLBACK"),
    (r"\bROLLBACK\b", "COMMIT"),
    (r"= NULL\b", "= 1"),
    (r"(?<![\w?.'])(?<!SELECT )(\d+)(?![\w.'])", _another),
    (r"'(\w[^']*)'", r"'not \1'"),
)


class _Ours(Operator):
    """An operator that lists the changes it can make to a node."""

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for _ in self._changes(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return list(self._changes(node))[index]

    def _changes(self, node: Any) -> Iterator[Any]:
        """The nodes that may stand in its place."""
        raise NotImplementedError


class RemoveStatement(_Ours):
    """Leaves out a call, or an assignment to something that outlives the function."""

    _CALLS: ClassVar = ("atom_expr", "del_stmt", "yield_expr")

    def _changes(self, node: Any) -> Iterator[Any]:
        if node.type != "simple_stmt":
            return
        statement = node.children[0]
        if statement.type in self._CALLS or self._outlives(statement) or _bare(statement):
            prefix = statement.get_first_leaf().prefix
            new = parso.parse(f"{prefix}pass\n").children[0]
            yield new

    @staticmethod
    def _outlives(statement: Any) -> bool:
        if statement.type != "expr_stmt":
            return False
        target, follows = statement.children[:2]
        augmented = getattr(follows, "value", "").endswith("=") and follows.value != "="
        return bool(target.type == "atom_expr" or augmented)


def _bare(statement: Any) -> bool:
    return statement.type == "raise_stmt" or getattr(statement, "value", "") == "return"


class ReplaceIn(_Ours):
    """`in` for `not in`, and the other way round."""

    def _changes(self, node: Any) -> Iterator[Any]:
        if node.type != "comparison":
            return
        for at, word in enumerate(node.children[1::2]):
            said = " ".join(word.get_code().split())
            if said in ("in", "not in"):
                parts = [child.get_code() for child in node.children]
                parts[1 + 2 * at] = " not in" if said == "in" else " in"
                yield _leaf("".join(parts))


class NotCaught(_Ours):
    """Exceptions that were caught or suppressed go on."""

    def _changes(self, node: Any) -> Iterator[Any]:
        if node.type == "except_clause":
            code = [child.get_code() for child in node.children]
            yield _leaf("".join([code[0], " ()", *code[2:]]))
        elif node.type == "atom_expr" and node.children[0].get_code().strip() == "suppress":
            yield _leaf(f"{node.get_first_leaf().prefix}suppress()")


class SayElse(_Ours):
    """SQL that is valid and says something else."""

    def _changes(self, node: Any) -> Iterator[Any]:
        if node.type not in ("string", "fstring_string") or not _SQL.search(node.value):
            return
        for pattern, other in _SAYS_ELSE:
            for found in re.finditer(pattern, node.value):
                said = other(found) if callable(other) else found.expand(other)
                text = node.value[: found.start()] + said + node.value[found.end() :]
                yield _leaf(node.prefix + text)


def _leaf(code: str) -> Any:
    """A piece of code as it is, which only has to be written out again."""
    return parso.python.tree.Name(code, (1, 0))


def operators() -> dict[str, Operator]:
    """All that are used, by the name that an id shows."""
    chosen: dict[str, Operator] = {name.split("/")[1]: get_operator(name)() for name in CHOSEN}
    return chosen | {
        one.__name__: one() for one in (NotCaught, RemoveStatement, ReplaceIn, SayElse)
    }
