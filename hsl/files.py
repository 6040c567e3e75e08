"""The files that a user names: bounded reads that wait for no writer, whole writes, errors with the name."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TextIO

from hsl.errors import ConfigError, reason
from hsl.shown import shown

__all__ = [
    "STDIN",
    "TEXT",
    "check_writable",
    "create_file",
    "create_text",
    "exists",
    "open_file",
    "open_stream",
    "open_text",
    "parse_json",
    "parse_toml",
    "read_at_most",
    "read_file",
    "temporary_folder",
]

TEXT: Final = "utf-8-sig"  # UTF-8, with or without the byte order mark that some editors write
STDIN: Final = "-"  # standard input, as a name of a file
MAX_STDIN: Final = 1 << 32  # bytes: the largest file that any command takes
CHARACTER: Final = 4  # bytes of a character of UTF-8, at most
CHUNK: Final = 1 << 20  # bytes read at once: a limit of gigabytes is not allocated for a small file
# What the parser of JSON says -> what we say.
JSON_ERRORS: Final = {
    "Expecting value": "expected a value",
    "Expecting ',' delimiter": "expected a comma or a closing bracket",
    "Expecting ':' delimiter": "expected a colon",
    "Expecting property name enclosed in double quotes": "expected a key in double quotes",
    "Extra data": "expected the end after the first value",
    "Unterminated string starting at": "a string without end begins",
    "Invalid control character at": "invalid control character",
    "Invalid \\escape": "invalid escape",
    "Unexpected UTF-8 BOM (decode using utf-8-sig)": "unexpected byte order mark",
    "Invalid \\uXXXX escape": "invalid \\u escape",
}
TUPLE: Final = re.compile(r"\('(.*?)',?\)")  # how the parser of TOML prints the parts of a key


@contextmanager
def open_file(path: Path, name: str = "", most: int = MAX_STDIN) -> Iterator[BinaryIO]:
    """Open a regular file, the null device or standard input as bytes; messages call it `name` or its path.

    `most`: bytes that are taken of standard input. Raises ConfigError for more, for a file that cannot be
    opened or read, and for a pipe or a device: opening a pipe waits for a writer, and a device may have no
    end.
    """
    name = name or str(path)
    if str(path) == STDIN:
        with _errors_of(name), _standard_input(name, most) as copy:
            yield copy
        return
    with _errors_of(name), _opened(path, name, _without_waiting) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) and str(path) != os.devnull:
            raise ConfigError(f"{name}: not a regular file")
        os.set_blocking(stream.fileno(), True)
        yield stream


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open a file, a pipe or a device to be read once, in pieces. Raises ConfigError if it cannot be read."""
    with _errors_of(str(path)), _opened(path, str(path)) as stream:
        yield stream


