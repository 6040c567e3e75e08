"""Progress of a run: a bar on a terminal, plain lines in a pipe, always on stderr."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

__all__ = ["LISTENING", "Progress", "parse_line"]

LISTENING = "listening at "
LINE = re.compile(r"\w+ (\d+) of (\d+) \w+")
STEPS = 20  # lines that a pipe gets for a whole run


def parse_line(line: str) -> tuple[int, int] | None:
    """(done, total) of a plain progress line, None for any other line."""
    match = LINE.fullmatch(line.strip())
    return (int(match[1]), int(match[2])) if match else None


class Progress:
    """Shows how much is done, as in "counted 3 of 7 bytes"; `show` may be called as often as one likes."""

    def __init__(self, verb: str = "counted", unit: str = "bytes") -> None:
        self._verb = verb
        self._unit = unit
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._shown = -1

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (TextColumn(self._verb), BarColumn(), MofNCompleteColumn(), TextColumn(self._unit))
            times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
            self._bar = Bar(*columns, *times, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` are done."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=total)
            self._bar.update(self._task, completed=done)
            return
        step = done * STEPS // total if total else STEPS
        if step != self._shown:
            self._shown = step
            self.say(f"{self._verb} {done} of {total} {self._unit}")

    def say(self, line: str) -> None:
        """A line of its own on stderr."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            click.echo(line, err=True)  # in one write: another thread may have something to say too
