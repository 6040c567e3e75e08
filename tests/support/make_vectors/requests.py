"""Vectors of the format checks of 5.12 and 5.14, and the third opinion on them: `completion`."""

from collections.abc import Iterator
from typing import Any

from tests.support.make_vectors.vector import BE, Message, Stream, Vector, accepted, name_of, sample

SECTION = "5.12"
ABOUT = "Requests whose receiver completes them with an error for their format, and their neighbours."
FLAGS = {
    "Atomic": "An atomic operation: size, operation, operand length, alignment, negotiated class.",
    "NotNegotiated": "Refused only because of `negotiated`.",
    "Refused": "Completed with the error in `completion`.",
}
Negotiated = dict[str, int]
EVERYTHING: Negotiated = {"atomics": 0x1F, "features": 0x8000007F, "max_txn": 4096, "address_bits": 52}
# 3.3.2, bits of `features`; 5.14: who needs them.
FEATURES = {0xE2: 1 << 4, 0xE4: 1 << 2, 0xE5: 1 << 2, 0xE6: 1 << 3, 0xE7: 1 << 3}
# 5.3, 5.14: legal LEN; those that are not here are of whole lines.
LENGTHS = {
    0x24: (2, 3), 0x42: (0, 1, 2, 3), 0xC2: (0, 1, 2, 3), 0xE0: (0, 1, 2, 3), 0xE1: (0, 1, 2, 3), 0xE3: (0,),
    0xE4: (1,), 0xE5: (0,), 0xE6: (0,), 0xE7: (0,), 0xE9: (0, 1, 2), 0xEA: (0, 1, 2), 0xEB: (1,),
}  # fmt: skip
ATOMICS = (0x43, 0x44)
MAY_BE = (0x42, 0xC2, 0xE0, 0xE1)
DATA_ALIGNED = (0x24, 0x42, 0xC2, 0xE0, 0xE1, 0xE9, 0xEA)
LINE_ALIGNED = (*range(0x20, 0x24), 0x25, 0x26, 0x40, 0x41, 0xC0, 0xC1, 0xE2)
# 5.12: AOP -> operand sizes in bytes, and the class in CAPS (3.3.2).
INT, CAS16, FADD32, FADD64, FADD2X16 = 1, 2, 4, 8, 16
OPERANDS = dict.fromkeys(range(9), (4, 8)) | {9: (4, 8, 16), 16: (4,), 17: (8,), 18: (4,), 19: (4,)}
CLASS = dict.fromkeys(range(10), INT) | {16: FADD32, 17: FADD64, 18: FADD2X16, 19: FADD2X16}
SWAP, CAS = 8, 9


def completion(message: Message, negotiated: Negotiated) -> str:
    """The ERR that a request ends with for its format, "" for none. 5.12, 5.14."""
    op = message["op"]
    if op >> 5 in (3, 4, 5):
        return ""
    if name_of(op).startswith("0x") or FEATURES.get(op, 0) & ~negotiated["features"]:
        return "UNSUP"
    if op in ATOMICS:
        return _atomic(message, negotiated)
    length, addr, be = message.get("len", 0), message.get("addr", 0), message.get("be")
    size = 8 << length
    if be is not None and op not in MAY_BE:
        return "PROTO"
    if length not in LENGTHS.get(op, (3,)) or (be or 0) >> size:
        return "PROTO"
    unit = size if op in DATA_ALIGNED else 64 if op in LINE_ALIGNED else 1
    return "PROTO" if addr % unit else ""


