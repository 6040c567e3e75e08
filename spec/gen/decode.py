"""Reads flits and messages with the layouts of the TOML alone: for golden flits and worked examples only."""

from __future__ import annotations

from typing import NamedTuple

from spec.gen.load import Row, Spec, bit_range


class DecodeError(ValueError):
    """Granules that are no message."""


class DecodedMessage(NamedTuple):
    """A message: header fields by the spec's names, byte-enable mask or None, data, number of granules."""

    name: str
    fields: dict[str, int]
    be: int | None
    data: bytes
    granules: int


def fields_of(rows: list[Row], word: int) -> dict[str, int]:
    """The bit fields of a little-endian word."""
    extents = {row["name"]: bit_range(row["bits"]) for row in rows}
    return {name: word >> low & ((1 << width) - 1) for name, (low, width) in extents.items()}


def header_fields(spec: Spec, name: str) -> list[Row]:
    """Fields of a message header with those of the header that it extends in front."""
    header = spec.find("messages", "header", name)
    base = header_fields(spec, header["extends"]) if "extends" in header else []
    return base + list(header["fields"])


def flit_fields(spec: Spec, fmt: Row, data: bytes) -> dict[str, int]:
    """The link header fields of a flit."""
    fields: dict[str, int] = {}
    for name in fmt["header"]:
        header = spec.find("flits", "header", name)
        word = data[header["offset"] : header["offset"] + header["bits"] // 8]
        fields |= fields_of(header["fields"], int.from_bytes(word, "little"))
    return fields


def payload(fmt: Row, data: bytes) -> bytes:
    """The granules of a flit."""
    start: int = fmt["payload"]["offset"]
    return data[start : start + 8 * fmt["payload"]["granules"]]


def messages(spec: Spec, stream: bytes) -> tuple[list[DecodedMessage], bytes]:
    """Return the messages of a granule stream without PAD, and the rest. Raises DecodeError."""
    found: list[DecodedMessage] = []
    while stream:
        if not any(stream[:8]):
            stream = stream[8:]
            continue
        message = _message(spec, stream)
        if message is None:
            break
        found.append(message)
        stream = stream[8 * message.granules :]
    return found, stream


def _message(spec: Spec, stream: bytes) -> DecodedMessage | None:
    words = [int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)]
    code = words[0] & 0xFF
    opcode = next((o for o in spec.rows("opcodes", "opcode") if o["code"] == code), None)
    if opcode is None:
        raise DecodeError(f"no opcode 0x{code:02X}")
    header = spec.find("messages", "vc", opcode["vc"])["header"]
    parts = sorted(
        (h for h in spec.rows("messages", "header") if h["name"].startswith(header)),
        key=lambda h: int(h["granule"]),
    )
    if len(words) < len(parts):
        return None
    fields: dict[str, int] = {}
    for part in parts:
        fields |= fields_of(header_fields(spec, part["name"]), words[part["granule"]])
    start = len(parts) + fields.get("BE", 0)
    size = (1 << fields["LEN"]) if opcode["data"] == "len" else 0
    if len(words) < start + size:
        return None
    be = words[len(parts)] if fields.get("BE") else None
    return DecodedMessage(opcode["name"], fields, be, stream[8 * start : 8 * (start + size)], start + size)
