"""The traffic that the benchmarks run on: what a busy coherent link carries, mixed at random.

Of 100 messages about 30 are ReadShared, 30 CmpData of 64 bytes, 25 CmpAck, 8 WbFull and 7 atomics, packed
without gaps: 1.5 messages in an L64 flit, 6.6 in a B256 flit.
"""

from __future__ import annotations

import random
from typing import Any

from hsl.codec.batch import BatchEncoder, MessageBatch, prot_flits
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message

SEED = 1
SIZE = 1 << 18  # bytes of a buffer: with what is decoded from it, it stays in the L2 cache of a core


def message(rng: random.Random) -> Message:
    """One message of the mix."""
    tags: dict[str, Any] = {
        "src": rng.randrange(1024),
        "dst": rng.randrange(1024),
        "txn": rng.randrange(4096),
    }
    line = rng.randrange(1 << 46) * 64
    kind = rng.random()
    if kind < 0.30:
        return Message(0x20, len=3, addr=line, **tags)
    if kind < 0.60:
        return Message(0xA0, len=3, htxn=5, st=2, data=rng.randbytes(64), **tags)
    if kind < 0.85:
        return Message(0x81, **tags)
    if kind < 0.93:
        return Message(0x40, len=3, addr=line, data=rng.randbytes(64), **tags)
    return Message(0x43, len=0, addr=line, x=1, data=rng.randbytes(8), **tags)


def flits(format: str, size: int = SIZE) -> bytes:
    """About `size` bytes of good PROT flits, full of messages; the last one may go on."""
    rng = random.Random(SEED)
    count = size // FORMATS[format].bytes
    batch = MessageBatch.of(message(rng) for _ in range(size // 32))
    encoded, taken = BatchEncoder(format).encode(prot_flits(count), batch)
    assert taken < len(batch), "the flits are full"
    return encoded.tobytes()
