"""A flit as a tuple, and the two flit formats (HSL 2.1 to 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from hsl._generated import layouts
from hsl._generated.constants import GRANULE_BYTES, ErrorCode
from hsl.codec.crc import crc32c, crc64xz
from hsl.errors import CodecError, ConfigError
from hsl.nearest import expected

__all__ = ["FORMATS", "Flit", "FlitFormat", "flit_format", "flit_type"]


Crc = Callable[[bytes], int]


class Flit(NamedTuple):
    """One flit without its CRC.

    `format` is a key of FORMATS, `ft` a FlitType or a reserved number, `payload` the granules (shorter on
    encode: the rest is zeros, which is PAD), `som` bit i = granule i starts a message (B256; 0 on L64). HSL
    2.1 to 2.3.
    """

    format: str
    ft: int
    viral: int = 0
    seq: int = 0
    ack: int = 0
    cvc: int = 0
    ccnt: int = 0
    payload: bytes = b""
    som: int = 0


class FlitFormat(NamedTuple):
    """Sizes and offsets in bytes, and the CRC over the bytes before `crc_offset`, stored little-endian."""

    name: str
    bytes: int
    granules: int
    payload_offset: int
    crc_offset: int
    crc: Crc
    crc_requirement: str
    has_som: bool

    @property
    def payload_bytes(self) -> int:
        """Bytes of the payload."""
        return self.granules * GRANULE_BYTES

    @property
    def crc_bytes(self) -> int:
        """Bytes of the CRC, the last ones of the flit."""
        return self.bytes - self.crc_offset


FORMATS: Final = {
    "L64": FlitFormat(
        "L64",
        layouts.L64_BYTES,
        layouts.L64_GRANULES,
        layouts.L64_PAYLOAD_OFFSET,
        layouts.L64_CRC_OFFSET,
        crc32c,
        "HSL-FLT-003",
        has_som=False,
    ),
    "B256": FlitFormat(
        "B256",
        layouts.B256_BYTES,
        layouts.B256_GRANULES,
        layouts.B256_PAYLOAD_OFFSET,
        layouts.B256_CRC_OFFSET,
        crc64xz,
        "HSL-FLT-004",
        has_som=True,
    ),
}

_FT: Final = next((shift, mask) for name, shift, mask in layouts.H0_FIELDS if name == "ft")


def flit_format(name: str) -> FlitFormat:
    """The format called `name`; ConfigError when there is none."""
    if name not in FORMATS:
        raise ConfigError(f"unknown flit format {name!r}; {expected(FORMATS)}")
    return FORMATS[name]


def flit_type(data: bytes) -> int:
    """Return the FT of a flit; the rest is not checked. Raises CodecError (CRC) for no bytes."""
    if not data:
        raise CodecError("flit of 0 bytes has no type", code=ErrorCode.CRC, requirement="HSL-FLT-001")
    shift, mask = _FT
    return data[0] >> shift & mask
