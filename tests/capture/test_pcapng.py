"""The pcapng format: round trip, golden bytes, both byte orders, every way in which bytes can be wrong."""

import io
import itertools
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl.capture.pcapng import (
    MAX_BLOCK_BYTES,
    MAX_INTERFACES,
    MAX_OPTION_BYTES,
    Direction,
    Interface,
    Packet,
    PacketError,
    Record,
    Section,
    Statistics,
    encode,
    read_records,
)
from hsl.errors import CaptureError, CaptureTruncated
from tests.capture.blocks import block, interface, option, packet, section, statistics

TINY: list[Record] = [
    Section(("hi",), "hsl"),
    Interface("a b->c", ""),
    Packet(0x1_0000_0002, 0, Direction.OUTBOUND, b"\x01\x02\x03", ("lost",), PacketError.CRC),
    Statistics(0x1_0000_0003, 0, 1, ("end",)),
]
# By hand, from the format's text: type, length, fixed fields; then options and the length again.
GOLDEN = bytes.fromhex(
    "0a0d0d0a 30000000 4d3c2b1a 0100 0000 ffffffffffffffff"
    "0400 0300 68736c00 0100 0200 68690000 00000000 30000000"
    "01000000 2c000000 9300 0000 00000000 0200 0600 6120622d3e630000 0900 0100 09000000 00000000 2c000000"
    "06000000 38000000 00000000 01000000 02000000 03000000 03000000 01020300"
    "0200 0400 02000001 0100 0400 6c6f7374 00000000 38000000"
    "05000000 30000000 00000000 01000000 03000000"
    "0400 0800 0100000000000000 0100 0300 656e6400 00000000 30000000"
)

texts = st.text(max_size=40)
spoken = st.text(min_size=1, max_size=40)  # an empty comment is none
comments = st.lists(spoken, max_size=3).map(tuple)
times = st.integers(0, (1 << 64) - 1)
errors = st.sampled_from(
    [PacketError.NONE, PacketError.CRC, PacketError.SHORT, PacketError.CRC | PacketError.SHORT]
)


def read(data: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(data)))


def read_until_wrong(data: bytes) -> tuple[list[Record], CaptureError | None]:
    """The records before the first error, and that error."""
    found: list[Record] = []
    try:
        found.extend(read_records(io.BytesIO(data)))
    except CaptureError as error:
        return found, error
    return found, None


@st.composite
def sections(draw: st.DrawFn) -> list[Record]:
    """A section with its interfaces, and packets and statistics of them."""
    found: list[Record] = [Section(draw(comments), draw(texts))]
    names = draw(st.lists(st.tuples(texts, texts, st.integers(0, 0xFFFF)), max_size=4))
    found += [Interface(*name) for name in names]
    if names:
        index = st.integers(0, len(names) - 1)
        direction = st.sampled_from(Direction)
        packets = st.builds(Packet, times, index, direction, st.binary(max_size=300), comments, errors)
        found += draw(st.lists(packets, max_size=8))
        found += draw(st.lists(st.builds(Statistics, times, index, times, comments), max_size=2))
    return found


@given(st.lists(sections(), min_size=1, max_size=3))
def test_round_trip(parts: list[list[Record]]) -> None:
    """What is written is read back, over several sections, for any text, time and data."""
    records = list(itertools.chain.from_iterable(parts))
    assert read(b"".join(map(encode, records))) == records


def test_golden_bytes() -> None:
    """A tiny file is exactly these bytes."""
    assert b"".join(map(encode, TINY)) == GOLDEN
    assert read(GOLDEN) == TINY


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders(order: str) -> None:
    """A section of either byte order is read, also after one of the other order."""
    flags = option(order, 2, struct.pack(order + "I", Direction.INBOUND | PacketError.SHORT))
    data = section(order, option(order, 1, "ü".encode()))
    data += interface(order, option(order, 2, b"name") + option(order, 9, b"\x09") + option(order, 0, b""))
    data += packet(
        order, 0, 0x123456789A, b"abcde", flags + option(order, 1, b"one") + option(order, 1, b"two")
    )
    data += statistics(order, 0, option(order, 4, struct.pack(order + "Q", 1 << 40)))
    expected = [
        Section(("ü",)),
        Interface("name"),
        Packet(0x123456789A, 0, Direction.INBOUND, b"abcde", ("one", "two"), PacketError.SHORT),
        Statistics(0, 0, 1 << 40),
    ]
    assert read(data) == expected
    assert read(GOLDEN + data) == TINY + expected


@pytest.mark.parametrize(
    ("resolution", "shift", "ticks", "time"),
    [
        (None, 0, 5, 5_000),  # microseconds unless it is said
        (0, 0, 5, 5_000_000_000),
        (3, 2, 5, 2_005_000_000),
        (9, -1, 1_500_000_000, 500_000_000),
        (12, 0, 5_999, 5),
        (0x80 | 10, 0, 1, 976_562),
        (127, 0, (1 << 64) - 1, 0),
        (0xFF, 0, (1 << 64) - 1, 0),
    ],
)
def test_resolutions(resolution: int | None, shift: int, ticks: int, time: int) -> None:
    """Times of any resolution and offset become ns, rounded down."""
    options = b"" if resolution is None else option("<", 9, bytes([resolution]))
    options += option("<", 14, struct.pack("<q", shift)) if shift else b""
    *_, got = read(section("<") + interface("<", options) + packet("<", 0, ticks, b""))
    assert isinstance(got, Packet)
    assert got.time == time


