"""Tables as plain text: never cut, as wide as their content in a pipe, turned round on a narrow terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

import click

__all__ = ["GAP", "UNLIMITED", "console_width", "lay", "paint", "print_table"]

GAP: Final = "  "
MIN_COLUMNS: Final = 40  # a terminal that claims less (COLUMNS=0 or 1) wraps our lines itself
UNLIMITED: Final = 1 << 16  # of rich, for a pipe
TERMINAL: Final = (80, 24)  # size of a terminal that does not tell its own


def console_width(stream: IO[str] | None = None) -> int | None:
    """Return the columns of a terminal (default: stdout), None for a pipe or a file: it has no width."""
    stream = sys.stdout if stream is None else stream
    if stream is None or not stream.isatty():
        return None
    return max(MIN_COLUMNS, shutil.get_terminal_size(TERMINAL).columns)


def paint(text: str, color: str | None = None) -> str:
    """Return `text` bold and in `color`; click removes both in a pipe, and NO_COLOR forbids them."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=color, bold=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; one with a title has an empty line after it."""
    if title:
        click.echo(paint(title))
    for line in lay(columns, rows, console_width()):
        click.echo(line)
    if title:
        click.echo()


def lay(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int | None) -> list[str]:
    """Return the lines of a table; names of rows on the left, all other columns to the right of them.

    A table wider than `width` is turned round: its columns become rows. What is still too wide goes on in
    further blocks, each with the names of the rows.
    """
    grid = [list(columns)] if any(columns) else []
    grid += [[str(cell) for cell in row] for row in rows]
    if not grid:
        return []
    if width is None or span(grid) <= width:
        return aligned(grid)
    turned = [list(column) for column in zip(*grid, strict=True)]
    chosen = turned if len(turned[0]) <= len(grid[0]) else grid
    lines: list[str] = []
    for block in blocks(chosen, width):
        lines += aligned(block)
    return lines


def widths(grid: list[list[str]]) -> list[int]:
    """Return the width of each column of cells."""
    return [max(map(len, column)) for column in zip(*grid, strict=True)]


def span(grid: list[list[str]]) -> int:
    """Return the width of a table in columns of a terminal."""
    found = widths(grid)
    return sum(found) + len(GAP) * (len(found) - 1)


def blocks(grid: list[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Yield parts of a table that fit into `width`, each with the first column and at least one other."""
    first = 1
    while first < len(grid[0]):
        last = first + 1
        while last < len(grid[0]) and span([[row[0], *row[first : last + 1]] for row in grid]) <= width:
            last += 1
        yield [[row[0], *row[first:last]] for row in grid]
        first = last


def aligned(grid: list[list[str]]) -> list[str]:
    """Return a line for each row, numbers under each other."""
    sizes = widths(grid)
    left = [index == 0 or not any(figure(row[index]) for row in grid) for index in range(len(sizes))]
    return [
        GAP.join(
            cell.ljust(size) if to_left else cell.rjust(size)
            for cell, size, to_left in zip(row, sizes, left, strict=True)
        ).rstrip()
        for row in grid
    ]


def figure(cell: str) -> bool:
    """True if a cell is a number."""
    return cell[:1].isdigit() or cell[1:2].isdigit()