@contextmanager
def open_text(path: Path, most: int = MAX_STDIN // CHARACTER) -> Iterator[TextIO]:
    """As open_file, as UTF-8 text with or without a byte order mark; ConfigError also when it is not.

    `most`: characters that are taken of standard input.
    """
    with open_file(path, most=CHARACTER * most) as raw, io.TextIOWrapper(raw, encoding=TEXT) as stream:
        yield stream


def read_file(path: Path, limit: int, name: str = "") -> bytes:
    """Return the bytes of a file. Raises ConfigError as open_file, and for more than `limit` bytes."""
    with open_file(path, name, limit) as stream:
        small = os.fstat(stream.fileno()).st_size <= limit  # 0 for files of the kernel
        if small and len(data := read_at_most(stream, limit + 1)) <= limit:
            return data
    raise ConfigError(f"{name or path}: larger than the limit of {limit} bytes")


def exists(path: str | os.PathLike[str]) -> bool:
    """True if there is a file of this name. No file has a name that is too long, or that cannot be one."""
    return os.path.exists(path)  # noqa: PTH110  Path.exists raises OSError for a name that is too long


def check_writable(path: Path, name: str = "") -> None:
    """Open a file as create_file will, and leave everything as it was. Raises ConfigError if it cannot.

    A long run calls this before it begins, so that its result finds a place. Of a pipe and of a device only
    the permission is checked: opening a pipe waits for its reader.
    """
    name = name or str(path)
    target = Path(os.path.realpath(path))  # of a link to a file that is not there yet
    with _errors_of(name):
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            target.unlink()
        except FileExistsError:
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


@contextmanager
def create_file(path: Path, name: str = "") -> Iterator[BinaryIO]:
    """Write a file anew; messages call it `name` or else by its path.

    Raises ConfigError if it cannot be written; a regular file is then removed, so that nobody takes a part of
    it for the whole.
    """
    name = name or str(path)
    with _errors_of(name), path.open("wb") as raw:
        regular = stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        try:
            yield raw
            raw.flush()
        except BaseException:
            if regular:
                path.unlink(missing_ok=True)
            raise


@contextmanager
def create_text(path: Path, name: str = "") -> Iterator[TextIO]:
    """As create_file, as UTF-8 text."""
    with create_file(path, name) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8")
        try:
            yield stream
        finally:
            stream.detach()  # which writes what it has; closing is for create_file


def read_at_most(stream: IO[bytes], size: int) -> bytes:
    """Return the next `size` bytes of a stream, fewer if it ends before."""
    parts = []
    while size and (part := stream.read(min(size, CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def temporary_folder() -> Path:
    """Return the folder for temporary files. Raises ConfigError where no folder takes one."""
    try:
        return Path(tempfile.gettempdir())  # it tries which of several takes a file
    except FileNotFoundError as error:
        raise ConfigError("no folder takes a temporary file; set TMPDIR to one that does") from error


def parse_toml(data: bytes, name: str) -> dict[str, Any]:
    """Return the table of a TOML file called `name`. Raises ConfigError when it is not TOML."""
    with _errors_of(name):
        text = data.decode(TEXT)
    found: dict[str, Any] = _parsed(tomllib.loads, text, name, "TOML")
    return found


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the value of a JSON text called `name`. Raises ConfigError when it is not JSON."""
    parse = partial(json.loads, object_pairs_hook=_object, parse_constant=_no_value)
    return _parsed(parse, text, name, "JSON")


class _Refused(ValueError):
    """A text that Python takes for JSON."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; of two values of a key one would be lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Refused(f"key {shown(twice)} comes twice in an object")
    return found


def _no_value(name: str) -> None:
    raise _Refused(f"{name} is not a number")


def _parsed(parse: Callable[[Any], Any], text: str | bytes, name: str, form: str) -> Any:
    try:
        return parse(text)
    except json.JSONDecodeError as error:
        what = JSON_ERRORS.get(error.msg, f"{error.msg[:1].lower()}{error.msg[1:]}")
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{name}: not {form}: {what} at {place}") from error
    except tomllib.TOMLDecodeError as error:
        what = TUPLE.sub(lambda found: found[1].replace("', '", "."), str(error))
        what = f"{what[:1].lower()}{what[1:]}".replace(" (at ", " at ").removesuffix(")")
        raise ConfigError(f"{name}: not {form}: {what}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not {form}: {_byte(error)}") from error
    except _Refused as error:
        raise ConfigError(f"{name}: not {form}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: not {form} that can be read: its values are nested too deeply") from error
    except ValueError as error:  # what remains is the limit of int()
        raise ConfigError(f"{name}: not {form} that can be read: a number has too many digits") from error


@contextmanager
def _standard_input(name: str, most: int) -> Iterator[BinaryIO]:
    """Open a copy of standard input, which has a size and can be read again."""
    if sys.stdin is None:
        raise ConfigError(f"{name}: there is no standard input")
    with tempfile.TemporaryFile(dir=temporary_folder()) as copy:
        while part := sys.stdin.buffer.read(CHUNK):
            if copy.write(part) and copy.tell() > most:
                raise ConfigError(f"{name}: larger than the limit of {most} bytes")
        copy.seek(0)
        yield copy


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Turn what the system and the decoder of text say into ConfigError that begins with `name`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not a text: {_byte(error)}") from error
    except OSError as error:
        raise ConfigError(f"{name}: {reason(error)}") from error


def _byte(error: UnicodeDecodeError) -> str:
    return f"byte {error.object[error.start]:#04x} is not UTF-8"


def _opened(path: Path, name: str, opener: Callable[[str, int], int] | None = None) -> BinaryIO:
    try:
        return open(path, "rb", opener=opener)
    except ValueError as error:
        raise ConfigError(f"{name!r}: not a name of a file") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
