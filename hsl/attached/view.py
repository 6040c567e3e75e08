"""The properties of an attached device, which can be read from any thread."""

from __future__ import annotations

from hsl._generated.constants import SamType
from hsl.attached.core import Core
from hsl.emulator.memory_range import MemoryRange
from hsl.errors import AddressError

__all__ = ["DeviceView"]


class DeviceView:
    """The properties that the blocking and the async device share."""

    _core: Core

    @property
    def nid(self) -> int:
        """The first of its 16 NIDs; its cache is the agent `nid` + 3. HSL 5.1, A.1."""
        return self._core.settings.nid

    @property
    def ready(self) -> bool:
        """True while the link is up and the CPU lets this device send requests. HSL 5.15.3."""
        return self._core.device.node.ready and not self._core.closed

    @property
    def memory_map(self) -> dict[str, MemoryRange]:
        """The MemoryRange of each memory by name, from the map that the CPU has written. HSL A.2.

        "hostmem" is the memory of the CPU, from address 0. "device0" is that of this device if it is at
        port 0 of the CPU, "device1" at port 1, and so on; the CPU uses it too. "host0", "host1", ... are
        memory of other devices whose home is at the CPU (HDM-H). Memory whose home is another device is left
        out: requests would have to pass through the CPU. Devices that the CPU boots later appear when it has
        written them into the map of this one.
        """
        return dict(self._core.device.mapped.ranges)

    @property
    def host_memory(self) -> MemoryRange:
        """The range of the CPU's memory. Raises AddressError if the map has none."""
        for name, entry in self._core.device.mapped.regions.items():
            if entry.type == SamType.HOSTMEM:
                return self._core.device.mapped.ranges[name]
        raise AddressError("the map that the CPU has written has no host memory")

    @property
    def memory(self) -> MemoryRange | None:
        """The range of the memory of this device, which all nodes can use; None for `memory_bytes=0`."""
        return self._core.device.memory

    def __repr__(self) -> str:
        state = "ready" if self.ready else "closed" if self._core.closed else "not ready"
        return f"<hsl.{type(self).__name__} {self._core.settings.uri}, NID {self.nid}, {state}>"
