"""A CPU without a program answers each device, whatever another one does (HSL annex A.4)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from hsl._generated.constants import DEVICE_VECTORS, Err, JobVector, Op, PageRegister
from hsl.agents.access import Access
from hsl.codec.message import Message
from hsl.emulator import IdleCpuDevice, Topology
from hsl.emulator.device import Device
from hsl.errors import TransportError
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire
from hsl.transport.node_device import NodeDevice

LIMIT = 1 << 24  # ns


class Rig:
    """A CPU without a program and two devices without one."""

    def __init__(self) -> None:
        numbers = count(1)
        topology = Topology(tu=6, gpus=2, device_bytes=1 << 20)
        self.cpu = IdleCpuDevice(topology, lambda: next(numbers))
        self.told: list[tuple[int, str]] = []
        self.cpu.master.told = lambda port, text: self.told.append((port, text))
        self.nodes = [topology.gpu_node(lambda: next(numbers), gpu) for gpu in range(2)]
        devices: list[Device | NodeDevice] = [self.cpu, *map(NodeDevice, self.nodes)]
        self.loopback = Loopback(devices, [Wire(*ends) for ends in topology.wires()])
        self.run(lambda: self.cpu.master.complete)
        self.told.clear()

    def run(self, until: Any) -> None:
        try:
            self.loopback.run(max_time=self.loopback.now + LIMIT, until=until)
        except TransportError as error:
            raise AssertionError("it never came to that") from error

    def call(self, gpu: int, data: int, vector: int = JobVector.CALL) -> None:
        """Send the interrupt CALL of a device."""
        agent = next(iter(self.nodes[gpu].agents))
        word = (DEVICE_VECTORS * gpu + vector).to_bytes(4, "little") + data.to_bytes(4, "little")
        self.nodes[gpu].submit(agent, Access("intr", 0, 8, word, dst=1), self.loopback.now)
        self.loopback.call(self.loopback.now, Place(1 + gpu), lambda: None)

    def rung(self, gpu: int) -> list[tuple[int, int]]:
        """Registers and data of the doorbells that have come, but for NOTIFY."""
        io, page = self.nodes[gpu].io, self.cpu.master.devices[gpu].page
        assert io is not None
        assert page is not None
        bells = [(bell.addr - page, int.from_bytes(bell.data, "little")) for bell in io.mmio.doorbells]
        return [bell for bell in bells if bell[0] != PageRegister.NOTIFY]


def test_a_call_is_answered_by_a_doorbell() -> None:
    """CALL brings its DATA to DOORBELL of that device; other interrupts bring nothing."""
    rig = Rig()
    rig.call(0, 7, JobVector.DONE)
    rig.call(1, 8)
    rig.run(lambda: rig.cpu.calls == 1)
    assert (rig.rung(0), rig.rung(1)) == ([], [(PageRegister.DOORBELL, 8)])


@pytest.mark.parametrize("err", [Err.ACCESS, Err.DATA, Err.PROTO, Err.DECODE, None])
def test_a_device_that_refuses_its_doorbell_harms_no_other(err: Err | None) -> None:
    """The CPU says so, lives on, and answers the others; None: the doorbell is never completed."""
    rig = Rig()
    bad = rig.nodes[0].io
    assert bad is not None
    take = bad.receive

    def receive(message: Message, now: int, viral: bool = False) -> None:
        if message.op != Op.NcWrite:
            take(message, now, viral)
        elif err is not None:
            bad.outbox.append(Message(Op.Cmp, message.dst, message.src, message.txn, err=err))

    bad.receive = receive  # type: ignore[method-assign]
    rig.call(0, 1)
    rig.run(lambda: bool(rig.told) or err is None)
    for data in (5, 6):
        rig.call(1, data)
        before = rig.cpu.calls
        rig.run(lambda before=before: rig.cpu.calls == before + 1)
    assert rig.rung(1) == [(PageRegister.DOORBELL, 5), (PageRegister.DOORBELL, 6)]
    assert [port for port, _ in rig.told] == ([] if err is None else [0])
    assert all(f"ended with {err.name}; expected OK (HSL A.4)" in text for _, text in rig.told if err)


def test_a_call_in_the_name_of_another_is_nothing() -> None:
    """An Intr to the vector of another device rings no doorbell."""
    rig = Rig()
    rig.call(0, 9, DEVICE_VECTORS + JobVector.CALL)
    rig.run(lambda: rig.cpu.io.counters["Intr"] == 1)
    for data in (7, 8):  # the second is answered long after the first interrupt
        rig.call(1, data)
        rig.run(lambda data=data: (PageRegister.DOORBELL, data) in rig.rung(1))
    assert rig.rung(0) == []
