"""pcapng (IETF draft-ietf-opsawg-pcapng): records to blocks, and a stream of blocks back to records.

Written are Section Header, Interface Description, Enhanced Packet and Interface Statistics blocks,
little-endian, times in ns. Read are both byte orders and any resolution of time; blocks of unknown types are
passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum, IntFlag
from typing import BinaryIO, NamedTuple

from hsl.errors import CaptureError, CaptureTruncated

__all__ = [
    "LINKTYPE_USER0",
    "MAX_BLOCK_BYTES",
    "MAX_INTERFACES",
    "MAX_OPTION_BYTES",
    "Direction",
    "Interface",
    "Packet",
    "PacketError",
    "Record",
    "Section",
    "Statistics",
    "encode",
    "read_records",
]

# The first private linktype: its packets mean what reader and writer agree on, here one flit each.
LINKTYPE_USER0 = 147
# What a reader holds at a time: a packet of any link layer has at most 64 KiB, the rest is for its comments.
MAX_BLOCK_BYTES = 1 << 20
# 64 ports of 8 links, two directions each; readers keep a section's interfaces.
MAX_INTERFACES = 1024
# The length of an option has 16 bits.
MAX_OPTION_BYTES = (1 << 16) - 1

MAGIC = 0x1A2B3C4D
VERSION_MAJOR, VERSION_MINORS = 1, (0, 2)  # 1.2 is read as 1.0, says the format
FRAME_BYTES = 12  # type, length, length again
NS_PER_S = 10**9
NANOSECONDS = 9  # if_tsresol: units of 10^-9 s
DEFAULT_RESOLUTION = 6


class BlockType(IntEnum):
    """The blocks that are known here; a packet without a time is refused, it would be lost otherwise."""

    INTERFACE = 1
    OLD_PACKET = 2
    SIMPLE_PACKET = 3
    STATISTICS = 5
    PACKET = 6
    SECTION = 0x0A0D0D0A


# Options that are written or read, by the names of the format; the same number has a meaning in each block.
OPT_ENDOFOPT, OPT_COMMENT = 0, 1
SHB_USERAPPL = 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET = 2, 3, 9, 14
EPB_FLAGS = 2
ISB_IFRECV = 4


class Direction(IntEnum):
    """Bits 0 and 1 of epb_flags, as seen by the one that captures."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


DIRECTIONS = (*Direction, Direction.UNKNOWN)


class PacketError(IntFlag):
    """The error bits of epb_flags that a flit can have."""

    NONE = 0
    CRC = 1 << 24
    SHORT = 1 << 26


class Section(NamedTuple):
    """Opens a file, or a section of it; the interfaces that follow are its own."""

    comments: tuple[str, ...] = ()
    application: str = ""


class Interface(NamedTuple):
    """One source of packets. `resolution`: units of time in a second; `offset_s` is added to each time."""

    name: str = ""
    description: str = ""
    linktype: int = LINKTYPE_USER0
    resolution: int = NS_PER_S
    offset_s: int = 0


class Packet(NamedTuple):
    """One packet of a capture: a flit.

    Attributes:
        time: ns of the clock of the capture
        interface: index of its lane in `Reader.lanes`
        direction: INBOUND or OUTBOUND for the node that the capture is a view of, UNKNOWN between two others
        data: bytes of the flit as it was sent; in a capture of one end, a flit of the peer as it arrived
        comments: what happened to it: faults, events of its link before it
        errors: PacketError bits

    """

    time: int
    interface: int
    direction: Direction
    data: bytes
    comments: tuple[str, ...] = ()
    errors: PacketError = PacketError.NONE


class Statistics(NamedTuple):
    """Statistics of an interface when it ended: packets in this section, and last comments."""

    time: int
    interface: int
    received: int
    comments: tuple[str, ...] = ()


Record = Section | Interface | Packet | Statistics


# ---- records to bytes


