"""Markdown tables, and the arguments of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from spec.gen.load import Row


class BlockError(ValueError):
    """A block that asks for what the specification does not have."""


def table(head: str, rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table; `head` holds the column names, separated by `|`."""
    columns = [name.strip() for name in head.split("|")]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(_cell(str(cell)) for cell in row) + " |"


def _cell(text: str) -> str:
    """Text as it is to be read: no `|` ends the cell, no `<word>` becomes a tag that is not shown."""
    return re.sub(r"\||<(?=\w)", r"\\\g<0>", text)


def none(arguments: tuple[str, ...]) -> None:
    """Refuses arguments where a kind takes none."""
    if arguments:
        raise BlockError(f"takes no argument, not {' '.join(arguments)}")


def one(arguments: tuple[str, ...], legal: Iterable[str]) -> str:
    """The only argument, one of `legal`; raises BlockError."""
    names = list(legal)
    if len(arguments) != 1 or arguments[0] not in names:
        raise BlockError(f"needs one of: {' '.join(names)}")
    return arguments[0]


def chosen(rows: list[Row], key: str, arguments: tuple[str, ...]) -> list[Row]:
    """All rows, or those whose `key` is an argument, in the order of the specification; raises BlockError."""
    known = {row[key] for row in rows}
    for argument in arguments:
        if argument not in known:
            raise BlockError(f"unknown argument {argument}; known: {' '.join(sorted(known))}")
    return [row for row in rows if not arguments or row[key] in arguments]
