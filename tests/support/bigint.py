"""The third opinion on the wire format: shifts, typed by hand from the prose of chapters 2, 3.3 and 5.

It shares no line with the generator and imports nothing of the project: it is the one exemption from the one
source of truth. All functions take and give plain integers and bytes. The vectors of spec/vectors come from
here.
"""

from collections.abc import Iterator, Mapping

# 2.6, 5.3, 5.14: opcode -> name, fields that it uses beyond OP, SRC, DST, TXN, QOS, TRACE. "data": it carries
# 8 << LEN bytes; "be": a byte-enable granule is legal; "x8": X is PASID[7:0] alone.
OPERATIONS: dict[int, tuple[str, str]] = {
    0x20: ("ReadShared", "len dom addr"),
    0x21: ("ReadUnique", "len dom addr"),
    0x22: ("MakeUnique", "len dom addr"),
    0x23: ("Upgrade", "len dom addr"),
    0x24: ("ReadOnce", "len dom addr"),
    0x25: ("Flush", "len dom addr"),
    0x26: ("Evict", "len dom addr"),
    0x40: ("WbFull", "len dom addr poison data"),
    0x41: ("WriteFull", "len dom addr poison data"),
    0x42: ("WritePtl", "len dom addr poison data be"),
    0x43: ("AtomicLoad", "len dom addr poison data aop x"),
    0x44: ("AtomicStore", "len dom addr poison data aop x"),
    0x60: ("SnpShared", "len addr"),
    0x61: ("SnpInv", "len addr"),
    0x62: ("SnpCur", "len addr"),
    0x80: ("Cmp", "htxn st err"),
    0x81: ("CmpAck", ""),
    0x82: ("SnpRsp", "st"),
    0xA0: ("CmpData", "htxn st err len poison data"),
    0xA1: ("SnpRspData", "st len poison data"),
    0xC0: ("MemRd", "len addr"),
    0xC1: ("MemWr", "len addr poison data"),
    0xC2: ("MemWrPtl", "len addr poison data be"),
    0xE0: ("NcRead", "len dom addr aop be"),
    0xE1: ("NcWrite", "len dom addr aop poison data be"),
    0xE2: ("NcEnq", "len dom addr aop poison data"),
    0xE3: ("Intr", "len dom aop poison data"),
    0xE4: ("TransReq", "len dom addr x"),
    0xE5: ("TransInv", "len dom addr x8 poison data"),
    0xE6: ("PageReq", "len dom addr x poison data"),
    0xE7: ("PageRsp", "len dom x8 poison data"),
    0xE8: ("MgmtMsg", "len dom poison data"),
    0xE9: ("CfgRead", "len dom addr"),
    0xEA: ("CfgWrite", "len dom addr poison data"),
    0xEB: ("ErrMsg", "len dom poison data"),
}
# An opcode that nobody knows: no field of it can be called unused. 2.6.
UNKNOWN = "len dom addr poison aop x be"

# 2.3: field -> (lowest bit, bits).
H0 = {"ft": (0, 3), "viral": (3, 1), "seq": (4, 10), "ack": (14, 10), "cvc": (24, 3), "ccnt": (27, 5)}
# 2.6: a message as one number, granule 0 lowest.
A = {
    "op": (0, 8), "src": (8, 10), "dst": (18, 10), "txn": (28, 12), "len": (40, 2), "poison": (43, 1),
    "qos": (44, 2), "aop": (46, 5), "trace": (51, 1), "dom": (52, 12), "addr": (64, 52), "x": (116, 12),
}  # fmt: skip
B = {
    "op": (0, 8), "src": (8, 10), "dst": (18, 10), "txn": (28, 12), "htxn": (40, 12), "st": (52, 3),
    "err": (55, 3), "len": (58, 2), "poison": (60, 1), "qos": (61, 2), "trace": (63, 1),
}  # fmt: skip
# 3.3.1: CTL_OP -> name, field -> (offset in the body, bytes of one, how many).
Places = dict[str, tuple[int, int, int]]
CTL: dict[int, tuple[str, Places]] = {
    0x01: ("HELLO", {
        "magic": (0, 4, 1), "guid": (4, 8, 1), "link": (12, 1, 1), "links": (13, 1, 1),
        "min_major": (14, 1, 1), "min_minor": (15, 1, 1), "max_major": (16, 1, 1), "max_minor": (17, 1, 1),
        "port": (20, 4, 1),
    }),
    0x02: ("CAPS", {"record": (0, 40, 1), "cfg_hash": (40, 4, 1)}),
    0x03: ("INITFC", {"credits": (0, 2, 7)}),
    0x10: ("NAK", {"exp": (0, 2, 1)}),
    0x20: ("PM_REQ", {"level": (0, 1, 1), "tag": (1, 1, 1)}),
    0x21: ("PM_ACK", {"level": (0, 1, 1), "tag": (1, 1, 1)}),
    0x22: ("PM_NAK", {"level": (0, 1, 1), "tag": (1, 1, 1)}),
    0x30: ("RETRAIN_REQ", {"reason": (0, 1, 1)}),
    0x31: ("RESYNC", {"exp": (0, 2, 1), "rn": (2, 2, 1)}),
    0x32: ("RESYNC_ACK", {"exp": (0, 2, 1), "rn": (2, 2, 1)}),
    0x40: ("DISABLE", {"reason": (0, 1, 1)}),
    0x41: ("ERR_FATAL", {"error": (0, 2, 1), "info": (4, 8, 1)}),
    0x50: ("BOND_FAIL", {"base": (0, 1, 1), "mask": (1, 1, 1), "exp": (4, 2, 8)}),
    0x51: ("BOND_RESUME", {"base": (0, 1, 1), "mask": (1, 1, 1), "count": (2, 2, 1), "t": (4, 4, 1)}),
    0x52: ("BOND_RESUME_ACK", {"base": (0, 1, 1), "mask": (1, 1, 1)}),
}  # fmt: skip
BYTES = ("magic", "record")  # fields that are bytes, not numbers
WITH_SEEN = (0x01, 0x02, 0x03)
# 3.3.2: field -> (offset in the record, bytes); 24..29 and 31..39 are sent 0.
CAPS = {
    "major": (0, 1), "minor": (1, 1), "flit_sizes": (2, 1), "roles": (3, 1), "nid_base": (4, 2),
    "nid_count": (6, 2), "window": (8, 2), "n_ack": (10, 1), "tu_exp": (11, 1), "address_bits": (12, 1),
    "atomics": (13, 1), "vc_mask": (14, 1), "security": (15, 1), "max_links": (16, 1), "power": (17, 1),
    "features": (18, 4), "max_txn": (22, 2), "slow_exp": (30, 1),
}  # fmt: skip


