"""Exit codes, and which error ends in which."""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from types import TracebackType

import click

from hsl.cli.look_alikes import look_alike_hint
from hsl.errors import (
    CaptureError,
    CodecError,
    ConfigError,
    LinkError,
    PeerLost,
    PeerUnreachable,
    TransactionError,
    TransportError,
)
from hsl.interruption import Interruption, command_ended
from hsl.shown import visible

__all__ = ["ExitCode", "ExitCodes", "NothingSelected", "forget_output"]


class ExitCode(IntEnum):
    """The exit status of every `hsl` command."""

    OK = 0
    FAILED = 1  # it was checked, and it is wrong
    INTERRUPTED = 2
    INTERNAL = 3  # our own error, or a tool that is missing
    USAGE = 4  # wrong arguments or bad input, or the system has no room, memory or descriptor left
    NOTHING = 5  # nothing was selected, nothing ran
    PEER_LOST = 7  # the peer or the device under test is lost or cannot be reached


class NothingSelected(Exception):
    """The request selects nothing, or a file holds nothing to work on."""


# What the system has no more of is no error of ours, and no check has failed: room for what is written, and
# descriptors or processes.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
USED_UP = FULL | {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}

# The first row whose class fits decides. Whatever fits none is our own error.
ENDINGS: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (click.Abort, ExitCode.INTERRUPTED),
    (click.ClickException, ExitCode.USAGE),
    (NothingSelected, ExitCode.NOTHING),
    (ConfigError, ExitCode.USAGE),
    (CodecError, ExitCode.USAGE),
    (CaptureError, ExitCode.USAGE),
    (PeerLost, ExitCode.PEER_LOST),
    (PeerUnreachable, ExitCode.PEER_LOST),
    (LinkError, ExitCode.PEER_LOST),
    (TransportError, ExitCode.USAGE),  # an address that cannot be used, such as a port that is taken
    (TransactionError, ExitCode.FAILED),
    (MemoryError, ExitCode.USAGE),
)


def code_of(error: BaseException) -> ExitCode:
    """The exit code of an error that has reached the border of the process."""
    if isinstance(error, OSError) and error.errno in USED_UP:
        return ExitCode.USAGE
    return next((code for cls, code in ENDINGS if isinstance(error, cls)), ExitCode.INTERNAL)


def told(error: BaseException, code: ExitCode, trace: TracebackType | None) -> str:
    """The line about an error."""
    if code is ExitCode.INTERRUPTED:
        return "interrupted"
    if code is ExitCode.INTERNAL:
        frame = traceback.extract_tb(trace)[-1]
        return (
            f"internal error: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno}; "
            "HSL_TRACEBACK=1 shows the way there)"
        )
    if isinstance(error, MemoryError):
        return "there is not enough memory; give less input, or a higher limit (ulimit -v)"
    if isinstance(error, OSError):
        where = error.filename or ("standard output" if error.errno in FULL else "")
        return f"{where}: {error.strerror}" if where else str(error.strerror)
    return str(error)


def forget_output() -> None:
    """Throw away what cannot be written to stdout or stderr: Python tries once more as it ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # closed before the command began
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ExitCodes:
    """The border of the process: an exception that reaches it becomes one line on stderr and an exit code."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        """`words`: the arguments of the command line."""
        self._words = words

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave with the code of `error`; SystemExit, success and what a signal raised pass."""
        if isinstance(error, Interruption):
            return
        command_ended()
        if error is None or isinstance(error, SystemExit):
            return
        code = code_of(error)
        hint = look_alike_hint(self._words) if code in (ExitCode.USAGE, ExitCode.NOTHING) else ""
        if os.environ.get("HSL_TRACEBACK"):
            traceback.print_exception(error)
        with contextlib.suppress(OSError):  # stderr may be on the full disk too
            if isinstance(error, click.exceptions.NoArgsIsHelpError):
                click.echo(error.message)  # on stdout: `hsl | less` shows it
            elif isinstance(error, click.ClickException):
                error.message = visible(error.message)  # type: ignore[misc]  # show() adds the usage
                if hint:
                    error = click.UsageError(error.format_message() + hint, getattr(error, "ctx", None))
                error.show()
            else:
                click.echo(f"hsl: {visible(told(error, code, trace))}{hint}", err=True)
        forget_output()
        sys.exit(code)
