"""Calls of a program to an agent: their arguments are checked, and each becomes accesses (HSL 5.5, 5.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hsl._generated.constants import LINE_BYTES, Err
from hsl.agents.access import Access, Order
from hsl.emulator.arguments import Bytes, addresses, array, integer, plain, positive, raw
from hsl.emulator.device import lines_of
from hsl.emulator.memory_range import MemoryRange
from hsl.emulator.operands import Operand, atomic_access, unpacked
from hsl.errors import AddressError, ConfigError
from hsl.shown import quoted

__all__ = ["WINDOW", "BlockingCalls", "Call", "Calls"]

WINDOW: Final = 1024  # accesses of one call that are open at once; an agent takes 4096
FENCES: Final = {"load": Order.LOAD, "store": Order.STORE, "ncr": Order.NCR}
T = TypeVar("T")


class Call(NamedTuple, Generic[T]):
    """The accesses of a call, in the order in which they begin, and what makes their results its value."""

    accesses: Iterable[Access]
    result: Callable[[list[bytes]], T]


class Calls:
    """Turns the calls of a program into accesses; `memory_map()` returns the ranges of memory by name.

    Each method raises AddressError for an address outside them, and ConfigError for another argument that
    cannot be used; then no access has begun.
    """

    def __init__(self, memory_map: Callable[[], Mapping[str, MemoryRange]]) -> None:
        self._memory_map = memory_map

    def load(self, addr: int, size: int) -> Call[bytes]:
        """Return the loads of the lines of `size` bytes."""
        addr, size = integer("addr", addr), positive("size", size)
        self._check("load", addr, size)
        return Call(loads(addr, size), b"".join)

    def store(self, addr: int, data: Bytes) -> Call[None]:
        """Return the stores of the lines of `data`."""
        addr, stored = integer("addr", addr), raw(data)
        self._check("store", addr, positive("size of the data", len(stored)))
        return Call(stores(addr, stored), nothing)

    def atomic(
        self, op: str, addr: int, operand: Operand, size: int | None, compare: Operand | None
    ) -> Call[Operand]:
        """Return the access of an atomic operation."""
        operand, compare = plain(operand), plain(compare)
        size = None if size is None else integer("size", size)
        access = atomic_access(op, integer("addr", addr), operand, size=size, compare=compare)
        self._check(op, access.addr, access.size)
        return Call([access], lambda results: unpacked(operand, results[0]))

    def fence(self, *kinds: str) -> Call[None]:
        """Return a fence for these kinds of accesses, without any for all."""
        order = Order(0)
        for kind in kinds:
            if not isinstance(kind, str) or kind not in FENCES:
                raise ConfigError(f"fence({quoted(kind)}): the kind must be one of {', '.join(FENCES)}")
            order |= FENCES[kind]
        return Call([Access("fence", order=order or Order.ALL)], nothing)

    def flush(self, addr: int, size: int) -> Call[None]:
        """Return a flush of each line of `size` bytes."""
        addr, size = integer("addr", addr), positive("size", size)
        self._check("flush", addr, size)
        lines = range(addr - addr % LINE_BYTES, addr + size, LINE_BYTES)
        return Call((Access("flush", line) for line in lines), nothing)

    def load_many(self, addrs: npt.ArrayLike, size: int) -> Call[npt.NDArray[np.uint8]]:
        """Return the loads of `size` bytes at each address."""
        places, size = addresses(addrs), positive("size", size)
        for addr in places:
            self._check("load_many", addr, size)

        def table(results: list[bytes]) -> npt.NDArray[np.uint8]:
            return np.frombuffer(b"".join(results), np.uint8).reshape(len(places), size).copy()

        return Call(chain.from_iterable(loads(addr, size) for addr in places), table)

    def store_many(self, addrs: npt.ArrayLike, data: npt.ArrayLike) -> Call[None]:
        """Return the stores of each row of `data` at its address."""
        places, rows = addresses(addrs), array("data", data)
        if rows.dtype != np.uint8 or rows.ndim != 2 or len(rows) != len(places):
            raise ConfigError(
                f"data for {len(places)} addresses must be uint8 of shape ({len(places)}, size), "
                f"not {rows.dtype} of shape {rows.shape}"
            )
        size = positive("size of the data", rows.shape[1]) if places else 0
        for addr in places:
            self._check("store_many", addr, size)
        kept = rows.tobytes()  # the caller may change its array while the stores are under way
        pieces = (stores(addr, kept[size * at : size * (at + 1)]) for at, addr in enumerate(places))
        return Call(chain.from_iterable(pieces), nothing)

    def _check(self, what: str, addr: int, size: int) -> None:
        """Raise AddressError unless memory has all of the `size` bytes at `addr`."""
        first, ranges = addr, self._memory_map()
        while first < addr + size:
            here = next((each for each in ranges.values() if first in each), None)
            if here is None:
                known = ", ".join(f"{name} {each}" for name, each in ranges.items())
                raise AddressError(
                    f"{what} of {size} bytes at {addr:#x}: {first:#x} is in no memory; there are {known}",
                    code=Err.DECODE,
                )
            first = here.last + 1


def loads(addr: int, size: int) -> Iterator[Access]:
    """Yield a load of each line of `size` bytes."""
    return (Access("load", at, len(part)) for at, part in lines_of(addr, bytes(size)))


def stores(addr: int, data: bytes) -> Iterator[Access]:
    """Yield a store of each line of `data`; that of a whole line fetches no old data."""
    return (
        Access("store_line" if len(part) == LINE_BYTES else "store", at, len(part), part)
        for at, part in lines_of(addr, data)
    )


def nothing(results: list[bytes]) -> None:
    """Return the value of a call that only writes."""


class BlockingCalls:
    """The calls of a program to a request agent that return when their accesses have ended. HSL 5.5.

    A subclass sets `_calls`, and performs a call in `_perform`.
    """

    _calls: Calls

    def _perform(self, call: Call[T]) -> T:
        """Begin the accesses of a call in their order, up to WINDOW at a time, and return its value.

        The first error is raised when all of them have ended.
        """
        raise NotImplementedError

    def load(self, addr: int, size: int = 8) -> bytes:
        """Return the `size` bytes at `addr`; the cache keeps a copy of their lines. HSL 5.5."""
        return self._perform(self._calls.load(addr, size))

    def store(self, addr: int, data: Bytes) -> None:
        """Store `data` (bytes, or another buffer such as a numpy array) at `addr`. HSL 5.5."""
        self._perform(self._calls.store(addr, data))

    def atomic(
        self, op: str, addr: int, operand: Operand, *, size: int | None = None, compare: Operand | None = None
    ) -> Operand:
        """Perform the atomic operation `op` on the value at `addr`; return the old value. HSL 5.12.

        Args:
            op: "add", "clr" (old & ~operand), "eor" (xor), "set" (or), "smax", "smin", "umax", "umin" or
                "swap", of 4 or 8 bytes; "cas" (store `operand` if old == `compare`) of 4, 8 or 16 bytes;
                "fadd32", "fadd64", "fadd2xfp16" or "fadd2xbf16"
            addr: a multiple of the size
            operand: an int (little-endian; it may be negative, the result is unsigned), bytes, or a float
                for fadd32 and fadd64; the result has its type. Scalars of numpy count as int or float
            size: bytes of an int, 8 if not given
            compare: what "cas" compares the old value with

        A counter, and a lock:

        >>> s.gpu.atomic("add", 0x80, 5), s.cpu.atomic("add", 0x80, -2), s.cpu.atomic("add", 0x80, 0)
        (0, 5, 3)
        >>> s.cpu.atomic("cas", 0xC0, 1, compare=0) == 0  # 0 was there: the lock is taken
        True

        """
        return self._perform(self._calls.atomic(op, addr, operand, size, compare))

    def fence(self, *kinds: str) -> None:
        """Wait until all earlier accesses of the given kinds are performed. HSL 5.9.

        `kinds`: "load", "store", "ncr"; without any, all kinds. A fence orders what others have begun: by
        `submit`, or in another thread. A blocking call leaves nothing to wait for.
        """
        self._perform(self._calls.fence(*kinds))

    def flush(self, addr: int, size: int = 1) -> None:
        """Write the lines that hold `size` bytes at `addr` back to memory, and drop every copy. HSL 5.5."""
        self._perform(self._calls.flush(addr, size))

    def load_many(self, addrs: npt.ArrayLike, size: int = LINE_BYTES) -> npt.NDArray[np.uint8]:
        """Load `size` bytes at each of n addresses; return a uint8 array of shape (n, size).

        `addrs`: n integers in one dimension. The loads are pipelined, up to 1024 of them at a time, so they
        take far less time than n calls of `load`. Accesses of one line are performed in the order of
        `addrs`; the order of all others is open.

        >>> s.gpu.load_many(s.gpu.memory.lines[:100]).shape
        (100, 64)

        """
        return self._perform(self._calls.load_many(addrs, size))

    def store_many(self, addrs: npt.ArrayLike, data: npt.ArrayLike) -> None:
        """Store row i of `data` at address `addrs[i]`; pipelined and ordered as `load_many`.

        `addrs`: n integers in one dimension; `data`: uint8 of shape (n, size).

        >>> import numpy as np
        >>> s.cpu.store_many(s.host_memory.lines[:4], np.arange(256, dtype=np.uint8).reshape(4, 64))

        """
        self._perform(self._calls.store_many(addrs, data))
