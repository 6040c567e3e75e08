"""Emits `hsl/_generated/`: constants, Construct layouts and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from spec.gen.decode import header_fields
from spec.gen.emit_python_tables import tables
from spec.gen.load import Spec, bit_range, type_size
from spec.gen.names import ENUMS
from spec.gen.python_text import HEADER, field_name, hexadecimal, quoted
from spec.gen.symbols import records


def emit(spec: Spec) -> dict[str, str]:
    """The generated Python files: path below the project's root to text."""
    return {
        "hsl/_generated/__init__.py": HEADER.format(
            doc="The contents of `spec/*.toml` as Python.", sources="spec/*.toml"
        ),
        "hsl/_generated/constants.py": "\n".join(_constants(spec)) + "\n",
        "hsl/_generated/layouts.py": "\n".join(_layouts(spec)) + "\n",
        "hsl/_generated/tables.py": "\n".join(tables(spec)) + "\n",
    }


def _constants(spec: Spec) -> Iterator[str]:
    yield HEADER.format(doc="Names and numbers of the profile.", sources="spec/*.toml")
    yield "from enum import IntEnum, IntFlag\nfrom typing import Final, NamedTuple\n"
    profile = spec["profile"]
    for key in ("name", "short", "sentence"):
        yield f"PROFILE_{key.upper()}: Final = {quoted(profile[key])}"
    yield f"VERSION: Final = ({profile['major']}, {profile['minor']})"
    yield f"MAGIC: Final = {_magic(spec)!r}".replace("'", '"')
    for limit in profile["limit"]:
        yield f"{limit['name']}: Final = {limit['value']}  # {limit['text']} ({limit['section']})"
    for count in spec["timers"]["count"]:
        yield f"{count['name']}: Final = {count['value']}  # {count['text']}"
    for key in ("tu_exponent_hardware", "tu_exponent_software", "round_trip_tu"):
        yield f"{key.upper()}: Final = {spec['timers'][key]}"
    yield f"PAL_QUEUE_FLITS: Final = {spec['bindings']['queue_flits']}"
    yield f"PAL_FRAME_TIMEOUT_TU: Final = {spec['bindings']['frame_timeout_tu']}"
    for crc in spec["flits"]["crc"]:
        for key in ("poly", "init", "xorout", "check"):
            yield f"{crc['ident']}_{key.upper()}: Final = {hexadecimal(crc[key])}"
    yield from _enums(spec)
    yield from _link_state(spec)


def _magic(spec: Spec) -> bytes:
    hello = spec.find("ctl", "ctl", "HELLO")
    return str(next(f["value"] for f in hello["fields"] if f["name"] == "MAGIC")).encode()


def _enums(spec: Spec) -> Iterator[str]:
    for table, (doc, key, name) in ENUMS.items():
        base = "IntFlag" if key == "bit" else "IntEnum"
        yield f"\n\nclass {name}({base}):"
        yield f'    """Table `{table}` of spec/{doc}.toml."""\n'
        for row in spec[doc][table]:
            value = f"1 << {row[key]}" if base == "IntFlag" else str(row[key])
            if name in ("Op", "CtlOp", "Register"):
                value = f"0x{row[key]:02X}"
            yield f"    {row['name']} = {value}{_comment(row)}"


def _comment(row: dict[str, Any]) -> str:
    return f"  # {row['text']}" if row.get("text") else ""


def _link_state(spec: Spec) -> Iterator[str]:
    yield "\n\nclass LinkState(IntEnum):"
    yield '    """States of spec/link.toml."""\n'
    for code, name in enumerate(spec["link"]["states"]):
        yield f"    {name} = {code}"
    yield "\n\nclass Timer(NamedTuple):"
    yield '    """A timer: length, CAPS field of its unit, scope (link, port, transaction), order."""\n'
    yield "    tu: int\n    unit: str\n    scope: str\n    order: int\n\n"
    yield "TIMERS: Final = {"
    for t in spec["timers"]["timer"]:
        unit, scope = quoted(t["unit"]), quoted(t["scope"])
        yield f"    {quoted(t['name'])}: Timer({t['tu']}, {unit}, {scope}, {t['order']}),"
    yield "}"


# ---------------------------------------------------------------- layouts

PREAMBLE = '''
from collections.abc import Mapping
from typing import Any

from construct import (
    Adapter,
    Array,
    Bytes,
    Const,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    IntegerError,
    Struct,
    Terminated,
)

Rows = tuple[tuple[str, int, int], ...]


class Bits(Adapter):  # type: ignore[misc]  # construct is not typed
    """A little-endian word as named bit fields; rows are (name, shift, mask). Missing names are sent 0."""

    def __init__(self, word: Any, rows: Rows) -> None:
        super().__init__(word)
        self.rows = rows

    def _decode(self, obj: int, context: Any, path: str) -> dict[str, int]:
        return {name: obj >> shift & mask for name, shift, mask in self.rows}

    def _encode(self, obj: Mapping[str, int], context: Any, path: str) -> int:
        word = 0
        for name, shift, mask in self.rows:
            value = obj.get(name, 0)
            if not 0 <= value <= mask:
                raise IntegerError(f"{name} = {value} does not fit: 0..{mask}", path=path)
            word |= value << shift
        return word

'''
WORDS = {"u8": "Int8ul", "u16": "Int16ul", "u32": "Int32ul", "u64": "Int64ul"}


def _rows(fields: Iterable[dict[str, Any]]) -> Iterator[str]:
    for field in fields:
        low, width = bit_range(field["bits"])
        yield f'    ("{field_name(field["name"])}", {low}, 0x{(1 << width) - 1:X}),'


