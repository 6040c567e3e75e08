"""Several devices at one boot master: what one is told of another, and when one is lost (HSL A.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsl._generated.constants import Err, ErrorCode, Op
from hsl._generated.layouts import SAM_BASE, SAM_STRIDE
from hsl.agents.address_map import SamEntry
from hsl.codec.message import Message
from hsl.emulator import GpuDevice, Topology
from hsl.emulator.device import Device
from hsl.transport.base import Place
from tests.emulator.boot_rig import System

FIRST, SECOND = (2 + 7 * port for port in range(2))  # the first map entry of each port, A.2


def gpu(port: int = 0, **settings: Any) -> GpuDevice:
    """Another GPU for a port."""
    given: dict[str, Any] = {"tu": 6, "gpus": 2, "device_bytes": 1 << 20} | settings
    return GpuDevice(Topology(**given), lambda: 77 + port, port)


def away(system: System, port: int) -> None:
    """Cut the wire of a device until both sides have given it up."""
    system.loopback.set_wire(port, up=False)
    system.run(lambda: system.host.node.session(port) == system.devices[port].node.session(0) == 0)


def back(system: System, port: int) -> None:
    """Join it again, and boot."""
    for one in (system.host.node.ports[port], system.devices[port].node.ports[0]):
        one.enable(system.loopback.now)
    system.loopback.set_wire(port, up=True)
    system.boot()


def admitted(system: System, port: int, session: int) -> None:
    """Run until a device is admitted at a port in that session; others may be away."""
    master, node = system.host.master, system.host.node
    system.run(lambda: port in master.devices and node.session(port) == session)


def entry_of(index: int, *, valid: bool) -> Callable[[Message], bool]:
    """Choose the CfgWrites of a map entry that make it valid, or invalid."""
    at = SAM_BASE + SAM_STRIDE * index
    return lambda message: message.op == Op.CfgWrite and message.addr == at and any(message.data) is valid


def entries(device: Device) -> list[SamEntry]:
    """The map of a node: the ranges that are valid."""
    assert device.node.io is not None
    return list(device.node.io.config.address_map)


def turned_away(system: System, port: int) -> int:
    return system.host.node.error_logs[port].counters.get(ErrorCode.CFG, 0)


@pytest.mark.parametrize(("port", "op"), [(0, Op.CfgRead), (1, Op.CfgRead), (1, Op.MemRd)])
def test_a_device_that_is_lost_in_its_boot(port: int, op: Op) -> None:
    """It is neither admitted nor turned away."""
    system = System(memory_nodes=1)
    node, held = system.devices[port].node, list[Message]()
    agents: list[Any] = [node.io, *node.targets.values(), *node.homes.values()]
    for agent in agents:
        take = agent.receive

        def receive(message: Message, now: int, *rest: Any, take: Any = take) -> None:
            if message.op == op:
                held.append(message)
            else:
                take(message, now, *rest)

        agent.receive = receive
    system.run(lambda: bool(held))
    system.loopback.set_wire(port, up=False)
    system.run(lambda: system.host.node.session(port) == 0)
    end = system.loopback.now + (1 << 18)
    system.loopback.call(end, Place(0), lambda: None)
    system.run(lambda: system.loopback.now >= end)
    assert turned_away(system, port) == 0
    assert port not in dict(system.told)


def test_a_device_that_is_away_gets_the_map_when_it_is_back() -> None:
    """Entries of another device are written to those that are READY; to be away is no fault. HSL 5.1.4."""
    system = System(gpus=2)
    system.boot()
    away(system, 0)
    before = entries(system.devices[0])
    system.lose(gpu(1, sizes=(1 << 20, 2 << 20)), 1)
    admitted(system, 1, 2)
    assert turned_away(system, 0) == 0
    assert entries(system.devices[0]) == before != entries(system.host)
    back(system, 0)
    assert entries(system.devices[0]) == entries(system.host)


def test_a_range_that_has_gone_meanwhile_leaves_the_map() -> None:
    """A device that was away while a range left all maps does not keep its entry. [HSL-BOT-011]."""
    system = System(gpus=2)
    before = system.boot()[0]
    away(system, 1)
    system.lose(gpu(nids=(400, 500)))
    admitted(system, 0, 2)
    assert len(system.host.master.devices[0].entries) < len(before.entries)
    back(system, 1)
    maps = [
        node.io.config.address_map.entries for node in (system.host.node, system.devices[1].node) if node.io
    ]
    assert maps[0] == maps[1]


def test_a_device_that_refuses_the_range_of_a_later_one_is_turned_away() -> None:
    """And when it has come back, all maps are complete. [HSL-BOT-010]."""
    system = System(gpus=2)
    system.loopback.start()
    system.loopback.set_wire(1, up=False)
    admitted(system, 0, 1)
    system.answer(entry_of(SECOND, valid=True), Err.PROTO)
    system.loopback.set_wire(1, up=True)
    text = system.refused(0)
    assert "ended with PROTO" in text
    assert "HSL-BOT-010" in text
    system.run(lambda: system.devices[0].node.session(0) == 0)
    back(system, 0)


def test_a_device_that_still_holds_a_line_of_a_range_that_goes_stays() -> None:
    """It answers PROTO, and its entry stays QUIESCED. HSL 5.15.5."""
    system = System(gpus=2)
    system.boot()
    system.answer(entry_of(FIRST, valid=False), Err.PROTO, 99, port=1)
    system.lose(gpu(sizes=(2 << 20,), nids=(400, 500)))
    admitted(system, 0, 2)
    system.boot()
    assert turned_away(system, 1) == 0


def test_the_half_of_the_cpu_is_elsewhere() -> None:
    """A shared range whose other half the CPU has at another place is left out. HSL A.2."""
    system = System(gpus=2)
    assert "interleaved" in system.boot()[0].regions
    system.lose(gpu(nids=(400, 500)))
    admitted(system, 0, 2)
    system.lose(gpu(1, nids=(500, 16)), 1)
    admitted(system, 1, 2)
    device = system.host.master.devices[1]
    assert device.findings.nids.start == 16
    assert "device1" in device.regions
    assert "interleaved" not in device.regions
