"""Atomic operations by name, with operands that are Python values: int, float or bytes (HSL 5.12)."""

from __future__ import annotations

import struct
from typing import Final, TypeVar

from hsl._generated.constants import Aop
from hsl._generated.tables import AOPS
from hsl.agents import atomics
from hsl.agents.access import Access
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import quoted

__all__ = ["OPERATIONS", "Operand", "atomic_access", "unpacked"]

OPERATIONS: Final = {info.name.lower(): Aop(code) for code, info in AOPS.items()}
INT_BYTES: Final = 8  # of an int whose size is not given
FLOAT_FORMATS: Final = {4: "<f", 8: "<d"}
# The Python types of an operand.
TYPES: Final[dict[Aop, tuple[type, ...]]] = (
    dict.fromkeys(OPERATIONS.values(), (bytes, int))
    | dict.fromkeys((Aop.FADD32, Aop.FADD64), (bytes, float))
    | dict.fromkeys((Aop.FADD2xFP16, Aop.FADD2xBF16), (bytes,))
)
Operand = TypeVar("Operand", int, float, bytes)


def atomic_access(
    name: str, addr: int, operand: Operand, *, size: int | None = None, compare: Operand | None = None
) -> Access:
    """Return the access that performs the operation `name`. Raises ConfigError for what cannot be one."""
    if not isinstance(name, str):
        raise ConfigError(
            f"atomic operation {quoted(name)} is of type {type(name).__name__}; it must be a str"
        )
    if name.lower() not in OPERATIONS:
        raise ConfigError(f"unknown atomic operation {quoted(name)}; {expected(OPERATIONS, name.lower())}")
    aop = OPERATIONS[name.lower()]
    if (compare is not None) != (aop is Aop.CAS):
        raise ConfigError(
            f"{name} with compare={quoted(compare)}: cas needs a value, other operations take none"
        )
    if size is None:
        size = len(operand) if isinstance(operand, bytes) else min(INT_BYTES, AOPS[aop].sizes[-1])
    atomics.check(aop, size, addr, atomics.operand_bytes(aop, size), store=False)
    values = [operand] if compare is None else [compare, operand]
    data = b"".join(packed(name, aop, value, size) for value in values)
    return Access("atomic_load", addr, size, data, aop=aop)


def packed(name: str, aop: Aop, value: Operand, size: int) -> bytes:
    """Return `size` bytes of a value, little-endian; an int may be signed or unsigned."""
    if not isinstance(value, TYPES[aop]):
        kinds = " or ".join(kind.__name__ for kind in TYPES[aop])
        raise ConfigError(f"{name}: operand {quoted(value)} must be {kinds}")
    if isinstance(value, bytes):
        if len(value) != size:
            raise ConfigError(f"{name}: operand of {len(value)} bytes, expected {size}")
        return value
    try:
        if isinstance(value, int):
            return value.to_bytes(size, "little", signed=value < 0)
        return struct.pack(FLOAT_FORMATS[size], value)
    except (OverflowError, ValueError, KeyError):
        raise ConfigError(f"{name}: operand {quoted(value)} does not fit {size} bytes") from None


def unpacked(like: Operand, data: bytes) -> Operand:
    """Return the value in `data`, of the type of `like`; an int is unsigned."""
    if isinstance(like, bytes):
        return data
    if isinstance(like, int):
        return int.from_bytes(data, "little")
    value: float = struct.unpack(FLOAT_FORMATS[len(data)], data)[0]
    return value
