"""A boot belongs to one session: nothing of it reaches the next one, or the device there. HSL 5.15.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hsl
from hsl._generated.constants import Err, ErrorCode, Op, Register
from hsl._generated.layouts import SAM_BASE
from hsl.codec.message import Message
from hsl.emulator import GpuDevice, Topology, boot
from hsl.emulator.device import Device
from tests.emulator.boot_rig import System

LONG = 1 << 14  # TU of a pause of the boot: a device is lost and another is up before it ends
ANSWERED = 128  # TU, after which an answer of the device has come


def answers_busy(
    system: System, register: Register = Register.CFGMASTER, port: int = 0
) -> Callable[[], bool]:
    """Answer the CfgWrite of a register with BUSY; return what tells that it has come."""
    registers = system.registers(port)
    write, seen = registers.write, list[int]()

    def busy(offset: int, data: bytes, now: int) -> Any:
        if offset != register:
            return write(offset, data, now)
        seen.append(offset)
        return Err.BUSY

    registers.write = busy
    return lambda: bool(seen)


def loses_its_last_line(system: System) -> Callable[[], bool]:
    """Answer each read of memory with UNREACH; return what tells that one has come."""
    target = next(iter(system.devices[0].node.targets.values()))
    seen: list[int] = []

    def unreached(addr: int) -> tuple[bytes, bool]:
        seen.append(addr)
        raise hsl.TransactionError("not now", code=Err.UNREACH)

    target.memory.read_line = unreached  # type: ignore[method-assign]
    return lambda: bool(seen)


PAUSES = {"BUSY": answers_busy, "UNREACH": loses_its_last_line}


@pytest.fixture
def paused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system whose boot stands in a long pause."""
    for pause in ("RECALL_TU", "PROOF_TU"):
        monkeypatch.setattr(boot, pause, LONG)
    system = System()
    system.run(PAUSES[request.param](system))
    answered = system.loopback.now + (ANSWERED << 6)
    system.run(lambda: system.loopback.now >= answered)
    return system


def accesses(device: Device) -> list[tuple[Op, int]]:
    """Return a list that will have the accesses of the registers of a device, in order."""
    agent, found = device.node.io, list[tuple[Op, int]]()
    assert agent is not None
    take = agent.receive

    def receive(message: Message, now: int, viral: bool = False) -> None:
        found.append((Op(message.op), message.addr))
        take(message, now, viral)

    agent.receive = receive  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("paused", PAUSES, indirect=True)
def test_the_next_device_gets_nothing_of_the_boot_before(paused: System) -> None:
    """One with another MAGIC is asked for ID, and for nothing else. [HSL-BOT-008, HSL-BOT-010]."""
    paused.lose(other := GpuDevice(Topology(tu=6, device_bytes=1 << 20), lambda: 77, 0))
    registers, asked = paused.registers(), accesses(other)
    registers.read = lambda offset, size: bytes(size)
    assert "magic" in paused.refused()
    assert asked == [(Op.CfgRead, Register.ID)]


@pytest.mark.parametrize("paused", PAUSES, indirect=True)
def test_the_next_device_gets_a_boot_of_its_own(paused: System) -> None:
    """It is identified first, and made READY once, at the end. HSL 5.15.4."""
    paused.lose(other := GpuDevice(Topology(tu=6, device_bytes=1 << 20), lambda: 77, 0))
    asked = accesses(other)
    paused.boot()
    assert asked[0] == (Op.CfgRead, Register.ID)
    assert [op for op, _ in asked[asked.index((Op.CfgWrite, Register.READY)) :]] == [Op.CfgWrite, Op.NcWrite]
    assert not paused.host.node.error_logs[0].counters.get(ErrorCode.CFG)


def test_a_gpu_that_has_no_page_has_no_doorbell() -> None:
    """READY without a map is no fault of a GPU: it waits; the boot master finds no memory. HSL 5.15.3."""
    system = System()
    registers = system.registers()
    write = registers.write
    registers.write = lambda at, data, now: Err.OK if at >= SAM_BASE else write(at, data, now)
    assert "ended with DECODE" in system.refused()
    assert not system.devices[0].finished


def test_lost_content_is_told_in_the_session_that_makes_it_ready() -> None:
    """A session that ends between the map and READY leaves the map, and nothing that was told. HSL 5.6 M5."""
    system = System(memory_nodes=1)
    registers = system.registers(1)
    write = registers.write
    system.run(answers_busy(system, Register.READY, 1))
    system.lose(port=1)
    registers.write = write
    memory = system.boot()[1].regions["memory"]
    assert system.load(memory.base) == (Err.OK, bytes(8))


def test_content_that_is_lost_between_two_sessions_is_told() -> None:
    """A device that comes back with its map, without its memory, is served from again. HSL 5.6 M5, A.7."""
    system = System(memory_nodes=1)
    system.boot()
    (target,) = system.devices[1].node.targets.values()
    for session in (2, 3):
        target.lose_content()
        system.lose(port=1)
        system.run(lambda: not system.host.master.complete)
        memory = system.boot()[1].regions["memory"]
        assert system.host.node.session(1) == session
        assert system.load(memory.base) == (Err.OK, bytes(8))
    sent = system.devices[1].node.ports[0].messages_sent
    assert sent[Op.MgmtMsg] == 3, "once in each session"
