"""Progress of a long run, on stderr: a bar on a terminal, a line now and then without one.

A run of less than two seconds shows nothing. With HSL_PROGRESS=lines every step is a line at once: so a
command follows its child processes, and a script any command.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import click

from hsl.cli.options import is_quiet
from hsl.cli.tables import console_width

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["ENVIRONMENT", "LINES", "LISTENING", "PORT", "WAITING", "Meter"]

LISTENING: Final = "listening at "
PORT: Final = "port "  # what became of the device at one
WAITING: Final = "waiting for "
ENVIRONMENT: Final = "HSL_PROGRESS"
LINES: Final = "lines"  # of ENVIRONMENT
SILENT_SECONDS: Final = 2.0
LINE_SECONDS: Final = 5.0  # between two lines without a terminal
REFRESH_SECONDS: Final = 0.2  # between two states of the bar
STEPS: Final = 20  # lines of a whole run with HSL_PROGRESS=lines
BAR_COLUMNS: Final = 20
STEP = re.compile(r"\w+ (\d+) of (\d+) \w+")


class Meter:
    """Shows how much is done, as in "counted 3 of 7 bytes"; `show` may be called as often as one likes.

    A thread draws, so a run that shows nothing for a while is still seen to be alive; `threaded` False is for
    tests, which call `tick`. `quiet`: print only the texts of `say` (default: -q was given). `clock` gives
    seconds.
    """

    def __init__(
        self,
        verb: str,
        unit: str,
        *,
        waiting: str | Callable[[], str] = "",
        quiet: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        threaded: bool = True,
    ) -> None:
        self.verb = verb
        self.unit = unit
        self._quiet = is_quiet() if quiet is None else quiet
        self._lines = not self._quiet and os.environ.get(ENVIRONMENT) == LINES
        self._clock = clock
        self._began = clock()
        self._due = self._began + SILENT_SECONDS
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if threaded else None
        self._bar: Progress | None = None
        self._waiting: str | Callable[[], str] = ""
        self._done = 0
        self._total: int | None = None
        self._first: tuple[float, int] | None = None  # when the count began, and with what
        self._step = -1
        self.wait(waiting)

    def __enter__(self) -> Self:
        if self._thread is not None and not self._quiet and not self._lines:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def wait(self, what: str | Callable[[], str]) -> None:
        """Show that `what` is waited for, until something is done; a function is asked by another thread."""
        if what and what != self._waiting and self._lines and isinstance(what, str):
            self._print(f"{WAITING}{what}")
        self._waiting = what

    def show(self, done: int, total: int | None = None) -> None:
        """`done` of `total` are done; None where nobody knows how many there will be."""
        if self._first is None:
            self._first = (self._clock(), done)
        if done:
            self._waiting = ""
        self._done, self._total = done, total
        if self._lines:
            self._show_step()

    def say(self, line: str) -> None:
        """Print a line of its own on stderr at once."""
        with self._lock:
            if self._bar is None:
                self._print(line)
            else:
                self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def relay(self, line: str) -> bool:
        """Show what a child process has done; False for a line that is not of its meter.

        What the child waits for is left out: the parent knows better.
        """
        if line.startswith(WAITING):
            return True
        found = STEP.fullmatch(line)
        if found is not None:
            self.show(int(found[1]), int(found[2]))
        return found is not None

    def tick(self) -> None:
        """Draw what is due by now."""
        with self._lock:
            now = self._clock()
            if self._quiet or self._lines or self._over.is_set() or now < self._due:
                return
            terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
            self._due = now + (REFRESH_SECONDS if terminal else LINE_SECONDS)
            if terminal:
                self._draw(now)
            else:
                self._print(self.text(now))

    def text(self, now: float) -> str:
        """Return the text of the meter at `now` (seconds)."""
        if self._waiting:
            what = self._waiting if isinstance(self._waiting, str) else self._waiting()
            return f"{WAITING}{what} ({now - self._began:.0f} s)"
        since, first = self._first or (self._began, 0)
        rate = (self._done - first) / max(now - since, 1e-9)
        of = "" if self._total is None else f" of {self._total:,}"
        words = [f"{self.verb} {self._done:,}{of} {self.unit}", f"{now - self._began:.0f} s"]
        if rate >= 1:
            words.append(f"{rate:,.0f}/s")
        if rate and self._total is not None:
            words.append(f"ETA {(self._total - self._done) / rate:.0f} s")
        return ", ".join(words)

    def _watch(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the main thread
        while not self._over.wait(max(self._due - self._clock(), 0.01)):
            with suppress(OSError, ValueError):  # nobody reads stderr any more
                self.tick()

    def _draw(self, now: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            columns = (BarColumn(BAR_COLUMNS), TextColumn("{task.description}", markup=False))
            console = Console(stderr=True, width=console_width(sys.stderr))
            self._bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
            self._bar.add_task("", total=None)
            self._bar.start()
        total = None if self._waiting else self._total
        self._bar.update(
            self._bar.task_ids[0], total=total, completed=self._done, description=self.text(now), refresh=True
        )

    def _show_step(self) -> None:
        total = self._total
        step = self._done.bit_length() if total is None else self._done * STEPS // total if total else STEPS
        if step != self._step:
            self._step = step
            of = "" if total is None else f" of {total}"
            self._print(f"{self.verb} {self._done}{of} {self.unit}")

    def _print(self, line: str) -> None:
        click.echo(line, err=True)  # in one write: another thread may have something to say too
