"""What is promised about the speed of the native codec, measured: `python -m tests.bench.claims`.

On L64 and the traffic of a busy link (tests.bench.traffic: 1.5 messages a flit), decoding a buffer, CRC and
all, takes at most 4 times the CRC alone over that buffer, and 1/1000 of what the reference takes, all of it
in Python (HSL_ENGINE=reference: its CRC too). The claim is about that mix and no other: the cost goes by the
message, so what each other mix costs, up to flits full of the shortest message, is printed beside it. Floor
and measurement run by turns in one process, and the best round of each counts. Exit 1 when a claim does not
hold.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from hsl.codec.batch import FLIT, MESSAGE, BatchDecoder
from hsl.codec.crc import ENGINE
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS
from hsl.native import cpu_features, crc32c, crc64xz, ffi, lib
from tests.bench import traffic

MOST_CRC_PASSES = 4.0
LEAST_TIMES_REFERENCE = 1000.0
CLAIMED = "L64"
ROUNDS = 600
REFERENCE_FLITS, REFERENCE_ROUNDS = 100, 40
CALL = 2048  # flits of a call, into arrays that are used again
CRC = {"L64": crc32c, "B256": crc64xz}


class Native:
    """The C decoder over a whole buffer, `CALL` flits a call, into arrays that are used again."""

    def __init__(self, form: str, data: bytes) -> None:
        self._shape = FORMATS[form]
        self._data = ffi.from_buffer("uint8_t[]", data)
        room = CALL * self._shape.granules
        self._arrays = np.zeros(CALL, FLIT), np.zeros(room, MESSAGE)
        self._flits = ffi.from_buffer("hsl_flit_t[]", self._arrays[0])
        self._messages = (ffi.from_buffer("hsl_message_t[]", self._arrays[1]), room)
        self._format = lib.hsl_format(self._shape.bytes)

    def decode(self) -> int:
        """Decode it all; returns the number of messages. Faults are for the caller to look for, once."""
        unpacker, count, found = ffi.new("hsl_unpacker_t *"), ffi.new("size_t *"), 0
        messages, room = self._messages
        for at in range(0, len(self._data), CALL * self._shape.bytes):
            size = min(len(self._data) - at, CALL * self._shape.bytes)
            lib.hsl_decode(
                self._format,
                self._data + at,
                size,
                unpacker,
                ffi.NULL,
                self._flits,
                CALL,
                messages,
                room,
                0,
                count,
            )
            found += count[0]
        return found

    def faults(self) -> int:
        """Flits at fault in the last call."""
        return int(np.count_nonzero(self._arrays[0]["fault"]["code"]))


def reference_decode(data: bytes, form: str) -> int:
    """The same by the reference."""
    codec, shape, found = engine("reference"), FORMATS[form], 0
    unpacker = codec.Unpacker()
    for at in range(0, len(data), shape.bytes):
        flit = codec.decode_flit(data[at : at + shape.bytes], form)
        messages, error = unpacker.feed(flit.payload, flit.som if shape.has_som else None, lambda vc: True)
        assert error is None
        found += len(messages)
    return found


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def passes(form: str, mix: str) -> tuple[float, float, float, float]:
    """CRC passes that a native decode of a mix takes, seconds a flit of both, and messages a flit."""
    data, shape = traffic.flits(form, mix=mix), FORMATS[form]
    native = Native(form, data)
    flits, messages = len(data) // shape.bytes, native.decode()
    assert native.faults() == 0
    rounds = [(seconds(lambda: CRC[form](data)), seconds(native.decode)) for _ in range(ROUNDS)]
    crc, decode = (min(column) / flits for column in zip(*rounds, strict=True))
    return decode / crc, decode, crc, messages / flits


def mixes(form: str) -> str:
    """What the mixes that no claim is about cost."""
    found = {mix: passes(form, mix) for mix in traffic.MIXES if mix != traffic.CLAIMED}
    shown = (
        f"{mix} {row[0]:.2f} ({row[3]:.2g} messages, {row[1] * 1e9:.1f} ns)" for mix, row in found.items()
    )
    worst = max(found, key=lambda mix: found[mix][0])
    return f"    CRC passes a flit on other traffic: {', '.join(shown)}; the most: {worst}"


def measure(form: str) -> tuple[float, float, str]:
    """CRC passes that a decode takes, how many times faster than the reference it is, and both in words."""
    data, shape = traffic.flits(form), FORMATS[form]
    ratio, decode, crc, each = passes(form, traffic.CLAIMED)
    messages = round(each * (len(data) // shape.bytes))
    part = data[: REFERENCE_FLITS * shape.bytes]
    reference = (
        min(seconds(lambda: reference_decode(part, form)) for _ in range(REFERENCE_ROUNDS)) / REFERENCE_FLITS
    )
    columns = min(seconds(lambda: BatchDecoder(form).decode(data)) for _ in range(ROUNDS)) / messages
    batch = BatchDecoder(form).decode(data)
    objects = columns + min(seconds(lambda: list(batch.messages)) for _ in range(REFERENCE_ROUNDS)) / messages
    cost = f"{decode * 1e9:.1f} ns a flit, CRC alone {crc * 1e9:.1f} ns: {ratio:.2f} CRC passes"
    times = f"reference {reference * 1e6:.1f} us: {reference / decode:.0f} times"
    rates = {
        "in C": each / decode,
        "as columns": 1 / columns,
        "as Message objects": 1 / objects,
        "by the reference": each / reference,
    }
    shown = ", ".join(f"{rate * 1e-6:.3g} {name}" for name, rate in rates.items())
    text = (
        f"{form}, {traffic.CLAIMED} ({each:.2g} messages a flit): {cost}; {times}.\n    M messages/s: {shown}"
    )
    return ratio, reference / decode, text


def main() -> int:
    """Print what was measured; the exit code."""
    held = True
    print(f"reference on the {ENGINE} CRC; CPU features in use: {', '.join(cpu_features()) or 'none'}")
    for form in FORMATS:
        cost, times, text = measure(form)
        print(text)
        print(mixes(form))
        if form == CLAIMED:
            held = cost <= MOST_CRC_PASSES and times >= LEAST_TIMES_REFERENCE
    claim = f"at most {MOST_CRC_PASSES:g} CRC passes, at least {LEAST_TIMES_REFERENCE:g} times the reference"
    print(f"{CLAIMED}, {traffic.CLAIMED}: {claim}: {'holds' if held else 'DOES NOT HOLD'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
