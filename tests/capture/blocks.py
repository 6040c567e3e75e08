"""pcapng blocks put together by hand in either byte order, to hold against `hsl.capture.pcapng`."""

from __future__ import annotations

import struct

SECTION, INTERFACE, PACKET, STATISTICS = 0x0A0D0D0A, 1, 6, 5


def block(
    order: str, kind: int, body: bytes, *, length: int | None = None, again: int | None = None
) -> bytes:
    """A block; `length` and `again` are its two lengths where they are to be wrong."""
    size = len(body) + 12 if length is None else length
    last = size if again is None else again
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", last)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str, options: bytes = b"", *, version: tuple[int, int] = (1, 0)) -> bytes:
    return block(order, SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options)


def interface(order: str, options: bytes = b"", *, linktype: int = 147) -> bytes:
    return block(order, INTERFACE, struct.pack(order + "HHI", linktype, 0, 0) + options)


def packet(
    order: str, index: int, ticks: int, data: bytes, options: bytes = b"", size: int | None = None
) -> bytes:
    """`size`: the captured length where it is to be wrong."""
    captured = len(data) if size is None else size
    head = struct.pack(order + "5I", index, ticks >> 32, ticks & 0xFFFFFFFF, captured, len(data))
    return block(order, PACKET, head + data + bytes(-len(data) % 4) + options)


def statistics(order: str, index: int, options: bytes = b"") -> bytes:
    return block(order, STATISTICS, struct.pack(order + "III", index, 0, 0) + options)
