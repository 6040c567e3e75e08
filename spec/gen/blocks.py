"""Marked regions of the chapters: generated blocks, worked examples in hexadecimal, and the prose between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BEGIN = re.compile(r"<!-- generated: (\S+)(?: (.*\S))? -->")
END = "<!-- end -->"
FENCE = "```"
REQUIREMENT_ID = re.compile(r"\bHSL-[A-Z]{3}-\d+\b")


class Block(NamedTuple):
    """A generated block: the line of its first marker (from 1) and the lines between its markers."""

    kind: str
    arguments: tuple[str, ...]
    line: int
    body: tuple[str, ...]


class Problem(NamedTuple):
    """Something wrong with a marker, at a line of a chapter."""

    line: int
    text: str


class Example(NamedTuple):
    """A fenced `hsl-hex` block: its argument (see spec/gen/worked.py) and its lines with their numbers."""

    argument: str
    line: int
    lines: tuple[tuple[int, str], ...]


def parse(text: str) -> tuple[list[Block], list[Problem]]:
    """Return the generated blocks of a chapter, and the errors of its markers."""
    blocks: list[Block] = []
    problems: list[Problem] = []
    begun: tuple[re.Match[str], int] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        begin = BEGIN.fullmatch(line)
        if begin and begun:
            problems.append(Problem(begun[1], "generated block without its end"))
        if begin:
            begun, body = (begin, number), []
        elif line == END and begun is None:
            problems.append(Problem(number, "end of a block that does not begin"))
        elif line == END and begun:
            match, at = begun
            blocks.append(Block(match[1], tuple((match[2] or "").split()), at, tuple(body)))
            begun = None
        elif "<!-- generated" in line or (END in line and line != END):
            problems.append(
                Problem(number, "a marker stands on a line of its own: <!-- generated: KIND ARGUMENTS -->")
            )
        else:
            body.append(line)
    if begun:
        problems.append(Problem(begun[1], "generated block without its end"))
    return blocks, problems


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that people wrote: outside generated blocks."""
    generated = False
    for number, line in enumerate(text.splitlines(), 1):
        if BEGIN.fullmatch(line):
            generated = True
        elif line == END:
            generated = False
        elif not generated:
            yield number, line


def examples(text: str) -> Iterator[Example]:
    """The `hsl-hex` blocks of a chapter."""
    inside: Example | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None and line.startswith(FENCE + "hsl-hex"):
            inside = Example(line.removeprefix(FENCE + "hsl-hex").strip(), number, ())
        elif inside is not None and line.startswith(FENCE):
            yield inside
            inside = None
        elif inside is not None and line.strip():
            inside = inside._replace(lines=(*inside.lines, (number, line.strip())))
