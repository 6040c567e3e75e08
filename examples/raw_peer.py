#!/usr/bin/env python3
"""A raw HSL device in one file: the standard library, nothing else, no code in common with `hsl`.

It was written from spec/text, whose clauses it cites. Use it to try a device that you do not trust:

    hsl node cpu --listen tcp://127.0.0.1:7410 --input README.md &
    python examples/raw_peer.py tcp://127.0.0.1:7410                 # well-behaved: reads and writes memory
    hsl node cpu --listen tcp://127.0.0.1:7410 --input README.md &   # anew: a node ends with its peer
    python examples/raw_peer.py tcp://127.0.0.1:7410 --attack fuzz-messages --seconds 30 --seed 7

`Peer` needs this file alone; raw_attacks.py beside it has the command line and says how to add an attack.
Below `send`, which waits for credits and window, there is a hook at each layer: `push` (messages whatever the
credits), `ctl` (any field), `flit` (any link header), `raw` (bytes of a flit), `wire.write` (of the carrier).
Fields of a Peer change its behaviour: `caps` is its offer, `advert` its credits, `answers` what it answers;
`acknowledges`, `hoards` (returns no credits), `holds` (sends no CmpAck). RECOVERY and L1: none.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import sys
import time
from collections import deque
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
UNSUP, LINE = 6, 64  # 2.6 ERR; bytes
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


# ---- the device
GPU = {
    "major": 1, "flit_sizes": 1, "roles": 0b10111, "nid_base": 16, "nid_count": 16, "window": 64, "n_ack": 64,
    "tu_exp": 20, "address_bits": 52, "atomics": 1, "vc_mask": 0xFE, "max_links": 1, "max_txn": 256,
}  # fmt: skip
# What a well-behaved device answers. Every other message that wants a completion gets Cmp with ERR = UNSUP.
ANSWERS = {
    "NcRead": "CmpData", "NcWrite": "Cmp", "Intr": "Cmp", "TransInv": "Cmp", "PageRsp": "Cmp",
    "MgmtMsg": "CmpData", "CfgRead": "CmpData", "CfgWrite": "Cmp", "MemRd": "CmpData", "MemWr": "Cmp",
    "SnpShared": "SnpRsp", "SnpInv": "SnpRsp", "SnpCur": "SnpRsp",
}  # fmt: skip


class Peer:
    """One link, and an agent behind it that requests, caches lines and answers.

    `caps` are the fields of CAPS that differ from those of a GPU. Nothing happens between two calls: call
    `step`, or what calls it (up, run, recv, request), at least every 64 TU (67 ms) to keep HSL-LNK-025. The
    other side goes to RECOVERY after 256 TU of silence and ends the session 4096 TU (4.3 s) later.
    """

    def __init__(self, uri: str, *, epoch: int = 0, guid: int = 0x7261775F70656572, **caps: int) -> None:
        self.wire = Wire(uri)
        self.caps, self.guid = GPU | caps, guid
        self.epoch = epoch or random.SystemRandom().randrange(1, 1 << 32)
        self.nid = (self.caps["nid_base"] + 3) & 1023  # of the agent that requests
        self.advert, self.answers = [32] * 7, dict(ANSWERS)
        self.acknowledges, self.hoards, self.holds = True, False, False
        self.inbox: deque[Message] = deque(maxlen=4096)  # all messages but the answers to `request`
        self.restart()

    def restart(self) -> None:
        """Forget the session; the EPOCH is kept."""
        self.state, self.result = "DETECT", dict[str, int]()
        self.peer, self.peer_guid, self.seen, self.shake = 0, 0, 0, True
        self.tu, self.form = (1 << min(self.caps["tu_exp"], 20)) / 1e9, L64
        self.base = self.next = self.rp = self.exp = self.place = 0
        self.stored, self.naked, self.ack_now = dict[int, Flit](), False, False
        self.sending = self.receiving = b""  # granules of a message that is not complete
        self.waiting: dict[int, deque[Message]] = {vc: deque() for vc in range(8)}
        self.credits, self.returnable = [0] * 8, [0] * 8
        self.open: dict[int, list[Message]] = {}  # TXN -> request, completion
        self.lines: dict[int, tuple[int, bytes]] = {}  # ADDR -> state, data
        self.leaving, self.memory = set[int](), dict[int, bytes]()  # lines in WbFull; what the target holds
        self.shaken = self.spoke = self.progress = self.naked_at = time.monotonic()

    def up(self, seconds: float = PATIENCE) -> Peer:
        """Bring the link up. Raises Gone."""
        if not self.run(lambda: self.state == "ACTIVE", seconds):
            raise Gone(f"no link within {seconds} s: {self.state}")
        return self

    def run(self, until: Callable[[], Any] = bool, seconds: float = PATIENCE) -> bool:
        """Step until `until` is true, at most so long; return True if it is."""
        end = time.monotonic() + seconds
        while not until():
            if (left := end - time.monotonic()) <= 0:
                return False
            self.step(min(left, 0.01))
        return True

    def step(self, seconds: float = 0.0) -> None:
        """Transmit, take what has come (waiting so long for it), judge the timers, transmit. Raises Gone."""
        self._transmit()
        for data in self.wire.frames(seconds):
            self._take(data)
        self._time()
        self._transmit()

    def send(self, *messages: Message) -> None:
        """Queue messages until `step` has window and credits for them. SRC 0 becomes the own NID."""
        for message in messages:
            self.waiting[message.vc].append(message if message.src else message._replace(src=self.nid))

    def recv(self, seconds: float = PATIENCE) -> Message | None:
        """Return the next message that is no answer to `request`, None when none comes."""
        return self.inbox.popleft() if self.run(lambda: self.inbox, seconds) else None

    def request(self, op: str, addr: int, seconds: float = PATIENCE, **fields: Any) -> Message:
        """Send a request and return its completion. Raises Gone when none comes."""
        txn = next(n for n in range(4096) if n not in self.open)
        self.open[txn] = [Message(OPS[op], self.nid, txn=txn, addr=addr, **fields)]
        self.send(self.open[txn][0])
        if not self.run(lambda: len(self.open[txn]) > 1, seconds):
            raise Gone(f"{op} {addr:#x}: no completion within {seconds} s")
        return self.open.pop(txn)[1]

    def read(self, addr: int) -> bytes:
        """Return a line without caching it."""
        return self.lines[addr][1] if addr in self.lines else self.request("ReadOnce", addr, len=3).data

    def write(self, addr: int, data: bytes) -> int:
        """Write 8, 16, 32 or 64 bytes without caching them, from I only (5.4 T2); return ERR."""
        if (held := addr & -LINE) in self.lines and (err := self.evict(held)):
            return err
        op = "WriteFull" if len(data) == LINE else "WritePtl"
        return self.request(op, addr, len=len(data).bit_length() - 4, data=data).err

    def load(self, addr: int, op: str = "ReadShared") -> bytes:
        """Return a line and keep a copy; ReadUnique makes it the only one. Return no bytes after an error."""
        least = EXCLUSIVE if op == "ReadUnique" else SHARED
        op = "Upgrade" if addr in self.lines else op
        if self.lines.get(addr, (INVALID, b""))[0] < least and self.request(op, addr, len=3).err:
            return b""
        return self.lines[addr][1]

    def store(self, addr: int, data: bytes) -> int:
        """Own a line and replace its bytes in the cache; return ERR. Raises Gone when it is not granted."""
        for _ in range(5):  # a snoop may take the line away between two of them
            if self.lines.get(addr, (INVALID, b""))[0] >= EXCLUSIVE:
                self.lines[addr] = MODIFIED, data
                return 0
            if err := self.request("Upgrade" if addr in self.lines else "ReadUnique", addr, len=3).err:
                return err
        raise Gone(f"{addr:#x}: not granted")

    def evict(self, addr: int) -> int:
        """Give a copy back, with its data where they are newer than memory; return ERR."""
        state, data = self.lines[addr]
        if state != MODIFIED and self.lines.pop(addr):
            return self.request("Evict", addr, len=3).err
        self.leaving.add(addr)
        err = self.request("WbFull", addr, len=3, data=data).err
        self.leaving.discard(addr)
        self.lines.pop(addr, None)
        return err

    def raw(self, flit: bytes) -> None:
        """Send the bytes of a flit as they are, in a frame."""
        self.wire.send(flit)
        self.spoke = time.monotonic()

    def flit(self, **fields: Any) -> None:
        """Send one flit with the SEQ and ACK of now, where `fields` do not say others. It is not kept."""
        form = self.form if self.state == "ACTIVE" else L64
        self.raw(Flit(seq=self.rp, ack=self.ack)._replace(**fields).pack(form))

    def ctl(self, op: int, **fields: Any) -> None:
        """Send a CTL with the EPOCH pair of now; `fields` are those of the pair, of its body and of H0."""
        head = {name: fields.pop(name) for name in Flit._fields if name in fields}
        fields = {"epoch": self.epoch, "peer": self.peer, "port": self.epoch} | fields
        self.flit(ft=CTL, payload=pack_ctl(op, **fields), **head)

    def prot(self, payload: bytes = b"", **head: Any) -> None:
        """Send a new PROT flit with this payload and keep it for a replay; `head` are fields of H0 and H1."""
        flit = self.stored[self.next] = Flit(PROT, 0, self.next, self.ack, payload=payload)._replace(**head)
        self.next = self.rp = (self.next + 1) % MODULUS
        self.ack_now = False
        self.raw(flit.pack(self.form))

    def push(self, *messages: Message, **head: Any) -> None:
        """Send messages at once in PROT flits, whatever credits and window say."""
        queue = deque(message if message.src else message._replace(src=self.nid) for message in messages)
        take = lambda: queue.popleft() if queue else None  # noqa: E731
        while queue or self.sending:
            payload, som, self.sending = fill(self.sending, take, self.form)
            self.prot(payload, **{"som": som} | head)

    def close(self, disable: bool = False) -> None:
        """Close the carrier, without a word or after DISABLE."""
        for _ in range(3 if disable else 0):
            self.ctl(DISABLE)
        self.wire.socket.close()

    @property
    def ack(self) -> int:
        """ACK of a flit that is sent now."""
        return (self.exp - 1) % MODULUS if self.acknowledges else ACK_NONE

    def _take(self, data: bytes) -> None:
        flit = Flit.unpack(data)
        if flit is None:
            self._gap()
        elif flit.ft == CTL:
            self._control(flit)
        elif self.state == "ACTIVE" or (self.state == "INIT" and self.seen):
            if self.state == "INIT":
                self._enter("ACTIVE")
            self._sequence(flit)

    def _enter(self, state: str) -> None:
        self.state, self.seen, self.shake = state, 0, True
        if state == "ACTIVE":
            self.ack_now, self.tu = True, (1 << min(self.result["tu_exp"], 30)) / 1e9
            self.form = B256 if self.result["flit_sizes"] == 2 else L64

    def _control(self, flit: Flit) -> None:
        op, seen, epoch, peer, body = unpack_ctl(flit.payload)
        if op == HELLO:
            if epoch != self.peer:
                if self.state != "DETECT":
                    self.restart()
                self.peer, self.peer_guid, self.shake = epoch, body["guid"], True
            if peer == self.epoch and self.state == "DETECT":
                self._enter("CONFIG")
        elif (epoch, peer) != (self.peer, self.epoch):
            pass  # stale
        elif op == CAPS and self.state in ("DETECT", "CONFIG"):
            if self.state == "DETECT":
                self._enter("CONFIG")
            offer = dict(zip(RECORD_FIELDS, RECORD.unpack(body["record"]), strict=True))
            self.result = agree(self.caps, self.guid, offer, self.peer_guid)
            self.seen, self.shake = 1, True
            if seen and body["cfg_hash"] == self.config_hash():
                self._enter("INIT")
        elif op == INITFC and (self.state == "INIT" or (self.state == "CONFIG" and self.seen)):
            if self.state == "CONFIG":
                self._enter("INIT")
            self.credits, self.seen, self.shake = [0, *body["credits"]], 1, True
            if seen:
                self._enter("ACTIVE")
        elif op in (DISABLE, ERR_FATAL):
            raise Gone("DISABLE" if op == DISABLE else f"ERR_FATAL {body['error']}")
        elif self.state == "ACTIVE":
            self._sequence(flit)
            if op in (NAK, RESYNC):
                self.rp, self.ack_now = self.base, True
            if op == RESYNC:
                self.ctl(RESYNC_ACK, exp=self.exp, rn=body["rn"])
            elif op == PM_REQ:
                self.ctl(PM_NAK, tag=body["tag"])

    def config_hash(self) -> int:
        """Return CFG_HASH of the result, 0 before there is one."""
        return int.from_bytes(crc(pack_record(self.result), CRC32C, 4), "little") if self.result else 0

    def _sequence(self, flit: Flit) -> None:  # 3.4.2: ACK, then SEQ, then the content
        ahead = (flit.ack + 1 - self.base) % MODULUS
        if 0 < ahead <= (self.next - self.base) % MODULUS:
            passed = (self.rp - self.base) % MODULUS < ahead
            self.base = (self.base + ahead) % MODULUS
            self.rp = self.base if passed else self.rp
            self.progress = time.monotonic()
        distance = (flit.seq - self.exp) % MODULUS
        if 0 < distance < BEHIND:
            self._gap()
        elif flit.ft != PROT:
            self.naked &= distance != 0
        elif distance == 0:
            self.exp, self.naked, self.ack_now = (self.exp + 1) % MODULUS, False, True
            self.credits[flit.cvc] += flit.ccnt
            messages, self.receiving = Message.unpack(self.receiving + flit.payload)
            for message in messages:
                self.returnable[message.vc] += 1
                self._deliver(message)
        else:
            self.ack_now = True  # a duplicate

    def _gap(self, again: bool = False) -> None:
        if self.state == "ACTIVE" and (again or not self.naked):
            self.naked, self.naked_at = True, time.monotonic()
            self.ctl(NAK, exp=self.exp)

    def _time(self) -> None:
        now = time.monotonic()
        self.shake |= now - self.shaken >= T_HS * self.tu
        self.ack_now |= now - self.spoke >= T_KA * self.tu / 2
        if self.naked and now - self.naked_at >= T_NAK * self.tu:
            self._gap(again=True)
        if self.base == self.next:
            self.progress = now
        elif now - self.progress >= T_REPLAY * self.tu:
            self.rp, self.progress = self.base, now

    def _transmit(self) -> None:
        if self.state != "ACTIVE":
            if self.shake:
                self._handshake()
            return
        while self.rp != self.next:
            self.raw(self.stored[self.rp]._replace(ack=self.ack).pack(self.form))
            self.rp = (self.rp + 1) % MODULUS
        while (self.next - self.base) % MODULUS < self.result["window"] and self._due():
            vc = 0 if self.hoards else next((vc for vc in range(1, 8) if self.returnable[vc]), 0)
            count = min(self.returnable[vc], 31) if vc else 0
            self.returnable[vc] -= count
            payload, som, self.sending = fill(self.sending, self._next, self.form)
            self.prot(payload, som=som, cvc=vc, ccnt=count)
        if self.ack_now:
            self.ack_now = False
            self.flit()

    def _handshake(self) -> None:
        self.shake, self.shaken = False, time.monotonic()
        if self.state == "DETECT":
            self.ctl(
                HELLO, seen=bool(self.peer), magic=b"HSL1", guid=self.guid, links=1, min_major=1, max_major=1
            )
        elif self.state == "CONFIG":
            self.ctl(CAPS, seen=self.seen, record=pack_record(self.caps), cfg_hash=self.config_hash())
        else:
            self.ctl(INITFC, seen=self.seen, credits=self.advert)

    def _due(self) -> bool:  # 3.5 F9, but credits are returned without delay
        sendable = any(queue and self.credits[vc] > 0 for vc, queue in self.waiting.items())
        return sendable or bool(self.sending) or (not self.hoards and any(self.returnable[1:]))

    def _next(self) -> Message | None:  # by the wheel, 3.5 F10
        for step in range(len(WHEEL)):
            vc = WHEEL[(self.place + step) % len(WHEEL)]
            if self.waiting[vc] and self.credits[vc] > 0:
                self.place = (self.place + step + 1) % len(WHEEL)
                self.credits[vc] -= 1
                return self.waiting[vc].popleft()
        return None

    def _deliver(self, message: Message) -> None:
        if message.name in ("Cmp", "CmpData"):
            pair = self.open.get(message.txn, [])
            if message.st and not message.err and pair:
                held = self.lines.get(addr := pair[0].addr, (INVALID, bytes(LINE)))[1]
                self.lines[addr] = message.st, message.data or held
            if message.st and not message.err and not self.holds:
                self.send(reply(message, "CmpAck", txn=message.htxn))
            (pair if len(pair) == 1 else self.inbox).append(message)
            return
        self.inbox.append(message)
        if self.answers.get(message.name):
            self._answer(message, self.answers[message.name])
        elif message.vc in (REQ, RWD, MEM, NCR) and message.name not in {"ErrMsg", *ANSWERS, *self.answers}:
            self.send(reply(message, "Cmp", err=UNSUP))

    def _answer(self, message: Message, how: str) -> None:
        addr, fields = message.addr, dict[str, Any](len=message.len)
        if message.vc == SNP:
            state, data = self.lines.get(addr, (INVALID, b""))
            kept = {"SnpShared": min(state, SHARED), "SnpInv": INVALID}.get(message.name, state)
            if addr in self.leaving and kept != MODIFIED:
                kept = INVALID  # MI_A of 5.5
            self.lines[addr] = kept, data
            if not kept:
                del self.lines[addr]
            how = "SnpRspData" if state == MODIFIED else how
            fields = {"st": kept} | ({"len": 3, "data": data} if state == MODIFIED else {})
        elif message.name == "MemWr":
            self.memory[addr] = message.data
        elif message.name == "MemRd":
            fields["data"] = self.memory.get(addr, bytes(LINE))
        self.send(reply(message, how, **({} if how == "Cmp" else fields)))


def reply(message: Message, op: str, **fields: Any) -> Message:
    """Return an answer: SRC and DST exchanged, the same TXN where `fields` do not say another (5.3)."""
    return Message(OPS[op], **{"src": message.dst, "dst": message.src, "txn": message.txn} | fields)


if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/examples/")[0])
    from examples.raw_attacks import main

    sys.exit(main())
