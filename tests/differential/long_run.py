"""Both codecs on millions of flits: `python -m tests.differential.long_run --flits N`.

The flits are those of drawn messages, packed without gaps, and most of them are then damaged: bits flipped
with or without a CRC that fits, granules replaced by others that begin like messages, bytes of noise. The
native codec decodes them in batches, the reference one by one; each header, error and message is compared.
Shards depend on the seed alone, so that a difference is found again with `--seed S --shard K`. Exit 1 when
there is one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fuzz.targets.fuzz_codec_differential import admission, fault
from hsl._generated.constants import ErrorCode, FlitType
from hsl._generated.tables import OPCODES
from hsl.codec.batch import BatchDecoder
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, FlitFormat
from hsl.codec.native import requirement_of
from hsl.errors import CodecError
from hsl.native import crc32c, crc64xz
from tests.codec import cases

Flits = NDArray[np.uint8]  # (n, bytes of a flit)

# Flits of a shard: a second or two of work, so that progress is seen and a difference is found again quickly.
SHARD = {"L64": 50_000, "B256": 10_000}
CHUNK = 1000  # flits of one stream
B256_SHARE = 10  # one flit in ten: each costs the reference as much as five of L64
CREDIT_CHUNKS = 4  # one chunk in four has credits that run out
CRC = {"L64": crc32c, "B256": crc64xz}
HEADER = ("ft", "viral", "seq", "ack", "cvc", "ccnt", "som")


class Shard(NamedTuple):
    """Some flits of one format; all that is drawn follows from (seed, number)."""

    seed: int
    number: int
    format: str
    flits: int


class Result(NamedTuple):
    """What a shard saw: flits, messages, faults by requirement, and the first difference, "" for none."""

    flits: int
    messages: int
    faults: Counter[str]
    difference: str


@cache
def pool(form: str) -> Flits:
    """Good flits full of messages with every field at 0, at max and with each single bit."""
    rng, drawn = random.Random(form), list(cases.field_cases())
    rng.shuffle(drawn)
    flits = cases.flits_of(drawn, form)
    return np.frombuffer(b"".join(flits), np.uint8).reshape(len(flits), -1)


def draw(form: FlitFormat, count: int, rng: np.random.Generator) -> Flits:
    """A stretch of the pool, damaged here and there."""
    source = pool(form.name)
    start = int(rng.integers(0, len(source)))
    flits = np.take(source, range(start, start + count), axis=0, mode="wrap").copy()
    kind = rng.integers(0, 8, count)  # 0, 1: untouched
    flipped = np.flatnonzero(kind >= 2)
    for _ in range(2):
        bits = rng.integers(0, 8 * form.crc_offset, len(flipped))
        flits[flipped, bits // 8] ^= (1 << (bits % 8)).astype(np.uint8)
    begun = np.flatnonzero((kind == 4) | (kind == 5))  # granules that begin like a message
    at = form.payload_offset + 8 * rng.integers(0, form.granules, len(begun))
    flits[begun, at] = rng.choice(list(OPCODES), len(begun))
    noise = np.flatnonzero(kind == 6)
    flits[noise, form.payload_offset : form.crc_offset] = rng.integers(
        0, 256, (len(noise), form.payload_bytes), dtype=np.uint8
    )
    flits[noise[::2], 0] = flits[noise[::2], 0] & 0xF8 | FlitType.PROT
    for index in np.flatnonzero((kind >= 2) & (kind != 7)):  # 7: the CRC does not fit
        crc = CRC[form.name](flits[index, : form.crc_offset].tobytes())
        flits[index, form.crc_offset :] = list(crc.to_bytes(form.crc_bytes, "little"))
    return flits


def reference(data: Flits, form: FlitFormat, credits: list[int] | None) -> Iterator[tuple[Any, Any, Any]]:
    """Header, fault and messages of each flit, by the rules of hsl_decode()."""
    codec = engine("reference")
    unpacker, admit = codec.Unpacker(), admission(credits)
    known = frozenset(FlitType)
    for row in data:
        try:
            flit = codec.decode_flit(row.tobytes(), form.name)
        except CodecError as error:
            yield (0,) * len(HEADER), fault(error), []
            continue
        head = (flit.ft, flit.viral, flit.seq, flit.ack, flit.cvc, flit.ccnt, flit.som)
        if flit.ft != FlitType.PROT:
            yield head, None if flit.ft in known else (ErrorCode.RESERVED_FT, "HSL-FLT-007", 0), []
        elif problem := codec.credit_return_fault(flit):
            unpacker = codec.Unpacker()
            yield head, fault(problem), []
        else:
            messages, problem = unpacker.feed(flit.payload, flit.som if form.has_som else None, admit)
            yield head, fault(problem), messages


def native(data: Flits, form: FlitFormat, credits: list[int] | None) -> Iterator[tuple[Any, Any, Any]]:
    """The same, by the batch decoder."""
    decoder = BatchDecoder(form.name, None if credits is None else dict(enumerate(credits)))
    decoded = decoder.decode(np.ascontiguousarray(data))
    rows, messages = decoded.flits, list(decoded.messages)
    heads = zip(*(rows[name].tolist() for name in HEADER), strict=True)
    faults = rows["fault"]
    names = map(requirement_of, faults["requirement"].tolist())
    codes = zip(faults["code"].tolist(), names, faults["offset"].tolist(), strict=True)
    starts, counts = rows["message"].tolist(), rows["messages"].tolist()
    for head, error, start, count in zip(heads, codes, starts, counts, strict=True):
        yield head, error if error[0] else None, messages[start : start + count]


def run(shard: Shard) -> Result:
    """Compare the two on a shard, up to the first difference."""
    form, rng = FORMATS[shard.format], np.random.default_rng((shard.seed, shard.number))
    messages, faults = 0, Counter[str]()
    for chunk in range(-(-shard.flits // CHUNK)):
        data = draw(form, min(CHUNK, shard.flits - chunk * CHUNK), rng)
        granted = [int(n) for n in rng.integers(0, 400, 8)] if chunk % CREDIT_CHUNKS == 0 else None
        pairs = zip(reference(data, form, granted), native(data, form, granted), strict=True)
        for index, (expected, found) in enumerate(pairs):
            if expected != found:
                text = f"{shard}, chunk {chunk}, flit {index}: {data[index].tobytes().hex()}\n"
                return Result(chunk * CHUNK + index, messages, faults, f"{text}{expected}\n{found}")
            messages += len(expected[2])
            faults.update([] if expected[1] is None else [expected[1][1]])
    return Result(shard.flits, messages, faults, "")


def shards(seed: int, flits: int) -> list[Shard]:
    """The work, one flit in B256_SHARE being of B256."""
    found: list[Shard] = []
    for form, count in (("L64", flits - flits // B256_SHARE), ("B256", flits // B256_SHARE)):
        for start in range(0, count, SHARD[form]):
            found.append(Shard(seed, len(found), form, min(SHARD[form], count - start)))
    return found


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flits", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard", type=int, help="this one alone")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(argv)
    work = [shard for shard in shards(options.seed, options.flits) if options.shard in (None, shard.number)]
    start, flits, messages, faults = time.monotonic(), 0, 0, Counter[str]()
    with ProcessPoolExecutor(options.processes) as executor:
        show = partial(print, file=sys.stderr, end="\r", flush=True)
        for result in executor.map(run, work):
            flits, messages = flits + result.flits, messages + result.messages
            faults += result.faults
            if result.difference:
                executor.shutdown(cancel_futures=True)
                print(f"DIFFERENCE (seed {options.seed}) in {result.difference}")
                return 1
            show(f"{flits:12,} flits, {flits / (time.monotonic() - start):8,.0f} a second")
    seconds = time.monotonic() - start
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(faults.items()))
    print(f"{flits:,} flits, {messages:,} messages, {faults.total():,} faults ({counts}): 0 differences")
    rate = f"{flits / seconds:,.0f} flits/s on {options.processes} processes"
    print(f"seed {options.seed}, {seconds:.0f} s, {rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
