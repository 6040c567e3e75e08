"""The memory of a topology as its users see it: ranges of addresses by name."""

from __future__ import annotations

from dataclasses import dataclass

from hsl._generated.constants import LINE_BYTES
from hsl.emulator.topology import Topology

__all__ = ["MemoryRange", "memory_ranges"]

UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """A range of system physical addresses that memory answers (HSL 5.1).

    `base`: its first address; `size`: its bytes. `addr in range` is True for an address inside.
    """

    base: int
    size: int

    @property
    def last(self) -> int:
        """The last address of the range."""
        return self.base + self.size - 1

    @property
    def lines(self) -> range:
        """The addresses of its 64-byte lines."""
        return range(self.base, self.base + self.size, LINE_BYTES)

    def __contains__(self, addr: int) -> bool:
        return self.base <= addr <= self.last

    def __str__(self) -> str:
        """`0x0..0x3ffffff (64 MiB)`."""
        unit, name = next(((unit, name) for unit, name in UNITS if self.size % unit == 0), (1, "bytes"))
        return f"{self.base:#x}..{self.last:#x} ({self.size // unit} {name})"


def memory_ranges(topology: Topology) -> dict[str, MemoryRange]:
    """Return the ranges by name, of the memory node only where there is one."""
    return {
        name: MemoryRange(entry.base, entry.last + 1 - entry.base)
        for name, entry in topology.regions().items()
        if name != "memory" or topology.memory_nodes
    }
