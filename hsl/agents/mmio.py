"""Registers, doorbells, interrupts and shared queues in the MMIO ranges of a node (HSL 5.10)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, SamType
from hsl.agents.address_map import AddressMap
from hsl.errors import ConfigError

__all__ = ["MMIO_LIMIT", "QUEUE_LIMIT", "VECTORS_LIMIT", "Command", "Doorbell", "Interrupt", "Mmio"]

# Bytes of MMIO of one agent: registers and doorbells; bulk data has its place in memory.
MMIO_LIMIT: Final = 1 << 20
# Doorbells and commands that the device has not taken yet.
QUEUE_LIMIT: Final = 256
# Interrupt vectors of one agent, each with a slot: as many as MSI-X gives a function, for 32 devices.
VECTORS_LIMIT: Final = 1 << 16


class Doorbell(NamedTuple):
    """An NcWrite of 8 bytes: where, what, and the NID that rang."""

    addr: int
    data: bytes
    src: int


class Interrupt(NamedTuple):
    """A pending interrupt: its vector, and data (u32) and source NID of the last Intr of that vector."""

    vector: int
    data: int
    src: int


class Command(NamedTuple):
    """An NcEnq: the queue, its 64 bytes, and the NID that sent it."""

    queue: int
    data: bytes
    src: int


class Mmio:
    """The device's side of an I/O agent.

    `vectors`: interrupt vectors; `queues`: address of each shared queue, and how many commands it holds.
    Raises ConfigError for more than MMIO_LIMIT or VECTORS_LIMIT, or a queue that is not in the MMIO. `place`
    adds a range that the map got later.
    """

    def __init__(
        self, nid: int, address_map: AddressMap, doorbells: int, vectors: int, queues: Mapping[int, int]
    ) -> None:
        self.nid = nid
        self._files: list[tuple[int, bytearray]] = []
        for entry in address_map:
            if entry.type == SamType.MMIO and nid in entry.homes:
                self.place(entry.base, entry.last + 1 - entry.base)
        if not 0 <= vectors <= VECTORS_LIMIT:
            raise ConfigError(f"I/O agent {nid}: {vectors} vectors; expected 0..{VECTORS_LIMIT}")
        self._doorbell_limit = doorbells
        self.vectors = vectors
        self.doorbells: deque[Doorbell] = deque()
        self.interrupts: dict[int, Interrupt] = {}  # the slots that are pending, by vector
        self.queues = {addr: (deque[Command](), limit) for addr, limit in queues.items()}
        for addr, limit in queues.items():
            if addr % LINE_BYTES or not self.covers(addr, LINE_BYTES) or not 0 < limit <= QUEUE_LIMIT:
                raise ConfigError(
                    f"I/O agent {nid}: queue of {limit} commands at {addr:#x}; expected 1..{QUEUE_LIMIT} "
                    f"at a multiple of {LINE_BYTES} in its MMIO"
                )

    def place(self, base: int, size: int) -> None:
        """Put `size` more bytes at `base`. Raises ConfigError beyond MMIO_LIMIT."""
        total = size + sum(len(file) for _, file in self._files)
        if total > MMIO_LIMIT:
            raise ConfigError(f"I/O agent {self.nid}: {total} bytes of MMIO; expected at most {MMIO_LIMIT}")
        self._files.append((base, bytearray(size)))

    @property
    def base(self) -> int | None:
        """The first byte of the first range, None before the map has given it a place."""
        return self._files[0][0] if self._files else None

    def covers(self, addr: int, size: int) -> bool:
        """True if the MMIO ranges of this node have all these bytes."""
        return any(base <= addr and addr + size <= base + len(file) for base, file in self._files)

    def _file(self, addr: int, size: int) -> tuple[bytearray, int]:
        for base, file in self._files:
            if base <= addr and addr + size <= base + len(file):
                return file, addr - base
        raise ConfigError(f"I/O agent {self.nid}: {size} bytes at {addr:#x} are not in its MMIO")

    def read(self, addr: int, size: int) -> bytes:
        """Bytes of registers; ConfigError outside."""
        file, offset = self._file(addr, size)
        return bytes(file[offset : offset + size])

    def write(self, addr: int, data: bytes, be: int | None) -> None:
        """Write the bytes whose bit in `be` is 1, None = all; ConfigError outside."""
        file, offset = self._file(addr, len(data))
        for i, byte in enumerate(data):
            if be is None or be >> i & 1:
                file[offset + i] = byte

    def ring(self, doorbell: Doorbell, be: int | None) -> bool:
        """Write, and ring when 8 whole bytes came; False when a doorbell finds no room: nothing happened."""
        whole = be is None or be == (1 << len(doorbell.data)) - 1
        rings = whole and len(doorbell.data) == GRANULE_BYTES
        if rings and len(self.doorbells) >= self._doorbell_limit:
            return False
        self.write(doorbell.addr, doorbell.data, be)
        if rings:
            self.doorbells.append(doorbell)
        return True

    def interrupt(self, interrupt: Interrupt) -> None:
        """Merge an interrupt into the slot of its vector, where the last data win. HSL 5.10 [HSL-NCR-008]."""
        self.interrupts[interrupt.vector] = interrupt

    def enqueue(self, command: Command) -> bool:
        """Put a command in its queue; False when that is full: nothing happened. HSL 5.10 [HSL-NCR-004]."""
        queue, limit = self.queues[command.queue]
        if len(queue) >= limit:
            return False
        queue.append(command)
        return True