def encode(record: Record) -> bytes:
    """The block of a record; interfaces are always written with times in ns.

    Raises CaptureError for a time beyond 64 bits, and for a text too long for an option.
    """
    match record:
        case Packet(time, interface, direction, data, comments, errors):
            head = struct.pack("<5I", interface, *_halves(time), len(data), len(data))
            flags = _option(EPB_FLAGS, struct.pack("<I", int(direction) | int(errors)))
            return _block(BlockType.PACKET, head + _padded(data), flags, comments)
        case Section(comments, application):
            head = struct.pack("<IHHq", MAGIC, VERSION_MAJOR, 0, -1)
            return _block(BlockType.SECTION, head, _text(SHB_USERAPPL, application), comments)
        case Interface(name, description, linktype):
            options = _text(IF_NAME, name) + _text(IF_DESCRIPTION, description)
            options += _option(IF_TSRESOL, bytes([NANOSECONDS]))
            return _block(BlockType.INTERFACE, struct.pack("<HHI", linktype, 0, 0), options)
        case Statistics(time, interface, received, comments):
            head = struct.pack("<3I", interface, *_halves(time))
            count = _option(ISB_IFRECV, struct.pack("<Q", received))
            return _block(BlockType.STATISTICS, head, count, comments)


def _halves(time: int) -> tuple[int, int]:
    if not 0 <= time < 1 << 64:
        raise CaptureError(f"time {time} ns; expected 0 to 2^64-1")
    return divmod(time, 1 << 32)


def _block(kind: BlockType, head: bytes, options: bytes, comments: Iterable[str] = ()) -> bytes:
    for comment in comments:
        options += _text(OPT_COMMENT, comment)
    body = head + options + (_option(OPT_ENDOFOPT, b"") if options else b"")
    length = struct.pack("<I", len(body) + FRAME_BYTES)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _text(code: int, text: str) -> bytes:
    """A text as an option; nothing for an empty one."""
    value = text.encode(errors="replace")
    if len(value) > MAX_OPTION_BYTES:
        raise CaptureError(f"a text of {len(value)} bytes; at most {MAX_OPTION_BYTES} fit an option")
    return _option(code, value) if value else b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


# ---- bytes to records


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """The records of a stream, one block in memory at a time.

    Raises CaptureError with the offset of an invalid block, and CaptureTruncated if the stream ends inside a
    block. All whole blocks before it have been given by then.
    """
    offset, order = 0, "<"
    interfaces: list[Interface] = []
    while head := _take(stream, 8, offset, first=True):
        if head[:4] == BlockType.SECTION.to_bytes(4, "little"):
            magic = _take(stream, 4, offset)
            order = _byte_order(magic, offset)
            interfaces.clear()
        elif offset == 0:
            raise CaptureError("no pcapng file: it does not begin with a section header", offset=0)
        else:
            magic = b""
        kind, length = struct.unpack(order + "II", head)
        if not FRAME_BYTES + len(magic) <= length <= MAX_BLOCK_BYTES or length % 4:
            legal = f"multiples of 4 from {FRAME_BYTES + len(magic)} to {MAX_BLOCK_BYTES}"
            raise CaptureError(f"block of {length} bytes at {offset}; expected {legal}", offset=offset)
        rest = _take(stream, length - 8 - len(magic), offset)
        if struct.unpack(order + "I", rest[-4:]) != (length,):
            raise CaptureError(f"block at {offset}: its two lengths differ", offset=offset)
        record = _Block(order, magic + rest[:-4], offset, interfaces).record(kind)
        if isinstance(record, Interface):
            if len(interfaces) == MAX_INTERFACES:
                raise CaptureError(f"more than {MAX_INTERFACES} interfaces in a section", offset=offset)
            interfaces.append(record)
        if record is not None:
            yield record
        offset += length
    if offset == 0:
        raise CaptureTruncated("no pcapng file: it is empty", offset=0)


def _take(stream: BinaryIO, size: int, offset: int, *, first: bool = False) -> bytes:
    """`size` bytes of the block at `offset`; nothing at the end of the stream if they are its `first`."""
    parts, missing = [], size
    while missing and (part := stream.read(missing)):  # a pipe gives what it has
        parts.append(part)
        missing -= len(part)
    data = b"".join(parts)
    if missing and (data or not first):
        raise CaptureTruncated(f"the capture ends inside the block at {offset}", offset=offset)
    return data


def _byte_order(magic: bytes, offset: int) -> str:
    for order in "<>":
        if struct.unpack(order + "I", magic) == (MAGIC,):
            return order
    raise CaptureError(f"section header at {offset}: byte-order magic {magic.hex()}", offset=offset)


