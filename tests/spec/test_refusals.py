"""The checker of the specification: it refuses every wrong of the table, and names the line."""

from __future__ import annotations

import ast
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec.gen.__main__ import generate, main
from spec.gen.check import check_data, check_prose
from spec.gen.load import ROOT, Locator, Row, load, read_toml
from tests.spec.refusals import PROSE, READ, TABLES, Wrong

ALL = (*READ, *TABLES, *PROSE)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the specification without what it generates beside it."""
    copy = tmp_path_factory.mktemp("project") / "spec"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


@pytest.fixture(scope="module")
def parsed() -> dict[tuple[Path, bytes], Row]:
    """Documents read so far: a wrong changes one of them, the others need not be read again."""
    return {}


@pytest.fixture
def copy(
    pristine: Path, parsed: dict[tuple[Path, bytes], Row], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The copy; what a test changes in it is undone."""

    def read(path: Path) -> Row:
        key = path, path.read_bytes()
        if key not in parsed:
            parsed[key] = read_toml(path)
        return parsed[key]

    monkeypatch.setattr("spec.gen.load.read_toml", read)
    before = {path: path.read_bytes() for path in pristine.rglob("*") if path.is_file()}
    yield pristine
    for path in [path for path in pristine.rglob("*") if path.is_file()]:
        if path not in before:
            path.unlink()
    for path, data in before.items():
        path.write_bytes(data)


def do(wrong: Wrong, spec: Path) -> tuple[str, int]:
    """Does the wrong and returns file and line that the refusal must name."""
    path = spec / wrong.file
    text = path.read_text(encoding="utf-8") if wrong.old else ""
    assert text.count(wrong.old) == 1 or not wrong.old, (
        f"{wrong.old!r} is {text.count(wrong.old)} times there"
    )
    start = text.index(wrong.old) if wrong.old else 0
    changed = text.replace(wrong.old, wrong.new) if wrong.old else wrong.new
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))
    named = spec / (wrong.where or wrong.file)
    text = named.read_bytes().decode("utf-8", "surrogateescape")
    place = text.index(wrong.at, 0 if wrong.where or text.count(wrong.at) == 1 else start)
    return str(named), text.count("\n", 0, place) + 1 - wrong.up


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: f"{wrong.file}-{wrong.text[:50]}")
def test_refused(wrong: Wrong, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong specification ends `--check` with 1 and a line `file:line: text`."""
    file, line = do(wrong, copy)
    assert main(["--check", "--spec", str(copy)]) == 1
    out = re.sub(r"line \d+", "line N", capsys.readouterr().out).splitlines()
    assert f"{file}:{line}: {wrong.text}" in out


@pytest.mark.parametrize("wrong", TABLES[::10], ids=lambda wrong: f"{wrong.file}-{wrong.text[:50]}")
def test_refused_data_generate_nothing(wrong: Wrong, copy: Path) -> None:
    """Nothing is written from data that are refused."""
    do(wrong, copy)
    assert main(["--spec", str(copy)]) == 1
    assert [path.name for path in copy.parent.iterdir()] == ["spec"]


def test_missing_document(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing document is refused at the first line of one that is there."""
    (copy / "timers.toml").unlink()
    assert main(["--check", "--spec", str(copy)]) == 1
    assert (
        f"{copy}/address_map.toml:1: there is no timers.toml beside this document\n"
        in capsys.readouterr().out
    )


def test_no_specification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory without a specification is refused."""
    assert main(["--check", "--spec", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}:1: no *.toml here\n"


def test_prose_does_not_stop_the_generator(copy: Path) -> None:
    """A chapter that is not finished yet does not keep the tables from being generated, but ends with 1."""
    (copy / "text/13-non-coherent.md").write_text("To be written.\n")
    assert main(["--spec", str(copy)]) == 1
    assert (copy.parent / "hsl/_generated/tables.py").is_file()
    for name in ("hsl", "native"):
        shutil.rmtree(copy.parent / name)


BAD: list[Any] = [
    0,
    1,
    63,
    -1,
    2**70,
    "x",
    "",
    "REQ",
    "9:0",
    "99999999:0",
    "u8",
    "bytes[99999999]",
    "=",
    "a b",
]
BAD += ["*/", "\n", [], ["x"], [0], True]


def sites(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Paths of everything inside a document."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from sites(value[key], (*path, key))


@pytest.mark.parametrize("seed", range(4))
def test_no_specification_breaks_the_checker(seed: int) -> None:
    """Whatever stands in a key is refused, or can be generated: the checker never crashes."""
    rng = random.Random(seed)
    spec = load()
    everything = [path for doc in spec.docs for path in sites(spec[doc], (doc,))]
    refused = 0
    for _ in range(60):
        *path, key = rng.choice(everything)
        place: Any = spec.docs
        for part in path:
            place = place[part]
        before = place[key]
        place[key] = rng.choice(BAD)
        refusals = check_data(spec)
        if not refusals:
            generate(spec, write=False)
            check_prose(spec)
        refused += bool(refusals)
        place[key] = before
    assert refused, f"seed {seed}"
    assert not check_data(spec)


def templates() -> Iterator[tuple[str, str]]:
    """Every text that the checker can refuse with, as a pattern, with the place it stands in the checker."""
    for path in sorted((ROOT / "gen").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("refuse", "Refusal", "Problem") or name.endswith("Error"):
                for argument in node.args:
                    pattern = template(argument)
                    if " " in pattern:
                        yield f"{path.name}:{node.lineno}", pattern


def template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if not isinstance(node, ast.JoinedStr):
        return ""
    return "".join(template(part) if isinstance(part, ast.Constant) else ".*" for part in node.values)


UNPROVOKED = {
    "no *.toml here": "test_no_specification",
    "there is no timers.toml beside this document": "test_missing_document",
    "golden: the flit ends inside a message": "needs a valid flit that no vector is",
    "row 49, ACTIVE: the cell is 'c', not 'i'": "test_changed_table_changes_the_model",
    "ra ['E'] ['evict']: no row is 'hit / =', but []": "test_changed_table_changes_the_model",
}


def test_every_refusal_has_a_wrong() -> None:
    """No text of the checker is without a fixture that provokes it."""
    said = [wrong.text for wrong in ALL] + list(UNPROVOKED)
    missing = [(place, text) for place, text in templates() if not any(re.search(text, s) for s in said)]
    assert not missing


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.toml")), ids=lambda path: path.name)
def test_locator(path: Path) -> None:
    """Every table and key is located at the line that opens it or names it."""
    text = path.read_text()
    lines = text.splitlines()
    found = Locator(text).lines
    assert found
    for key, number in found.items():
        name = next((str(part) for part in reversed(key) if isinstance(part, str)), "")
        line = lines[number - 1]
        is_item = isinstance(key[-1], int)
        assert name in line or (is_item and line.lstrip()[:1] in ("{", '"', "[")), (key, number, line)


def test_line_of_each_opcode() -> None:
    """The code of each opcode is located where its hexadecimal stands."""
    lines = (ROOT / "opcodes.toml").read_text().splitlines()
    for row in load().rows("opcodes", "opcode"):
        assert f"0x{row['code']:02X}" in lines[row.lines["code"] - 1]
