"""Registers, READY and memory target of the raw device, asked by a host of raw peers (12, 13, 18)."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from examples import raw_agents
from examples.raw_agents import (
    ACCESS,
    CFGMASTER,
    DECODE,
    GUID,
    HDM_H,
    ID,
    MMIO,
    PROTO,
    READY,
    SAM,
    UNREACH,
    UNSUP,
    Entry,
    Registers,
)
from examples.raw_flits import LINE, OPS, Gone, Message, reply
from examples.raw_peer import DEVICE, Peer
from tests.examples.raw_host import joined

MEMORY = Entry(1, HDM_H, 0, 1 << 36, (1 << 36) + (3 << 20) - 1, 0, 201)
PAGE = Entry(1, MMIO, 0, 1 << 37, (1 << 37) + 8191, 200)
HOST = Entry(1, 0, 0, 0, (1 << 20) - 1, 0)


def tried(monkeypatch: pytest.MonkeyPatch, ask: Callable[[Peer, Peer], None]) -> None:
    """Run `ask` with a host whose device is stepped by a thread."""
    with joined(monkeypatch, Peer) as (host, device):
        over = threading.Event()

        def step() -> None:
            try:
                device.run(over.is_set, 20.0)
            except (Gone, OSError):
                over.set()

        thread = threading.Thread(target=step, daemon=True)
        thread.start()
        try:
            ask(host.up(), device)
        finally:
            over.set()
            thread.join(5.0)


def test_what_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """CfgRead finds the registers of 5.15.2 by every NID, and DECODE for all others."""

    def ask(host: Peer, device: Peer) -> None:
        for nid in device.own:  # HSL-BOT-004
            found = host.request("CfgRead", ID, dst=nid).data
            assert found == b"HSL1" + bytes((1, 0, 0b10101, 0))
        assert host.request("CfgRead", GUID, dst=200).data == device.guid.to_bytes(8, "little")
        for addr in (0x10, 0x18, 0x20, 0x40, 0x50, 0x60, 0x68, 0x70, 0x500, 0x870, 0x1800, 0x2000, 1 << 51):
            assert host.request("CfgRead", addr, dst=200).err == DECODE, hex(addr)
        assert host.request("CfgRead", 0x4F8, dst=200).data == bytes(8), "the last entry of AGENT"
        assert host.request("CfgRead", 0x860, dst=200, len=1).data == bytes(16), "the last of RANGE"
        assert host.request("CfgRead", ID + 4, dst=200).err == PROTO, "not aligned"
        assert host.request("Intr", 0, dst=200, data=bytes(8)).err == DECODE, "no vectors"
        assert host.request("NcEnq", 0, dst=200, len=3).err == UNSUP

    tried(monkeypatch, ask)


def test_what_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """CfgWrite obeys CFGMASTER, changes RW fields only, and takes an entry that fits a range (5.15.2)."""

    def write(host: Peer, addr: int, data: bytes, src: int = 2) -> int:
        code = len(data).bit_length() - 4
        return host.request("CfgWrite", addr, src=src, dst=200, len=code, data=data).err

    def ask(host: Peer, device: Peer) -> None:
        words = device.registers.words
        assert write(host, ID, b"\xff" * 8) == 0
        assert words[ID] == 0x15_00_01_31_4C_53_48, "RO: no effect, no error"
        assert write(host, CFGMASTER, b"\xff" * 8, src=3) == 0
        assert words[CFGMASTER] == 0x7FF
        assert write(host, READY, b"\1" + bytes(7)) == ACCESS
        words[CFGMASTER] = 2 | 1 << 10
        assert write(host, SAM, HOST.pack()[:16]) == PROTO, "replaced whole, by LEN = 2 only"
        wrong = (
            MEMORY._replace(mt=200),
            MEMORY._replace(last=MEMORY.last + 4096),
            MEMORY._replace(type=1, home=201),
            MEMORY._replace(ways=1),
            PAGE._replace(home=202),
        )
        assert [write(host, SAM + 64, entry.pack()) for entry in wrong] == [PROTO] * 5  # HSL-BOT-005
        for n, each in ((0, HOST), (2, MEMORY), (5, PAGE)):
            assert write(host, SAM + 32 * n, each.pack()) == 0
        assert write(host, SAM + 96, MEMORY.pack()) == PROTO, "taken by entry 2"
        assert write(host, SAM + 64, MEMORY.pack()) == 0, "the same again"
        assert write(host, SAM, HOST._replace(home=15).pack()) == PROTO, "HSL-COH-059: not quiesced"
        assert write(host, SAM, HOST._replace(quiesced=1).pack()) == 0
        assert write(host, SAM, HOST._replace(quiesced=1, home=15).pack()) == 0
        assert not device.ready
        assert write(host, READY, b"\xff" * 8) == 0
        assert (words[READY], device.ready) == (1, True)

    tried(monkeypatch, ask)


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory target serves its range for its home, with POISON and byte enables (5.6.2)."""

    def ask(host: Peer, device: Peer) -> None:
        at, last = MEMORY.base + LINE, MEMORY.last + 1 - LINE

        def mem(op: str, addr: int, **fields: Any) -> Message:
            return host.request(op, addr, **({"src": 0, "dst": 201} | fields))

        assert mem("MemRd", at, len=3).err == DECODE, "the map has given it no place"
        device.registers.write(SAM + 64, MEMORY.pack(), lambda entry: False)
        device.blank = False
        assert mem("MemRd", last, len=3).data == bytes(LINE)
        assert mem("MemRd", MEMORY.last + 1, len=3).err == DECODE
        assert mem("MemRd", at, len=3, src=5).err == ACCESS
        assert mem("MemRd", at + 8, len=3).err == PROTO
        assert mem("MemWr", at, len=3, data=b"\x11" * LINE, poison=1).err == 0
        assert mem("MemWrPtl", at + 8, len=0, data=b"\x22" * 8, be=0x0F).err == 0
        read = mem("MemRd", at, len=3)
        assert (read.data[:20], read.poison) == (b"\x11" * 8 + b"\x22" * 4 + b"\x11" * 8, 1)
        assert mem("MemWrPtl", at, len=3, data=b"\x33" * LINE).err == 0
        read = mem("MemRd", at, len=3)
        assert (read.data, read.poison) == (b"\x33" * LINE, 0), "all 64 bytes clear the poison"

    tried(monkeypatch, ask)


