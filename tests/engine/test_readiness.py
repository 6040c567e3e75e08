"""READY at both ends of a port: what a device withholds, and what a boot master does (HSL 5.15)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hsl._generated.constants import Err, Op, Register
from hsl._generated.layouts import READY_D0
from hsl.agents.access import Access, Ticket
from hsl.engine.boot import Readiness
from hsl.engine.config import Boot, NodeConfig
from hsl.engine.node import Node
from hsl.errors import ConfigError
from tests.engine.wires import DEVICE, HOST, MMIO, PAGE, Wire, node, port

ON, OFF = (bytes(READY_D0.build({"on": on})) for on in (1, 0))
MASTER, CACHE = 2, 18
EIGHT = b"12345678"


def booting(base: int, boot: Boot, **changes: Any) -> Node:
    """One of the nodes of tests.engine.wires with a part in the boot."""
    return Node(replace(node(base, **changes).config, boot=boot))


@pytest.fixture
def wire() -> Wire:
    """A boot master and a device that has its map already, with the link up."""
    made = Wire(booting(0, Boot.MASTER), booting(16, Boot.DEVICE))
    made.connect()
    return made


def done(wire: Wire, ticket: Ticket) -> Err:
    wire.finish(ticket)
    return Err(ticket.err)


def config(wire: Wire, kind: str, dst: int, data: bytes = b"", offset: int = Register.READY) -> Ticket:
    """Read or write a register of the device."""
    master, _ = wire.nodes
    ticket = master.submit(MASTER, Access(kind, offset, len(data) or 8, data, dst=dst), wire.now)  # type: ignore[union-attr]
    wire.finish(ticket)
    return ticket


def test_a_device_asks_for_nothing_before_it_is_ready(wire: Wire) -> None:
    """Each kind of request ends UNREACH at once, and none is sent, until READY is written. [HSL-BOT-006]."""
    _, device = wire.nodes
    assert isinstance(device, Node)
    accesses = [
        Access("load", HOST, 8),
        Access("write_full", HOST, 64, bytes(64)),
        Access("ncread", MMIO, 8),
        Access("ncwrite", MMIO, 8, EIGHT),
        Access("intr", 0, 8, bytes(8), dst=1),
        Access("cfg_read", Register.ID, 8, dst=0),
    ]
    sent = dict(device.ports[0].messages_sent)
    assert [done(wire, device.submit(CACHE, access, wire.now)) for access in accesses] == 6 * [Err.UNREACH]
    assert dict(device.ports[0].messages_sent) == sent
    assert done(wire, device.load(CACHE, DEVICE, 8, wire.now)) == Err.OK  # what stays in the node is its own
    assert not config(wire, "cfg_write", 17, ON).err
    assert [done(wire, device.submit(CACHE, access, wire.now)) for access in accesses] == 6 * [Err.OK]


@pytest.mark.parametrize(
    ("offset", "data", "err"),
    [
        (Register.READY, OFF, Err.UNREACH),
        (Register.READY, ON, Err.OK),
        (Register.RECALLING, bytes(8) + ON, Err.OK),  # one of 16 bytes reaches both (5.14)
    ],
)
def test_only_on_makes_a_device_ready(wire: Wire, offset: int, data: bytes, err: Err) -> None:
    """The boot master asks a device from the write of 1 to ON on, wherever in a CfgWrite. [HSL-BOT-008]."""
    master, device = wire.nodes
    assert isinstance(master, Node)
    assert isinstance(device, Node)
    assert not config(wire, "cfg_write", 17, data, offset).err
    assert done(wire, master.load(MASTER, DEVICE, 8, wire.now)) == err
    assert device.ready is (err == Err.OK)


def test_a_port_that_comes_up_after_ready_is_open() -> None:
    """READY is that of the node: a port without the boot master asks at once. HSL 5.15.3."""
    gate: Any = SimpleNamespace(barred=True, refuses=True)
    readiness = Readiness(Boot.DEVICE, [gate])
    readiness.change(True)
    readiness.opened(gate)
    assert (gate.barred, gate.refuses) == (False, False)


def test_a_device_gives_back_what_it_holds_after_ready_has_fallen(wire: Wire) -> None:
    """READY = 0 stops new accesses; WbFull and Evict of copies go on. HSL 5.15.3 [HSL-BOT-006]."""
    _, device = wire.nodes
    assert isinstance(device, Node)
    config(wire, "cfg_write", 17, ON)
    assert done(wire, device.store(CACHE, HOST, EIGHT, wire.now)) == Err.OK
    config(wire, "cfg_write", 17, OFF)
    assert done(wire, device.submit(CACHE, Access("evict", HOST), wire.now)) == Err.OK
    assert device.ports[0].messages_sent[Op.WbFull] == 1
    assert done(wire, device.load(CACHE, HOST, 8, wire.now)) == Err.UNREACH


def test_the_master_asks_for_registers_only_before_ready(wire: Wire) -> None:
    """Loads, doorbells and interrupts for a device that is not READY end UNREACH. [HSL-BOT-008]."""
    master, device = wire.nodes
    assert isinstance(master, Node)
    assert isinstance(device, Node)
    accesses = [
        Access("load", DEVICE, 8),
        Access("ncwrite", MMIO + PAGE, 8, EIGHT),
        Access("intr", 0, 8, bytes(8), dst=17),
    ]
    assert [done(wire, master.submit(MASTER, access, wire.now)) for access in accesses] == 3 * [Err.UNREACH]
    assert set(device.ports[0].messages_received) <= {Op.CfgRead, Op.CfgWrite, Op.MgmtMsg}
    log = Access("mgmt", 0, 64, bytes([1]).ljust(64, b"\0"), dst=17)
    assert done(wire, master.submit(MASTER, log, wire.now)) == Err.OK
    config(wire, "cfg_write", 17, ON)
    assert [done(wire, master.submit(MASTER, access, wire.now)) for access in accesses] == 3 * [Err.OK]


@pytest.mark.parametrize("dst", [16, 17, 20, 31])
def test_registers_are_reached_by_every_number_of_the_device(wire: Wire, dst: int) -> None:
    """CfgRead and CfgWrite by any NID of the range that the device claims, agent or not. [HSL-BOT-004]."""
    assert config(wire, "cfg_read", dst, offset=Register.ID).data[:4] == b"HSL1"
    assert not config(wire, "cfg_write", dst, ON).err
    assert config(wire, "cfg_read", dst).data == ON


def test_a_number_of_the_device_that_is_no_agent_serves_nothing_else(wire: Wire) -> None:
    """A MgmtMsg to a NID without an agent is dropped as one for another node. HSL 6.3."""
    master, device = wire.nodes
    assert isinstance(master, Node)
    assert isinstance(device, Node)
    master.submit(MASTER, Access("mgmt", 0, 64, bytes([1]).ljust(64, b"\0"), dst=31), wire.now)
    for _ in range(20):
        wire.step()
    assert [entry.code.name for entry in device.error_log.entries] == ["SRC_SPOOF"]


def test_ready_falls_with_the_link(wire: Wire) -> None:
    """LINK_DOWN of the port of the boot master makes READY 0; map and CFGMASTER stay. [HSL-BOT-007]."""
    _, device = wire.nodes
    assert isinstance(device, Node)
    config(wire, "cfg_write", 17, ON)
    was_ready = device.ready
    assert device.io is not None
    entries = device.io.config.address_map.entries
    device.ports[0].down(wire.now)
    device.advance(wire.now)
    assert (was_ready, device.ready) == (True, False)
    assert device.io.config.address_map.entries == entries


@pytest.mark.parametrize(
    ("nids", "only", "ready"),
    [(range(32, 48), False, True), (range(16), False, False), (range(32, 48), True, False)],
)
def test_ready_depends_on_the_port_of_the_master(nids: range, only: bool, ready: bool) -> None:
    """READY falls with the port of the NID in CFGMASTER, or with the only port. HSL 5.15.3 [HSL-BOT-007]."""
    device = booting(16, Boot.DEVICE)
    assert device.io is not None
    registers = device.io.registers
    registers.set_master(MASTER)
    registers.write(Register.READY, ON, 0)
    registers.port_down(nids, only=only)
    assert registers.ready is ready


def test_a_device_with_several_ports_has_a_master_by_strap() -> None:
    """CFGMASTER is on from reset, or NodeConfig refuses the device. HSL 5.15.1 [HSL-BOT-001]."""
    parts = node(16).config
    two = {"ports": [port(16), port(16)], "boot": Boot.DEVICE}
    with pytest.raises(ConfigError, match="several ports needs the NID of its boot master"):
        replace(parts, **two)  # type: ignore[arg-type]
    assert parts.io is not None
    strapped = Node(replace(parts, io=replace(parts.io, master=MASTER), **two))  # type: ignore[arg-type]
    assert strapped.io is not None
    assert [strapped.io.registers.may_write(nid) for nid in (MASTER, 3)] == [True, False]


@pytest.mark.parametrize("boot", [Boot.MASTER, Boot.DEVICE])
def test_a_part_in_the_boot_needs_registers(boot: Boot) -> None:
    """A node without an I/O agent cannot be booted, and boots nobody. HSL 5.15.1."""
    with pytest.raises(ConfigError, match="needs an I/O agent"):
        NodeConfig(boot=boot, agents=node(16).config.agents)
