"""Messages and docstrings are plain technical English; these are the phrases that readers stumbled over."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A message says what came and what was expected; "there is no X" and "is no longer" are plain English.
BANNED = re.compile(
    r"\blegal (is|are|bits are)\b|\b(is|are) legal\b|\b(is|are|was) none of\b"
    r"|(?<!\bthere )\bis no\b(?! longer\b)|\bknows? (no|nothing)\b",
    re.IGNORECASE,
)
# A docstring opens with an imperative, "True if", or a noun phrase.
OPENING = re.compile(
    r"(What|Who|Whose|Whom|Whether|Is|Are|Of|Has|Does|Can|May|Must|Those|How|When|Where|Why|Which|Its|It)\b"
)
Place = tuple[str, int, str]


def modules(*folders: str) -> list[Path]:
    """Return the modules under `folders` that are written by hand."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "_generated" not in path.parts)


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return line and text of each string, docstrings and parts of f-strings too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return line and text of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "lineno", 1), text


def phrases(source: str) -> list[tuple[int, str]]:
    """Return line and phrase of each banned phrase in the literals of `source`."""
    return [(line, found[0]) for line, text in literals(ast.parse(source)) if (found := BANNED.search(text))]


def openings(source: str) -> list[tuple[int, str]]:
    """Return line and first line of each docstring of `source` that opens with a question."""
    found = docstrings(ast.parse(source))
    return [(line, text.splitlines()[0]) for line, text in found if text and OPENING.match(text)]


def test_messages() -> None:
    """A message says what was expected, never what "is legal" or that something "is none of" a list."""
    paths = modules("hsl", "spec/gen")
    assert len(paths) > 200
    assert [(str(path.relative_to(ROOT)), *hit) for path in paths for hit in phrases(path.read_text())] == []


def test_openings() -> None:
    """A docstring opens with an imperative, "True if" or a noun phrase, never with a question."""
    paths = modules("hsl", "spec", "fuzz", "examples", "tests/mutation", "tests/support")
    assert len(paths) > 250
    assert [(str(path.relative_to(ROOT)), *hit) for path in paths for hit in openings(path.read_text())] == []


@pytest.mark.parametrize(
    "text",
    [
        "size {x}; legal is 1..8",
        "Legal are sc and hsl",
        "{x} is legal",
        "legal bits are 0..3",
        "{x} was none of a, b",
        "they know no limit",
        "{n} data bytes are legal",
        "engine {x!r} is none of a, b",
        "{x} is no number",
        "the node knows nothing of links",
    ],
)
def test_banned_phrases_are_found(text: str) -> None:
    """Each banned phrase is found inside an f-string, with its line."""
    assert [line for line, _ in phrases(f"x = n = 1\nraise ValueError(f{text!r})")] == [2]


@pytest.mark.parametrize(
    "text", ["there is no broker", "the link is no longer up", "expected 1..8", "illegal"]
)
def test_plain_phrases_pass(text: str) -> None:
    """Plain English that contains a part of a banned phrase is not found."""
    assert phrases(f"raise ValueError({text!r})") == []


def test_questions_are_found() -> None:
    """A docstring that opens with a question is found, on a module, a class and a function."""
    functions = '    def f(): "Whether it is."\n    def g(): "Isolate it."\n    async def h(): "Is it?"'
    source = f'"""How it is."""\nclass A:\n    """Who."""\n{functions}'
    assert [line for line, _ in openings(source)] == [1, 2, 4, 6]
