"""The sink of a capture: a file, several of a limited size, or a pipe."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from hsl.errors import CaptureError, reason
from hsl.files import exists

__all__ = ["LEAST_SIZE", "STDOUT", "Sink"]

STDOUT = "-"
# Smallest limit of a file: the header of eight links and the longest comments fit in.
LEAST_SIZE = 1 << 16


class Sink:
    """Takes whole blocks, each at once: what was written outlives this process, however it ends.

    A file ends with its last whole block if the disk is full; closing removes one that has no block.

    With a `limit` in bytes FILE is followed by FILE.1, FILE.2, and so on. Raises CaptureError when it cannot
    be opened or written, or a limit is given for a pipe. `broken`: the reader of the pipe has gone.
    """

    def __init__(self, target: str, limit: int | None = None) -> None:
        self.target = target
        self.limit = limit
        self.part = 0
        self.size = 0  # of the present part
        self.broken = False
        self.pipe = target == STDOUT or (exists(target) and not Path(target).is_file())
        if self.pipe and limit is not None:
            raise CaptureError(f"capture {target}: a limit of size is for files")
        self._fd = self._open()

    @property
    def name(self) -> str:
        """The file that is written now."""
        return f"{self.target}.{self.part}" if self.part else self.target

    def fits(self, size: int) -> bool:
        """`size` bytes more stay within the limit."""
        return self.limit is None or self.size + size <= self.limit

    def next(self) -> None:
        """Go on with the next file."""
        self.close()
        self.part += 1
        self.size = 0
        self._fd = self._open()

    def write(self, data: bytes) -> None:
        """Write all of it, or none of it; nothing once the pipe is broken."""
        rest = memoryview(b"" if self.broken else data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError:
            self.broken = True
        except OSError as error:
            self._take_back()
            raise self._error(error) from error
        self.size += len(data)

    def _take_back(self) -> None:
        """Cut off a block that was written in part; the caller reports the first failure."""
        if self.pipe:
            return
        with suppress(OSError):
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)

    def close(self) -> None:
        """Close the file, and remove it if it has no block; it may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            if not self.size and not self.pipe:
                Path(self.name).unlink(missing_ok=True)

    def _open(self) -> int:
        try:
            if self.target == STDOUT:
                sys.stdout.flush()
                return os.dup(sys.stdout.fileno())
            return os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> CaptureError:
        return CaptureError(f"capture {self.name}: {reason(error)}")
