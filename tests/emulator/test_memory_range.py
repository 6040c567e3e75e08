"""Ranges of memory by name: their first and last line, and how they are shown."""

from __future__ import annotations

import pytest

from hsl._generated.constants import LINE_BYTES
from hsl.emulator.memory_range import MemoryRange, memory_ranges
from hsl.emulator.topology import Topology


def test_lines() -> None:
    """The lines of each range of a system are those from its base to its end, every one."""
    for memory in memory_ranges(Topology(gpus=2, memory_nodes=1)).values():
        lines = memory.lines
        assert (lines[0], lines[-1], len(lines)) == (
            memory.base,
            memory.last + 1 - LINE_BYTES,
            memory.size // LINE_BYTES,
        )
        assert all(addr in memory for addr in (memory.base, memory.last))
        assert not any(addr in memory for addr in (memory.base - 1, memory.last + 1))


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (4 << 30, "4 GiB"),
        (3 << 20, "3 MiB"),
        (1537 << 20, "1537 MiB"),
        (3 << 10, "3 KiB"),
        (3000, "3000 bytes"),
        (1000, "1000 bytes"),
    ],
)
def test_shown_size(size: int, shown: str) -> None:
    """A range is shown with the largest unit that divides its size."""
    assert str(MemoryRange(0, size)) == f"0x0..{size - 1:#x} ({shown})"
