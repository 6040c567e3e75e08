"""Memory of a home: lines of 64 bytes, each with its POISON bit (HSL 6.1)."""

from __future__ import annotations

from hsl._generated.constants import LINE_BYTES, Err
from hsl.errors import ConfigError, TransactionError

__all__ = ["MEMORY_LIMIT", "Memory"]

# Most bytes of one Memory: the emulators hold it in the process, and a laptop must bear two of them.
MEMORY_LIMIT = 1 << 30


class Memory:
    """`size` bytes from the system physical address `base`; both multiples of 64.

    Without a base it is nowhere until `place` gives parts of it an address: a device learns the map at boot.
    Every access outside ends with TransactionError DECODE; a size above MEMORY_LIMIT is a ConfigError.
    The bytes are reserved, not touched: unused pages cost nothing.
    """

    def __init__(self, base: int | None, size: int) -> None:
        at = 0 if base is None else base
        if at < 0 or at % LINE_BYTES or size % LINE_BYTES or not 0 < size <= MEMORY_LIMIT:
            raise ConfigError(
                f"memory of {size} bytes at {at:#x}: both must be multiples of {LINE_BYTES}, "
                f"the size 1..{MEMORY_LIMIT} (MEMORY_LIMIT)"
            )
        self.size = size
        self._bytes = bytearray(size)
        self._parts: list[tuple[int, int, int]] = []  # base, size, offset; as many as the node has ranges
        self._poison: set[int] = set()  # lines; at most one for each line of the memory
        self._failed: set[int] = set()  # likewise
        if base is not None:
            self.place(base, size)

    def place(self, base: int, size: int) -> None:
        """Let the next `size` bytes answer from `base` on. Raises ConfigError when so many are not left."""
        used = sum(part for _, part, _ in self._parts)
        if size > self.size - used:
            raise ConfigError(f"memory of {self.size} bytes, {used} of them placed: {size} more at {base:#x}")
        self._parts.append((base, size, used))

    def _offset(self, addr: int, size: int) -> int:
        for base, length, offset in self._parts:
            if 0 <= size <= length and base <= addr <= base + length - size:
                return addr - base + offset
        raise TransactionError(f"{size} bytes at {addr:#x} lie outside {self}", code=Err.DECODE)

    def __str__(self) -> str:
        """Return its ranges of addresses."""
        parts = (f"{base:#x}..{base + length - 1:#x}" for base, length, _ in self._parts)
        return ", ".join(parts) or "a memory without an address"

    def covers(self, base: int, last: int) -> bool:
        """True if this memory has all bytes of `base`..`last`."""
        return any(first <= base <= last < first + size for first, size, _ in self._parts)

    def read(self, addr: int, size: int) -> bytes:
        """`size` bytes at `addr`, whatever their poison: the view of a debugger, not of a cache."""
        offset = self._offset(addr, size)
        return bytes(self._bytes[offset : offset + size])

    def write(self, addr: int, data: bytes) -> None:
        """Put `data` at `addr` (bulk load); the lines that it fills whole lose their poison."""
        offset = self._offset(addr, len(data))
        self._bytes[offset : offset + len(data)] = data
        if self._poison:
            first = -(-addr // LINE_BYTES) * LINE_BYTES
            end = (addr + len(data)) // LINE_BYTES * LINE_BYTES
            self._poison.difference_update(range(first, end, LINE_BYTES))

    def fail(self, addr: int) -> None:
        """The cells of the line at `addr` are dead: an agent's access ends with TransactionError DATA."""
        self._offset(addr, LINE_BYTES)
        self._failed.add(addr)

    def _alive(self, addr: int) -> None:
        if addr in self._failed:
            raise TransactionError(f"the line at {addr:#x} cannot be accessed", code=Err.DATA)

    def read_line(self, addr: int) -> tuple[bytes, bool]:
        """The 64 bytes of the line at `addr`, and its poison."""
        self._alive(addr)
        return self.read(addr, LINE_BYTES), addr in self._poison

    def write_line(self, addr: int, data: bytes, poison: bool = False) -> None:
        """Write the whole line at `addr`; its poison becomes `poison`. HSL 6.1."""
        self._alive(addr)
        self.write(addr, data)
        (self._poison.add if poison else self._poison.discard)(addr)

    def merge(self, addr: int, data: bytes, be: int, poison: bool = False) -> None:
        """Write the bytes of `data` whose bit in `be` is 1, at `addr` inside one line. HSL 5.12, 6.1.

        The line is poisoned afterwards if it was, or if `poison`; all 64 bytes written clear the old mark.
        """
        line = addr - addr % LINE_BYTES
        old, poisoned = self.read_line(line)
        new = bytearray(old)
        for index, byte in enumerate(data):
            if be >> index & 1:
                new[addr - line + index] = byte
        whole = be == (1 << LINE_BYTES) - 1
        self.write_line(line, bytes(new), poison or (poisoned and not whole))

    def poison(self, addr: int) -> None:
        """Mark the line at `addr`: its current data are gone. HSL 5.6 M3."""
        self._offset(addr, LINE_BYTES)
        self._poison.add(addr)

    def poisoned(self, addr: int) -> bool:
        """True if the line at `addr` is poisoned."""
        return addr in self._poison