@pytest.mark.parametrize("answer", ["told", "status", "refused", "silent"])
def test_lost_content(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Memory that begins anew says so after READY, and is served when the home has taken note of it (M5)."""

    def ask(host: Peer, device: Peer) -> None:
        def read() -> int:
            return host.request("MemRd", MEMORY.base, src=0, dst=201, len=3).err

        def ready(on: int) -> None:
            host.request("CfgWrite", READY, dst=200, data=bytes((on, *bytes(7))))

        def refuse(message: Message) -> Message | None:
            status = b"\3\0\0\0\1".ljust(LINE, b"\0")
            return {
                "status": reply(message, "CmpData", len=3, data=status),
                "refused": reply(message, "Cmp", err=UNSUP),
            }.get(answer)

        if answer != "told":
            host.answers["MgmtMsg"] = refuse
        device.registers.write(SAM + 64, MEMORY.pack(), lambda entry: False)
        assert read() == UNREACH, "before READY"
        ready(1)
        assert (told := host.recv(1.0)) is not None
        assert (told.name, told.src, told.dst) == ("MgmtMsg", 201, 0)
        assert struct.unpack_from("<3Q", told.data) == (3, MEMORY.base, MEMORY.last)
        host.run(seconds=0.2)
        assert read() == (0 if answer == "told" else UNREACH)
        ready(0)
        ready(1)
        again = host.recv(0.2)
        assert (again is None) == (answer == "told"), "what is known is not said again"

    tried(monkeypatch, ask)


def test_nothing_is_asked_before_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before READY no REQ, RWD, MEM or NCR is sent; Evict and WbFull are [HSL-BOT-006]."""

    def ask(host: Peer, device: Peer) -> None:
        names = ("WritePtl", "MemRd", "Intr")
        waits = [Message(OPS[op], 202, txn=n) for n, op in enumerate(names)]
        device.waiting[1].append(Message(OPS["Evict"], 202, txn=3))
        assert (first := host.recv(1.0)) is not None
        assert first.name == "Evict"
        for each in waits:
            device.waiting[each.vc].append(each)
        assert host.recv(0.2) is None
        host.request("CfgWrite", READY, dst=200, data=b"\1" + bytes(7))
        assert {message.name for _ in names if (message := host.recv(1.0))} == {*names}

    tried(monkeypatch, ask)


def test_ready_falls_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """LINK_DOWN ends READY; map, CFGMASTER and memory stay [HSL-BOT-007]."""
    with joined(monkeypatch, Peer) as (_, device):
        device.registers.words |= {READY: 1, CFGMASTER: 2 | 1 << 10}
        device.registers.write(SAM + 64, MEMORY.pack(), lambda entry: False)
        device.memory[MEMORY.base] = b"\x11" * LINE, 0
        device.caches[0].lines[0] = raw_agents.Line(1, bytes(LINE))
        device.restart()
        assert not device.ready
        assert device.registers.map == {2: MEMORY}
        assert device.registers.words[CFGMASTER] == 2 | 1 << 10
        assert device.memory
        assert not device.caches[0].lines


def test_a_full_map_entry_is_kept() -> None:
    """An entry keeps its fields through pack and unpack, and reads as it was written."""
    registers = Registers(7, DEVICE)
    entry = Entry(1, 0, 1, 0x12345000, 0xFFFFFFFFFFFFF, 1023, 511, 3, 9, 21)
    assert Entry.unpack(entry.pack()) == entry
    assert registers.write(SAM + 63 * 32, entry.pack(), lambda entry: False) == 0
    assert registers.read(SAM + 63 * 32, 32) == entry.pack()
    assert registers.lookup(0x12345678) == entry
