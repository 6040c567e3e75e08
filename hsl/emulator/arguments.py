"""Arguments of the Python API: a value of any type becomes a plain one, or ends in ConfigError."""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import index
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hsl.errors import ConfigError
from hsl.shown import quoted

__all__ = [
    "Bytes",
    "addresses",
    "array",
    "file_name",
    "integer",
    "item",
    "plain",
    "plan",
    "positive",
    "raw",
    "seconds",
    "seed_of",
    "within",
]

MAX_BITS: Final = 128  # of an argument: more than any field or address has, and Python prints it
MAX_SEED: Final = (1 << 64) - 1
Bytes = bytes | bytearray | memoryview | npt.NDArray[Any]


def plan(faults: str | float | os.PathLike[str]) -> str:
    """Return the text of the faults. Raises ConfigError for another type, or a rate outside 0 to 1."""
    if isinstance(faults, str | os.PathLike):
        return os.fsdecode(faults)
    if not isinstance(faults, int | float | np.integer | np.floating) or not 0 <= faults <= 1:
        raise ConfigError(
            f"faults is {quoted(faults)}; it must be a rate from 0 to 1, or a str such as 'crc:1e-3'"
        )
    return str(faults)


def file_name(name: str, value: str | os.PathLike[str]) -> str:
    """Return the path of a file as text. Raises ConfigError for a value that no file can have as name."""
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{name} is {quoted(value)}; it must be the path of a file")
    text = os.fsdecode(value)
    if not text or "\0" in text or not encodes(text):
        raise ConfigError(f"{name} is {quoted(text)}; it must be the path of a file")
    return text


def encodes(name: str) -> bool:
    """True if a file can have the name: a lone surrogate stands for a byte, or for nothing."""
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def item(value: Any) -> Any:
    """Return a scalar of numpy as a Python number, and everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def plain(operand: Any) -> Any:
    """Return an operand as the int, float or bytes that it stands for: numpy's scalars, bytearray."""
    return bytes(operand) if isinstance(operand, bytearray | memoryview) else item(operand)


def integer(name: str, value: int) -> int:
    """Return `value` as an int. Raises ConfigError unless it is an integer, of Python or numpy."""
    try:
        number = index(value)
    except TypeError:
        raise ConfigError(f"{name} is {quoted(value)}; it must be an integer") from None
    if number.bit_length() > MAX_BITS:
        raise ConfigError(f"{name} is {quoted(number)}; it must have at most {MAX_BITS} bits")
    return number


def positive(name: str, value: int) -> int:
    """Return `value` as an int. Raises ConfigError unless it is at least 1."""
    number = integer(name, value)
    if number < 1:
        raise ConfigError(f"{name} is {number}; it must be at least 1")
    return number


def within(name: str, value: int, least: int, most: int, step: int = 1) -> int:
    """Return `value` as an int. Raises ConfigError unless it is a multiple of `step` of `least`..`most`."""
    number = integer(name, value)
    if not least <= number <= most or number % step:
        multiple = f"a multiple of {step}, " if step > 1 else ""
        raise ConfigError(f"{name} is {number}; it must be {multiple}{least} to {most}")
    return number


def seconds(name: str, value: float, most: float) -> float:
    """Return a time in seconds. Raises ConfigError unless it is a number of 0..`most`."""
    number = item(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or not 0 <= number <= most:
        raise ConfigError(f"{name} is {quoted(number)}; it must be a number of seconds, 0 to {most:g}")
    return float(number)


def seed_of(value: int) -> int:
    """Return a seed. Raises ConfigError unless it is 0 to MAX_SEED."""
    return within("seed", value, 0, MAX_SEED)


def raw(data: Bytes) -> bytes:
    """Return the bytes of a buffer. Raises ConfigError for other objects, such as a str or an int."""
    if isinstance(data, np.ndarray):
        if data.dtype.hasobject:  # its buffer has pointers of this process
            raise ConfigError(f"data is an array of {data.dtype}; it must be an array of numbers or bytes")
        return data.tobytes()
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise ConfigError(f"data is of type {kind}; it must be bytes or another buffer") from None
    if view.format == "O":
        raise ConfigError("data is a buffer of objects; it must be a buffer of numbers or bytes")
    return view.tobytes()


def array(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `value` as an array. Raises ConfigError if its rows differ in length."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def addresses(addrs: npt.ArrayLike) -> Sequence[int]:
    """Return the addresses as ints. Raises ConfigError unless they are integers in one dimension."""
    found = array("addresses", addrs)
    if not found.size:
        return []
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ConfigError(
            f"addresses must be integers in one dimension, not {found.dtype} of shape {found.shape}"
        )
    return [int(each) for each in found]
