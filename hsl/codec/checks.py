"""Checks of messages: fields that an opcode uses, malformed responses, refused requests.

Three questions, each answered by a table. `unused` is about every message: fields that its opcode does not
use are sent 0 and ignored on receipt (2.6). `malformed` is about SNP, RSP and DAT: they have no completion
that could carry an error, so a bad one ends the port (2.5 P7). `request_fault` is about REQ, RWD, MEM and
NCR: a bad one is completed with an error (5.12, 5.14), the first that applies. Fields are named as in
`hsl.codec.message.Message`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, AtomicClass, Err, Op, St, Vc
from hsl._generated.tables import (
    AOPS,
    ATOMIC_SIZES,
    B_USED,
    OPCODES,
    UNKNOWN_WITH_DATA,
    VC_HEADER,
    WITH_DOM,
    X_USED,
    AopInfo,
    OpInfo,
)
from hsl.codec.message import Message

__all__ = [
    "Fault",
    "Negotiated",
    "carries_data",
    "check_request",
    "data_bytes",
    "malformed",
    "request_fault",
    "unused",
]

B_FIELDS: Final = ("htxn", "st", "err", "len", "poison")
ST_LAST: Final = max(St)  # above are reserved. HSL 2.6


def data_bytes(len_code: int) -> int:
    """Bytes that a LEN code stands for. HSL 2.6."""
    return GRANULE_BYTES << len_code


def carries_data(op: int) -> bool:
    """True if a message with this opcode carries `data_bytes(LEN)` bytes. HSL 2.6."""
    info = OPCODES.get(op)
    return op >> 5 in UNKNOWN_WITH_DATA if info is None else info.data


def _unused(info: OpInfo) -> dict[str, int]:
    """Field -> the bits that the opcode uses, for fields that it does not use whole."""
    if VC_HEADER[info.vc] == "B":
        return {name: 0 for name in B_FIELDS if name not in B_USED[info.code]}
    fields = {
        "poison": info.data,
        "aop": info.aop != "zero",
        "addr": info.align != "zero",
        "dom": info.vc in WITH_DOM,
    }
    return {name: 0 for name, used in fields.items() if not used} | {"x": X_USED[info.x]}


_UNUSED: Final = {code: _unused(info) for code, info in OPCODES.items()}
_ALL_USED: Final[dict[str, int]] = {}


def unused(op: int) -> Mapping[str, int]:
    """Field -> the bits of it that `op` uses; a field that is not there is used whole. HSL 2.6 [HSL-FLT-005].

    An unknown opcode uses all: who forwards it does not know better.
    """
    return _UNUSED.get(op, _ALL_USED)


def malformed(fields: Mapping[str, int], info: OpInfo) -> str:
    """Return the reason why a message of SNP, RSP or DAT is malformed, or "". HSL 2.5 P7, 5.12.

    `fields` are those of its header, `be` being the flag.
    """
    if info.vc == Vc.SNP:
        if fields["be"]:
            return f"BE = 1 in {info.name}; expected 0"
        if fields["addr"] % LINE_BYTES:
            return f"ADDR {fields['addr']:#x} in {info.name}; expected a multiple of {LINE_BYTES}"
    elif fields["st"] > ST_LAST:
        return f"ST = {fields['st']} in {info.name}; expected 0..{ST_LAST}"
    if info.vc != Vc.RSP and fields["len"] not in info.len:
        return f"LEN = {fields['len']} in {info.name}; expected {', '.join(map(str, info.len))}"
    return ""


class Negotiated(NamedTuple):
    """The limits of requests, from the result of CAPS (3.3.2): masks, a count, address bits."""

    atomics: int
    features: int
    max_txn: int
    address_bits: int


class Fault(NamedTuple):
    """The reason to refuse a request: the ERR of its completion, and a text."""

    err: Err
    text: str


class Check(NamedTuple):
    """One check of a request: the ERR it ends with, the expected values, and the test that fails it."""

    err: Err
    legal: str
    fails: Callable[[Message, OpInfo, Negotiated], bool]


_ALIGN: Final[Mapping[str, Callable[[Message], int]]] = {
    "line": lambda message: LINE_BYTES,
    "data": lambda message: data_bytes(message.len),
    "atomic": lambda message: ATOMIC_SIZES[message.x],
    "none": lambda message: 1,
    "zero": lambda message: 1,
}


def _aop(message: Message) -> AopInfo:
    return AOPS[message.aop]


def _atomic_len(message: Message) -> int:
    """The LEN of an atomic request: the operand in whole granules, for CAS twice. HSL 5.12."""
    granules = max(1, ATOMIC_SIZES[message.x] // GRANULE_BYTES)
    operands = 2 if _aop(message).name == "CAS" else 1
    return (granules * operands).bit_length() - 1


def _atomic_class(message: Message) -> int:
    """The CAPS class an atomic needs: that of its operation, 16-byte operands their own. HSL 3.3.2."""
    wide = ATOMIC_SIZES[message.x] == max(ATOMIC_SIZES.values())
    return AtomicClass.CAS16 if wide else _aop(message).atomic_class


def _misaligned(message: Message, info: OpInfo, negotiated: Negotiated) -> bool:
    return message.addr % _ALIGN[info.align](message) != 0


_FEATURE: Final = Check(
    Err.UNSUP,
    "a negotiated feature",
    lambda m, info, n: info.feature != 0 and n.features & info.feature != info.feature,
)
_BE_FLAG: Final = Check(
    Err.PROTO, "BE as the opcode says", lambda m, info, n: info.be == "0" and m.be is not None
)
_ALIGNED: Final = Check(Err.PROTO, "an aligned ADDR", _misaligned)
# HSL 5.12, 5.14: the first that applies.
COMMON_CHECKS: Final = (
    _FEATURE,
    _BE_FLAG,
    Check(Err.PROTO, "LEN as the opcode says", lambda m, info, n: m.len not in info.len),
    _ALIGNED,
    Check(
        Err.PROTO,
        "BE bits only for bytes that are there",
        lambda m, info, n: (m.be or 0) >> data_bytes(m.len) != 0,
    ),
)
# HSL 5.12 "Errors, the first that applies" [HSL-TXN-005].
ATOMIC_CHECKS: Final = (
    _FEATURE,
    _BE_FLAG,
    Check(Err.PROTO, "size code 0..2 in X, its other bits 0", lambda m, info, n: m.x not in ATOMIC_SIZES),
    Check(Err.UNSUP, "a known AOP", lambda m, info, n: m.aop not in AOPS),
    Check(
        Err.PROTO,
        "no SWAP or CAS in AtomicStore",
        lambda m, info, n: info.code == Op.AtomicStore and not _aop(m).store,
    ),
    Check(
        Err.PROTO,
        "an operand size that the AOP has",
        lambda m, info, n: ATOMIC_SIZES[m.x] not in _aop(m).sizes,
    ),
    Check(Err.PROTO, "LEN of the operands", lambda m, info, n: m.len != _atomic_len(m)),
    _ALIGNED,
    Check(
        Err.UNSUP,
        "a negotiated class of atomics",
        lambda m, info, n: not n.atomics & _atomic_class(m),
    ),
)


def request_fault(message: Message, negotiated: Negotiated) -> Fault | None:
    """The first format check of 5.12 or 5.14 that a REQ, RWD, MEM or NCR message fails, or None.

    The caller does the checks that need tables of its own, in the order of 5.4 T15: for REQ, RWD and MEM the
    address (DECODE) before this, for NCR between an UNSUP and a PROTO of this.
    """
    info = OPCODES.get(message.op)
    if info is None:
        return Fault(Err.UNSUP, f"opcode {message.op:#04x} is unknown")  # HSL 5.3 [HSL-LNK-034]
    for check in ATOMIC_CHECKS if info.align == "atomic" else COMMON_CHECKS:
        if check.fails(message, info, negotiated):
            return Fault(check.err, f"{info.name} needs {check.legal}")
    return None


def check_request(message: Message, negotiated: Negotiated) -> Err:
    """The ERR that `message` is completed with for its format: OK, PROTO or UNSUP; see `request_fault`."""
    fault = request_fault(message, negotiated)
    return Err.OK if fault is None else fault.err
