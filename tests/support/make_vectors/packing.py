"""Vectors of 2.5: the granule stream over flits, PAD, SOM."""

from collections.abc import Iterator
from typing import Any

from tests.support import bigint
from tests.support.make_vectors.vector import PAYLOAD, Message, Stream, Vector, accepted, flit, sample

SECTION = "2.5"
ABOUT = "Messages over several flits, torn at every granule; PAD at every boundary; other flits in between."
FLAGS = {
    "InteriorPad": "PAD where a sender that has more to send would not put it: legal, skipped.",
    "OtherFlits": "NOP and CTL between the flits of a message do not touch the granule stream.",
    "Spanning": "A message ends in a later flit than it begins.",
    "Unfinished": "The last message does not end here; `unfinished` is true.",
}
READ = sample(0x20, src=1, dst=2, txn=3, addr=0x40)
ACK = sample(0x81, src=1, dst=2, txn=4)
LINE = sample(0xA0, src=2, dst=1, txn=5, len=3, htxn=6, st=2, data=bytes(range(0xC0, 0x100)))
PARTIAL = sample(0x42, src=1, dst=2, txn=7, len=3, addr=0x80, be=0x0123456789ABCDEF)
SNOOP = sample(0x61, src=2, dst=1, txn=8, addr=0x100)
SHORT = sample(0xE1, src=1, dst=2, txn=9, addr=0x2008)
FORMS = ("L64", "B256")


def vectors() -> Iterator[Vector]:
    for form in FORMS:
        yield from _torn(form)
        yield from _pad(form)
        yield from _full(form)
        yield from _mixed(form)
    yield from _between()
    yield from _unfinished()


def one(id: str, comment: str, form: str, stream: Stream, *flags: str, **more: Any) -> Vector:
    wires, heads = stream.flits(form)
    return accepted(id, comment, form, wires, heads, stream.messages, flags=flags, **more)


def _torn(form: str) -> Iterator[Vector]:
    """Each message begun at each of the last granules, so that it is torn at each of its borders."""
    granules = PAYLOAD[form] // 8
    for name, message in (("line", LINE), ("partial", PARTIAL), ("snoop", SNOOP), ("short", SHORT)):
        size = len(bytes_of(message)) // 8
        for before in range(max(1, granules - size + 1), granules):
            stream = Stream(*[ACK] * before, message, READ)
            left = granules - before
            comment = f"A message of {size} granules: {left} in the first flit, {size - left} later"
            yield one(f"{form}-torn-{name}-{left}", comment, form, stream, "Spanning")


def bytes_of(message: Message) -> bytes:
    """Return the granules of a message."""
    return Stream(message).granules


def _pad(form: str) -> Iterator[Vector]:
    """PAD before, between, after; a flit of PAD alone; PAD up to the end of a flit."""
    granules = PAYLOAD[form] // 8
    for count in range(1, granules - 2):
        stream = Stream().skip(bytes(8 * count)).add(READ)
        comment = f"{count} granules of PAD, then a message"
        yield one(f"{form}-pad-{count}-before", comment, form, stream, "InteriorPad")
    stream = Stream(ACK).skip(bytes(8)).add(READ).skip(bytes(16)).add(ACK)
    yield one(f"{form}-pad-between", "PAD between messages", form, stream, "InteriorPad")
    yield one(f"{form}-pad-only", "All PAD: a flit for its credits alone", form, Stream())
    stream = Stream(ACK).skip(bytes(8 * (granules - 1))).add(READ)
    comment = "PAD to the end of the flit, the next message in the next one"
    yield one(f"{form}-pad-to-end", comment, form, stream, "InteriorPad")
    stream = Stream().skip(bytes(8 * (granules - 1))).add(READ)
    comment = "A header torn after its first granule, PAD before it"
    yield one(f"{form}-pad-torn-header", comment, form, stream, "InteriorPad", "Spanning")
    stream = Stream().skip(bytes(8 * granules)).add(LINE)
    yield one(
        f"{form}-pad-whole-flit", "A flit of PAD before one with a message", form, stream, "InteriorPad"
    )


