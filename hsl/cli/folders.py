"""Folders of our own for temporary files: removed at the end, or by the next command when we were killed."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from hsl.errors import ConfigError, reason
from hsl.files import temporary_folder
from hsl.interruption import Held, at_exit

__all__ = ["OwnFolder", "sweep"]

# mkdtemp puts eight letters before the suffix. Without a suffix a user's own `hsl-demo-captures` would look
# like ours, and be removed with all that is in it.
SUFFIX = ".hsl-own"
UNIQUE = re.compile(r"[a-z0-9_]{8}" + re.escape(SUFFIX))


class OwnFolder:
    """A context for a new folder `prefix`XXXXXXXX.hsl-own in `parent`; it must get files and sockets only.

    Its owner holds a lock on it, which the kernel takes away when the owner ends. Before it is made, those
    that dead owners have left are removed. Raises ConfigError where none can be made.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        self.prefix = prefix
        with Held():  # it tries out where files can be made
            self.parent = temporary_folder() if parent is None else parent

    def __enter__(self) -> Path:
        sweep(self.prefix, self.parent)
        with Held():
            self.path, self._lock = self._made()
            at_exit.folders[self] = self._remove
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Held():
            self._remove()
            at_exit.folders.pop(self, None)
            os.close(self._lock)

    def _made(self) -> tuple[Path, int]:
        """Make it and lock it; another command may sweep it away in between."""
        while True:
            try:
                path = Path(tempfile.mkdtemp(SUFFIX, self.prefix, self.parent))
            except OSError as error:
                raise ConfigError(f"{self.parent}: {reason(error)}") from error
            with suppress(FileNotFoundError):
                lock = opened(path)
                with suppress(OSError):  # on a file system without locks nobody can sweep it either
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists():
                    return path, lock
                os.close(lock)

    def _remove(self) -> None:
        with suppress(OSError):
            emptied(self._lock)
            self.path.rmdir()


def opened(path: Path) -> int:
    """A descriptor of a folder. Raises OSError for anything else, a symbolic link among it."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def emptied(folder: int) -> None:
    """Remove all files of an open folder. Raises OSError where it has folders."""
    for name in os.listdir(folder):
        os.unlink(name, dir_fd=folder)


def sweep(prefix: str, parent: Path) -> None:
    """Remove the folders of this user whose owners are dead; leave alone everything that cannot be ours."""
    for path in parent.glob(prefix + "*"):
        if UNIQUE.fullmatch(path.name.removeprefix(prefix)):
            with suppress(OSError):
                folder = opened(path)
                try:
                    swept(path, folder)
                finally:
                    os.close(folder)


def swept(path: Path, folder: int) -> None:
    """Remove an open folder if it is like ours. Raises OSError when its owner lives, too."""
    status = os.fstat(folder)
    if (status.st_uid, stat.S_IMODE(status.st_mode)) != (os.geteuid(), stat.S_IRWXU):
        return
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    found = [os.stat(name, dir_fd=folder, follow_symlinks=False) for name in os.listdir(folder)]
    if not any(stat.S_ISDIR(each.st_mode) for each in found):
        emptied(folder)
        path.rmdir()
