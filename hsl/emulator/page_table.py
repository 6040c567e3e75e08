"""The pages of a program in emulated memory, and their expected contents."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hsl._generated.constants import LINE_BYTES
from hsl.agents.address_map import PAGE_BYTES
from hsl.errors import ConfigError

__all__ = ["FlatMemory", "HomeCounts", "Page"]


@dataclass(slots=True)
class HomeCounts:
    """Accesses of a home. An access that touches two lines counts twice; `waited` in ns."""

    pages: int = 0
    accesses: int = 0
    misses: int = 0
    waited: int = 0


class Page:
    """One page: `base` is its physical address, `data` what it holds when all accesses so far have ended."""

    __slots__ = ("base", "counts", "data")

    def __init__(self, base: int, data: bytes, counts: HomeCounts) -> None:
        self.base = base
        self.data = bytearray(data)
        self.counts = counts


class FlatMemory:
    """The program's memory without caches and links: what is right.

    `first`, `size`: the range of emulated memory, which its pages fill in the order in which they are first
    touched. Each holds random bytes then; `load(address, bytes)` puts them into the emulated memory too, as a
    loader does, and gives the counts of the home. So a wrong page shows in bytes that were never written.
    """

    def __init__(
        self, first: int, size: int, rng: random.Random, load: Callable[[int, bytes], HomeCounts]
    ) -> None:
        self.pages: dict[int, Page] = {}  # by number; at most `limit`
        self.limit = size // PAGE_BYTES
        self._first = first
        self._rng = rng
        self._load = load

    def pieces(self, addr: int, size: int) -> list[tuple[Page, int, int]]:
        """(page, offset, bytes) of an access, one for each line that it touches.

        ConfigError when the program touches more pages than the memory has.
        """
        found = []
        while size:
            offset = addr % PAGE_BYTES
            part = min(size, LINE_BYTES - offset % LINE_BYTES)
            found.append(
                (self.pages.get(addr // PAGE_BYTES) or self._touch(addr // PAGE_BYTES), offset, part)
            )
            addr += part
            size -= part
        return found

    def _touch(self, number: int) -> Page:
        if len(self.pages) >= self.limit:
            raise ConfigError(
                f"the program touches more than {self.limit} pages of {PAGE_BYTES} bytes, which is all the "
                "memory of this home: memory_bytes and device_bytes of --topology FILE make it larger"
            )
        base, data = self._first + PAGE_BYTES * len(self.pages), self._rng.randbytes(PAGE_BYTES)
        page = self.pages[number] = Page(base, data, self._load(base, data))
        page.counts.pages += 1
        return page