def _atomic(message: Message, negotiated: Negotiated) -> str:
    """The first that applies. 5.12."""
    aop, x = message.get("aop", 0), message.get("x", 0)
    if "be" in message or x > 2:
        return "PROTO"
    if aop not in OPERANDS:
        return "UNSUP"
    size = 4 << x
    granules = (2 if aop == CAS else 1) * max(1, size // 8)
    if (
        (message["op"] == 0x44 and aop in (SWAP, CAS))
        or size not in OPERANDS[aop]
        or 1 << message.get("len", 0) != granules
        or message.get("addr", 0) % size
    ):
        return "PROTO"
    needed = CAS16 if size == 16 else CLASS[aop]
    return "" if needed & negotiated["atomics"] else "UNSUP"


def vectors() -> Iterator[Vector]:
    yield from _atomics()
    yield from _precedence()
    yield from _negotiation()
    yield from _lengths()


def one(id: str, comment: str, message: Message, negotiated: Negotiated | None = None) -> Vector:
    wires, heads = Stream(message).flits()
    refusal = completion(message, negotiated or EVERYTHING)
    flags = (["Atomic"] if message["op"] in ATOMICS else []) + (["Refused"] if refusal else [])
    more: dict[str, Any] = {"completion": refusal} if refusal else {}
    if negotiated is not None:
        more["negotiated"] = negotiated
        flags += ["NotNegotiated"] if refusal and not completion(message, EVERYTHING) else []
    return accepted(id, comment, "L64", wires, heads, [message], flags=flags, **more)


def _atomics() -> Iterator[Vector]:
    """Every AOP with every size code, LEN as its operands need it, load and store."""
    for op in ATOMICS:
        for aop in range(32):
            for x in range(4):
                words = (2 if aop == CAS else 1) * max(1, (4 << min(x, 2)) // 8)
                message = sample(op, aop=aop, x=x, len=words.bit_length() - 1, addr=0x1000)
                yield one(f"{name_of(op)}-aop{aop}-size{x}", f"AOP {aop}, size code {x}", message)
        for x, shift in ((0, 2), (1, 3), (2, 4)):
            aop = 9 if x == 2 and op == 0x43 else 0
            for bit in range(6):
                message = sample(op, aop=aop, x=x, len=2 if aop else 0, addr=0x1000 | 1 << bit)
                comment = f"Operand of {1 << shift} bytes at an address with bit {bit} set"
                yield one(f"{name_of(op)}-size{x}-at-bit{bit}", comment, message)
        for length in range(4):
            for aop in (0, CAS):
                message = sample(op, aop=aop, x=1, len=length)
                yield one(
                    f"{name_of(op)}-aop{aop}-len{length}", f"AOP {aop} of 8 bytes, LEN {length}", message
                )


def _precedence() -> Iterator[Vector]:
    """Two faults at once: the first of 5.12 decides."""
    cases = {
        "size-before-aop": ("Size code 3 (PROTO) and AOP 10 (UNSUP)", {"x": 3, "aop": 10}),
        "x-before-aop": ("X[11:2] not 0 (PROTO) and AOP 31 (UNSUP)", {"x": 4, "aop": 31}),
        "be-before-aop": ("BE (PROTO) and AOP 20 (UNSUP)", {"be": 0xFF, "aop": 20}),
        "aop-before-len": ("AOP 10 (UNSUP) and LEN 3 (PROTO)", {"aop": 10, "len": 3}),
        "aop-before-address": ("AOP 15 (UNSUP) and an odd address (PROTO)", {"aop": 15, "addr": 1}),
    }
    for op in ATOMICS:
        for label, (comment, fields) in cases.items():
            yield one(f"{name_of(op)}-{label}", comment, sample(op, **fields))
        none = EVERYTHING | {"atomics": 0}
        odd = sample(op, addr=1)
        yield one(
            f"{name_of(op)}-address-before-class", "Misaligned (PROTO), class not negotiated", odd, none
        )
    for op in FEATURES:
        message = sample(op, len=3 if op != 0xE2 else 0)
        comment = "Feature not negotiated (UNSUP) before a wrong LEN (PROTO)"
        yield one(f"{name_of(op)}-feature-before-len", comment, message, EVERYTHING | {"features": 0})


def _negotiation() -> Iterator[Vector]:
    """Each class of atomics and each feature, with all others negotiated and alone."""
    for label, aop, x, length, bit in (
        ("int", 0, 1, 0, INT),
        ("cas8", CAS, 1, 1, INT),
        ("cas16", CAS, 2, 2, CAS16),
        ("fadd32", 16, 0, 0, FADD32),
        ("fadd64", 17, 1, 0, FADD64),
        ("fadd-fp16", 18, 0, 0, FADD2X16),
        ("fadd-bf16", 19, 0, 0, FADD2X16),
    ):
        message = sample(0x43, aop=aop, x=x, len=length)
        for how, atomics in (("without", 0x1F & ~bit), ("alone", bit)):
            comment = f"AOP {aop}, class bits {atomics:#x} negotiated"
            yield one(f"AtomicLoad-{label}-{how}", comment, message, EVERYTHING | {"atomics": atomics})
    for op, bit in FEATURES.items():
        for how, features in (("without", 0x8000007F & ~bit), ("alone", bit)):
            comment = f"{name_of(op)}, feature bits {features:#x} negotiated"
            yield one(f"{name_of(op)}-{how}", comment, sample(op), EVERYTHING | {"features": features})


def _lengths() -> Iterator[Vector]:
    """Data and alignment of what is not a line; what may have byte enables, with them and without."""
    for op in DATA_ALIGNED:
        for length in range(4):
            for addr in (4, 8, 16, 24, 32, 48, 64):
                message = sample(op, len=length, addr=0x20000 + addr)
                yield one(
                    f"{name_of(op)}-len{length}-at{addr}", f"{8 << length} bytes at ..{addr:#x}", message
                )
        for length in range(4) if op in BE else ():
            message = sample(op, len=length, addr=0x20000)
            del message["be"]
            comment = f"All {8 << length} bytes, without byte enables"
            yield one(f"{name_of(op)}-len{length}-be-absent", comment, message)
