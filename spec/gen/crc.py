"""CRC by definition, bit by bit: the checker's own, so that it trusts no table and no library."""

from __future__ import annotations

from spec.gen.load import Row, number


def checksum(crc: Row, data: bytes) -> int:
    """The CRC of `data` as the parameters in spec/flits.toml say."""
    bits: int = crc["bits"]
    mask = (1 << bits) - 1
    poly, register = number(crc["poly"]) & mask, number(crc["init"]) & mask
    for byte in data:
        register ^= (_reverse(byte, 8) if crc["reflected"] else byte) << (bits - 8)
        for _ in range(8):
            carry = register >> (bits - 1)
            register = register << 1 & mask ^ (poly if carry else 0)
    return (_reverse(register, bits) if crc["reflected"] else register) ^ number(crc["xorout"]) & mask


def stored(crc: Row, data: bytes) -> bytes:
    """The CRC as it stands at the end of a flit: little-endian."""
    return checksum(crc, data).to_bytes(crc["bits"] // 8, "little")


def _reverse(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)
