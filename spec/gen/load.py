"""Reads `spec/*.toml` into one `Spec` whose tables know the file and line they stand in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Refusal(NamedTuple):
    """One thing that is wrong with the specification, and where."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class SpecError(Exception):
    """A specification that cannot even be read; carries its refusals."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("\n".join(map(str, refusals)))
        self.refusals = refusals


class Row(dict[str, Any]):
    """A TOML table that knows where it stands."""

    def __init__(self, file: str, line: int, values: dict[str, Any], lines: dict[str, int]) -> None:
        super().__init__(values)
        self.file = file
        self.line = line
        self.lines = lines

    def refuse(self, text: str, key: str = "") -> Refusal:
        """A refusal of this table, or of one of its keys."""
        return Refusal(self.file, self.lines.get(key, self.line), text)


@dataclass(frozen=True)
class Spec:
    """All documents of the specification, by file name without suffix, and its prose by file name."""

    root: Path
    docs: dict[str, Row]
    prose: dict[str, str]

    def __getitem__(self, name: str) -> Row:
        return self.docs[name]

    def rows(self, doc: str, table: str) -> list[Row]:
        """An array of tables: `rows("opcodes", "opcode")`; dots go down: `rows("coherence", "ra.row")`."""
        value: Any = self.docs[doc]
        for part in table.split("."):
            value = value[part]
        return list(value)

    def find(self, doc: str, table: str, name: str) -> Row:
        """The row of that `name`; raises StopIteration when there is none."""
        return next(row for row in self.rows(doc, table) if row["name"] == name)


def shown(path: Path) -> str:
    """A path as refusals name it: below the project when it is there."""
    project = ROOT.parent
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def load(root: Path = ROOT) -> Spec:
    """Reads every TOML file of `root` and its `text/*.md`; raises SpecError naming file and line."""
    docs: dict[str, Row] = {}
    refusals: list[Refusal] = []
    for path in sorted(root.glob("*.toml")):
        try:
            docs[path.stem] = read_toml(path)
        except SpecError as error:
            refusals += error.refusals
    prose: dict[str, str] = {}
    for path in sorted((root / "text").glob("*.md")):
        try:
            prose[path.name] = _read(path)
        except SpecError as error:
            refusals += error.refusals
    if not docs and not refusals:
        refusals.append(Refusal(shown(root), 1, "no *.toml here"))
    if refusals:
        raise SpecError(refusals)
    return Spec(root, docs, prose)


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError([Refusal(shown(path), line, f"not UTF-8: {error.reason}")]) from error


def read_toml(path: Path) -> Row:
    """Read one document. Raises SpecError for bytes that are not UTF-8 or not TOML."""
    file = shown(path)
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = int(line[1]) if line else text.count("\n") + 1
        raise SpecError([Refusal(file, at, f"not TOML: {error}")]) from error
    placed = _place(values, (), Locator(text).lines, file, 1)
    assert isinstance(placed, Row)
    return placed


Key = tuple[str | int, ...]


def _place(value: Any, path: Key, lines: dict[Key, int], file: str, line: int) -> Any:
    line = lines.get(path, line)
    if isinstance(value, list):
        return [_place(item, (*path, i), lines, file, line) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    values = {key: _place(item, (*path, key), lines, file, line) for key, item in value.items()}
    return Row(file, line, values, {key: lines.get((*path, key), line) for key in value})


TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|'
    r"'''.*?'''|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|#[^\n]*|\n|[][{},=]|[^][{},=\s\"'#]+",
    re.DOTALL,
)


class Locator:
    """The line of every table, key and array element of a valid TOML document, by path."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Key, int] = {}
        self._line = 1
        self._tokens = self._scan(text)
        self._counts: dict[Key, int] = {}
        self._token = self._advance()
        self._document()

    def _scan(self, text: str) -> Iterator[str]:
        for match in TOKEN.finditer(text):
            token = match[0]
            if not token.startswith(("#", "\n")):
                yield token
            self._line += token.count("\n")
        yield ""

    def _advance(self) -> str:
        self._token = next(self._tokens)
        return self._token

    def _document(self) -> None:
        table: Key = ()
        while self._token:
            if self._token == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Key:
        line = self._line
        array = self._advance() == "["
        if array:
            self._advance()
        path = self._resolve(_parts(self._token), array)
        self.lines[path] = line
        if array:
            self.lines.setdefault(path[:-1], line)
        for _ in range(2 if array else 1):
            self._advance()
        self._advance()
        return path

    def _resolve(self, parts: list[str], array: bool) -> Key:
        """`[[a.b]]` names a new element of b inside the last element of a."""
        path: Key = ()
        for i, part in enumerate(parts):
            path = (*path, part)
            if array and i == len(parts) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _pair(self, table: Key) -> None:
        path = (*table, *_parts(self._token))
        self.lines[path] = self._line
        self._advance()  # =
        self._advance()
        self._value(path)

    def _value(self, path: Key) -> None:
        closing = {"[": "]", "{": "}"}.get(self._token, "")
        if closing:
            self._advance()
        index = 0
        while closing and self._token != closing:
            if closing == "}":
                self._pair(path)
            else:
                self.lines[(*path, index)] = self._line
                self._value((*path, index))
                index += 1
            if self._token == ",":
                self._advance()
        self._advance()


def _parts(token: str) -> list[str]:
    return [part.strip("\"'") for part in token.split(".")]


def bit_range(text: str) -> tuple[int, int]:
    """(lowest bit, width) of a range written as the spec writes it: "13:4" or "3"; raises ValueError else."""
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if match is None:
        raise ValueError(f'bits "{text}" is neither "high:low" nor "bit"')
    high, low = int(match[1]), int(match[2] or match[1])
    if high < low:
        raise ValueError(f'bits "{text}" has its low end first')
    return low, high - low + 1


def type_size(text: str) -> int:
    """Bytes of a field type: "u16", "u16[7]", "bytes[4]"; raises ValueError else."""
    match = re.fullmatch(r"(?:u(8|16|32|64)|bytes(?=\[))(?:\[(\d+)\])?", text)
    if match is None:
        raise ValueError(f'type "{text}"; expected u8, u16, u32, u64, uN[n] or bytes[n]')
    return int(match[1] or 8) // 8 * int(match[2] or 1)


def number(value: int | str) -> int:
    """A number of the spec: TOML's own, or a hexadecimal string where TOML's 63 bits do not suffice."""
    return int(value, 0) if isinstance(value, str) else value