class _Block:
    """The body of one block; every look beyond its end is a CaptureError."""

    def __init__(self, order: str, body: bytes, offset: int, interfaces: list[Interface]) -> None:
        self.order = order
        self.body = body
        self.offset = offset
        self.interfaces = interfaces

    def record(self, kind: int) -> Record | None:
        """The record of a block of this type, None when the type is unknown."""
        match kind:
            case BlockType.PACKET:
                return self._packet()
            case BlockType.SECTION:
                return self._section()
            case BlockType.INTERFACE:
                return self._interface()
            case BlockType.STATISTICS:
                return self._statistics()
            case BlockType.SIMPLE_PACKET | BlockType.OLD_PACKET:
                raise self._error("packets of this type are not read: they have no time or are obsolete")
        return None

    def _error(self, text: str) -> CaptureError:
        return CaptureError(f"block at {self.offset}: {text}", offset=self.offset)

    def _fields(self, form: str) -> tuple[int, ...]:
        form = self.order + form
        if struct.calcsize(form) > len(self.body):
            raise self._error(f"only {len(self.body)} bytes inside")
        return struct.unpack_from(form, self.body)

    def _options(self, at: int) -> Iterator[tuple[int, bytes]]:
        while at < len(self.body):
            if at + 4 > len(self.body):
                raise self._error("an option goes beyond the end")
            code, length = struct.unpack_from(self.order + "HH", self.body, at)
            if code == OPT_ENDOFOPT:
                return
            at += 4
            if at + length > len(self.body):
                raise self._error(f"option {code} goes beyond the end")
            yield code, self.body[at : at + length]
            at += length + -length % 4

    def _read(self, at: int) -> tuple[dict[int, bytes], tuple[str, ...]]:
        """Options by code, the last of each, and all comments."""
        comments, values = [], {}
        for code, value in self._options(at):
            if code == OPT_COMMENT:
                comments.append(value.decode(errors="replace"))
            else:
                values[code] = value
        return values, tuple(comments)

    def _number(self, options: Mapping[int, bytes], code: int, form: str, default: int) -> int:
        value, form = options.get(code), self.order + form
        if value is None:
            return default
        if len(value) != struct.calcsize(form):
            raise self._error(f"option {code} of {len(value)} bytes; expected {struct.calcsize(form)}")
        return int(struct.unpack(form, value)[0])

    def _time(self, index: int, high: int, low: int) -> int:
        """Units of the interface in ns."""
        if index >= len(self.interfaces):
            raise self._error(f"interface {index} of {len(self.interfaces)}")
        interface = self.interfaces[index]
        return ((high << 32) + low) * NS_PER_S // interface.resolution + interface.offset_s * NS_PER_S

    def _section(self) -> Section:
        _, major, minor, _ = self._fields("IHHq")
        if major != VERSION_MAJOR or minor not in VERSION_MINORS:
            raise self._error(f"version {major}.{minor} of the format; expected 1.0 and 1.2")
        options, comments = self._read(16)
        return Section(comments, options.get(SHB_USERAPPL, b"").decode(errors="replace"))

    def _interface(self) -> Interface:
        linktype, _, _ = self._fields("HHI")
        options, _ = self._read(8)
        power = self._number(options, IF_TSRESOL, "B", DEFAULT_RESOLUTION)
        return Interface(
            options.get(IF_NAME, b"").decode(errors="replace"),
            options.get(IF_DESCRIPTION, b"").decode(errors="replace"),
            linktype,
            1 << (power & 0x7F) if power & 0x80 else 10**power,
            self._number(options, IF_TSOFFSET, "q", 0),
        )

    def _packet(self) -> Packet:
        index, high, low, captured, _ = self._fields("5I")
        end = 20 + captured
        if end + -captured % 4 > len(self.body):
            raise self._error(f"a packet of {captured} bytes goes beyond the end")
        options, comments = self._read(end + -captured % 4)
        flags = self._number(options, EPB_FLAGS, "I", 0)
        direction = DIRECTIONS[flags & 3]
        errors = PacketError(flags & (PacketError.CRC | PacketError.SHORT))
        time = self._time(index, high, low)
        return Packet(time, index, direction, self.body[20:end], comments, errors)

    def _statistics(self) -> Statistics:
        index, high, low = self._fields("3I")
        options, comments = self._read(12)
        received = self._number(options, ISB_IFRECV, "Q", 0)
        return Statistics(self._time(index, high, low), index, received, comments)
