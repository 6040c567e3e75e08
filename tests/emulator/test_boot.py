"""The boot master and its devices: the list of A.3, what is turned away, re-admission (HSL 5.15, annex A)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hsl
from hsl._generated.constants import (
    DEVICE_VECTORS,
    LINE_BYTES,
    Err,
    ErrorCode,
    NodeClass,
    Op,
    PageRegister,
    Register,
    Role,
    SamType,
    Vc,
)
from hsl._generated.layouts import (
    AGENT_BASE,
    AGENT_D0,
    AGENT_STRIDE,
    NOTIFY_D0,
    RANGE_BASE,
    RANGE_ENTRY,
    RANGE_STRIDE,
    SAM_BASE,
    SAM_STRIDE,
)
from hsl.agents.address_map import SamEntry, decode_entry, encode_entry
from hsl.capture.messages import carried
from hsl.capture.trace import Reader
from hsl.codec.message import Message
from hsl.emulator import GpuDevice, Topology
from hsl.emulator.booted import BootedDevice
from hsl.emulator.system_map import cpu_entries
from hsl.transport.base import Place
from tests.emulator.boot_rig import System

TEXT = Path(__file__).parents[2] / "spec" / "text" / "19-reference-system.md"
MASTER, IO_AGENT = 2, 1  # NIDs of the CPU, annex A.1
PAGE = 4096


# ---- what is read and written


def annex() -> list[tuple[str, str, int]]:
    """The rows of A.3: message, address, bytes; of two messages in a row the first word."""
    rows = re.findall(r"^\| (\d+) \| (\w+)[^|]* \| ([^|]+?) \| (\d+)", TEXT.read_text(), re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 13))
    return [(op, where, int(size)) for _, op, where, size in rows]


def listed(device: BootedDevice, entries: dict[int, SamEntry]) -> list[tuple[str, int, int]]:
    """The messages that A.3 lists for a device: name, address, bytes."""
    agents, ranges = len(device.findings.agents), len(device.findings.ranges)
    of_tables = {
        "AGENT": [AGENT_BASE + AGENT_STRIDE * index for index in range(agents + 1)],
        "RANGE": [RANGE_BASE + RANGE_STRIDE * index for index in range(ranges + 1)],
        "each": [SAM_BASE + SAM_STRIDE * index for index in sorted(entries)],
    }
    found: list[tuple[str, int, int]] = []
    for op, where, size in annex():
        word = where.split()[0]
        if word == "last":
            for entry in device.entries:
                if entry is not None and entry.coherent:
                    line = entry.last + 1 - LINE_BYTES
                    found.append(("MemRd" if entry.type == SamType.HDM_H else "ReadOnce", line, size))
        elif word == "NOTIFY":
            assert device.page is not None
            found.append((op, device.page + PageRegister.NOTIFY, size))
        else:
            places = of_tables[word] if word in of_tables else [Register[word]]
            found += [(op, at, size) for at in places]
    return found


def asked(capture: bytes, sender: str) -> list[Message]:
    """The requests that a node has sent, in order; a capture has each flit of the loopback once."""
    return [
        message
        for each in carried(Reader(io.BytesIO(capture)))
        if each.lane.source == sender and not each.repeated
        for message in each.messages
        if message.vc in (Vc.REQ, Vc.RWD, Vc.MEM, Vc.NCR)
    ]


def shape(message: Message) -> tuple[str, int, int]:
    return Op(message.op).name, message.addr, 8 << message.len


def test_the_boot_is_the_list_of_the_annex(tmp_path: Path) -> None:
    """A capture has the messages of A.3 and no others, from the NIDs and with the data that it says."""
    path = tmp_path / "boot.pcapng"
    with hsl.System(gpus=1, device_bytes=1 << 20, capture=str(path)) as system:
        machine = system._machine
        device = machine._host.master.devices[0]
        written = machine.nodes[0].io.config.address_map.entries  # type: ignore[union-attr]
    messages = asked(path.read_bytes(), "cpu")
    entries = {index: entry for index, entry in enumerate(written) if entry is not None}
    assert [shape(message) for message in messages] == listed(device, entries)
    first, page = device.findings.nids.start, device.page
    for message in messages:
        if message.op in (Op.CfgRead, Op.CfgWrite):
            assert (message.src, message.dst, message.aop) == (MASTER, first, 0)
    sent = {message.addr: message.data for message in messages if message.op == Op.CfgWrite}
    assert all(sent[SAM_BASE + SAM_STRIDE * index] == encode_entry(entry) for index, entry in entries.items())
    assert sent[Register.READY] == (1).to_bytes(8, "little")
    notify = messages[-1]
    assert (notify.addr, notify.dst) == ((page or 0) + PageRegister.NOTIFY, first + 1)
    assert NOTIFY_D0.parse(notify.data) == {"nid": IO_AGENT, "vector": 0}
    assert [shape(message) for message in asked(path.read_bytes(), "gpu")] == [("MgmtMsg", 0, 64)]


def test_the_map_is_that_of_the_annex() -> None:
    """Windows, order and alignment of the ranges, and their indices in the map, are those of A.2."""
    system = System(gpus=2, memory_nodes=1, sizes=(3 << 20, 1 << 20, 1 << 16), nids=(16, 500, 700))
    devices = system.boot()
    map_of_cpu = system.host.io.config.address_map
    assert map_of_cpu.entries[:2] == tuple(cpu_entries(system.topology.memory_bytes))
    for port, device in devices.items():
        at = (1 + port) << 36
        for number, (one, entry) in enumerate(zip(device.findings.ranges, device.entries, strict=True)):
            unit = 1 << (one.size - 1).bit_length()
            at = -(-at // unit) * unit
            if entry is None:
                assert (one.ways, one.size) == (1, 3 << 20)  # not the size of the CPU's half
            else:
                assert (entry.base, entry.last) == (at, at + one.size - 1)
                assert map_of_cpu.entries[2 + 7 * port + number] == entry
            at += one.size
        assert device.vector == DEVICE_VECTORS * port
    assert [devices[port].findings.node_class for port in range(3)] == [
        NodeClass.GPU, NodeClass.GPU, NodeClass.MEMORY,
    ]  # fmt: skip
    assert [devices[port].findings.nids for port in range(3)] == [
        range(16, 32), range(500, 516), range(700, 716),
    ]  # fmt: skip
    for each in system.devices:
        assert each.node.io is not None
        assert each.node.io.config.address_map.entries == map_of_cpu.entries


def test_eight_devices_of_different_sizes_and_numbers() -> None:
    """Eight devices boot at one CPU, and each serves its own memory at both of its homes. HSL A.1, A.2."""
    sizes = tuple((1 + port) << 16 for port in range(8))
    system = System(gpus=8, sizes=sizes, nids=tuple(900 - 20 * port for port in range(8)))
    devices = system.boot()
    places = [entry for device in devices.values() for entry in device.regions.values()]
    assert sorted(entry.last + 1 - entry.base for entry in places) == sorted(2 * sizes)
    now = system.loopback.now
    stores = [
        system.host.node.store(MASTER, entry.last - 7, bytes([n] * 8), now) for n, entry in enumerate(places)
    ]
    system.loopback.call(now, Place(0), lambda: None)
    system.run(lambda: all(ticket.done for ticket in stores))
    now = system.loopback.now
    loads = [system.host.node.load(MASTER + 1, entry.last - 7, 8, now) for entry in places]
    system.loopback.call(now, Place(0), lambda: None)
    system.run(lambda: all(ticket.done for ticket in loads))
    assert [ticket.result() for ticket in loads] == [bytes([n] * 8) for n in range(len(places))]


def test_a_device_gets_the_ranges_of_later_ones() -> None:
    """A device that is READY is told the entries of one that comes later. HSL A.3."""
    system = System(gpus=2)
    system.loopback.start()
    system.loopback.set_wire(1, up=False)
    system.run(lambda: 0 in system.host.master.devices)
    system.loopback.set_wire(1, up=True)
    system.boot()
    maps = [device.node.io.config.address_map.entries for device in system.devices if device.node.io]
    assert maps[0] == maps[1] == system.host.io.config.address_map.entries


def test_registers_that_may_be_missing() -> None:
    """DECODE for PRODUCT, VECTORS, STREAMS and NOTIFY stands for the defaults. [HSL-BOT-003]."""
    system = System()
    system.registers()._missing |= {"PRODUCT", "VECTORS", "STREAMS"}
    mmio = system.devices[0].node.io.mmio  # type: ignore[union-attr]
    covers = mmio.covers
    mmio.covers = lambda addr, size: covers(addr, size) and addr % PAGE != PageRegister.NOTIFY  # type: ignore[method-assign]
    device = system.boot()[0]
    found = device.findings
    assert (found.node_class, found.vectors, found.streams, device.vector) == (NodeClass.OTHER, 0, 1, 0)


# ---- what is turned away


def agent(offset: int, role: int) -> bytes:
    return bytes(AGENT_D0.build({"valid": 1, "offset": offset, "role": role}))


def memory(types: int, size: int, home: int = 0, mt: int = 2, ways: int = 0) -> bytes:
    d0 = {"valid": 1, "types": types, "home": home, "mt": mt, "ways": ways}
    return bytes(RANGE_ENTRY.build({"d0": d0, "d1": {"size": size // PAGE}}))


def put(table: int, index: int, data: bytes) -> Callable[[Any], None]:
    """Return a lie: another entry of AGENT or RANGE."""

    def lie(registers: Any) -> None:
        old, at = registers._tables[table], len(data) * index
        registers._tables[table] = old[:at] + data + old[at + len(data) :]

    return lie


def value(register: Register, word: int) -> Callable[[Any], None]:
    """Return a lie: another value of a register."""
    return lambda registers: registers._values.update({register: word})


def missing(name: str) -> Callable[[Any], None]:
    """Return a lie: a register that must be there is not."""
    return lambda registers: setattr(registers, "_missing", registers._missing | {name})


GPU_ROLES = int(Role.RA | Role.HA | Role.MT | Role.IOA)
MAGIC = int.from_bytes(b"HSL1", "little")
D, H = 1 << SamType.HDM_D, 1 << SamType.HDM_H
LIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "magic": (value(Register.ID, GPU_ROLES << 48 | 1 << 32), "magic"),
    "major version": (value(Register.ID, GPU_ROLES << 48 | 2 << 32 | MAGIC), "version 2"),
    "roles of ID": (value(Register.ID, 1 << 48 | 1 << 32 | MAGIC), "HSL1', version 1, roles 0x1"),
    "no GUID": (missing("GUID"), "CfgRead of 0x8 ended with DECODE"),
    "no READY": (missing("READY"), "CfgWrite of 0x58 ended with DECODE"),
    "no CFGMASTER": (missing("CFGMASTER"), "CfgWrite of 0x48 ended with DECODE"),
    "agent outside": (put(AGENT_BASE, 3, agent(16, Role.RA)), "AGENT entry 3 has NID 32"),
    "agent twice": (put(AGENT_BASE, 3, agent(0, Role.RA)), "AGENT entry 3 has NID 16"),
    "agent of two roles": (put(AGENT_BASE, 3, agent(3, Role.RA | Role.HA)), "AGENT entry 3"),
    "agent of no role": (put(AGENT_BASE, 3, agent(3, 0)), "AGENT entry 3"),
    "roles of AGENT": (put(AGENT_BASE, 3, agent(3, Role.HA)), "AGENT lists the roles"),
    "no type": (put(RANGE_BASE, 0, memory(0, 1 << 20)), "RANGE entry 0: range of"),
    "no size": (put(RANGE_BASE, 0, memory(D, 0)), "RANGE entry 0: range of 0 bytes"),
    "host memory": (put(RANGE_BASE, 0, memory(1, 1 << 20)), "RANGE entry 0 (HOSTMEM)"),
    "host memory too": (put(RANGE_BASE, 0, memory(1 | H, 1 << 20, home=5)), "0 (HDM_H, HOSTMEM) names"),
    "one of two agents": (put(RANGE_BASE, 0, memory(D | H, 1 << 20, mt=0)), "and target 16"),
    "home that is none": (put(RANGE_BASE, 0, memory(D, 1 << 20, home=3)), "names home 19"),
    "target that is none": (put(RANGE_BASE, 1, memory(H, 1 << 20, mt=0)), "target 16"),
    "too many ways": (put(RANGE_BASE, 0, memory(D, 1 << 20, ways=4)), "at most 3 ways"),
    "beyond its window": (put(RANGE_BASE, 0, memory(D, 1 << 37)), "range 0 of 137438953472 bytes"),
    "more than it takes": (put(RANGE_BASE, 0, memory(D, 2 << 20)), "CfgWrite of 0x1040 ended with PROTO"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_an_identity_that_contradicts_itself_is_turned_away(lie: str) -> None:
    """The port ends with CFG; the reason names what came, what was expected, the clause. [HSL-BOT-010]."""
    system = System()
    change, text = LIES[lie]
    change(system.registers())
    reason = system.refused()
    assert text in reason
    assert "HSL-BOT-010" in reason
    assert not system.host.master.devices


def test_memory_that_is_listed_and_not_there() -> None:
    """A range whose last line ends with DECODE is a lie about its size. [HSL-BOT-010]."""
    system = System()
    target = next(iter(system.devices[0].node.targets.values()))
    read = target.memory.read_line
    base = 1 << 36

    def short(addr: int) -> tuple[bytes, bool]:
        if addr >= base + (3 << 19):
            raise hsl.TransactionError("not there", code=hsl.Err.DECODE)
        return read(addr)

    target.memory.read_line = short  # type: ignore[method-assign]
    assert re.search(
        r"RANGE entry 1 lists 1048576 bytes, but its last line, \w+, ended with DECODE", system.refused()
    )


def test_a_device_that_answers_nothing_is_turned_away() -> None:
    """A device that leaves a CfgRead unanswered is turned away when T_REQ has passed. [HSL-BOT-010]."""
    short = {"T_SNP": 10_000, "T_MEM": 10_000, "T_CACK": 10_000, "T_REQ": 2_000_000}
    system = System(given_timers=tuple(short.items()))
    agent_of_device = system.devices[0].node.io
    assert agent_of_device is not None
    agent_of_device.receive = lambda message, now, viral=False: None  # type: ignore[method-assign]
    assert "ended with UNREACH; expected an answer (HSL 5.15.5 [HSL-BOT-010])" in system.refused()


def test_a_silent_device_keeps_no_other_from_booting() -> None:
    """The boot of a port does not wait for that of another."""
    system = System(gpus=2)
    silent = system.devices[0].node.io
    assert silent is not None
    silent.receive = lambda message, now, viral=False: None  # type: ignore[method-assign]
    system.run(lambda: 1 in system.host.master.devices)
    assert not system.host.node.error_logs[0].counters.get(ErrorCode.CFG)


REQUESTS = [
    Message(Op.ReadShared, len=3, addr=64),
    Message(Op.WriteFull, len=3, addr=64, data=bytes(64)),
    Message(Op.NcRead, dst=IO_AGENT, addr=1 << 40),
    Message(Op.Intr, dst=IO_AGENT, data=bytes(8)),
    Message(Op.MgmtMsg, dst=IO_AGENT, len=3, data=bytes(64)),
    Message(Op.CfgRead, dst=IO_AGENT),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda message: Op(message.op).name)
def test_a_request_before_ready_ends_the_port(request_: Message) -> None:
    """A device that asks before it is READY is turned away, and the reason names the rule. [HSL-BOT-009]."""
    system = System()
    node = system.devices[0].node
    system.run(lambda: node.connected)
    node.ports[0].send(request_._replace(src=19))
    system.loopback.call(system.loopback.now, Place(1), lambda: None)
    text = f"the device sent {Op(request_.op).name} before it was READY (HSL 5.15.3 [HSL-BOT-006])"
    assert system.refused() == text


@pytest.mark.parametrize(("port", "name"), [(0, "host0"), (1, "memory")])
def test_lost_content_is_told_when_the_target_is_ready(port: int, name: str) -> None:
    """A memory target of a new node says after READY that it holds nothing; the CPU lifts its fence.

    HSL 5.6 M5, 5.15.3, A.7.
    """
    system = System(memory_nodes=port)
    node = system.devices[port].node
    target = next(iter(node.targets.values()))
    assert target.blank
    system.run(lambda: node.connected)
    assert not node.ports[0].messages_sent[Op.MgmtMsg]
    device = system.boot()[port]
    assert node.ports[0].messages_sent[Op.MgmtMsg] == 1
    assert system.host.node.homes[0].blank() == []
    assert system.load(device.regions[name].base) == (Err.OK, bytes(8))


# ---- a device that is lost and comes back


def test_a_device_that_comes_back_is_admitted_again() -> None:
    """READY falls with the link; the CPU boots the device again, with the same map. [HSL-BOT-007]."""
    system = System()
    node = system.devices[0].node
    before, ready = system.boot()[0], [node.ready]
    system.lose()
    ready.append(node.ready)
    system.run(lambda: not system.host.master.complete)
    after = system.boot()[0]
    ready.append(node.ready)
    assert (after, system.host.node.session(0)) == (before, 2)
    assert ready == [True, False, True]


def test_another_device_takes_the_place_of_one_that_has_gone() -> None:
    """The old ranges are recalled and leave all maps before new ones are mapped. [HSL-BOT-011]."""
    system = System(gpus=2)
    old = system.boot()[0]
    other = system.devices[1].node
    cache = next(iter(other.agents))
    line = old.regions["host0"].base
    now = system.loopback.now
    stores = [
        other.store(cache, line, b"12345678", now),
        system.host.node.store(MASTER, line + 64, b"12345678", now),
    ]
    for index in (0, 2):
        system.loopback.call(now, Place(index), lambda: None)
    system.run(lambda: all(ticket.done for ticket in stores))
    assert cache_states(system, line) == ["M", "M"]

    system.lose(GpuDevice(Topology(tu=6, gpus=2, sizes=(2 << 20,), nids=(400, 500)), lambda: 77, 0))
    device = system.boot()[0]
    assert cache_states(system, line) == ["I", "I"]
    assert (device.findings.nids, device.regions["host0"].last + 1 - device.regions["host0"].base) == (
        range(400, 416),
        2 << 20,
    )
    for node in (system.host.node, other, system.devices[0].node):
        assert node.io is not None
        entries = [entry for entry in node.io.config.address_map if entry.base >> 36 == 1]
        assert entries == [entry for entry in device.entries if entry is not None]
    now = system.loopback.now
    place = device.regions["host0"].last - 63
    ticket = system.host.node.load(MASTER, place, 8, now)
    system.loopback.call(now, Place(0), lambda: None)
    system.run(lambda: ticket.done)
    assert ticket.result() == bytes(8)


def test_a_map_that_changes_during_a_boot_is_given_as_it_is_then() -> None:
    """A device whose boot is slow gets the entries of one that has changed its ranges meanwhile. HSL A.3."""
    system = System(gpus=2)
    system.boot()
    slow = system.devices[0].node.io
    assert slow is not None
    take, held, written = slow.receive, list[Message](), list[str]()

    def receive(message: Message, now: int, viral: bool = False) -> None:
        """Keep the last access of the map, that of the last range of the other device."""
        if message.op == Op.CfgWrite and message.addr >= SAM_BASE + SAM_STRIDE * 9 and not held:
            held.append(message)
            return
        if held and message.op == Op.CfgWrite and message.addr == SAM_BASE + SAM_STRIDE * 9:
            entry = decode_entry(message.data)
            written.append("none" if entry is None else "quiesced" if entry.quiesced else "valid")
        take(message, now, viral)

    slow.receive = receive  # type: ignore[method-assign]
    system.lose()
    system.run(lambda: bool(held))
    system.lose(GpuDevice(Topology(tu=6, gpus=2, sizes=(1 << 20, 2 << 20), nids=(16, 500)), lambda: 77, 1), 1)
    system.run(lambda: 1 in system.host.master.devices)
    take(held[0], system.loopback.now)
    system.loopback.call(system.loopback.now, Place(1), lambda: None)
    system.boot()
    maps = [node.io.config.address_map for node in (system.host.node, system.devices[0].node) if node.io]
    assert list(maps[0]) == list(maps[1])
    assert written == ["quiesced", "none", "valid"]  # as 5.1.4 says


def cache_states(system: System, line: int) -> list[str]:
    """The state of a line in the cache of the second device, and of the next one in that of the CPU."""
    caches = (next(iter(system.devices[1].node.agents.values())), system.host.node.agents[MASTER])
    found = (agent.cache.lines.get(line + 64 * index) for index, agent in enumerate(caches))
    return ["I" if each is None else each.state for each in found]


def test_the_others_go_on_when_a_device_is_lost() -> None:
    """The memory of the second device is served while the first is down. HSL A.7."""
    system = System(gpus=2)
    devices = system.boot()
    system.loopback.set_wire(0, up=False)
    system.run(lambda: 0 not in system.host.master.devices)
    place = devices[1].regions["device1"].base
    now = system.loopback.now
    ticket = system.host.node.load(MASTER, place, 8, now)
    lost = system.host.node.load(MASTER, devices[0].regions["device0"].base, 8, now)
    system.loopback.call(now, Place(0), lambda: None)
    system.run(lambda: ticket.done and lost.done)
    assert (ticket.err, lost.err) == (hsl.Err.OK, hsl.Err.UNREACH)
    assert dict(system.told)[0].startswith(
        "GPU admitted: NIDs 16..31, 4 agents; device0 1024 KiB at 0x1000000000"
    )
