"""Progress of a long run that counts: rate and ETA, a bar on a terminal, plain lines in a pipe; on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Meter"]

STEPS: Final = 20  # lines that a pipe gets for a whole run


class Meter:
    """Shows how many of `what` are done; `show(done, total)` may be called as often as one likes."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._step = 0
        self._told = 1  # what a pipe was told last, where no total is known
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            rate = TextColumn("{task.fields[rate]}/s")
            times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
            self._bar = Progress(*columns, rate, *times, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int | None) -> None:
        """`done` of `total` are done; without a total a pipe is told at each doubling."""
        rate = done / max(time.monotonic() - self._began, 1e-9)
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self.what, total=total, rate="")
            self._bar.update(self._task, completed=done, rate=f"{rate:.0f}")
            return
        if total is None:
            if done >= 2 * self._told:
                self._told = done
                click.echo(f"{self.what}: {done}, {rate:.0f}/s", err=True)
            return
        step = done * STEPS // total if total else STEPS
        if step != self._step:
            self._step = step
            eta = (total - done) / rate if rate else 0.0
            line = f"{self.what}: {done} of {total}, {rate:.0f}/s, ETA {eta:.0f} s"
            click.echo(line, err=True)
