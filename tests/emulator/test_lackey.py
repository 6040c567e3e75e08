"""The reader of lackey traces: what it takes, and what it refuses with the number of the line."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from hsl.emulator.lackey import MAX_ACCESS, MAX_LINE, LackeyAccess, LackeyTrace
from hsl.errors import ConfigError

TEXT = b"""\
==7== Lackey, an example Valgrind tool
I  0401ab70,3
 S 1fff000758,8
--7-- a warning
 L 04018f2a,16
 M 1fff000750,4
==7== Exit code:       0
"""


def test_kinds_of_lines() -> None:
    """I, L, S and M are accesses with their line; valgrind's own lines are skipped and counted."""
    trace = LackeyTrace(io.BytesIO(TEXT))
    assert list(trace) == [
        LackeyAccess("I", 0x401AB70, 3, 2),
        LackeyAccess("S", 0x1FFF000758, 8, 3),
        LackeyAccess("L", 0x4018F2A, 16, 5),
        LackeyAccess("M", 0x1FFF000750, 4, 6),
    ]
    assert (trace.lines, trace.skipped, trace.consumed) == (7, 3, len(TEXT))


BAD = {
    b"hello\n": "expected an access",
    b"\n": "expected an access",
    b" L -1,8\n": "expected an access",
    b" L 0x10,8\n": "expected an access",
    b" L 1_0,8\n": "expected an access",
    b" X 10,8\n": "expected an access",
    b" L 10,1234567\n": "expected an access",
    b"\x00\xff\x7fELF\n": "expected an access",
    b" L 10000000000000000,1\n": "below 2\\^64",
    b" L ffffffffffffffff,2\n": "below 2\\^64",
    b" L " + b"f" * 4000 + b",8\n": "below 2\\^64",
    b" L 10,0\n": "expected 1",
    f" L 10,{MAX_ACCESS + 1}\n".encode(): "expected 1",
    b"x" * (MAX_LINE + 1): f"no end of the line after {MAX_LINE}",
    b"==" + b"x" * (2 * MAX_LINE): f"no end of the line after {MAX_LINE}",
    b" L 10,1": "mid-line",
}


@pytest.mark.parametrize(("line", "text"), BAD.items(), ids=lambda value: repr(value)[:30])
def test_bad_lines(line: bytes, text: str) -> None:
    """A line that is no access ends with ConfigError, which names it by its number."""
    trace = LackeyTrace(io.BytesIO(b" L ffffffffffffffff,1\n" + line), "x.lk")
    with pytest.raises(ConfigError, match=f"x.lk, line 2: .*{text}"):
        list(trace)


def test_longest_access() -> None:
    """An access of MAX_ACCESS bytes is taken."""
    (access,) = LackeyTrace(io.BytesIO(f" S 10,{MAX_ACCESS}\n".encode()))
    assert access.size == MAX_ACCESS


class Endless(io.RawIOBase):
    """A pipe of one line again and again, `size` bytes in all."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = min(len(buffer), self.left) // 16 * 16
        buffer[:count] = b" L 1fff000758,8\n" * (count // 16)
        self.left -= count
        return count


def memory_of(lines: Iterator[LackeyAccess]) -> int:
    tracemalloc.start()
    try:
        for _ in lines:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_trace() -> None:
    """A trace of ten times the length needs no more memory: it is read line by line."""
    short, long = (memory_of(iter(LackeyTrace(io.BufferedReader(Endless(n << 14))))) for n in (1, 10))
    assert long < short + (1 << 14)


def test_unreadable() -> None:
    """A trace that fails to be read is a ConfigError, not an OSError."""

    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(ConfigError, match="Input/output error"):
        list(LackeyTrace(Broken()))
