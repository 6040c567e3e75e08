"""Bits and bytes: headers cover every bit once, bodies every byte, formats add up, golden flits hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from spec.gen.crc import checksum, stored
from spec.gen.golden import GoldenError, flit_bytes
from spec.gen.load import Refusal, Row, Spec, bit_range, number, type_size
from spec.gen.names import ENUMS, values
from spec.gen.symbols import records

WORD_BITS = (8, 16, 32, 64)


def check(spec: Spec) -> Iterator[Refusal]:
    """All refusals about layouts."""
    odd = [row for row in [*spec["flits"]["header"], *spec["flits"]["crc"]] if row["bits"] not in WORD_BITS]
    if odd:
        yield from (row.refuse(f"{row['name']}: no word has {row['bits']} bits", "bits") for row in odd)
        return
    for header in spec.rows("flits", "header"):
        yield from _bits(spec, header, header["fields"], header["bits"])
    yield from _message_headers(spec)
    for entry in spec.rows("address_map", "entry"):
        yield from _granules(spec, entry, entry["stride"] // 8, entry.get("sparse", False))
    yield from _records(spec)
    yield from _byte_layouts(spec)
    for crc in spec.rows("flits", "crc"):
        yield from _crc(crc)
    wrong = [refusal for fmt in spec.rows("flits", "format") for refusal in _format(spec, fmt)]
    yield from wrong or (r for golden in spec.rows("flits", "golden") for r in _golden(spec, golden))


def _records(spec: Spec) -> Iterator[Refusal]:
    for register in spec.rows("address_map", "register"):
        if "fields" in register:
            yield from _granules(spec, register, max(f["granule"] for f in register["fields"]) + 1, True)
    for record in records(spec):
        yield from _granules(spec, record, record["bytes"] // 8, True)
    log = spec["non_coherent"]["log_entry"]
    yield from _bytes(spec, log, log["fields"], log["bytes"], whole=True)


class Extent(NamedTuple):
    """The extent of a field: its row, first unit (bit or byte) and number of units."""

    field: Row
    low: int
    width: int


def _bits(
    spec: Spec, owner: Row, fields: list[Row], width: int, *, sparse: bool = False
) -> Iterator[Refusal]:
    """Fields in ascending order that cover bits 0..width-1 exactly once (sparse: at most once)."""
    extents: list[Extent] = []
    yield from _extents(spec, fields, lambda f: bit_range(f["bits"]), 1, extents)
    yield from _order(extents, "bit", "bits", width, gaps=sparse)
    if not sparse:
        yield from _whole(owner, extents, "bit", width)


def _bytes(spec: Spec, owner: Row, fields: list[Row], size: int, *, whole: bool) -> Iterator[Refusal]:
    """Fields that follow one another without gaps, within `size` bytes or covering them whole."""
    extents: list[Extent] = []
    yield from _extents(spec, fields, lambda f: (f["offset"], type_size(f["type"])), 8, extents)
    yield from _order(extents, "byte", "offset", size, gaps=False)
    if whole:
        yield from _whole(owner, extents, "byte", size)


def _extents(
    spec: Spec,
    fields: list[Row],
    extent: Callable[[Row], tuple[int, int]],
    unit_bits: int,
    extents: list[Extent],
) -> Iterator[Refusal]:
    """Fills `extents`; refuses a name used twice, an unreadable extent, an enumeration that does not fit."""
    names: set[str] = set()
    for field in fields:
        name = field["name"]
        if name in names:
            yield field.refuse(f"second field {name}", "name")
        names.add(name)
        try:
            low, width = extent(field)
        except ValueError as error:
            yield field.refuse(f"{name}: {error}", "bits" if unit_bits == 1 else "type")
            continue
        extents.append(Extent(field, low, width))
        yield from _enum_fits(spec, field, width * unit_bits)


def _order(extents: list[Extent], unit: str, key: str, size: int, *, gaps: bool) -> Iterator[Refusal]:
    taken: dict[int, str] = {}
    end = 0
    for field, low, width in extents:
        name = field["name"]
        if low + width > size:
            yield field.refuse(f"{name} ends at {unit} {low + width - 1}, the last one is {size - 1}", key)
            continue
        place = range(low, low + width)
        over = [i for i in place if i in taken]
        if over:
            yield field.refuse(f"{name} overlaps {taken[over[0]]} at {unit} {over[0]}", key)
        elif low < end:
            yield field.refuse(f"{name} is out of order: {unit} {low} after {unit} {end - 1}", key)
        elif low > end and not gaps:
            yield field.refuse(f"{_span(unit, end, low)} before {name}: no field", key)
        taken.update(dict.fromkeys(place, name))
        end = max(end, low + width)


def _whole(owner: Row, extents: list[Extent], unit: str, size: int) -> Iterator[Refusal]:
    end = max((low + width for _, low, width in extents), default=0)
    if end < size:
        yield owner.refuse(f"{_span(unit, end, size)} at the end: no field")


def _span(unit: str, first: int, end: int) -> str:
    return f"{unit} {first}" if end == first + 1 else f"{unit}s {first} to {end - 1}"


def _enum_fits(spec: Spec, field: Row, width: int) -> Iterator[Refusal]:
    table = field.get("enum")
    if table is None:
        return
    if table not in ENUMS:
        yield field.refuse(f"{field['name']}: unknown enumeration {table}", "enum")
        return
    for name, value in values(spec, table).items():
        if (value >= width) if ENUMS[table].key == "bit" else (value >> width):
            yield field.refuse(f"{field['name']} has {width} bits, too few for {name} of {table}", "enum")


def _message_headers(spec: Spec) -> Iterator[Refusal]:
    headers = {h["name"]: h for h in spec.rows("messages", "header")}
    bases = {h["extends"] for h in headers.values() if "extends" in h}
    for header in headers.values():
        base = headers.get(header.get("extends", ""))
        if base is None and "extends" in header:
            yield header.refuse(f"{header['name']} extends unknown header {header['extends']}", "extends")
        elif header["name"] not in bases:
            fields = (base["fields"] if base else []) + header["fields"]
            yield from _bits(spec, header, fields, 64)


def _granules(spec: Spec, owner: Row, granules: int, sparse: bool) -> Iterator[Refusal]:
    for field in owner["fields"]:
        if field["granule"] >= granules:
            yield field.refuse(
                f"{field['name']} is in granule {field['granule']}, the last one is {granules - 1}", "granule"
            )
    for granule in range(granules):
        fields = [f for f in owner["fields"] if f["granule"] == granule]
        yield from _bits(spec, owner, fields, 64, sparse=sparse)


def _byte_layouts(spec: Spec) -> Iterator[Refusal]:
    ctl = spec["ctl"]
    yield from _bytes(spec, ctl["header"], ctl["header"]["fields"], ctl["header"]["bytes"], whole=True)
    if ctl["body"]["offset"] != ctl["header"]["bytes"]:
        yield ctl["body"].refuse(
            f"the body starts at {ctl['body']['offset']}, its header has {ctl['header']['bytes']} bytes",
            "offset",
        )
    for op in ctl["ctl"]:
        yield from _bytes(spec, op, op["fields"], ctl["body"]["bytes"], whole=False)
        for field in op["fields"]:
            if "value" in field and len(field["value"].encode()) != _size(field):
                yield field.refuse(f"{field['name']}: value {field['value']} is not {field['type']}", "value")
    yield from _bytes(spec, ctl["caps"], ctl["caps"]["fields"], ctl["caps"]["bytes"], whole=True)
    record = next(
        (f for op in ctl["ctl"] for f in op["fields"] if op["name"] == "CAPS" and f["name"] == "RECORD"), None
    )
    if record is not None and _size(record) != ctl["caps"]["bytes"]:
        yield record.refuse(
            f"RECORD is {record['type']}, the CAPS record has {ctl['caps']['bytes']} bytes", "type"
        )
    for frame in spec["bindings"]["frame"]:
        size = _end(frame["fields"])
        yield from _bytes(spec, frame, frame["fields"], size, whole=True)
        overhead = {b["name"]: b["overhead"] for b in spec["bindings"]["binding"]}.get(frame["binding"], size)
        if overhead != size:
            yield frame.refuse(f"the frame has {size} bytes, binding {frame['binding']} says {overhead}")


def _end(fields: Iterable[Row]) -> int:
    return max((int(f["offset"]) + _size(f) for f in fields), default=0)


def _size(field: Row) -> int:
    """Bytes of a field; 0 for an unknown type, which `_bytes` refuses."""
    try:
        return type_size(field["type"])
    except ValueError:
        return 0


def _crc(crc: Row) -> Iterator[Refusal]:
    for key in ("poly", "init", "xorout", "check"):
        if number(crc[key]) >> crc["bits"]:
            yield crc.refuse(f"{key} of {crc['name']} does not fit {crc['bits']} bits", key)
    got = checksum(crc, b"123456789")
    if got != number(crc["check"]):
        yield crc.refuse(f"{crc['name']} of 123456789 is 0x{got:X}, not 0x{number(crc['check']):X}", "check")


def _format(spec: Spec, fmt: Row) -> Iterator[Refusal]:
    headers = {h["name"]: h for h in spec.rows("flits", "header")}
    crcs = {c["name"]: c for c in spec.rows("flits", "crc")}
    end = 0
    for name in fmt["header"]:
        if name not in headers:
            yield fmt.refuse(f"{fmt['name']} has unknown header {name}", "header")
            return
        if headers[name]["offset"] != end:
            yield headers[name].refuse(
                f"{name} is at byte {headers[name]['offset']}, in {fmt['name']} at {end}", "offset"
            )
        end += headers[name]["bits"] // 8
    if fmt["crc"]["name"] not in crcs:
        yield fmt.refuse(f"{fmt['name']} has unknown CRC {fmt['crc']['name']}", "crc")
        return
    payload_end = fmt["payload"]["offset"] + 8 * fmt["payload"]["granules"]
    crc_end = fmt["crc"]["offset"] + crcs[fmt["crc"]["name"]]["bits"] // 8
    for key, here, wanted in (
        ("payload", fmt["payload"]["offset"], end),
        ("crc", fmt["crc"]["offset"], payload_end),
        ("bytes", fmt["bytes"], crc_end),
    ):
        if here != wanted:
            yield fmt.refuse(f"{fmt['name']}: {key} at {here}, what comes before ends at {wanted}", key)


def _golden(spec: Spec, golden: Row) -> Iterator[Refusal]:
    fmt = next((f for f in spec.rows("flits", "format") if f["name"] == golden["format"]), None)
    if fmt is None:
        yield golden.refuse(f"{golden['name']} has unknown format {golden['format']}", "format")
        return
    try:
        data = flit_bytes(golden["hex"])
    except GoldenError as error:
        yield golden.refuse(f"{golden['name']}: {error}", "hex")
        return
    problem = flit_problem(spec, fmt, data)
    if problem:
        yield golden.refuse(f"{golden['name']}: {problem}", "hex")


def flit_problem(spec: Spec, fmt: Row, data: bytes) -> str:
    """Return the error of the bytes of a flit, "" if length and CRC are right."""
    if len(data) != fmt["bytes"]:
        return f"{len(data)} bytes, {fmt['name']} has {fmt['bytes']}"
    crc = spec.find("flits", "crc", fmt["crc"]["name"])
    wanted = stored(crc, data[: fmt["crc"]["offset"]])
    got = data[fmt["crc"]["offset"] :]
    return "" if got == wanted else f"CRC is {got.hex()}, must be {wanted.hex()}"
