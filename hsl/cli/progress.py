"""Progress of a run: a bar on a terminal, plain lines in a pipe, always on stderr."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Self

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
LINE = re.compile(r"counted (\d+) of (\d+) bytes")
STEPS = 20  # lines that a pipe gets for a whole run


def parse_line(line: str) -> tuple[int, int] | None:
    """(bytes counted, bytes in all) of a plain progress line, None for any other line."""
    match = LINE.fullmatch(line.strip())
    return (int(match[1]), int(match[2])) if match else None


class Progress:
    """Shows how many bytes are counted; `show(done, total)` may be called as often as one likes."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._shown = -1

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (TextColumn("counted"), BarColumn(), MofNCompleteColumn(), TextColumn("bytes"))
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
        """`done` of `total` bytes are counted."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=total)
            self._bar.update(self._task, completed=done)
            return
        step = done * STEPS // total if total else STEPS
        if step != self._shown:
            self._shown = step
            self.say(f"counted {done} of {total} bytes")

    def say(self, line: str) -> None:
        """A line of its own on stderr."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
