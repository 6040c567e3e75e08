"""Atomic operations: placement of operands and exact results (HSL 5.12).

The home performs far atomics with this, a cache that owns the line near ones. An operation is a function of
old value and operand, so a new class of operations is new rows of OPERATIONS and a bit of PERFORMED.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, Aop, AtomicClass
from hsl._generated.tables import AOPS, ATOMIC_SIZES, FLOATS, FloatInfo
from hsl.agents import floats
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.nearest import expected

SIZE_CODES: dict[int, int] = {size: code for code, size in ATOMIC_SIZES.items()}

Operation = Callable[[int, int, int], int]  # (old, operand, bits) -> new, all unsigned


def _signed(value: int, bits: int) -> int:
    """An unsigned number read as two's complement."""
    return value - (1 << bits) if value >> (bits - 1) else value


def _float_sum(form: FloatInfo, old: int, operand: int, bits: int) -> int:
    return floats.add_lanes(form, old, operand)


# CAS is not here: it has two operands.
OPERATIONS: dict[int, Operation] = {
    Aop.ADD: lambda old, op, bits: (old + op) & ((1 << bits) - 1),
    Aop.CLR: lambda old, op, bits: old & ~op,
    Aop.EOR: lambda old, op, bits: old ^ op,
    Aop.SET: lambda old, op, bits: old | op,
    Aop.SMAX: lambda old, op, bits: max(old, op, key=lambda value: _signed(value, bits)),
    Aop.SMIN: lambda old, op, bits: min(old, op, key=lambda value: _signed(value, bits)),
    Aop.UMAX: lambda old, op, bits: max(old, op),
    Aop.UMIN: lambda old, op, bits: min(old, op),
    Aop.SWAP: lambda old, op, bits: op,
} | {code: partial(_float_sum, form) for code, form in FLOATS.items()}
# The classes whose operations are all here; what is not is not offered, so is never negotiated.
PERFORMED = (
    AtomicClass.INT | AtomicClass.CAS16 | AtomicClass.FADD32 | AtomicClass.FADD64 | AtomicClass.FADD2x16
)


class Shape(NamedTuple):
    """The messages of an atomic: LEN code and data bytes of the request, LEN code of the CmpData (5.12)."""

    len: int
    request: int
    answer: int


def atomic_class(aop: int, size: int) -> int:
    """The CAPS bit that an operation of `size` bytes needs."""
    return AtomicClass.CAS16 if aop == Aop.CAS and size == 16 else AOPS[aop].atomic_class


def operand_bytes(aop: int, size: int) -> int:
    """Bytes of the operands of an operation: compare and swap for CAS."""
    return 2 * size if aop == Aop.CAS else size


def shape(aop: int, size: int) -> Shape:
    """The LEN codes of a request and its answer: each operand takes whole granules."""
    granules = -(-size // GRANULE_BYTES)
    request = granules * (2 if aop == Aop.CAS else 1)
    return Shape(request.bit_length() - 1, request * GRANULE_BYTES, granules.bit_length() - 1)


def check(aop: int, size: int, addr: int, operands: int, *, store: bool) -> None:
    """Raise ConfigError if an atomic is invalid; `operands` is the number of operand bytes. HSL 5.12."""
    if aop not in AOPS:
        raise ConfigError(f"unknown atomic operation {aop}; {expected(sorted(AOPS))}")
    info = AOPS[aop]
    if size not in info.sizes:
        raise ConfigError(f"{info.name} of {size} bytes; {expected(info.sizes)}")
    if store and not info.store:
        raise ConfigError(f"{info.name} has a result, so it cannot be an atomic_store")
    if addr % size:
        raise ConfigError(f"{info.name} of {size} bytes at {addr:#x}; expected a multiple of the size")
    if operands != operand_bytes(aop, size):
        raise ConfigError(f"{info.name} with {operands} operand bytes; expected {operand_bytes(aop, size)}")


def place(size: int, addr: int, value: bytes) -> bytes:
    """Values of `size` bytes as data granules: 4-byte ones at bytes ADDR[2:0] of theirs, the rest 0."""
    if size >= GRANULE_BYTES:
        return value
    offset = addr % GRANULE_BYTES
    tail = GRANULE_BYTES - offset - size
    return b"".join(bytes(offset) + value[i : i + size] + bytes(tail) for i in range(0, len(value), size))


def extract(size: int, addr: int, data: bytes) -> bytes:
    """The values of `size` bytes in data granules: the inverse of `place`."""
    if size >= GRANULE_BYTES:
        return data
    offset = addr % GRANULE_BYTES
    return b"".join(data[i + offset : i + offset + size] for i in range(0, len(data), GRANULE_BYTES))


def apply(aop: int, size: int, old: bytes, operands: bytes) -> tuple[bytes, bytes]:
    """Return (new value, value to return), both `size` bytes; `old` is returned bit for bit.

    `operands` are `operand_bytes(aop, size)` bytes, little-endian. Raises ConfigError for an operation that
    is not performed here.
    """
    if aop == Aop.CAS:
        return (operands[size:] if operands[:size] == old else old), old
    operation = OPERATIONS.get(aop)
    if operation is None:
        raise ConfigError(f"atomic operation {aop} is not performed here: its class is not offered")
    new = operation(int.from_bytes(old, "little"), int.from_bytes(operands, "little"), 8 * size)
    return new.to_bytes(size, "little"), old


def perform(line: bytes | bytearray, message: Message) -> tuple[bytes, bytes]:
    """Apply an AtomicLoad or AtomicStore to a line of 64 bytes; return the line and the CmpData's data.

    The message must have passed the format checks (5.12).
    """
    size = ATOMIC_SIZES[message.x]
    offset = message.addr % LINE_BYTES
    operands = extract(size, message.addr, message.data)
    new, old = apply(message.aop, size, bytes(line[offset : offset + size]), operands)
    return bytes(line[:offset]) + new + bytes(line[offset + size :]), place(size, message.addr, old)
