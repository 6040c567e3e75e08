"""The accesses of a real program: the text that `valgrind --tool=lackey --trace-mem=yes` writes.

A line is `I  ADDRESS,SIZE` (instruction fetch), ` L`, ` S` or ` M` (load, store, both), the address in hex.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from hsl.errors import ConfigError, reason

__all__ = ["ADDRESS_BITS", "KINDS", "MAX_ACCESS", "MAX_LINE", "LackeyAccess", "LackeyTrace"]

KINDS: Final = {"I": "fetch", "L": "load", "S": "store", "M": "modify"}
ADDRESS_BITS: Final = 64  # of the program: those that valgrind runs on have no more
MAX_ACCESS: Final = 4096  # bytes: the longest that lackey tells of is the state that XSAVE stores, some 2,700
MAX_LINE: Final = 4096  # bytes: a line of valgrind's own holds a command line; an access needs 30
SHOWN: Final = 40  # bytes of a bad line that an error quotes
_ACCESS: Final = re.compile(rb"(I | L| S| M) +([0-9a-fA-F]+),([0-9]{1,6})\r?\n")
PACKED: Final = (b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh")  # gzip, xz, zstd, bzip2
_OWN: Final = (b"==", b"--", b"**")  # how valgrind's own lines begin


class LackeyAccess(NamedTuple):
    """One access: a key of KINDS, the address in the program, bytes; `line`: where it stands, from 1."""

    kind: str
    addr: int
    size: int
    line: int


class LackeyTrace:
    """A trace of valgrind's lackey, read line by line; one line is in memory at a time.

    `lines`, `consumed` (bytes) and `skipped` (lines of valgrind's own) count up while it is iterated.
    Raises ConfigError with the number of a line that is not an access, is too long, or leaves the address
    space.
    """

    def __init__(self, stream: IO[bytes], name: str = "trace") -> None:
        self.name = name
        self.lines = 0
        self.consumed = 0
        self.skipped = 0
        self._stream = stream

    def __iter__(self) -> Iterator[LackeyAccess]:
        """The accesses in program order."""
        try:
            while raw := self._stream.readline(MAX_LINE):
                self.lines += 1
                self.consumed += len(raw)
                if found := _ACCESS.fullmatch(raw):
                    yield self._access(found)
                elif raw.startswith(_OWN) and raw.endswith(b"\n"):
                    self.skipped += 1
                else:
                    raise self._bad(raw)
        except OSError as error:
            raise ConfigError(f"{self.name}: {reason(error)}") from error

    def _access(self, found: re.Match[bytes]) -> LackeyAccess:
        kind, digits, count = found.groups()
        addr, size = int(digits, 16), int(count)
        if addr + size > 1 << ADDRESS_BITS:
            raise self._error(f"{size} bytes at {digits[:SHOWN].decode()} do not end below 2^{ADDRESS_BITS}")
        if not 0 < size <= MAX_ACCESS:
            raise self._error(f"an access of {size} bytes; expected 1..{MAX_ACCESS}")
        return LackeyAccess(kind.strip().decode(), addr, size, self.lines)

    def _bad(self, raw: bytes) -> ConfigError:
        if self.lines == 1 and raw.startswith(PACKED):
            return self._error("it is compressed: unpack it into a pipe, and read that as -")
        if not raw.endswith(b"\n"):
            long = len(raw) == MAX_LINE
            return self._error(
                f"no end of the line after {MAX_LINE} bytes" if long else "it ends in mid-line"
            )
        shown = raw[:SHOWN].rstrip(b"\n").decode(errors="replace")
        return self._error(f"{shown!r}; expected an access such as ' L 1ffeffe7e,8'")

    def _error(self, text: str) -> ConfigError:
        return ConfigError(f"{self.name}, line {self.lines}: {text}")
