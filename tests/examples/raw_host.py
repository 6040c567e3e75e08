"""A CPU of raw peers for tests of the raw device: a home in short, a boot master, the job of annex A.5.

It shares the link of the raw peer and nothing of `hsl`, so that the device is tried before any emulator is.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from examples import raw_link
from examples.raw_agents import HDM_H, UNREACH, Refused, Work
from examples.raw_boots import Booted, boot
from examples.raw_device import Device
from examples.raw_flits import LINE, OPS, Gone, Message, Wire, reply
from examples.raw_peer import Peer

JOB, SOURCE, COUNTERS, SCRATCH, RING = 0x1000, 0x10000, 0x4000, 0x2000, 0x3000
Grant = tuple[str, int, bytes, int]  # name, ST, data, POISON


def wire(end: socket.socket) -> Wire:
    """A stream carrier over a socket that is connected."""
    made = Wire.__new__(Wire)
    made.datagrams, made.buffer, made.socket = False, b"", end
    return made


class Home:
    """The home of host memory and HDM-H after 5.6, in short: a line is busy until the CmpAck has come."""

    def __init__(self, host: Peer) -> None:
        self.host = host
        self.memory: dict[int, tuple[bytes, int]] = {}
        self.holders: dict[int, set[int]] = {}
        self.owned: set[int] = set()
        self.queues: dict[int, deque[Message]] = {}
        self.heard: dict[tuple[str, int, int], Message] = {}  # answers of snoops and CmpAck, by SRC and TXN
        self.tags = iter(range(1 << 30))
        self.served: Counter[str] = Counter()
        self.target: tuple[int, int, int] = (0, 0, 0)  # HDM_H: base, size, NID
        names = [name for name, op in OPS.items() if op >> 5 in (1, 2)]
        host.answers |= dict.fromkeys(names, self.take)
        host.answers |= dict.fromkeys(("SnpRsp", "SnpRspData", "CmpAck"), self.hear)

    def take(self, message: Message) -> None:
        """Queue a request behind those of its line."""
        self.served[message.name] += 1
        line = message.addr & -LINE
        queue = self.queues.setdefault(line, deque())
        queue.append(message)
        if len(queue) == 1:
            self.host.begin(self.line(line, queue))

    def hear(self, message: Message) -> None:
        """Keep an answer for the transaction that waits for it."""
        kind = "CmpAck" if message.name == "CmpAck" else "Snp"
        self.heard[kind, message.src, message.txn] = message

    def line(self, line: int, queue: deque[Message]) -> Work[None]:
        """Serve the requests of a line in order of arrival."""
        while queue:
            name, st, data, poison = yield from self.serve(queue[0], line)
            tag = next(self.tags) % 4096 if st else 0
            answer = reply(queue[0], name, st=st, htxn=tag, len=len(data).bit_length() - 4 if data else 0)
            if queue[0].src in self.host.theirs:
                self.host.waiting[answer.vc].append(answer._replace(data=data, poison=poison))
            while st and ("CmpAck", queue[0].src, tag) not in self.heard:
                yield
            self.heard.pop(("CmpAck", queue[0].src, tag), None)
            queue.popleft()

    def serve(self, asked: Message, line: int) -> Work[Grant]:
        """Do a request: snoop, memory, directory; return its completion."""
        holders, who = self.holders.setdefault(line, set()), asked.src
        if asked.name in ("Evict", "WbFull"):
            if asked.name == "WbFull" and line in self.owned and who in holders:
                yield from self.write(line, asked.data, asked.poison)
            if who in holders:
                holders.discard(who)
                self.owned.discard(line)
            return "Cmp", 0, b"", 0
        assert who not in holders or asked.name == "Upgrade", f"PROTO of a holder: {asked}"
        listed, dirty = who in holders, None
        if asked.name not in ("ReadShared", "ReadOnce") or line in self.owned:
            kind = {"ReadShared": "SnpShared", "ReadOnce": "SnpCur"}.get(asked.name, "SnpInv")
            dirty = yield from self.snoop(kind, line, holders, who)
        if dirty and asked.name not in ("MakeUnique", "WriteFull"):
            yield from self.write(line, dirty.data, dirty.poison)
        return (yield from self.do(asked, line, holders, listed, bool(dirty)))

    def snoop(self, kind: str, line: int, holders: set[int], who: int) -> Work[Message | None]:
        """Snoop all holders but the requester; return the data of the owner if they are dirty."""
        tag, dirty = next(self.tags) % 4096, None
        asked = sorted(holders - {who})
        for nid in asked:
            self.host.waiting[3].append(Message(OPS[kind], 0, nid, tag, 3, line))
        for nid in asked:
            while ("Snp", nid, tag) not in self.heard:
                yield
            answer = self.heard.pop(("Snp", nid, tag))
            assert answer.name == "SnpRsp" or line in self.owned, "T6: data of one that is no owner"
            dirty = answer if answer.name == "SnpRspData" else dirty
            if kind != "SnpCur" and not answer.st:
                holders.discard(nid)
        if kind != "SnpCur":
            self.owned.discard(line)
        return dirty

    def do(self, asked: Message, line: int, holders: set[int], listed: bool, dirty: bool) -> Work[Grant]:
        """Read or write memory and list the requester."""
        name, at = asked.name, asked.addr % LINE
        hand = dirty and bool(self.host.result["features"] & 0x80)
        data, poison = yield from self.read(line)
        if name in ("ReadOnce", "Flush"):
            return ("CmpData", 0, data, poison) if name == "ReadOnce" else ("Cmp", 0, b"", 0)
        if name in ("ReadShared", "ReadUnique", "MakeUnique", "Upgrade"):
            state = 1 if name == "ReadShared" and holders else 3 if name == "MakeUnique" or hand else 2
            state = 2 if name == "ReadShared" and state == 3 else state
            holders.add(asked.src)
            if state > 1:
                self.owned.add(line)
            plain = name == "MakeUnique" or (name == "Upgrade" and listed)
            return (
                ("Cmp", 2 if name == "Upgrade" else 3, b"", 0) if plain else ("CmpData", state, data, poison)
            )
        new = asked.data
        if name in ("AtomicLoad", "AtomicStore"):
            assert (asked.x, asked.aop, asked.len) == (1, 0, 0)
            total = int.from_bytes(data[at : at + 8], "little") + int.from_bytes(asked.data, "little")
            new = total.to_bytes(8, "little")
        merged = data[:at] + new + data[at + len(new) :]
        yield from self.write(line, merged, asked.poison | (0 if len(new) == LINE else poison))
        return ("CmpData", 0, data[at : at + 8], 0) if name == "AtomicLoad" else ("Cmp", 0, b"", 0)

    def read(self, line: int) -> Work[tuple[bytes, int]]:
        """Read memory, that of the device by MemRd."""
        base, size, nid = self.target
        if base <= line < base + size:
            while True:
                try:
                    answer = yield from self.host.ask("MemRd", line, src=0, dst=nid, len=3)
                    return answer.data, answer.poison
                except Refused as refused:
                    if refused.answer.err != UNREACH:  # before CONTENT_LOST
                        raise
                yield
        return self.memory.get(line, (bytes(LINE), 0))

    def write(self, line: int, data: bytes, poison: int) -> Work[None]:
        """Write memory, that of the device by MemWr."""
        base, size, nid = self.target
        if base <= line < base + size:
            yield from self.read(line)  # so that its target is in use
            yield from self.host.ask("MemWr", line, src=0, dst=nid, len=3, data=data, poison=poison)
        else:
            self.memory[line] = data, poison


class Cpu:
    """A host with a home and a device that runs in a thread of its own."""

    def __init__(self, host: Peer, device: Device) -> None:
        self.host, self.device, self.home = host, device, Home(host)
        self.gpu: Booted | None = None
        self.interrupts: list[tuple[int, int]] = []
        host.answers["Intr"] = self.interrupted

    def interrupted(self, message: Message) -> Message:
        """Note vector and DATA."""
        self.interrupts.append(struct.unpack("<II", message.data))
        return reply(message, "Cmp")

    def boot(self, port: int = 0) -> Booted:
        """Boot the device."""
        size = next(each.size for each in self.device.registers.ranges if each.types >> HDM_H & 1)
        self.home.target = (1 + port) << 36, size, self.device.own[1]  # a READY device begins at once
        self.gpu = boot(self.host.up(), port)
        return self.gpu

    def place(self, addr: int, data: bytes) -> None:
        """Write bytes as a core does, and wait for all."""
        for n in range(0, len(data), LINE):
            self.put(addr + n, data[n : n + LINE].ljust(LINE, b"\0"))
        assert self.host.run(lambda: not any(self.home.queues.values()))

    def bytes_at(self, addr: int, size: int) -> bytes:
        """What memory holds."""
        found = (self.home.memory.get(addr + n, (bytes(LINE), 0))[0] for n in range(0, size, LINE))
        return b"".join(found)[:size]

    def ring(self, register: int, value: int) -> Message:
        """Write a register of the page."""
        assert self.gpu
        data = value.to_bytes(8, "little")
        return self.host.request("NcWrite", self.gpu.page + register, dst=self.gpu.io, data=data)

    def count(self, data: bytes, kernel: int = 1) -> tuple[int, ...]:
        """Place a job, ring, wait for its interrupt; check what can be checked and return the vectors."""
        before = len(self.interrupts)
        self.place(COUNTERS, bytes(64 + 2048))
        self.place(SCRATCH, bytes(9 * LINE))
        self.place(RING, bytes(2 * LINE))
        self.place(JOB, struct.pack("<6Q", kernel, SOURCE, len(data), COUNTERS, SCRATCH, RING))
        if kernel == 3:
            self.host.begin(self.feed(data))
        else:
            self.place(SOURCE, data)
        assert self.ring(0, JOB).err == 0
        cores = self.host.begin(self.cores())
        assert self.host.run(lambda: len(self.interrupts) > before, 30.0), "no interrupt"
        cores.work.close()
        return tuple(vector for vector, _ in self.interrupts[before:])

    def cores(self) -> Work[None]:
        """Add to word 0 of the scratch lines as cores do."""
        n = 0
        while True:
            asked = Message(OPS["AtomicStore"], 2, addr=SCRATCH + LINE * (n % 8), x=1, data=b"\1" + bytes(7))
            self.home.take(asked)
            n += 1
            for _ in range(3):
                yield

    def feed(self, data: bytes) -> Work[None]:
        """Put lines into the ring, never more than 16 ahead of the tail."""
        home = self.home
        for k in range(-(-len(data) // LINE)):
            while k >= int.from_bytes((yield from self.peek(RING + LINE))[:8], "little") + 16:
                yield
            self.put(SOURCE + LINE * (k % 16), data[LINE * k :][:LINE].ljust(LINE, b"\0"))
            while home.queues.get(SOURCE + LINE * (k % 16)):
                yield
            self.put(RING, (k + 1).to_bytes(8, "little").ljust(LINE, b"\0"))

    def put(self, line: int, data: bytes) -> None:
        """Write a line as a core does."""
        self.home.take(Message(OPS["WriteFull"], 2, 0, 0, 3, line, data))

    def peek(self, line: int) -> Work[bytes]:
        """Read a line as a core does."""
        while self.home.queues.get(line):
            yield
        holders = self.home.holders.setdefault(line, set())
        if line in self.home.owned:
            dirty = yield from self.home.snoop("SnpCur", line, holders, 2)
            return dirty.data if dirty else self.bytes_at(line, LINE)
        return self.bytes_at(line, LINE)

    def verify(self, data: bytes, kernel: int, units: int, chunks: int) -> None:
        """Compare counters, scratch lines and completion line with those of the input (A.5)."""
        counters = struct.unpack("<264Q", self.bytes_at(COUNTERS, 2112))
        assert counters[0] == len(data)
        assert counters[1] == (0 if kernel == 2 else len(re.findall(rb"[^\t-\r ]+", data)))
        assert list(counters[8:]) == [data.count(n) for n in range(256)]
        words = [struct.unpack("<8Q", self.bytes_at(SCRATCH + LINE * n, LINE)) for n in range(8)]
        assert sum(sum(line[1:]) for line in words) == chunks
        assert not any(any(line[1 + units :]) for line in words)
        assert sum(line[0] for line in words) > 0, "the cores have added nothing"
        assert struct.unpack("<QQ", self.bytes_at(SCRATCH + 8 * LINE, 16))[1] == chunks


@contextmanager
def joined(patch: pytest.MonkeyPatch, make: Any = Device, **options: Any) -> Iterator[tuple[Peer, Any]]:
    """A host and a device over a pair of sockets, closed at the end."""
    ends = dict(zip(("host", "device"), socket.socketpair(), strict=True))
    patch.setattr(raw_link, "Wire", lambda uri: wire(ends[uri]))
    host = Peer("host", nid_base=0, flit_sizes=options.pop("host_flits", 3), features=0x81, guid=1)
    device = make("device", **options)
    try:
        yield host, device
    finally:
        for end in ends.values():
            end.close()


@contextmanager
def system(patch: pytest.MonkeyPatch, exercise: bool = False, **options: Any) -> Iterator[Cpu]:
    """A CPU whose device serves in a thread."""
    with joined(patch, **options) as (host, device):
        ended: list[str] = []

        def serve() -> None:
            try:
                device.serve(exercise=exercise)
            except (Gone, OSError) as gone:
                ended.append(str(gone))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        cpu = Cpu(host, device)
        try:
            yield cpu
        finally:
            host.close(disable=host.state == "ACTIVE")
            thread.join(10.0)
            assert not thread.is_alive()