def crc(data: bytes, bits: int, poly: int) -> int:
    """A reflected CRC, all ones in and out, bit by bit; `poly` in normal order. 2.4."""
    reflected = int(format(poly, f"0{bits}b")[::-1], 2)
    state = (1 << bits) - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (reflected if state & 1 else 0)
    return state ^ (1 << bits) - 1


def crc32c(data: bytes) -> bytes:
    """As an L64 flit ends. 2.4."""
    return crc(data, 32, 0x1EDC6F41).to_bytes(4, "little")


def crc64xz(data: bytes) -> bytes:
    """As a B256 flit ends. 2.4."""
    return crc(data, 64, 0x42F0E1EBA9EA3693).to_bytes(8, "little")


def word(places: Mapping[str, tuple[int, int]], fields: Mapping[str, int]) -> int:
    """`fields` at their bits; a field that is too wide is a mistake of the caller."""
    value = 0
    for name, number in fields.items():
        low, bits = places[name]
        if number >> bits:
            raise ValueError(f"{name} = {number:#x} in {bits} bits")
        value |= number << low
    return value


def h0(**fields: int) -> bytes:
    """The link header. 2.3."""
    return word(H0, fields).to_bytes(4, "little")


def l64(head: bytes, payload: bytes) -> bytes:
    """A flit of 64 bytes. 2.1."""
    body = head + payload + bytes(56 - len(payload))
    return body + crc32c(body)


def b256(head: bytes, payload: bytes, som: int) -> bytes:
    """A flit of 256 bytes; `som` is the whole of H1. 2.2."""
    body = head + som.to_bytes(4, "little") + payload + bytes(240 - len(payload))
    return body + crc64xz(body)


def class_a(op: int, be: int | None = None, data: bytes = b"", **fields: int) -> bytes:
    """A message with a header of two granules. 2.6."""
    header = word(A, {"op": op, **fields}) | (be is not None) << 42
    return header.to_bytes(16, "little") + (b"" if be is None else be.to_bytes(8, "little")) + data


def class_b(op: int, data: bytes = b"", **fields: int) -> bytes:
    """A message with a header of one granule. 2.6."""
    return word(B, {"op": op, **fields}).to_bytes(8, "little") + data


def uses(op: int) -> set[str]:
    """The fields of `op`; "data" when it carries any, also when nobody knows it. 2.6."""
    data = " data" if op >> 5 in (2, 6, 7) else ""
    words = OPERATIONS[op][1] if op in OPERATIONS else UNKNOWN + data
    return {"src", "dst", "txn", "qos", "trace", *words.split()}


def ctl(op: int, flags: int, epoch: int, peer: int, body: bytes) -> bytes:
    """The payload of a CTL flit. 3.3.1."""
    return (op | flags << 8 | epoch << 32 | peer << 64).to_bytes(12, "little") + body + bytes(44 - len(body))


def ctl_body(op: int, fields: Mapping[str, int | bytes | list[int]]) -> bytes:
    """The 44 bytes of a body. 3.3.1."""
    body = bytearray(44)
    for name, value in fields.items():
        at, size, _ = CTL[op][1][name]
        for item in value if isinstance(value, list) else [value]:
            body[at : at + size] = item if isinstance(item, bytes) else item.to_bytes(size, "little")
            at += size
    return bytes(body)


def caps(fields: Mapping[str, int]) -> bytes:
    """A CAPS record as it is sent. 3.3.2."""
    record = bytearray(40)
    for name, value in fields.items():
        at, size = CAPS[name]
        record[at : at + size] = value.to_bytes(size, "little")
    return bytes(record)


def values(bits: int) -> Iterator[tuple[str, int]]:
    """0, all ones, and each single bit, with a name; a value comes once."""
    yield "zero", 0
    yield "max", (1 << bits) - 1
    if bits > 1:
        yield from ((f"bit{bit}", 1 << bit) for bit in range(bits))
