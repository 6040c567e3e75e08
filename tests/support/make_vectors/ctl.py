"""Vectors of 3.3: every CTL_OP, every field of it and of the CAPS record, every reserved byte."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import bigint
from tests.support.make_vectors.vector import Vector, accepted, flit

SECTION = "3.3"
ABOUT = "One CTL flit: every CTL_OP, every field at 0, at max and with each single bit, every reserved byte."
FLAGS = {
    "Reserved": "Reserved bits are not 0: ignored, and sent 0.",
    "UnknownOperation": "A CTL_OP that is in no table: its body is given as it is.",
}
HEAD = {"ft": 2, "seq": 0x155, "ack": 0x2AA}
EPOCH, PEER = 0x01020304, 0x0A0B0C0D
# Lowest and highest of each gap in the table of 3.3.1.
UNKNOWN = (0x00, 0x04, 0x0F, 0x11, 0x1F, 0x23, 0x2F, 0x33, 0x3F, 0x42, 0x4F, 0x53, 0x7F, 0x80, 0xFF)
Fields = Mapping[str, int | bytes | list[int]]


def vectors() -> Iterator[Vector]:
    for op, (name, places) in bigint.CTL.items():
        yield ctl(f"{name}-zero", "Every field 0", op, {}, epoch=0, peer=0)
        yield ctl(f"{name}-counted", "Every byte of every field another", op, _counted(places))
        yield ctl(f"{name}-B256", "The same in the long format", op, _counted(places), form="B256")
        for field, place in places.items():
            if field != "record":
                yield from _sweep(op, field, *place)
        yield from _reserved(op)
    yield from _header()
    yield from _caps()
    yield from _unknown()
    yield from _realistic()


def ctl(
    id: str,
    comment: str,
    op: int,
    fields: Fields,
    *,
    seen: bool = False,
    epoch: int = EPOCH,
    peer: int = PEER,
    form: str = "L64",
    received: Mapping[int, int] | None = None,
    flags: tuple[str, ...] = (),
) -> Vector:
    """One CTL; `received` are bytes of the payload that come otherwise than they are sent."""
    sent = bigint.ctl(op, int(seen), epoch, peer, _body(op, fields))
    shown: dict[str, Any] = {"op": op, "name": bigint.CTL[op][0]} if op in bigint.CTL else {"op": op}
    shown |= {"seen": True} if seen else {}
    shown |= {name: value for name, value in (("epoch", epoch), ("peer", peer)) if value}
    shown["body"] = _shown(op, fields)
    wire = bytearray(sent.ljust(240 if form == "B256" else 56, b"\0"))
    for at, byte in (received or {}).items():
        wire[at] = byte
    clean = [flit(form, HEAD, sent)] if received else []
    wires = [flit(form, HEAD, bytes(wire))]
    return accepted(id, comment, form, wires, [HEAD | {"ctl": shown}], clean=clean, flags=flags)


def _body(op: int, fields: Fields) -> bytes:
    if op in bigint.CTL:
        return bigint.ctl_body(op, fields)
    raw = fields["raw"]
    assert isinstance(raw, bytes)
    return raw


def _shown(op: int, fields: Fields) -> dict[str, Any]:
    """Numbers that are 0 are left out; lists and bytes never."""
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, bytes):
            shown[name] = value.hex()
        elif value:
            shown[name] = value
    for name in bigint.CTL[op][1] if op in bigint.CTL else ():
        _, size, count = bigint.CTL[op][1][name]
        if name in bigint.BYTES:
            shown.setdefault(name, bytes(size).hex())
        elif count > 1:
            shown.setdefault(name, [0] * count)
    return shown


def _counted(places: bigint.Places) -> dict[str, int | bytes | list[int]]:
    """Bytes counted up from 1 over the whole body, so that no two places can be confused."""
    fields: dict[str, int | bytes | list[int]] = {}
    for name, (at, size, count) in places.items():
        data = bytes(range(at + 1, at + 1 + size * count))
        if name == "record":
            data = data[:24] + bytes(16)
        items = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
        fields[name] = data if name in bigint.BYTES else items if count > 1 else items[0]
    return fields


def _sweep(op: int, field: str, at: int, size: int, count: int) -> Iterator[Vector]:
    name, seen = bigint.CTL[op][0], op in bigint.WITH_SEEN
    for place in range(count):
        for label, number in bigint.values(8 * size):
            value: int | bytes | list[int] = number
            if field in bigint.BYTES:
                value = number.to_bytes(size, "little")
            if count > 1:
                value = [0] * place + [number] + [0] * (count - place - 1)
            where = f"{place + 1}" if count > 1 else ""
            if number:  # all 0 is the vector `zero`
                comment = f"{field.upper()}{where and f' number {where}'} = {number:#x}"
                yield ctl(f"{name}-{field}{where}-{label}", comment, op, {field: value}, seen=seen)


def _reserved(op: int) -> Iterator[Vector]:
    """FLAGS but SEEN, SEEN where it means nothing, bytes 2 and 3, holes and the rest of the body."""
    name, places = bigint.CTL[op]
    fields = _counted(places)
    used = {at + i for at, size, count in places.values() for i in range(size * count)}
    if op == 0x02:
        used -= set(range(24, 40)) - {30}  # 3.3.2: 0 on send, ignored on receipt
    free = sorted(set(range(44)) - used)
    flags = 0xFF & ~1 if op in bigint.WITH_SEEN else 0xFF
    payload = bigint.ctl(op, 0, EPOCH, PEER, _body(op, fields))
    cases = {f"flags-bit{bit}": {1: 1 << bit} for bit in range(8) if flags >> bit & 1}
    cases |= {"flags": {1: flags}, "byte2": {2: 0xFF}, "byte3": {3: 0xFF}}
    cases |= {f"body{at}": {12 + at: 0x80} for at in (*free[:2], *free[-1:])}
    cases["all"] = {1: flags, 2: 0xFF, 3: 0xFF} | {12 + at: 0xFF for at in free}
    for label, received in cases.items():
        comment = f"Reserved: {', '.join(f'byte {at}' for at in received)}"[:80]
        assert all(payload[at] != byte for at, byte in received.items())
        yield ctl(f"{name}-reserved-{label}", comment, op, fields, received=received, flags=("Reserved",))
    if op in (0x01, 0x41):
        tail = {56: 1, 239: 0x80}
        comment = "Bytes 56 and 239 of the long payload"
        yield ctl(
            f"{name}-reserved-tail", comment, op, fields, received=tail, form="B256", flags=("Reserved",)
        )


def _header() -> Iterator[Vector]:
    """EPOCH, PEER and SEEN."""
    for label, value in bigint.values(32):
        yield ctl(f"header-epoch-{label}", f"EPOCH = {value:#x}", 0x10, {"exp": 1}, epoch=value, peer=0)
        yield ctl(f"header-peer-{label}", f"PEER = {value:#x}", 0x10, {"exp": 1}, epoch=0, peer=value)
    for op in bigint.WITH_SEEN:
        name = bigint.CTL[op][0]
        yield ctl(f"{name}-seen", "SEEN = 1", op, {}, seen=True)


def _caps() -> Iterator[Vector]:
    """Every field of the record."""
    for field, (at, size) in bigint.CAPS.items():
        for label, value in bigint.values(8 * size):
            if value:
                record = bytes(at) + value.to_bytes(size, "little") + bytes(40 - at - size)
                comment = f"{field.upper()} = {value:#x}, alone"
                yield caps(f"record-{field}-{label}", comment, {field: value}, record)
    fields = {
        "major": 1, "flit_sizes": 3, "roles": 3, "nid_base": 16, "nid_count": 16, "window": 64, "n_ack": 16,
        "tu_exp": 6, "address_bits": 52, "atomics": 0x1F, "vc_mask": 0xFE, "max_links": 1, "power": 1,
        "features": 0x80000003, "max_txn": 256, "slow_exp": 16,
    }  # fmt: skip
    yield caps("record-offer", "What a GPU may offer", fields, bigint.caps(fields))


def caps(id: str, comment: str, fields: Mapping[str, int], record: bytes) -> Vector:
    """A CAPS with the hash of its record; the fields of the record are given beside it."""
    digest = int.from_bytes(bigint.crc32c(record), "little")
    vector = ctl(id, comment, 0x02, {"record": record, "cfg_hash": digest}, seen=True)
    vector["fields"]["flits"][0]["ctl"]["caps"] = dict(fields)
    return vector


def _unknown() -> Iterator[Vector]:
    """CTL_OPs of a later version, with all that their body has; SEEN means nothing in them."""
    body = bytes(range(1, 45))
    for op in UNKNOWN:
        yield ctl(
            f"unknown-{op:#04x}", "A CTL_OP of no table", op, {"raw": body}, flags=("UnknownOperation",)
        )
    flags = ("Reserved", "UnknownOperation")
    for op in (0x04, 0x23):
        comment = "SEEN where it means nothing, bytes 2 and 3"
        received = {1: 0xFF, 2: 0xFF, 3: 0xFF}
        yield ctl(f"unknown-{op:#04x}-reserved", comment, op, {"raw": body}, received=received, flags=flags)


def _realistic() -> Iterator[Vector]:
    """CTLs as a session has them."""
    hello: Fields = {
        "magic": b"HSL1",
        "guid": 0x8877665544332211,
        "links": 2,
        "max_major": 1,
        "min_major": 1,
        "port": 0x11121314,
    }
    yield ctl("HELLO-first", "The first HELLO of a side that knows no peer", 0x01, hello, peer=0)
    yield ctl("HELLO-answered", "A HELLO that has seen the peer's", 0x01, hello, seen=True)
    advertised: Fields = {"credits": [4, 4, 4, 8, 8, 0, 4]}
    yield ctl("INITFC-minimum", "The least credits of 3.5 F1, MEM not served", 0x03, advertised, seen=True)
    yield ctl("NAK-wrap", "EXP 1023: the number after it is 0", 0x10, {"exp": 1023})
    fatal: Fields = {"error": 8, "info": 0}
    yield ctl("ERR_FATAL-malformed", "Port-fatal, code 8", 0x41, fatal)
    fail: Fields = {"base": 3, "mask": 1, "exp": [0, 77, 0, 0, 0, 0, 0, 0]}
    yield ctl("BOND_FAIL-link1", "Link 1 of two is lost, its EXP was 77", 0x50, fail)
