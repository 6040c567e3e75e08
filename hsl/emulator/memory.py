"""The memory node: a memory target on one port, and no program."""

from __future__ import annotations

from collections.abc import Callable

from hsl.emulator.device import Device
from hsl.emulator.topology import Topology

__all__ = ["MemoryDevice"]


class MemoryDevice(Device):
    """Memory that the CPU's home serves to everybody; it does what it is asked until its port goes down."""

    def __init__(self, topology: Topology, epoch: Callable[[], int]) -> None:
        super().__init__(topology.memory_node(epoch), topology)
        self.finished = True  # nothing of its own is ever left to do

    def begin(self) -> None:
        """No program."""
