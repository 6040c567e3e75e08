"""The mutants of a package, by universalmutator, and a sample of them by a seed.

Lines are drawn, then one mutant of each, so that a line with many operators is not drawn more often than a
plain one. A mutant in Python must compile, and must differ from the source by more than annotations,
docstrings, prose, assertions and log lines: `skeleton` is a module without them.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import random
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from universalmutator import mutator

from tests.mutation.packages import Package

__all__ = ["Mutant", "sample"]

HERE: Final = Path(__file__).parent
RULES: Final = {".py": "python.rules", ".c": "native.rules", ".h": "native.rules"}  # our own: see there
LOGGERS: Final = ("log", "logging")
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "exception", "log")
SILENT: Final = ("abstractmethod", "final", "overload", "override", "runtime_checkable")


class Mutant(NamedTuple):
    """A changed line of a file, and the statement in which it stands."""

    package: str
    file: str  # relative to the root of the tree
    line: int
    text: str  # the whole file, mutated
    diff: str
    first: int  # lines of the statement
    last: int
    cached: bool  # in a function whose results are kept: a test may meet them without running the line


class Skeleton(ast.NodeTransformer):
    """Takes away what no test needs to see: annotations, docstrings, prose, assertions, log lines, repr."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        """Drop a repr, and the annotations of any other function."""
        if node.name == "__repr__":
            return None
        node.returns = None
        node.decorator_list = [each for each in node.decorator_list if not quiet(each)]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop the annotation."""
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Drop the annotation of a variable or a field."""
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Drop: an assertion of the source states what no input can cause."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Drop `__all__`."""
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return None if names == ["__all__"] else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """Drop imports for types."""
        typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if typing else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings and log lines."""
        return None if isinstance(node.value, ast.Constant) or logs(node.value) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        """Drop: a statement that became `pass` is gone, and one that was dropped may become it."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Blank: text for people."""
        return ast.Constant("")

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Blank text of several words: it is for people."""
        return ast.Constant("") if isinstance(node.value, str) and " " in node.value else node


def quiet(decorator: ast.expr) -> bool:
    """True if a decorator tells only readers and type checkers something."""
    return isinstance(decorator, ast.Name) and decorator.id in SILENT


def logs(node: ast.expr) -> bool:
    """True if the expression is a call of a logger."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in LOGGERS
        and node.func.attr in LOG_LEVELS
    )


def skeleton(text: str) -> str | None:
    """Return what is left of a module of Python when the uninteresting is dropped; None if it is invalid."""
    try:
        compile(tree := ast.parse(text), "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return ast.dump(Skeleton().visit(tree))


@lru_cache(maxsize=4)
def statements(text: str) -> list[tuple[int, int, ast.stmt]]:
    """Return (first line, last line, statement) of a module; of a compound statement also its head."""
    rows: list[tuple[int, int, ast.stmt]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            body = getattr(node, "body", None) or getattr(node, "cases", None)
            start = None if not body else body[0].lineno if isinstance(body[0], ast.stmt) else node.lineno + 1
            rows.append((first, node.end_lineno or first, node))
            if start is not None:
                rows.append((first, max(first, start - 1), node))
    return rows


def span(text: str, line: int) -> tuple[int, int]:
    """Return the lines of the smallest statement, or head of one, that has the line."""
    around = [(last - first, first, last) for first, last, _ in statements(text) if first <= line <= last]
    return min(around)[1:] if around else (line, line)


def in_cached(text: str, line: int) -> bool:
    """True if the line stands in a function under a decorator that keeps results."""
    return any(
        "cache" in ast.dump(decorator)
        for first, last, node in statements(text)
        if isinstance(node, ast.FunctionDef) and first <= line <= last
        for decorator in node.decorator_list
    )


def changes(text: str, suffix: str) -> dict[int, list[str]]:
    """Return all mutants of each line of a file: line -> texts in its place."""
    found: dict[int, list[str]] = defaultdict(list)
    with contextlib.redirect_stdout(io.StringIO()):  # the library reports its rules
        for line, mutated, *_ in mutator.mutants_regexp(
            text.splitlines(keepends=True), [str(HERE / RULES[suffix])], ignorePatterns=[]
        ):
            found[line].append(mutated)
    return found


def candidates(root: Path, name: str, file: str, line: int, texts: list[str]) -> Iterator[Mutant]:
    """Yield the valid mutants of a line, in the order given; whether C compiles is seen when it is built."""
    original = (root / file).read_text()
    rows = original.splitlines(keepends=True)
    python = file.endswith(".py")
    first, last = span(original, line) if python else (line, line)
    for text in texts:
        mutated = "".join([*rows[: line - 1], text, *rows[line:]])
        if not python or skeleton(mutated) not in (None, skeleton(original)):
            diff = "\n".join(
                difflib.unified_diff(
                    original.splitlines(), mutated.splitlines(), f"a/{file}", f"b/{file}", lineterm=""
                )
            )
            cached = python and in_cached(original, line)
            yield Mutant(name, file, line, mutated, diff + "\n", first, last, cached)


def sample(root: Path, name: str, package: Package, seed: int, size: int) -> list[Mutant]:
    """Draw up to `size` mutants of a package, one per line: the same for the same seed and sources."""
    rng = random.Random(f"{seed}/{name}")
    places = [
        (file, line, texts)
        for file in package.files(root)
        for line, texts in changes((root / file).read_text(), Path(file).suffix).items()
    ]
    rng.shuffle(places)
    chosen: list[Mutant] = []
    for file, line, texts in places:
        if len(chosen) == size:
            break
        rng.shuffle(texts)
        if mutant := next(candidates(root, name, file, line, texts), None):
            chosen.append(mutant)
    return chosen
