"""Flits, messages, capabilities and carriers of the raw peer (chapters 2, 3, 4 and 7).

It was written from spec/text, whose clauses it cites, and has no code in common with `hsl`.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# ---- numbers of the specification
NOP, PROT, CTL, PROT_S = range(4)  # 2.3
MODULUS, BEHIND, ACK_NONE = 1024, 512, 1023  # of SEQ and ACK
REQ, RWD, SNP, RSP, DAT, MEM, NCR = range(1, 8)  # 5.2
WHEEL = (RSP, DAT, SNP, RSP, DAT, REQ, RSP, DAT, RWD, RSP, DAT, MEM, RSP, DAT, NCR)  # 3.5 F10
INVALID, SHARED, EXCLUSIVE, MODIFIED = range(4)  # 2.6 ST
HELLO, CAPS, INITFC, NAK, PM_REQ, PM_NAK = 0x01, 0x02, 0x03, 0x10, 0x20, 0x22  # 3.3.1
RETRAIN_REQ, RESYNC, RESYNC_ACK, DISABLE, ERR_FATAL = 0x30, 0x31, 0x32, 0x40, 0x41
T_HS, T_REPLAY, T_NAK, T_KA = 16, 64, 32, 64  # in TU, 3.1
LINE = 64  # bytes
OPS = {  # 5.3
    "ReadShared": 0x20, "ReadUnique": 0x21, "MakeUnique": 0x22, "Upgrade": 0x23, "ReadOnce": 0x24,
    "Flush": 0x25, "Evict": 0x26, "WbFull": 0x40, "WriteFull": 0x41, "WritePtl": 0x42, "AtomicLoad": 0x43,
    "AtomicStore": 0x44, "SnpShared": 0x60, "SnpInv": 0x61, "SnpCur": 0x62, "Cmp": 0x80, "CmpAck": 0x81,
    "SnpRsp": 0x82, "CmpData": 0xA0, "SnpRspData": 0xA1, "MemRd": 0xC0, "MemWr": 0xC1, "MemWrPtl": 0xC2,
    "NcRead": 0xE0, "NcWrite": 0xE1, "NcEnq": 0xE2, "Intr": 0xE3, "TransReq": 0xE4, "TransInv": 0xE5,
    "PageReq": 0xE6, "PageRsp": 0xE7, "MgmtMsg": 0xE8, "CfgRead": 0xE9, "CfgWrite": 0xEA, "ErrMsg": 0xEB,
}  # fmt: skip
NAMES = {code: name for name, code in OPS.items()}
READS = {OPS[name] for name in ("MemRd", "NcRead", "TransReq", "CfgRead")}
CARRIERS = {op for op in range(256) if op >> 5 in (RWD, DAT, MEM, NCR)} - READS  # with data, 2.6
PATIENCE = 5.0  # seconds: a call that waits longer has lost the other side


class Gone(Exception):
    """The other side closed the connection, ended the link or does not answer."""


# ---- flits (2.1 to 2.4)
def crc_table(polynomial: int) -> list[int]:
    """Return the 256 steps of a reflected CRC."""
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (polynomial if value & 1 else 0) for value in table]
    return table


CRC32C, CRC64XZ = crc_table(0x82F63B78), crc_table(0xC96C5795D7870F42)  # the polynomials of 2.4, reflected


def crc(data: bytes, table: list[int], size: int) -> bytes:
    """Return the CRC of `data` in `size` bytes, all ones before and inverted after."""
    value = ones = (1 << 8 * size) - 1
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return (value ^ ones).to_bytes(size, "little")


class Format(NamedTuple):
    """A flit format: bytes of the flit, its header, its payload and its CRC."""

    size: int
    header: int
    room: int
    check: int
    table: list[int]

    def seal(self, body: bytes) -> bytes:
        """Return a flit: header and payload, padded, with their CRC."""
        body = body.ljust(self.size - self.check, b"\0")
        return body + crc(body, self.table, self.check)


L64, B256 = Format(64, 4, 56, 4, CRC32C), Format(256, 8, 240, 8, CRC64XZ)
FORMATS = {form.size: form for form in (L64, B256)}


class Flit(NamedTuple):
    """A flit: the fields of H0 (2.3), SOM of H1 (2.2), the payload."""

    ft: int = NOP
    viral: int = 0
    seq: int = 0
    ack: int = ACK_NONE
    cvc: int = 0
    ccnt: int = 0
    som: int = 0
    payload: bytes = b""

    def pack(self, form: Format = L64) -> bytes:
        """Return the bytes of the flit with a good CRC."""
        head = self.ft | self.viral << 3 | self.seq << 4 | self.ack << 14 | self.cvc << 24 | self.ccnt << 27
        return form.seal(struct.pack("<II", head, self.som)[: form.header] + self.payload)

    @classmethod
    def unpack(cls, data: bytes) -> Flit | None:
        """Return the flit in `data`, None when its size or its CRC is wrong."""
        form = FORMATS.get(len(data))
        if form is None or form.seal(data[: -form.check]) != data:
            return None
        head, som = struct.unpack_from("<II", data)
        parts = (head & 7, head >> 3 & 1, head >> 4 & 1023, head >> 14 & 1023, head >> 24 & 7, head >> 27)
        return cls(*parts, som & 0x3FFFFFFF if form is B256 else 0, data[form.header : -form.check])


# ---- messages (2.5, 2.6); a layout has for each field the name, the first bit and the number of bits
Layout = tuple[tuple[str, int, int], ...]
COMMON: Layout = (("op", 0, 8), ("src", 8, 10), ("dst", 18, 10), ("txn", 28, 12))
A0: Layout = (
    ("len", 40, 2), ("poison", 43, 1), ("qos", 44, 2), ("aop", 46, 5), ("trace", 51, 1), ("dom", 52, 12),
)  # fmt: skip
A1: Layout = (("addr", 0, 52), ("x", 52, 12))
B0: Layout = (
    ("htxn", 40, 12), ("st", 52, 3), ("err", 55, 3), ("len", 58, 2), ("poison", 60, 1), ("qos", 61, 2),
    ("trace", 63, 1),
)  # fmt: skip
BYTE_ENABLES = 1 << 42  # of A0: a granule of them follows the header


def join(fields: dict[str, Any], layout: Layout) -> int:
    """Return a granule with these fields; bits that do not fit are cut off."""
    return sum((fields[name] & (1 << bits) - 1) << shift for name, shift, bits in layout)


def split(granule: int, layout: Layout) -> dict[str, int]:
    """Return the fields of a granule."""
    return {name: granule >> shift & (1 << bits) - 1 for name, shift, bits in layout}


class Message(NamedTuple):
    """A message. `len` is a code, 8 << LEN bytes; `be` is None without a granule of byte enables."""

    op: int
    src: int = 0
    dst: int = 0
    txn: int = 0
    len: int = 0
    addr: int = 0
    data: bytes = b""
    be: int | None = None
    st: int = 0
    err: int = 0
    htxn: int = 0
    aop: int = 0
    x: int = 0
    dom: int = 0
    qos: int = 0
    poison: int = 0
    trace: int = 0

    @property
    def vc(self) -> int:
        """The virtual channel."""
        return self.op >> 5

    @property
    def name(self) -> str:
        """The name of the operation, or its number."""
        return NAMES.get(self.op, hex(self.op))

    def pack(self) -> bytes:
        """Return the granules. Data shorter than LEN says are filled up; longer data are sent as they are."""
        fields, enables = self._asdict(), [] if self.be is None else [self.be]
        granules = [join(fields, COMMON + B0)]
        if self.vc not in (RSP, DAT):
            first = join(fields, COMMON + A0) | (BYTE_ENABLES if enables else 0)
            granules = [first, join(fields, A1), *enables]
        data = self.data.ljust(8 << self.len, b"\0") if self.op in CARRIERS else b""
        return struct.pack(f"<{len(granules)}Q", *granules) + data

    @classmethod
    def unpack(cls, data: bytes) -> tuple[list[Message], bytes]:
        """Return the messages in these granules, and the granules of one that is not complete."""
        found = []
        while data:
            first, fields, at = int.from_bytes(data[:8], "little"), dict[str, Any](), 8
            if data[0] >> 5 in (RSP, DAT):
                fields = split(first, COMMON + B0)
            elif data[0]:
                at = 24 if first & BYTE_ENABLES else 16
                fields = split(first, COMMON + A0) | split(int.from_bytes(data[8:16], "little"), A1)
                fields |= {"be": int.from_bytes(data[16:24], "little")} if at == 24 else {}
            end = at + (8 << fields["len"] if data[0] in CARRIERS else 0)
            if len(data) < end:
                break
            if fields:  # without them it is PAD
                found.append(cls(**fields, data=data[at:end]))
            data = data[end:]
        return found, data


def fill(rest: bytes, take: Callable[[], Message | None], form: Format) -> tuple[bytes, int, bytes]:
    """Return a payload, its SOM and what is left: `rest` of a message, then those that `take` gives (2.5)."""
    payload, som = rest, 0
    while len(payload) < form.room and (message := take()):
        som |= 1 << len(payload) // 8
        payload += message.pack()
    return payload[: form.room].ljust(form.room, b"\0"), som if form is B256 else 0, payload[form.room :]


# ---- control flits and capabilities (3.3)
BODIES = {
    HELLO: ("<4sQ6B2xI", "magic guid link links min_major min_minor max_major max_minor port"),
    CAPS: ("<40sI", "record cfg_hash"), INITFC: ("<7H", "credits"), NAK: ("<H", "exp"),
    PM_REQ: ("<BB", "level tag"), 0x21: ("<BB", "level tag"), PM_NAK: ("<BB", "level tag"),
    RETRAIN_REQ: ("<B", "reason"), RESYNC: ("<HH", "exp rn"), RESYNC_ACK: ("<HH", "exp rn"),
    DISABLE: ("<B", "reason"), ERR_FATAL: ("<HHQ", "error zero info"),
    0x50: ("<BBH16s", "base mask zero exp"), 0x51: ("<BBHI", "base mask count t"), 0x52: ("<BB", "base mask"),
}  # fmt: skip
RECORD = struct.Struct("<BBBBHHHBBBBBBBBIHBBHHB9x")
RECORD_FIELDS = (
    "major", "minor", "flit_sizes", "roles", "nid_base", "nid_count", "window", "n_ack", "tu_exp",
    "address_bits", "atomics", "vc_mask", "security", "max_links", "power", "features", "max_txn",
    "peer_roles", "zero0", "peer_nid_base", "peer_nid_count", "slow_exp",
)  # fmt: skip


def pack_ctl(op: int, epoch: int, peer: int, seen: int = 0, body: bytes = b"", **fields: Any) -> bytes:
    """Return the payload of a CTL flit, with these bytes as body or with these fields in it."""
    if not body and op in BODIES:
        form, names = BODIES[op]
        values = fields["credits"] if op == INITFC else [fields.get(name, 0) for name in names.split()]
        body = struct.pack(form, *values)
    return struct.pack("<BBHII", op, seen, 0, epoch, peer) + body.ljust(44, b"\0")


def unpack_ctl(payload: bytes) -> tuple[int, int, int, int, dict[str, Any]]:
    """Return CTL_OP, SEEN, EPOCH, PEER and the fields of the body."""
    op, flags, _, epoch, peer = struct.unpack_from("<BBHII", payload)
    form, names = BODIES.get(op, ("<44s", "raw"))
    values = struct.unpack_from(form, payload, 12)
    body = {"credits": values} if op == INITFC else dict(zip(names.split(), values, strict=True))
    return op, flags & 1, epoch, peer, body


def pack_record(fields: dict[str, int]) -> bytes:
    """Return a CAPS record."""
    return RECORD.pack(*(fields.get(name, 0) for name in RECORD_FIELDS))


def agree(own: dict[str, int], guid: int, peer: dict[str, int], peer_guid: int) -> dict[str, int]:
    """Return the result record of two offers (3.3.2)."""
    own = dict.fromkeys(RECORD_FIELDS, 0) | own
    bits = ("flit_sizes", "atomics", "vc_mask", "power", "features")
    least = ("window", "address_bits", "max_links", "max_txn")
    result = {name: own[name] & peer[name] for name in bits}
    result |= {name: min(own[name], peer[name]) for name in least}
    result["flit_sizes"] = 1 << max(result["flit_sizes"].bit_length() - 1, 0)
    result["n_ack"] = min(own["n_ack"], peer["n_ack"], max(1, result["window"] // 4))
    result["tu_exp"] = max(own["tu_exp"], peer["tu_exp"])
    result["slow_exp"] = max(own["slow_exp"], peer["slow_exp"], result["tu_exp"])
    result["security"] = own["security"] & peer["security"] & ~2 | (own["security"] | peer["security"]) & 2
    result["major"], result["minor"] = min((own["major"], own["minor"]), (peer["major"], peer["minor"]))
    low, high = (own, peer) if guid < peer_guid else (peer, own)
    for name in ("roles", "nid_base", "nid_count"):
        result[name], result["peer_" + name] = low[name], high[name]
    return result


# ---- carriers (3.9)
class Wire:
    """tcp and unix: a length of two bytes, then the flit. udp: a datagram with a header, then the flit."""

    HEADER = struct.Struct("<4sBBHQQ")  # MAGIC, VERSION, LINK, LENGTH, INCARNATION, COUNTER

    def __init__(self, uri: str) -> None:
        scheme, _, rest = uri.partition("://")
        host, _, port = rest.rpartition(":")
        number = int(port) if port.isdecimal() else 0
        if scheme not in ("tcp", "udp", "unix") or (scheme != "unix" and not 0 < number < 1 << 16):
            raise ValueError(f"{uri}: expected tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH")
        self.datagrams, family = scheme == "udp", socket.AF_UNIX if scheme == "unix" else socket.AF_INET
        self.buffer, self.incarnation, self.counter, self.last = b"", time.time_ns(), 0, (-1, -1)
        self.socket = socket.socket(family, socket.SOCK_DGRAM if self.datagrams else socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(rest if scheme == "unix" else (host, number))
        except OSError as error:
            self.socket.close()
            raise Gone(f"{uri}: {error}") from error
        if scheme == "tcp":
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        """Send bytes of the carrier as they are. Raises Gone; a datagram that is refused is lost."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            self._failed(error)

    def send(self, flit: bytes) -> None:
        """Send a frame."""
        head = struct.pack("<H", len(flit) & 0xFFFF)
        if self.datagrams:
            head = self.HEADER.pack(b"HSLU", 1, 0, len(flit) & 0xFFFF, self.incarnation, self.counter)
            self.counter += 1
        self.write(head + flit)

    def frames(self, seconds: float) -> Iterator[bytes]:
        """Give the flits that have come, waiting so long for the first. Raises Gone."""
        for n in range(64):
            if not select.select([self.socket], [], [], 0 if n else seconds)[0]:
                return
            try:
                data = self.socket.recv(1 << 16)
            except OSError as error:
                self._failed(error)
                continue
            if not data and not self.datagrams:
                raise Gone("connection closed")
            yield from self._datagram(data) if self.datagrams else self._stream(data)

    def _stream(self, data: bytes) -> Iterator[bytes]:
        self.buffer += data
        while len(self.buffer) >= (end := 2 + int.from_bytes(self.buffer[:2], "little")) > 2:
            flit, self.buffer = self.buffer[2:end], self.buffer[end:]
            yield flit

    def _datagram(self, data: bytes) -> Iterator[bytes]:
        magic, version, link, size, *pair = self.HEADER.unpack_from(data.ljust(24, b"\0"))
        if (magic, version, link, size) == (b"HSLU", 1, 0, len(data) - 24) and tuple(pair) > self.last:
            self.last = (pair[0], pair[1])
            yield data[24:]

    def _failed(self, error: OSError) -> None:
        if not self.datagrams:
            raise Gone(f"connection: {error}") from error
        time.sleep(0.001)  # ICMP says that nobody listens; the link has timers of its own


def reply(message: Message, op: str, **fields: Any) -> Message:
    """Return an answer: SRC and DST exchanged, the same TXN where `fields` do not say another (5.3)."""
    return Message(OPS[op], **{"src": message.dst, "dst": message.src, "txn": message.txn} | fields)
