"""The traffic that the benchmarks run on, packed without gaps.

The claims are about `busy`, what a busy coherent link carries, mixed at random: of 100 messages about 30 are
ReadShared, 30 CmpData of 64 bytes, 25 CmpAck, 8 WbFull and 7 atomics; 1.5 in an L64 flit, 6.6 in a B256 flit.
A decoder pays by the message and a CRC by the byte, so the other mixes are measured beside it, from longest
to shortest message: `lines` is CmpData alone, `snoops` SnpInv alone, `acks` CmpAck alone, 7 in an L64 flit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, Op, St
from hsl.codec.batch import BatchEncoder, MessageBatch, prot_flits
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message

SEED = 1
SIZE = 1 << 18  # bytes of a buffer: with what is decoded from it, it stays in the L2 cache of a core


def _tags(rng: random.Random) -> dict[str, Any]:
    return {"src": rng.randrange(1024), "dst": rng.randrange(1024), "txn": rng.randrange(4096)}


def _line(rng: random.Random) -> int:
    return rng.randrange(1 << 46) * LINE_BYTES


def read(rng: random.Random) -> Message:
    """A ReadShared."""
    return Message(Op.ReadShared, len=3, addr=_line(rng), **_tags(rng))


def line(rng: random.Random) -> Message:
    """A CmpData of a line."""
    return Message(Op.CmpData, len=3, htxn=5, st=St.E, data=rng.randbytes(LINE_BYTES), **_tags(rng))


def ack(rng: random.Random) -> Message:
    """A CmpAck, the shortest message."""
    return Message(Op.CmpAck, **_tags(rng))


def snoop(rng: random.Random) -> Message:
    """A SnpInv."""
    return Message(Op.SnpInv, len=3, addr=_line(rng), **_tags(rng))


def writeback(rng: random.Random) -> Message:
    """A WbFull."""
    return Message(Op.WbFull, len=3, addr=_line(rng), data=rng.randbytes(LINE_BYTES), **_tags(rng))


def atomic(rng: random.Random) -> Message:
    """An atomic of 8 bytes that returns what was there."""
    return Message(Op.AtomicLoad, len=0, addr=_line(rng), x=1, data=rng.randbytes(8), **_tags(rng))


# Name of a mix -> its messages and how many of each there are among 100.
MIXES: Final[Mapping[str, Mapping[Callable[[random.Random], Message], int]]] = {
    "busy": {read: 30, line: 30, ack: 25, writeback: 8, atomic: 7},
    "lines": {line: 100},
    "snoops": {snoop: 100},
    "acks": {ack: 100},
}
CLAIMED: Final = "busy"


def flits(format: str, size: int = SIZE, mix: str = CLAIMED) -> bytes:
    """About `size` bytes of good PROT flits, full of messages; the last one may go on."""
    rng = random.Random(SEED)
    makers, weights = zip(*MIXES[mix].items(), strict=True)
    count = size // FORMATS[format].bytes
    drawn = rng.choices(makers, weights, k=size // GRANULE_BYTES)
    batch = MessageBatch.of(make(rng) for make in drawn)
    encoded, taken = BatchEncoder(format).encode(prot_flits(count), batch)
    assert taken < len(batch), "the flits are full"
    return encoded.tobytes()
