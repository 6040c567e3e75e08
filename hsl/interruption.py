"""SIGINT, SIGTERM and SIGHUP of the `hsl` command: one exception, and a way out that always works.

A signal has one of four effects, by what the command is doing:

* Nothing needs to be undone yet (modules are imported): the process ends in the handler.
* The command works: `Interruption` is raised wherever the main thread is, and unwinds it.
* A block is `Held` (a child is being started, an event loop runs): `Interruption` is raised at its end. A
  loop is told by the callback of `Waking`.
* The command has its verdict: the signal changes nothing any more.

The unwinding may take GRACE_SECONDS, or until the user asks again. After that the process ends in the
handler, which makes the calls of `at_exit` first. Python swallows an exception that is raised inside a
finalizer or the callback of a weak reference; `Interruption` is then raised once more, a moment later.

A signal that was ignored when the command started stays ignored (nohup). Only `install` changes anything:
a program that imports `hsl` keeps its own handlers. This module imports little, because no signal is handled
before it is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from _thread import get_ident
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = [
    "Held",
    "Interruption",
    "Waking",
    "at_exit",
    "command_begins",
    "command_ended",
    "finish",
    "install",
]

SIGNALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
STATUS: Final = 2  # ExitCode.INTERRUPTED, which cannot be imported as early
GRACE_SECONDS: Final = 5.0  # for the unwinding: a node waits a second for its peer to close
AGAIN_SECONDS: Final = 0.5  # `timeout` sends each signal twice; a later one comes from an impatient user
SOON_SECONDS: Final = 0.001
SHOW_CURSOR: Final = "\x1b[?25h"


class Interruption(BaseException):
    """A signal asked the command to end. No Exception, and no class that asyncio or click handle."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")


class AtExit:
    """Calls that must be made before the process ends, if it can; those that end children come first."""

    def __init__(self) -> None:
        self.children: dict[object, Callable[[], object]] = {}
        self.folders: dict[object, Callable[[], object]] = {}

    def call(self) -> None:
        """Make the calls that are left, and forget them."""
        for rows in (self.children, self.folders):
            while rows:
                try:
                    rows.popitem()[1]()
                except OSError:
                    continue  # the other calls must be made all the same


class _State:
    """The data of the handler. There is one of it, because a process has one set of handlers."""

    def __init__(self) -> None:
        self.thread: int | None = None  # the main thread, once `install` was called
        self.working = False
        self.ended = False
        self.held = 0
        self.wake: Callable[[], object] | None = None
        self.number: int | None = None  # of the signal that interrupted the command
        self.raised = False
        self.swallowed = False


at_exit: Final = AtExit()
_state: Final = _State()


def install() -> None:
    """Handle the signals from now on. Call it once, first of all, in the main thread."""
    _state.thread = get_ident()
    hook = sys.unraisablehook

    def unraisable(args: Any) -> None:
        if not isinstance(args.exc_value, Interruption):
            hook(args)
            return
        _state.swallowed = True
        signal.setitimer(signal.ITIMER_REAL, SOON_SECONDS)

    sys.unraisablehook = unraisable
    signal.signal(signal.SIGALRM, _alarm)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def command_begins() -> None:
    """From now on a signal raises `Interruption`: there may be something to undo."""
    _state.working = True


def command_ended() -> None:
    """From now on a signal changes nothing: the exit status is decided."""
    _state.ended = True


class Held:
    """A block that no `Interruption` cuts: it is raised at the end. Without effect in other threads."""

    def __enter__(self) -> None:
        if get_ident() == _state.thread:
            _state.held += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if get_ident() != _state.thread:
            return
        _state.held -= 1
        if _state.number is not None and not (_state.held or _state.raised):
            _raise()


class Waking:
    """Inside a held block: call `wake` when a signal comes, or at once if it has come."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake

    def __enter__(self) -> None:
        _state.wake = self.wake
        if _state.number is not None:
            self.wake()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _state.wake = None


def finish() -> None:
    """Make the calls of `at_exit`. After an interruption say so and end here, whatever other threads do."""
    if sys.stdout is not None:  # it was not closed before the command began
        with contextlib.suppress(OSError, ValueError):  # Python says so itself when it shuts down
            sys.stdout.flush()
    if _state.number is not None:
        _end()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Python would bring back the default while it shuts down
    at_exit.call()


def _handle(number: int, _frame: FrameType | None) -> None:
    """Take a signal: the first one unwinds the command, one that comes much later ends it."""
    if _state.ended:
        return
    if _state.number is None:
        _state.number = number
        _interrupt()
    elif GRACE_SECONDS - signal.getitimer(signal.ITIMER_REAL)[0] > AGAIN_SECONDS:
        _end()


def _alarm(_number: int, _frame: FrameType | None) -> None:
    """Take our own timer: the exception was swallowed, or the time for the unwinding is over."""
    if not _state.swallowed:
        _end()
    _state.swallowed = False
    _interrupt()


def _interrupt() -> None:
    if not _state.working:
        _end()
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
    if not _state.held:
        _raise()
    elif _state.wake is not None:
        _state.wake()


def _raise() -> None:
    _state.raised = True
    assert _state.number is not None
    raise Interruption(_state.number)


def _end() -> None:
    """End the process here and now, after the calls of `at_exit`; nothing more is unwound."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, signal.SIGALRM})
    at_exit.call()
    assert _state.number is not None
    line = f"hsl: {Interruption(_state.number)}\n"
    try:
        # On a terminal below the ^C that it echoes, and with its cursor.
        os.write(2, (SHOW_CURSOR + "\n" + line if os.isatty(2) else line).encode())
    finally:
        os._exit(STATUS)
