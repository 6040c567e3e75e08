"""Vectors of 2.6, 5.3, 5.12 and 5.14: every opcode, every field at 0, at max and with each single bit."""

from collections.abc import Iterator
from typing import Any

from tests.support import bigint
from tests.support.make_vectors.requests import EVERYTHING, completion
from tests.support.make_vectors.vector import (
    Message,
    Stream,
    Vector,
    accepted,
    carried,
    is_class_b,
    name_of,
    raw,
    sample,
)

SECTION = "2.6"
ABOUT = "One message in one or two flits: every opcode, every field, every bit that its receiver ignores."
FLAGS = {
    "ByteEnables": "A byte-enable granule follows the header.",
    "Refused": "The codec takes the request; its receiver completes it with the error in `completion`.",
    "UnknownOpcode": "A request of a later version: skipped by its length, completed with UNSUP.",
    "UnusedField": "A field that the opcode does not use is not 0: ignored, and sent 0.",
}
# An opcode that is in no table, lowest and highest of each VC that answers it. 5.3.
UNKNOWN = (0x27, 0x3F, 0x45, 0x5F, 0xC3, 0xDF, 0xEC, 0xFF)
BITS = {name: bits for name, (_, bits) in (bigint.A | bigint.B).items()} | {"st": 2}
FIELDS_A = ("src", "dst", "txn", "len", "addr", "aop", "dom", "x", "poison", "qos", "trace")
FIELDS_B = ("src", "dst", "txn", "htxn", "st", "err", "len", "poison", "qos", "trace")


def vectors() -> Iterator[Vector]:
    for op in (*bigint.OPERATIONS, *UNKNOWN):
        yield one(f"{name_of(op)}-plain", "Every field 0, or as little as is legal", sample(op))
        yield one(f"{name_of(op)}-ones", "Every field that the opcode uses all ones", ones(op))
        yield from _sweep(op)
        yield from _byte_enables(op)
        if op in bigint.OPERATIONS:
            yield from _unused(op)
    for op in (0x20, 0x42, 0x43, 0x62, 0x80, 0xA0, 0xC1, 0xE1, 0xFF):
        yield one(f"{name_of(op)}-B256", "The same message in the long format", ones(op), form="B256")


def one(id: str, comment: str, message: Message, *, form: str = "L64", flags: tuple[str, ...] = ()) -> Vector:
    """A vector with one message."""
    wires, heads = Stream(message).flits(form)
    more: dict[str, Any] = {}
    refusal = completion(message, EVERYTHING)
    if refusal:
        more["completion"] = refusal
        flags = (*flags, "Refused")
    if "be" in message:
        flags = (*flags, "ByteEnables")
    if message["op"] in UNKNOWN:
        flags = (*flags, "UnknownOpcode")
    return accepted(id, comment, form, wires, heads, [message], flags=flags, **more)


def swept(op: int) -> Iterator[tuple[str, str, int]]:
    """Field, name of the value, value: what a receiver must take from a message of `op`."""
    for field in FIELDS_B if is_class_b(op) else FIELDS_A:
        if field not in bigint.uses(op) and not (field == "x" and "x8" in bigint.uses(op)):
            continue
        bits = 8 if field == "x" and "x8" in bigint.uses(op) else BITS[field]
        for label, value in bigint.values(bits):
            if value_is_legal(op, field, value):
                yield field, label, value


def value_is_legal(op: int, field: str, value: int) -> bool:
    """False for what is MALFORMED in SNP and SnpRspData: they are of whole lines. 5.12."""
    if field == "len":
        return value == 3 or not (op >> 5 == 3 or op == 0xA1)
    return field != "addr" or op >> 5 != 3 or value % 64 == 0


def ones(op: int) -> Message:
    """All used fields at their greatest legal value."""
    fields = {field: max(v for f, _, v in swept(op) if f == field) for field, _, _ in swept(op)}
    if op >> 5 == 3:
        fields["addr"] = (1 << 52) - 64
    if op in (0x42, 0xC2):
        fields["be"] = (1 << 64) - 1
    size = carried(op, fields.get("len", 0))
    return {"op": op, **fields} | ({"data": b"\xff" * size} if size else {})


def _sweep(op: int) -> Iterator[Vector]:
    for field, label, value in swept(op):
        if value or field == "len":  # that all fields are 0 is the plain vector
            comment = f"{field.upper()} = {value:#x}"
            yield one(f"{name_of(op)}-{field}-{label}", comment, sample(op, **{field: value}))


def _byte_enables(op: int) -> Iterator[Vector]:
    """BE of class A but SNP, which may not have it."""
    if is_class_b(op) or op >> 5 == 3:
        return
    if "be" not in bigint.uses(op) or op in UNKNOWN:
        yield one(f"{name_of(op)}-be-max", "Byte enables where none belong", sample(op, be=(1 << 64) - 1))
        return
    for label, value in bigint.values(64):
        message = sample(op, len=3, be=value)
        yield one(f"{name_of(op)}-be-{label}", f"BE = {value:#x} of 64 bytes", message)
    for length in range(3):
        size = 8 << length
        over = sample(op, len=length, be=1 << size)
        yield one(f"{name_of(op)}-be-over-{size}", f"A byte enable beyond {size} bytes", over)
        last = sample(op, len=length, be=1 << size - 1)
        yield one(f"{name_of(op)}-be-last-{size}", f"The last byte of {size}", last)
    without = sample(op)
    without.pop("be", None)
    yield one(f"{name_of(op)}-be-absent", "No byte-enable granule", without)


# Fields that are ignored where the opcode does not use them. LEN and BE of class A are never ignored.
IGNORED_A = ("poison", "aop", "dom", "addr", "x")
IGNORED_B = {"htxn": 0xFFF, "st": 3, "err": 7, "len": 3, "poison": 1}  # ST 4..7 are MALFORMED everywhere


def _unused(op: int) -> Iterator[Vector]:
    """Bits that are ignored: each field at max, with its lowest and its highest bit, and all together."""
    masks = ignored(op)
    together: dict[str, int] = {}
    for field, mask in masks.items():
        together |= {field: mask}
        lowest, highest = mask & -mask, 1 << mask.bit_length() - 1
        for label, bits in {"max": mask, "low": lowest, "high": highest}.items():
            if label == "max" or bits != mask:
                yield _dirty(op, f"{field}-{label}", {field: bits}, f"Unused {field.upper()} = {bits:#x}")
    if len(masks) > 1:
        yield _dirty(op, "all", together, "Every unused bit")


def ignored(op: int) -> dict[str, int]:
    """Field -> the bits of it that a receiver ignores."""
    used = bigint.uses(op)
    if is_class_b(op):
        return {field: mask for field, mask in IGNORED_B.items() if field not in used}
    masks = {field: (1 << BITS[field]) - 1 for field in IGNORED_A if field not in used}
    return masks | ({"x": 0xF00} if "x8" in used else {})


def _dirty(op: int, label: str, noise: dict[str, int], comment: str) -> Vector:
    clean = sample(op)
    sent, heads = Stream(clean).flits()
    received, _ = Stream().add(clean, raw(clean | noise)).flits()
    key = f"{name_of(op)}-unused-{label}"
    return accepted(key, comment, "L64", received, heads, [clean], clean=sent, flags=["UnusedField"])