def _bit_fields(name: str, fields: Iterable[dict[str, Any]], word: str) -> Iterator[str]:
    yield f"{name}_FIELDS: Rows = ("
    yield from _rows(fields)
    yield ")"
    yield f"{name} = Bits({word}, {name}_FIELDS)"


def _layouts(spec: Spec) -> Iterator[str]:
    yield HEADER.format(
        doc="Construct layouts of flits, messages, CTL bodies and records.", sources="spec/*.toml"
    )
    yield PREAMBLE.strip("\n") + "\n\n"
    for header in spec["flits"]["header"]:
        yield from _bit_fields(header["name"], header["fields"], f"Int{header['bits']}ul")
    for header in spec["messages"]["header"]:
        yield from _bit_fields(header["name"], header_fields(spec, header["name"]), "Int64ul")
    yield from _formats(spec)
    yield from _ctl_layouts(spec)
    for entry in spec["address_map"]["entry"]:
        yield from _entry_layout(entry)
    registers = (row for row in spec["address_map"]["register"] if "fields" in row)
    for owner in (*registers, *records(spec)):
        for granule in sorted({f["granule"] for f in owner["fields"]}):
            fields = [f for f in owner["fields"] if f["granule"] == granule]
            yield from _bit_fields(f"{owner['name']}_D{granule}", fields, "Int64ul")
    for record in records(spec):
        yield f"{record['name']}_BYTES = {record['bytes']}"
    log = spec["non_coherent"]["log_entry"]
    yield f"LOG_ENTRY = {_struct(log['fields'], log['bytes'])}"
    yield f"LOG_ENTRY_BYTES = {log['bytes']}"


def _formats(spec: Spec) -> Iterator[str]:
    crc_bits = {crc["name"]: crc["bits"] for crc in spec["flits"]["crc"]}
    for fmt in spec["flits"]["format"]:
        heads = " ".join(f'"{h.lower()}" / {h},' for h in fmt["header"])
        payload = fmt["payload"]["granules"] * 8
        crc = f"Int{crc_bits[fmt['crc']['name']]}ul"
        yield f'{fmt["name"]} = Struct({heads} "payload" / Bytes({payload}), "crc" / {crc}, Terminated)'
        yield f"{fmt['name']}_BYTES = {fmt['bytes']}"
        yield f"{fmt['name']}_PAYLOAD_OFFSET = {fmt['payload']['offset']}"
        yield f"{fmt['name']}_GRANULES = {fmt['payload']['granules']}"
        yield f"{fmt['name']}_CRC_OFFSET = {fmt['crc']['offset']}"


def _type(text: str) -> str:
    match = re.fullmatch(r"(\w+)\[(\d+)\]", text)
    if match is None:
        return WORDS[text]
    kind, count = match.groups()
    return f"Bytes({count})" if kind == "bytes" else f"Array({count}, {WORDS[kind]})"


def _struct(fields: Iterable[dict[str, Any]], size: int) -> str:
    parts, end = [], 0
    for f in fields:
        parts.append(f'"{field_name(f["name"])}" / {_type(f["type"])}')
        end = f["offset"] + type_size(f["type"])
    if end < size:
        parts.append(f'"rest" / Bytes({size - end})')
    return "Struct(" + ", ".join(parts) + ")"


def _ctl_layouts(spec: Spec) -> Iterator[str]:
    ctl = spec["ctl"]
    yield f"CTL_HEADER = {_struct(ctl['header']['fields'], ctl['header']['bytes'])}"
    yield f"CTL_BODY_OFFSET = {ctl['body']['offset']}"
    yield f"CTL_BODY_BYTES = {ctl['body']['bytes']}"
    yield "CTL_BODIES = {"
    for op in ctl["ctl"]:
        yield f"    0x{op['code']:02X}: {_struct(op['fields'], ctl['body']['bytes'])},"
    yield "}"
    yield "CTL_FIELDS = {"
    for op in ctl["ctl"]:
        names = [field_name(f["name"]) for f in op["fields"] if not f.get("reserved")]
        yield f"    0x{op['code']:02X}: ({', '.join(quoted(n) for n in names)},),"
    yield "}"
    yield f"CAPS_RECORD = {_struct(ctl['caps']['fields'], ctl['caps']['bytes'])}"
    yield f"CAPS_BYTES = {ctl['caps']['bytes']}"
    for frame in spec["bindings"]["frame"]:
        size = sum(type_size(f["type"]) for f in frame["fields"])
        yield f"{frame['binding'].upper()}_FRAME = {_struct(frame['fields'], size)}"
    for binding in spec["bindings"]["binding"]:
        if "magic" in binding:
            name = binding["name"].upper()
            yield f'{name}_MAGIC = b"{binding["magic"]}"'
            yield f"{name}_VERSION = {binding['version']}"


def _entry_layout(entry: dict[str, Any]) -> Iterator[str]:
    granules = entry["stride"] // 8
    for g in range(granules):
        yield from _bit_fields(
            f"{entry['name']}_D{g}", [f for f in entry["fields"] if f["granule"] == g], "Int64ul"
        )
    parts = ", ".join(f'"d{g}" / {entry["name"]}_D{g}' for g in range(granules))
    yield f"{entry['name']}_ENTRY = Struct({parts})"
    for key in ("base", "stride", "count"):
        yield f"{entry['name']}_{key.upper()} = {hexadecimal(entry[key])}"
