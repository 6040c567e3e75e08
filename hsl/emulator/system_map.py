"""The places of the ranges of devices in the map of the reference system (HSL annex A.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hsl._generated.constants import FIRST_RANGE, WINDOW_BITS, SamType, SystemNid
from hsl._generated.layouts import RANGE_COUNT
from hsl.agents.address_map import PAGE_BITS, PAGE_BYTES, SamEntry
from hsl.agents.ranges import NodeRange
from hsl.errors import ConfigError

__all__ = ["CPU_MMIO", "cpu_entries", "index_of", "memories", "named", "placed"]

CPU_MMIO: Final = 1 << 40  # the MMIO of the CPU lies above the windows of all ports
PREFERRED: Final = (SamType.HDM_D, SamType.HDM_H, SamType.MMIO)
SHARED_WAYS: Final = 1  # log2: the CPU and one device


def index_of(port: int, number: int) -> int:
    """Return the index of the map entry of range `number` of the device at `port`."""
    return FIRST_RANGE + RANGE_COUNT * port + number


def placed(port: int, ranges: Sequence[NodeRange], shared: int) -> list[SamEntry | None]:
    """Return the map entry of each range of the device at `port`, None for one that is left out of the map.

    `shared`: bytes of the shared range that the CPU has memory for. Raises ConfigError for a range that does
    not fit the window of the port, or whose types the map cannot give it.
    """
    at = (1 + port) << WINDOW_BITS
    entries = []
    for number, one in enumerate(ranges):
        unit = 1 << (one.size - 1).bit_length()
        at = -(-at // unit) * unit
        if at + one.size > (2 + port) << WINDOW_BITS:
            raise ConfigError(
                f"range {number} of {one.size} bytes does not fit the window of port {port}, "
                f"2^{WINDOW_BITS} bytes (HSL A.2)"
            )
        entries.append(_entry(one, at, shared))
        at += one.size
    return entries


def _entry(one: NodeRange, base: int, shared: int) -> SamEntry | None:
    last = base + one.size - 1
    kind = next((kind for kind in PREFERRED if kind in one.types), None)
    if kind is None:
        legal = ", ".join(kind.name for kind in PREFERRED)
        raise ConfigError(f"a range of types {sorted(one.types)}; expected one of {legal} (HSL A.2)")
    if not one.ways:
        hosted = kind == SamType.HDM_H
        home = SystemNid.HOME if hosted else one.home
        return SamEntry(base, last, kind, home=home, mt=one.mt if hosted else 0)
    if kind != SamType.HDM_D or one.home != SystemNid.SHARED_HOME + 1 or one.size != shared:
        return None
    return SamEntry(base, last, kind, home=SystemNid.SHARED_HOME, ways=SHARED_WAYS, granule=PAGE_BITS)


def named(port: int, entries: Iterable[SamEntry | None], *, memory_node: bool = False) -> dict[str, SamEntry]:
    """Return the memory of a device by name: device0 (HDM_D), host0 (HDM_H), interleaved, memory."""
    found: dict[str, SamEntry] = {}
    for entry in entries:
        if entry is None or not entry.coherent:
            continue
        if entry.ways:
            name = "interleaved"
        elif entry.type == SamType.HDM_D:
            name = f"device{port}"
        else:
            name = "memory" if memory_node else f"host{port}"
        found.setdefault(name, entry)
    return found


def memories(entries: Sequence[SamEntry | None]) -> dict[str, SamEntry]:
    """Return the memory in a whole map by name, as a device knows it: by the index of each entry (HSL A.2).

    The names are those of `named`. A second range of a name has its number behind it, as device0.2: every
    range that can be used is named.
    """
    found: dict[str, SamEntry] = {}
    for index, entry in enumerate(entries):
        if entry is None or not entry.coherent:
            continue
        name = "hostmem"
        if entry.type != SamType.HOSTMEM:
            port = max(0, index - FIRST_RANGE) // RANGE_COUNT
            (name,) = named(port, [entry])
        others = sum(each == name or each.startswith(f"{name}.") for each in found)
        found[f"{name}.{others + 1}" if others else name] = entry
    return found


def cpu_entries(memory_bytes: int) -> list[SamEntry]:
    """Return the entries of the CPU itself: host memory and its MMIO."""
    return [
        SamEntry(0, memory_bytes - 1, SamType.HOSTMEM, home=SystemNid.HOME),
        SamEntry(CPU_MMIO, CPU_MMIO + PAGE_BYTES - 1, SamType.MMIO, home=SystemNid.IO),
    ]
