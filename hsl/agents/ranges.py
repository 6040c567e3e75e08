"""The memory and the MMIO of a node as RANGE lists them, and where the map puts each (HSL 5.15.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hsl._generated.constants import SamType
from hsl._generated.layouts import RANGE_COUNT, RANGE_ENTRY, RANGE_STRIDE
from hsl.agents.address_map import MAX_WAYS, PAGE_BITS, PAGE_BYTES, SamEntry
from hsl.errors import ConfigError

__all__ = ["NodeRange", "Ranges", "encode_range"]

Place = Callable[[int, int], None]  # base and size in bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRange:
    """One range that a node offers to the map. HSL 5.15.2.

    Attributes:
        size: bytes, a multiple of 4 KiB; of a shared range those of the whole
        types: the SamTypes that a map entry may give it
        home: NID of its home (HDM_D) or of its I/O agent (MMIO)
        mt: NID of its memory target (HDM_H)
        ways: log2 of the most homes that may share it by turns
        place: called once with base and size when an entry of the map takes it

    """

    size: int
    types: frozenset[SamType]
    home: int = 0
    mt: int = 0
    ways: int = 0
    place: Place = lambda base, size: None

    def __post_init__(self) -> None:
        if not self.types or self.size <= 0 or self.size % PAGE_BYTES or not 0 <= self.ways <= MAX_WAYS:
            raise ConfigError(
                f"range of {self.size} bytes, types {sorted(self.types)}, ways {self.ways}: expected a "
                f"multiple of {PAGE_BYTES}, a type, and at most {MAX_WAYS} ways (log2)"
            )

    def fits(self, entry: SamEntry) -> bool:
        """True if an entry of the map may take this range. HSL 5.15.2."""
        home = self.mt == entry.mt if entry.type == SamType.HDM_H else self.home in entry.homes
        ways = entry.ways <= self.ways and bool(entry.ways) == bool(self.ways)
        return entry.type in self.types and home and ways and entry.last + 1 - entry.base == self.size


class Ranges:
    """The ranges of one node, in the order of RANGE; `nids` are those of its agents."""

    def __init__(self, ranges: Sequence[NodeRange], nids: frozenset[int] = frozenset()) -> None:
        if len(ranges) > RANGE_COUNT:
            raise ConfigError(f"{len(ranges)} ranges; RANGE has room for {RANGE_COUNT} (HSL 5.15.2)")
        self.ranges = tuple(ranges)
        self._nids = nids
        self._bases: dict[int, int] = {}  # of the ranges that are taken, by index

    def can_take(self, entry: SamEntry) -> bool:
        """True if an entry names no agent of this node, or fits a range. HSL 5.15.2 [HSL-BOT-005]."""
        return not self._names(entry) or self._index(entry) is not None

    def has(self, entry: SamEntry) -> bool:
        """True if an entry fits a range of this node."""
        return self._names(entry) and self._index(entry) is not None

    def take(self, entry: SamEntry) -> bool:
        """Give the range that an entry fits its place, where it stays; True if it had none before."""
        index = self._index(entry) if self._names(entry) else None
        if index is None or index in self._bases:
            return False
        self._bases[index] = entry.base
        self.ranges[index].place(entry.base, self.ranges[index].size)
        return True

    def _names(self, entry: SamEntry) -> bool:
        """True if an entry says that the memory or the MMIO of its range is in this node."""
        if not self.ranges or entry.type == SamType.HOSTMEM:
            return False
        named = {entry.mt} if entry.type == SamType.HDM_H else set(entry.homes)
        return not named.isdisjoint(self._nids)

    def _index(self, entry: SamEntry) -> int | None:
        for index, base in self._bases.items():
            if base == entry.base:
                return index if self.ranges[index].fits(entry) else None
        free = (index for index in range(len(self.ranges)) if index not in self._bases)
        return next((index for index in free if self.ranges[index].fits(entry)), None)


def encode_range(one: NodeRange, first: int) -> bytes:
    """The granules of an entry of RANGE; `first` is the first NID of the port. HSL 5.15.2."""
    d0 = {
        "valid": 1,
        "types": sum(1 << each for each in one.types),
        "ways": one.ways,
        "home": one.home - first if one.types - {SamType.HDM_H} else 0,
        "mt": one.mt - first if SamType.HDM_H in one.types else 0,
    }
    data = bytes(RANGE_ENTRY.build({"d0": d0, "d1": {"size": one.size >> PAGE_BITS}}))
    assert len(data) == RANGE_STRIDE
    return data
