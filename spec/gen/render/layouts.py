"""Blocks about bits and bytes: diagrams, field tables, flit formats, CTL bodies, golden flits."""

from __future__ import annotations

from collections.abc import Iterator

from spec.gen import decode
from spec.gen.golden import flit_bytes
from spec.gen.load import Row, Spec, number
from spec.gen.render.markdown import BlockError, none, one, table
from spec.gen.symbols import granule_layouts


def _bit_headers(spec: Spec) -> dict[str, list[Row]]:
    headers = {h["name"]: list(h["fields"]) for h in spec.rows("flits", "header")}
    return headers | {
        h["name"]: decode.header_fields(spec, h["name"]) for h in spec.rows("messages", "header")
    }


def bits(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """A header as a row of boxes, the highest bit at the left."""
    headers = _bit_headers(spec)
    fields = headers[one(arguments, headers)][::-1]
    widths = [max(len(f["bits"]), len(f["name"])) for f in fields]
    border = "+" + "+".join("-" * (w + 2) for w in widths) + "+"
    yield "```"
    yield (" " + " ".join(f["bits"].center(w + 2) for f, w in zip(fields, widths, strict=True))).rstrip()
    yield border
    yield "|" + "|".join(f["name"].center(w + 2) for f, w in zip(fields, widths, strict=True)) + "|"
    yield border
    yield "```"


def fields(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The fields that a header itself defines, or those of an entry of the map, a register or a record."""
    headers = {
        h["name"]: h["fields"] for h in [*spec.rows("flits", "header"), *spec.rows("messages", "header")]
    }
    entries = {owner["name"]: owner["fields"] for owner in granule_layouts(spec)}
    name = one(arguments, [*headers, *entries])
    if name in headers:
        yield from table("bits | field | meaning", ((f["bits"], f["name"], f["text"]) for f in headers[name]))
    else:
        rows = ((f"D{f['granule']}", f["bits"], f["name"], f["text"]) for f in entries[name])
        yield from table("granule | bits | field | meaning", rows)


def flit_format(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The parts of a flit."""
    name = one(arguments, [f["name"] for f in spec.rows("flits", "format")])
    fmt = spec.find("flits", "format", name)
    headers = [spec.find("flits", "header", h) for h in fmt["header"]]
    count, offset = fmt["payload"]["granules"], fmt["payload"]["offset"]
    rows = [(h["offset"], h["offset"] + h["bits"] // 8, f"{h['name']} link header") for h in headers]
    rows.append((offset, offset + 8 * count, f"payload: granules G0..G{count - 1} ({count} x 8 bytes)"))
    start = fmt["crc"]["offset"]
    rows.append((start, fmt["bytes"], f"{fmt['crc']['name']} over bytes 0..{start - 1}, little-endian"))
    yield from table("bytes | part", ((f"{low}..{end - 1}", text) for low, end, text in rows))


def crc(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The parameters of the CRCs, side by side."""
    none(arguments)
    crcs = spec.rows("flits", "crc")
    users = {
        c["name"]: [f["name"] for f in spec.rows("flits", "format") if f["crc"]["name"] == c["name"]]
        for c in crcs
    }
    numbers = {
        key: [f"0x{number(c[key]):0{c['bits'] // 4}X}" for c in crcs]
        for key in ("poly", "init", "xorout", "check")
    }
    lines: dict[str, list[str]] = {
        "used in": [", ".join(users[c["name"]]) for c in crcs],
        "width": [f"{c['bits']} bits" for c in crcs],
        "poly": numbers["poly"],
        "init": numbers["init"],
        "xorout": numbers["xorout"],
        "reflected in and out": ["yes" if c["reflected"] else "no" for c in crcs],
        'check("123456789")': numbers["check"],
        "least distance": [str(c["distance"]) for c in crcs],
    }
    yield from table(" | ".join(["parameter", *users]), ([name, *cells] for name, cells in lines.items()))


def ctl(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The common header of CTL flits, or the body of one."""
    document = spec["ctl"]
    if not arguments:
        yield from _byte_table(document["header"]["fields"])
        return
    name = one(arguments, [op["name"] for op in document["ctl"]])
    yield from _byte_table(spec.find("ctl", "ctl", name)["fields"])


def _byte_table(rows: list[Row]) -> Iterator[str]:
    yield from table(
        "offset | type | field | meaning", ((f["offset"], f["type"], f["name"], f["text"]) for f in rows)
    )


def ctls(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """All CTLs with their bodies on one line each."""
    none(arguments)
    rows = (
        (
            f"0x{op['code']:02X}",
            op["name"],
            ", ".join(f"{f['name']} {f['type']}" for f in op["fields"]),
            op["text"],
        )
        for op in spec.rows("ctl", "ctl")
    )
    yield from table("CTL_OP | name | body | meaning", rows)


def caps(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The CAPS record."""
    none(arguments)
    rows = ((f["offset"], f["type"], f["name"], f["rule"], f["text"]) for f in spec["ctl"]["caps"]["fields"])
    yield from table("offset | type | field | rule | meaning", rows)


def frame(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Render the bytes that a binding puts in front of a flit."""
    frames = {f["binding"]: f["fields"] for f in spec.rows("bindings", "frame")}
    yield from _byte_table(frames[one(arguments, frames)])


def golden(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """A golden flit: its bytes and what they mean."""
    row = spec.find("flits", "golden", one(arguments, [g["name"] for g in spec.rows("flits", "golden")]))
    fmt = spec.find("flits", "format", row["format"])
    data = flit_bytes(row["hex"])
    yield f"{row['name']}, {row['format']}: {row['text']}"
    yield ""
    yield "```"
    yield from _dump(data)
    yield "```"
    yield ""
    yield from table("field | bits | value | meaning", _golden_rows(spec, fmt, data))


def _dump(data: bytes) -> Iterator[str]:
    """Sixteen bytes a line; lines equal to the one before are left out and shown as `*`."""
    last, skipped = b"", False
    for start in range(0, len(data), 16):
        line = data[start : start + 16]
        if line == last:
            if not skipped:
                yield "*"
            skipped = True
            continue
        yield f"{start:03x}  " + " ".join(f"{byte:02x}" for byte in line)
        last, skipped = line, False


def _golden_rows(spec: Spec, fmt: Row, data: bytes) -> Iterator[tuple[object, ...]]:
    headers = [spec.find("flits", "header", h) for h in fmt["header"]]
    values = decode.flit_fields(spec, fmt, data)
    for header in headers:
        for f in header["fields"]:
            yield f"{header['name']}.{f['name']}", f["bits"], _hex(values[f["name"]]), f["text"]
    found, rest = decode.messages(spec, decode.payload(fmt, data))
    if any(rest):
        raise BlockError("the flit ends inside a message")
    for message in found:
        widths = {f["name"]: f for part in ("A0", "A1", "B0") for f in decode.header_fields(spec, part)}
        for name, value in message.fields.items():
            text = message.name if name == "OP" else widths[name]["text"]
            yield f"{message.name}.{name}", widths[name]["bits"], _hex(value), text
        if message.data:
            yield (
                f"{message.name} data",
                "",
                f"{len(message.data)} bytes",
                f"{message.data[0]:02x} .. {message.data[-1]:02x}",
            )
    start = fmt["crc"]["offset"]
    yield (
        "CRC",
        "",
        _hex(int.from_bytes(data[start:], "little")),
        f"{fmt['crc']['name']} of bytes 0..{start - 1}",
    )


def _hex(value: int) -> str:
    return str(value) if value < 10 else f"0x{value:X}"


KINDS = {
    "bits": bits,
    "fields": fields,
    "format": flit_format,
    "crc": crc,
    "ctl": ctl,
    "ctls": ctls,
    "caps": caps,
    "frame": frame,
    "golden": golden,
}