def _full(form: str) -> Iterator[Vector]:
    """A flit that messages fill to the last granule, and one granule less or more."""
    granules = PAYLOAD[form] // 8
    for extra in (-1, 0, 1):
        stream = Stream(*[ACK] * (granules + extra))
        flags = () if extra <= 0 else ("Spanning",)
        comment = f"{granules + extra} messages of one granule"
        yield one(f"{form}-full{extra:+d}", comment, form, stream, *(() if extra > 0 else flags))
    stream = Stream(*[LINE] * 7)
    yield one(f"{form}-seven-lines", "7 x 9 granules", form, stream, "Spanning")
    data = sample(0xA0, len=3, data=b"\x20" * 64)
    stream = Stream(data, ACK)
    comment = "Data that look like headers of requests"
    yield one(f"{form}-data-like-headers", comment, form, stream, "Spanning")
    data = sample(0x40, len=3, data=bytes(64))
    yield one(f"{form}-data-like-pad", "Data that look like PAD", form, Stream(data, ACK), "Spanning")
    enables = sample(0x42, len=0, be=0x20)
    yield one(
        f"{form}-enables-like-header", "Byte enables that look like a header", form, Stream(enables, ACK)
    )


def _mixed(form: str) -> Iterator[Vector]:
    """One message of each kind in one stream, and each length of data."""
    stream = Stream(*(sample(op, src=1, dst=2, txn=op) for op in bigint.OPERATIONS))
    yield one(f"{form}-every-opcode", "Every opcode, one after the other", form, stream, "Spanning")
    for op in (0x42, 0xA0, 0xC2, 0xE1):
        stream = Stream(*(sample(op, len=length, txn=length) for length in (0, 1, 2, 3)))
        yield one(f"{form}-lengths-{op:#04x}", "8, 16, 32 and 64 bytes", form, stream, "Spanning")
    unknown = [sample(op, len=length) for op in (0x27, 0x5F, 0xDF, 0xFF) for length in (0, 3)]
    stream = Stream(*(message for pair in zip(unknown, [ACK] * 8, strict=True) for message in pair))
    comment = "Unknown requests are skipped by their length"
    yield one(f"{form}-unknown-skipped", comment, form, stream, "Spanning")


def _between() -> Iterator[Vector]:
    """NOP, CTL and flits of reserved types between the two halves of a message."""
    ctl = bigint.ctl(0x10, 0, 1, 2, b"")
    shown = {"op": 0x10, "name": "NAK", "epoch": 1, "peer": 2, "body": {}}
    for name, head, payload, extra in (
        ("NOP", {"ft": 0, "seq": 1}, b"", {}),
        ("CTL", {"ft": 2, "seq": 1}, ctl, {"ctl": shown}),
        ("reserved", {"ft": 5}, b"\xa0" * 56, {"payload": "a0" * 56}),
    ):
        wires, heads = Stream(LINE, ACK).flits()
        wires.insert(1, flit("L64", head, payload))
        shown_heads: list[dict[str, Any]] = [heads[0], head | extra, heads[1]]
        comment = f"{name} between the two flits of a message"
        flags = ["OtherFlits", "Spanning"]
        yield accepted(f"between-{name}", comment, "L64", wires, shown_heads, [LINE, ACK], flags=flags)


def _unfinished() -> Iterator[Vector]:
    """Messages that have begun and not ended are not delivered."""
    for form in FORMS:
        granules = PAYLOAD[form] // 8
        for kept in range(1, min(9, granules)):
            stream = Stream(*[ACK] * (granules - kept), LINE)
            wires, heads = stream.flits(form)
            comment = f"{kept} of 9 granules have come"
            vector = accepted(
                f"{form}-unfinished-{kept}",
                comment,
                form,
                wires[:1],
                heads[:1],
                stream.messages[:-1],
                flags=["Unfinished"],
            )
            vector["fields"]["unfinished"] = True
            yield vector