def test_unknown_blocks_are_passed_over() -> None:
    """A block of a type that is not known, private types included, is as if it were not there."""
    start = GOLDEN[: len(encode(TINY[0]))]
    foreign = b"".join(block("<", kind, bytes(20)) for kind in (0, 4, 7, 0xBAD, 0x80000001, 0xFFFFFFFF))
    assert read(start + foreign + GOLDEN[len(start) :] + foreign) == TINY


def test_unknown_options_are_passed_over() -> None:
    """An option of an unknown code is skipped, what stands after the end of options is not looked at."""
    options = option("<", 0x8001, b"abc") + option("<", 1, b"kept") + option("<", 0, b"") + b"\xff" * 8
    assert read(section("<", options)) == [Section(("kept",))]


S, IF = section("<"), interface("<")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GIF89a, surely no capture", "does not begin with a section header"),
        (block("<", 0x0A0D0D0A, b"\0" * 16), "byte-order magic 00000000"),
        (section("<", version=(2, 0)), "version 2.0"),
        (section("<", version=(1, 1)), "version 1.1"),
        (S[:4] + struct.pack("<I", 12) + S[8:], "block of 12 bytes"),
        (S + block("<", 1, b"", length=8), "block of 8 bytes"),
        (S + block("<", 0x77, b"", length=13), "block of 13 bytes"),
        (S + block("<", 0x77, b"", length=MAX_BLOCK_BYTES + 4), f"block of {MAX_BLOCK_BYTES + 4} bytes"),
        (S + block("<", 0x77, b"", length=0xFFFFFFFC), "expected multiples of 4 from 12 to"),
        (S + block("<", 0x77, bytes(4), again=20), "its two lengths differ"),
        (S + block("<", 1, bytes(4)), "only 4 bytes inside"),
        (S + IF + block("<", 6, bytes(16)), "only 16 bytes inside"),
        (S + packet("<", 0, 0, b""), "interface 0 of 0"),
        (S + IF + S + packet("<", 0, 0, b""), "interface 0 of 0"),
        (S + IF + statistics("<", 1), "interface 1 of 1"),
        (S + IF + packet("<", 0, 0, b"1234", size=5), "a packet of 5 bytes goes beyond the end"),
        (S + IF + packet("<", 0, 0, b"1234", size=0xFFFFFFFF), "a packet of 4294967295 bytes"),
        (S + IF + packet("<", 0, 0, b"", b"\x01\x00\x09\x00" + bytes(8)), "option 1 goes beyond the end"),
        (S + IF + packet("<", 0, 0, b"", option("<", 2, b"\0")), "option 2 of 1 bytes; expected 4"),
        (S + interface("<", option("<", 9, b"\x09\x09")), "option 9 of 2 bytes; expected 1"),
        (S + interface("<", option("<", 14, b"\0")), "option 14 of 1 bytes; expected 8"),
        (S + block("<", 3, bytes(8)), "packets of this type are not read"),
        (S + block("<", 2, bytes(20)), "packets of this type are not read"),
    ],
)
def test_hostile(data: bytes, says: str) -> None:
    """Each kind of wrong bytes is a CaptureError that says what came, and where."""
    _, error = read_until_wrong(data)
    assert error is not None
    assert says in str(error)
    assert 0 <= error.offset < len(data)


def test_interfaces_have_a_cap() -> None:
    """One interface more than the cap is refused; a new section may have as many again."""
    full = S + IF * MAX_INTERFACES
    assert len(read(full + full)) == 2 * (MAX_INTERFACES + 1)
    _, error = read_until_wrong(full + IF)
    assert "interfaces in a section" in str(error)


def test_the_largest_block_is_read() -> None:
    """A block of exactly the cap is read."""
    assert read(S + block("<", 0x77, bytes(MAX_BLOCK_BYTES - 12)) + IF) == [
        Section(),
        Interface(resolution=10**6),
    ]


@pytest.mark.parametrize(
    "record",
    [
        Packet(1 << 64, 0, Direction.INBOUND, b""),
        Packet(-1, 0, Direction.INBOUND, b""),
        Section(("x" * (MAX_OPTION_BYTES + 1),)),
    ],
)
def test_what_cannot_be_written(record: Record) -> None:
    """A time or a text that does not fit the format is refused."""
    with pytest.raises(CaptureError):
        encode(record)


def test_every_truncation() -> None:
    """A file that is cut anywhere gives its whole records; inside a block CaptureTruncated says where."""
    ends = list(itertools.accumulate(len(encode(record)) for record in TINY))
    for size in range(len(GOLDEN)):
        found, error = read_until_wrong(GOLDEN[:size])
        whole = sum(end <= size for end in ends)
        assert found == TINY[:whole], size
        if size in ends:
            assert error is None, size
        else:
            assert isinstance(error, CaptureTruncated), size
            assert error.offset == ([0, *ends][whole]), size


class Trickle(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        byte = self.data.read(1)
        buffer[: len(byte)] = byte
        return len(byte)


def test_a_pipe_that_trickles() -> None:
    """A stream that gives less than was asked for is read to its end."""
    assert list(read_records(Trickle(GOLDEN))) == TINY  # type: ignore[arg-type]


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    """Any bytes, alone or after a header, end in records or in a CaptureError."""
    read_until_wrong(data)
    read_until_wrong(S + IF + data)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files(seed: int) -> None:
    """A file with a few bytes changed ends in records or in a CaptureError."""
    rng = random.Random(seed)
    for _ in range(200):
        data = bytearray(GOLDEN)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        read_until_wrong(bytes(data))
