"""Exit codes, and which error ends in which."""

import os
import sys
import traceback
from enum import IntEnum
from types import TracebackType

import click

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

__all__ = ["ExitCode", "ExitCodes"]


class ExitCode(IntEnum):
    """The exit status of every `hsl` command."""

    OK = 0
    FAILED = 1  # it was checked, and it is wrong
    INTERRUPTED = 2
    INTERNAL = 3  # our own error, or a tool that is missing
    USAGE = 4  # wrong arguments or bad input
    NOTHING = 5  # nothing was selected, nothing ran
    PEER_LOST = 7  # the peer or the device under test is lost or cannot be reached


# The first row whose class fits decides. Whatever fits none is our own error.
ENDINGS: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (click.Abort, ExitCode.INTERRUPTED),
    (click.ClickException, ExitCode.USAGE),
    (ConfigError, ExitCode.USAGE),
    (CodecError, ExitCode.USAGE),
    (CaptureError, ExitCode.USAGE),
    (PeerLost, ExitCode.PEER_LOST),
    (PeerUnreachable, ExitCode.PEER_LOST),
    (LinkError, ExitCode.PEER_LOST),
    (TransportError, ExitCode.USAGE),  # an address that cannot be used, such as a port that is taken
    (TransactionError, ExitCode.FAILED),
)


class ExitCodes:
    """The border of the process: an exception that reaches it becomes one line on stderr and an exit code."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave with the code of `error`; SystemExit and success pass."""
        if error is None or isinstance(error, SystemExit):
            return
        code = next((code for cls, code in ENDINGS if isinstance(error, cls)), ExitCode.INTERNAL)
        if os.environ.get("HSL_TRACEBACK"):
            traceback.print_exception(error)
        if isinstance(error, click.ClickException):
            error.show()
        elif code is ExitCode.INTERRUPTED:
            click.echo("hsl: interrupted", err=True)
        elif code is ExitCode.INTERNAL:
            frame = traceback.extract_tb(trace)[-1]
            click.echo(
                f"hsl: internal error: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno}; "
                "HSL_TRACEBACK=1 shows the way there)",
                err=True,
            )
        else:
            click.echo(f"hsl: {error}", err=True)
        sys.exit(code)
