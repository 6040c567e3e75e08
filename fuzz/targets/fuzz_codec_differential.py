"""The two engines of the codec on the same input: every difference is a finding.

`test_one_input` takes any bytes; atheris, Hypothesis and pytest call it alike. The first byte says what is
done with the rest (MODES), the second which flit format; for flits, the third how many credits there are, the
fourth where payloads are cut. Run it with atheris (the `fuzz` extra):

    python -m fuzz.targets.fuzz_codec_differential fuzz/corpus/codec_differential
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Final

from hsl._generated.constants import ErrorCode, FlitType
from hsl.codec.batch import BatchDecoder, Decoded
from hsl.codec.checks import Negotiated
from hsl.codec.ctl import Ctl
from hsl.codec.engines import Engine, engine
from hsl.codec.flit import FORMATS, Flit, FlitFormat
from hsl.codec.message import Message
from hsl.errors import CodecError

__all__ = ["Input", "compare_batch", "draw_message", "fuzz", "outcome", "test_one_input"]

VCS: Final = 8
# What an error is, but for its words.
Outcome = tuple[str, Any]


class Input:
    """Bytes as a source of numbers; when they are used up it gives zeros."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken.ljust(size, b"\0")

    def number(self, size: int = 1) -> int:
        """The next `size` bytes as a number."""
        return int.from_bytes(self.take(size), "little")

    def wild(self, most: int) -> int:
        """A number of 0..most, or now and then one beside it."""
        kind = self.number()
        if kind >= 8:
            return self.number((most.bit_length() + 7) // 8) & most
        return (-1, most, most + 1, 0, 1 << 16, 1 << 64, 1, most >> 1)[kind]


def test_one_input(data: bytes) -> None:
    """AssertionError when the engines differ on `data`; no other exception is legal."""
    source = Input(data)
    mode, form = source.number() % len(MODES), tuple(FORMATS.values())[source.number() % len(FORMATS)]
    MODES[mode](source, form)


def outcome(call: Callable[..., Any], *arguments: Any) -> Outcome:
    """The value of a call, or its error without the words."""
    try:
        return "value", call(*arguments)
    except CodecError as error:
        return "error", fault(error)


def fault(error: CodecError | None) -> tuple[int, str, int] | None:
    """An error without its words."""
    return None if error is None else (int(error.code), error.requirement, error.offset)


def same(call: Callable[[Engine], Any], what: str) -> Any:
    """Return the result of `call`, which must be the same on both engines."""
    reference, native = (outcome(call, engine(name)) for name in ("reference", "native"))
    assert reference == native, f"{what}\nreference: {reference}\nnative:    {native}"
    return reference


# ---------------------------------------------------------------- bytes to messages


def raw_flits(source: Input, form: FlitFormat) -> None:
    """The rest is flits as they are."""
    compare_flits(source, form, lambda data: data)


def sealed_flits(source: Input, form: FlitFormat) -> None:
    """The rest is flits without their CRC, which is put behind them."""
    compare_flits(source, form, lambda data: sealed(data, form))


def prot_flits(source: Input, form: FlitFormat) -> None:
    """The rest is granules, in good PROT flits whose SOM map is drawn too."""
    compare_flits(source, form, lambda data: sealed(bytes([FlitType.PROT, 0, 0, 0]) + data[4:], form))


def sealed(data: bytes, form: FlitFormat) -> bytes:
    """`data` with a good CRC, when it is a whole flit."""
    if len(data) != form.bytes:
        return data
    body = data[: form.crc_offset]
    return body + form.crc(body).to_bytes(form.crc_bytes, "little")


def compare_flits(source: Input, form: FlitFormat, make: Callable[[bytes], bytes]) -> None:
    """Flits one by one and in batches, with few credits, payloads whole and cut."""
    limit, cut = source.number(), source.number()
    data = source.rest
    flits = [make(data[at : at + form.bytes]) for at in range(0, len(data), form.bytes)]
    grants = None if limit >= 128 else [limit >> (vc % 4) & 7 for vc in range(VCS)]
    same(lambda codec: list(stream(codec, flits, form, grants, cut)), f"flits {[f.hex() for f in flits]}")
    compare_batch(flits, form, grants, cut)


def admission(credits: list[int] | None) -> Callable[[int], bool]:
    """Takes a credit of a VC when there is one; None is without limit."""
    left = None if credits is None else list(credits)

    def admit(vc: int) -> bool:
        if left is None:
            return True
        left[vc] -= 1
        return left[vc] >= 0

    return admit


def stream(
    codec: Engine, flits: list[bytes], form: FlitFormat, credits: list[int] | None, cut: int
) -> Iterator[Any]:
    """Decode each flit with one engine, its payload in two parts if `cut` says so."""
    unpacker, admit = codec.Unpacker(), admission(credits)
    for data in flits:
        found = outcome(codec.decode_flit, data, form.name)
        yield found
        if found[0] == "error" or found[1].ft != FlitType.PROT:
            continue
        flit: Flit = found[1]
        yield fault(codec.credit_return_fault(flit))
        at = 8 * (cut % (form.granules + 1)) + (cut >> 6 == 3)
        som = flit.som if form.has_som else None
        for part, its_som in ((flit.payload[:at], som), (flit.payload[at:], som and som >> at // 8)):
            messages, error = unpacker.feed(part, its_som, admit)
            yield messages, fault(error), unpacker.unfinished, unpacker.som
            for message in messages:
                yield outcome(codec.encode_message, message)


def compare_batch(flits: list[bytes], form: FlitFormat, credits: list[int] | None, cut: int) -> int:
    """A batch, in two calls, is what the reference makes of its flits one by one. Returns its messages."""
    split = cut % (len(flits) + 1)
    if any(len(flit) != form.bytes for flit in flits):  # the last one is shorter
        split = len(flits)
    expected = list(reference_rows(flits, form, credits))
    for portable in (False, True):
        limits = None if credits is None else dict(enumerate(credits))
        decoder = BatchDecoder(form.name, limits, portable=portable)
        parts = [decoder.decode(b"".join(part)) for part in (flits[:split], flits[split:])]
        found = [row for part in parts for row in batch_rows(part)]
        shown = f"flits {[f.hex() for f in flits]}\nreference: {expected}\nbatch:     {found}"
        assert found == expected, shown
    return sum(len(part.messages) for part in parts)


Row = tuple[Any, ...]  # link header, error, messages


def batch_rows(part: Decoded) -> Iterator[Row]:
    messages = list(part.messages)
    for index, record in enumerate(part.flits):
        error = fault(part.error(index))
        first, count = int(record["message"]), int(record["messages"])
        head = tuple(int(record[name]) for name in ("ft", "viral", "seq", "ack", "cvc", "ccnt", "som"))
        yield head, error, messages[first : first + count]


def reference_rows(flits: list[bytes], form: FlitFormat, credits: list[int] | None) -> Iterator[Row]:
    """The rules of hsl_decode(), by the reference."""
    codec = engine("reference")
    unpacker, admit = codec.Unpacker(), admission(credits)
    for data in flits:
        found = outcome(codec.decode_flit, data, form.name)
        if found[0] == "error":
            yield (0,) * 7, found[1], []
            continue
        flit: Flit = found[1]
        head = (flit.ft, flit.viral, flit.seq, flit.ack, flit.cvc, flit.ccnt, flit.som)
        messages: list[Message] = []
        error = None
        if flit.ft == FlitType.PROT:
            error = codec.credit_return_fault(flit)
            if error is None:
                som = flit.som if form.has_som else None
                messages, error = unpacker.feed(flit.payload, som, admit)
            else:
                unpacker = codec.Unpacker()
        known = flit.ft in tuple(FlitType)
        yield head, fault(error) if known else (int(ErrorCode.RESERVED_FT), "HSL-FLT-007", 0), messages


# ---------------------------------------------------------------- messages to bytes


def encoded(source: Input, form: FlitFormat) -> None:
    """The rest is messages and link headers, many of which cannot be sent."""
    messages = []
    while source.rest:
        message = draw_message(source)
        if sendable(message, Negotiated(source.number(), source.number(4), 4096, 52)):
            messages.append(message)
        compare_flit(draw_flit(source, form))
    same(lambda codec: list(packed(codec, messages, form)), f"{messages!r}")


def sendable(message: Message, limits: Negotiated) -> bool:
    """True if a message has granules; the engines must agree on them and on the check of a request."""
    found = same(lambda codec: codec.encode_message(message), f"{message!r}")
    if found[0] == "value":
        same(lambda codec: codec.check_request(message, limits), f"{message!r} {limits}")
    return bool(found[0] == "value")


def compare_flit(flit: Flit) -> None:
    """A link header, many of which cannot be sent."""
    same(lambda codec: codec.encode_flit(flit), f"{flit!r}")
    same(lambda codec: sequenced(codec, flit), f"{flit!r}")


def sequenced(codec: Engine, flit: Flit) -> Any:
    """The check of CVC and CCNT, for fields that have come over the wire."""
    fits = 0 <= flit.ft <= 7 and 0 <= flit.cvc <= 7 and 0 <= flit.ccnt <= 31
    return fault(codec.credit_return_fault(flit)) if fits else None


def draw_message(source: Input) -> Message:
    """A message whose fields fit mostly, and whose data is mostly as long as LEN says."""
    op, length = source.wild(0xFF), source.wild(3)
    enables = source.wild((1 << 64) - 1) if source.number() & 1 else None
    wild, use = source.wild, source.number(2)
    size = (8 << (length & 3)) if source.number() & 7 else source.number() % 80

    def some(bit: int, most: int) -> int:
        return wild(most) if use >> bit & 1 else 0

    head = {"src": some(0, 1023), "dst": some(1, 1023), "txn": some(2, 4095), "addr": some(3, (1 << 52) - 1)}
    flags = {"aop": some(4, 31), "dom": some(5, 4095), "x": some(6, 4095), "htxn": some(7, 4095)}
    rest = {"st": some(8, 7), "err": some(9, 7), "poison": some(10, 1), "qos": some(11, 3)}
    data = source.take(size) if use >> 13 & 1 else b""
    return Message(op, len=length, be=enables, data=data, trace=some(12, 1), **head, **flags, **rest)


def draw_flit(source: Input, form: FlitFormat) -> Flit:
    """A link header whose fields fit mostly."""
    wild = source.wild
    fields = {"ft": wild(7), "viral": wild(1), "seq": wild(1023), "ack": wild(1023), "cvc": wild(7)}
    som = wild((1 << 30) - 1) if source.number() & 1 else 0
    payload = source.take(source.number() % (form.payload_bytes + 2)) if source.number() & 1 else b""
    return Flit(form.name, ccnt=wild(31), payload=payload, som=som, **fields)


def packed(codec: Engine, messages: list[Message], form: FlitFormat) -> Iterator[Any]:
    """The payloads that carry `messages`."""
    packer, waiting = codec.Packer(), list(reversed(messages))
    while waiting or packer.unfinished:
        yield packer.fill(lambda: waiting.pop() if waiting else None, form.name), packer.unfinished


# ---------------------------------------------------------------- CTL


def ctl(source: Input, form: FlitFormat) -> None:
    """The rest is the payload of a CTL, read and written again."""
    data = source.rest
    found = same(lambda codec: codec.decode_ctl(data), data.hex())
    if found[0] == "value":
        same(lambda codec: codec.encode_ctl(found[1], form.payload_bytes), f"{found[1]!r}")
        changed: Ctl = found[1]._replace(seen=True, epoch=source.wild(0xFFFFFFFF), op=source.wild(0xFF))
        same(lambda codec: codec.encode_ctl(changed), f"{changed!r}")


MODES: Final = (raw_flits, sealed_flits, prot_flits, encoded, ctl)


def fuzz(target: Callable[[bytes], None]) -> None:
    """Fuzz a target with atheris; the arguments of the process are those of libFuzzer."""
    import atheris

    # Coverage of what is tested and is imported already; of everything it would take minutes to begin.
    for function in [found for found in gc.get_objects() if isinstance(found, FunctionType)]:
        if str(function.__module__).startswith("hsl."):
            atheris.instrument_func(function)
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(test_one_input)
