"""The calls of an attached device: those of hsl.Agent, interrupts, registers of other nodes (HSL 5.10)."""

from __future__ import annotations

import numpy as np

from hsl._generated.constants import DEVICE_VECTORS, GRANULE_BYTES, Err, SamType
from hsl.agents.access import Access
from hsl.attached.device import AttachedNode
from hsl.emulator.arguments import Bytes, integer, positive, raw, within
from hsl.emulator.calls import Call, Calls, nothing
from hsl.errors import AddressError

__all__ = ["DeviceCalls"]

MAX_DATA = (1 << 32) - 1  # of an interrupt


class DeviceCalls(Calls):
    """The calls of the programs of `device`."""

    def __init__(self, device: AttachedNode) -> None:
        super().__init__(lambda: device.mapped.ranges)
        self._device = device

    def intr(self, vector: int, data: int) -> Call[None]:
        """Return the interrupt `vector` of this device."""
        number = within("vector", vector, 0, DEVICE_VECTORS - 1) + self._device.vector
        word = number.to_bytes(4, "little") + within("data", data, 0, MAX_DATA).to_bytes(4, "little")
        return Call([Access("intr", size=len(word), data=word, dst=self._device.target)], nothing)

    def ncread(self, addr: int, size: int) -> Call[bytes]:
        """Return the read of a register."""
        addr, size = integer("addr", addr), positive("size", size)
        self._check_mmio("ncread", addr, size)
        return Call([Access("ncread", addr, size)], b"".join)

    def ncwrite(self, addr: int, data: Bytes | int) -> Call[None]:
        """Return the write of a register."""
        if isinstance(data, int | np.integer):
            data = within("data", data, 0, (1 << 8 * GRANULE_BYTES) - 1).to_bytes(GRANULE_BYTES, "little")
        addr, written = integer("addr", addr), raw(data)
        self._check_mmio("ncwrite", addr, positive("size of the data", len(written)))
        return Call([Access("ncwrite", addr, len(written), written)], nothing)

    def _check_mmio(self, what: str, addr: int, size: int) -> None:
        """Raise AddressError unless one node has registers at all of the `size` bytes."""
        mmio = [e for e in self._device.mapped.entries if e is not None and e.type == SamType.MMIO]
        if not any(entry.base <= addr and addr + size - 1 <= entry.last for entry in mmio):
            known = ", ".join(f"{entry.base:#x}..{entry.last:#x}" for entry in mmio)
            raise AddressError(
                f"{what} of {size} bytes at {addr:#x}: no node has registers there; there are {known}",
                code=Err.DECODE,
            )
