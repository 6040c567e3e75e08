"""The third opinion on the wire format: shifts, typed by hand from the prose of chapters 2 and 3.3.1.

It shares no line with the generator and imports nothing of the project: it is the one exemption from the one
source of truth. All functions take and give plain integers and bytes.
"""


def crc(data: bytes, bits: int, poly: int) -> int:
    """A reflected CRC, all ones in and out, bit by bit; `poly` in normal order."""
    reflected = int(format(poly, f"0{bits}b")[::-1], 2)
    state = (1 << bits) - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (reflected if state & 1 else 0)
    return state ^ (1 << bits) - 1


def h0(ft: int = 0, viral: int = 0, seq: int = 0, ack: int = 0, cvc: int = 0, ccnt: int = 0) -> bytes:
    return (ft | viral << 3 | seq << 4 | ack << 14 | cvc << 24 | ccnt << 27).to_bytes(4, "little")


def l64(head: bytes, payload: bytes) -> bytes:
    body = head + payload + bytes(56 - len(payload))
    return body + crc(body, 32, 0x1EDC6F41).to_bytes(4, "little")


def b256(head: bytes, payload: bytes, som: int) -> bytes:
    body = head + som.to_bytes(4, "little") + payload + bytes(240 - len(payload))
    return body + crc(body, 64, 0x42F0E1EBA9EA3693).to_bytes(8, "little")


def class_a(op: int, be: int | None = None, data: bytes = b"", **fields: int) -> bytes:
    at = {
        "src": 8,
        "dst": 18,
        "txn": 28,
        "len": 40,
        "poison": 43,
        "qos": 44,
        "aop": 46,
        "trace": 51,
        "dom": 52,
    }
    at |= {"addr": 64 + 0, "x": 64 + 52}
    header = op | (be is not None) << 42 | sum(value << at[name] for name, value in fields.items())
    return header.to_bytes(16, "little") + (b"" if be is None else be.to_bytes(8, "little")) + data


def class_b(op: int, data: bytes = b"", **fields: int) -> bytes:
    at = {"src": 8, "dst": 18, "txn": 28, "htxn": 40, "st": 52, "err": 55, "len": 58, "poison": 60, "qos": 61}
    header = op | fields.pop("trace", 0) << 63 | sum(value << at[name] for name, value in fields.items())
    return header.to_bytes(8, "little") + data


def ctl(op: int, flags: int, epoch: int, peer: int, body: bytes) -> bytes:
    return (op | flags << 8 | epoch << 32 | peer << 64).to_bytes(12, "little") + body + bytes(44 - len(body))
