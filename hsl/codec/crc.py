"""CRC-32C and CRC-64/XZ in pure Python, as HSL 2.4 defines them: the reference beside the native engine.

Both are reflected, start from all ones and end with an exclusive or of all ones; so a CRC can be resumed:
that of `a + b` is `crc32c(b, crc32c(a))`.
"""

import os
from types import ModuleType
from typing import Final, Protocol

from hsl._generated.constants import (
    CRC32C_INIT,
    CRC32C_POLY,
    CRC32C_XOROUT,
    CRC64XZ_INIT,
    CRC64XZ_POLY,
    CRC64XZ_XOROUT,
)
from hsl.errors import ConfigError
from hsl.nearest import expected

__all__ = [
    "ENGINE",
    "ENGINES",
    "Buffer",
    "Crc",
    "crc32c",
    "crc32c_reference",
    "crc32c_with",
    "crc64xz",
    "crc64xz_reference",
    "crc64xz_with",
]

Buffer = bytes | bytearray | memoryview


class Crc(Protocol):
    """A CRC of `data`, continued from `crc`."""

    def __call__(self, data: Buffer, crc: int = 0) -> int:
        """See `crc32c_reference` and `crc64xz_reference`."""


def _table(bits: int, poly: int) -> tuple[int, ...]:
    """The state after each byte, for the polynomial in the spec's normal order."""
    reflected = int(f"{poly:0{bits}b}"[::-1], 2)
    rows = list(range(256))
    for _ in range(8):
        rows = [state >> 1 ^ (reflected if state & 1 else 0) for state in rows]
    return tuple(rows)


CRC32C_TABLE: Final = _table(32, CRC32C_POLY)
CRC64XZ_TABLE: Final = _table(64, CRC64XZ_POLY)


def crc32c_reference(data: Buffer, crc: int = 0) -> int:
    """CRC-32C of `data`, continued from `crc` (0 to start). HSL 2.4 [HSL-FLT-003]."""
    return _run(CRC32C_TABLE, data, crc ^ CRC32C_INIT) ^ CRC32C_XOROUT


def crc64xz_reference(data: Buffer, crc: int = 0) -> int:
    """CRC-64/XZ of `data`, continued from `crc` (0 to start). HSL 2.4 [HSL-FLT-004]."""
    return _run(CRC64XZ_TABLE, data, crc ^ CRC64XZ_INIT) ^ CRC64XZ_XOROUT


def _run(table: tuple[int, ...], data: Buffer, state: int) -> int:
    for byte in bytes(data):
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state


def crc32c_with(engine: str) -> Crc:
    """The CRC-32C of one of ENGINES; ConfigError for another name, or for `native` without the extension."""
    return crc32c_reference if _is_reference(engine) else _native().crc32c


def crc64xz_with(engine: str) -> Crc:
    """The CRC-64/XZ of one of ENGINES; ConfigError as `crc32c_with`."""
    return crc64xz_reference if _is_reference(engine) else _native().crc64xz


def _is_reference(engine: str) -> bool:
    if engine not in ENGINES:
        raise ConfigError(f"unknown engine {engine!r}; {expected(ENGINES)}")
    return engine == "reference"


def _native() -> ModuleType:
    from hsl import native  # here, because the reference must run without the extension

    return native


ENGINES: Final = ("reference", "native")
# Reference link and agents run on the native CRC unless HSL_ENGINE asks for pure Python.
ENGINE: Final = os.environ.get("HSL_ENGINE") or "native"
crc32c: Final = crc32c_with(ENGINE)
crc64xz: Final = crc64xz_with(ENGINE)
