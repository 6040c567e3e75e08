"""The numbers of the profile as names, for emitters of any language: constants, enumerations, layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from spec.gen.decode import header_fields
from spec.gen.load import Row, Spec, bit_range, number, type_size
from spec.gen.names import ENUMS

# Table of spec.gen.names -> prefix of its names, where names of several enumerations share one name space.
PREFIXES = {
    "flit_type": "FT",
    "format": "FORMAT",
    "vc": "VC",
    "state": "ST",
    "err": "ERR",
    "role": "ROLE",
    "opcode": "OP",
    "aop": "AOP",
    "ctl": "CTL",
    "flag": "CTL_FLAG",
    "atomic_class": "ATOMIC",
    "security": "SECURITY",
    "power": "POWER",
    "feature": "FEATURE",
    "severity": "SEVERITY",
    "error": "ERROR",
    "sam_type": "SAM_TYPE",
    "right": "RIGHT",
    "node_class": "CLASS",
    "register": "REGISTER",
    "err_msg": "ERR_MSG_KIND",
    "page_code": "PAGE_CODE",
    "fence_command": "FENCE_COMMAND",
    "mgmt_type": "MGMT_TYPE",
    "log_op": "LOG_OP",
    "ut_op": "UT_OP",
    "system_nid": "SYSTEM_NID",
    "page_register": "PAGE_REGISTER",
    "job_vector": "JOB_VECTOR",
    "kernel": "KERNEL",
}


class Constant(NamedTuple):
    """A number; `bits` is 32 or 64."""

    name: str
    value: int
    bits: int
    text: str


class Enumeration(NamedTuple):
    """Named values of `bits` bits; those of flags are masks of one bit."""

    name: str
    prefix: str
    bits: int
    flags: bool
    members: list[Constant]


class Field(NamedTuple):
    """`elements` of `bits` bits each, the first one at bit `low`."""

    name: str
    low: int
    bits: int
    elements: int
    text: str


class Layout(NamedTuple):
    """Fields of a word (bit 0 is the least significant bit of byte 0), or of a record of bytes."""

    name: str
    bits: int
    record: bool
    fields: list[Field]

    def filled(self) -> Iterator[Field]:
        """Return the fields, and the gaps between them, which are sent as 0."""
        at = 0
        for field in self.fields:
            if field.low > at:
                yield Field(f"ZERO_{at}", at, field.low - at, 1, "sent 0")
            yield field
            at = field.low + field.bits * field.elements
        if at < self.bits:
            yield Field(f"ZERO_{at}", at, self.bits - at, 1, "sent 0")


def constants(spec: Spec) -> dict[str, list[Constant]]:
    """Heading -> constants."""
    profile, timers, ctl = spec["profile"], spec["timers"], spec["ctl"]
    return {
        "Version of the profile": [
            Constant(f"VERSION_{key.upper()}", profile[key], 32, "") for key in ("major", "minor")
        ],
        "Limits": [Constant(row["name"], row["value"], 32, row["text"]) for row in profile["limit"]],
        "Flit formats": [row for fmt in spec.rows("flits", "format") for row in _format(fmt)],
        "CRCs, in normal order": [row for crc in spec.rows("flits", "crc") for row in _crc(crc)],
        "Timers, in TU": [
            Constant(f"{row['name']}_TU", row["tu"], 32, f"{row['unit']}; {row['expiry']}")
            for row in timers["timer"]
        ],
        "Counts": [Constant(row["name"], row["value"], 32, row["text"]) for row in timers["count"]],
        "TU = 2^n ns": [
            Constant(key.upper(), timers[key], 32, "")
            for key in ("tu_exponent_hardware", "tu_exponent_software")
        ],
        "Round trip of the PAL": [
            Constant("ROUND_TRIP_TU", timers["round_trip_tu"], 32, "so many TU cover it, at least")
        ],
        "Least credits of a receiver": [
            Constant(f"MIN_CREDITS_{row['vc']}", row["credits"], 32, "")
            for row in spec.rows("credits", "minimum")
        ],
        "CTL": [
            Constant("CTL_HEADER_BYTES", ctl["header"]["bytes"], 32, ""),
            Constant("CTL_BODY_OFFSET", ctl["body"]["offset"], 32, "in the payload"),
            Constant("CTL_BODY_BYTES", ctl["body"]["bytes"], 32, ""),
            Constant("CAPS_BYTES", ctl["caps"]["bytes"], 32, ""),
        ],
    }


def _format(fmt: Row) -> Iterator[Constant]:
    name = fmt["name"]
    yield Constant(f"{name}_BYTES", fmt["bytes"], 32, "")
    yield Constant(f"{name}_PAYLOAD_OFFSET", fmt["payload"]["offset"], 32, "")
    yield Constant(f"{name}_GRANULES", fmt["payload"]["granules"], 32, "")
    yield Constant(f"{name}_CRC_OFFSET", fmt["crc"]["offset"], 32, f"{fmt['crc']['name']}, little-endian")


def _crc(crc: Row) -> Iterator[Constant]:
    for key in ("poly", "init", "xorout", "check"):
        text = 'of "123456789"' if key == "check" else ""
        yield Constant(f"{crc['ident']}_{key.upper()}", number(crc[key]), crc["bits"], text)


def enumerations(spec: Spec) -> Iterator[Enumeration]:
    """All of them, in the order of `spec.gen.names`, then the states of links and caches."""
    for table, (doc, key, _) in ENUMS.items():
        flags = key == "bit"
        members = [
            Constant(row["name"], 1 << row[key] if flags else row[key], 32, row.get("text", ""))
            for row in spec.rows(doc, table)
        ]
        needed = max(member.value for member in members).bit_length()
        bits = max([needed, *_field_bits(spec, table)])
        yield Enumeration(table, PREFIXES[table], bits, flags, members)
    for name, states in (
        ("link_state", spec["link"]["states"]),
        ("ra_state", spec["coherence"]["ra"]["states"]),
    ):
        members = [Constant(state, code, 32, "") for code, state in enumerate(states)]
        yield Enumeration(name, name.upper(), (len(states) - 1).bit_length(), False, members)


def _field_bits(spec: Spec, table: str) -> Iterator[int]:
    """Bits of the fields that hold this enumeration."""
    rows: list[Row] = [
        f for doc in ("flits", "messages") for h in spec.rows(doc, "header") for f in h["fields"]
    ]
    rows += [field for owner in granule_layouts(spec) for field in owner["fields"]]
    ctl = spec["ctl"]
    rows += [
        *ctl["header"]["fields"],
        *ctl["caps"]["fields"],
        *(f for row in ctl["ctl"] for f in row["fields"]),
    ]
    for row in rows:
        if row.get("enum") == table:
            yield 8 * type_size(row["type"]) if "type" in row else bit_range(row["bits"])[1]


def granule_layouts(spec: Spec) -> list[Row]:
    """Return the layouts in granules: entries of map and access list, registers, records."""
    registers = [row for row in spec.rows("address_map", "register") if "fields" in row]
    return [*spec.rows("address_map", "entry"), *registers, *records(spec)]


def records(spec: Spec) -> list[Row]:
    """Return the data of NCR messages, and the records in memory of the reference system."""
    return [*spec.rows("non_coherent", "record"), *spec.rows("reference_system", "record")]


def layouts(spec: Spec) -> Iterator[Layout]:
    """The link headers, message headers, CTL header and bodies, CAPS record, map and access list entries."""
    for header in spec.rows("flits", "header"):
        yield Layout(header["name"], header["bits"], False, _bits(header["fields"]))
    for name in ("COMMON", "A0", "A1", "B0"):
        yield Layout(name, 64, False, _bits(header_fields(spec, name)))
    for owner in granule_layouts(spec):
        for granule in sorted({field["granule"] for field in owner["fields"]}):
            fields = [field for field in owner["fields"] if field["granule"] == granule]
            yield Layout(f"{owner['name']}_D{granule}", 64, False, _bits(fields))
    ctl = spec["ctl"]
    yield Layout("CTL_HEADER", 8 * ctl["header"]["bytes"], True, _bytes(ctl["header"]["fields"]))
    for row in ctl["ctl"]:
        yield Layout(f"CTL_{row['name']}", 8 * ctl["body"]["bytes"], True, _bytes(row["fields"]))
    yield Layout("CAPS", 8 * ctl["caps"]["bytes"], True, _bytes(ctl["caps"]["fields"]))


def _bits(rows: Iterable[Row]) -> list[Field]:
    extents = ((row, *bit_range(row["bits"])) for row in rows)
    return [Field(row["name"], low, bits, 1, row["text"]) for row, low, bits in extents]


def _bytes(rows: Iterable[Row]) -> list[Field]:
    """Bytes in a row are one field, numbers in a row are elements."""
    fields = []
    for row in rows:
        size = type_size(row["type"])
        kind, _, _ = row["type"].partition("[")
        one = size if kind == "bytes" else type_size(kind)
        fields.append(Field(row["name"], 8 * row["offset"], 8 * one, size // one, row["text"]))
    return fields
