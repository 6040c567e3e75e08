"""A job whose device is lost in mid-run begins anew when a device is back (HSL annex A.7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from hsl._generated.constants import Err, JobVector, Op, PageRegister
from hsl.agents.address_map import PAGE_BYTES
from hsl.codec.message import Message
from hsl.emulator import ArrayCpuDevice, CpuDevice, GpuDevice, Host, Topology
from hsl.emulator.device import Core
from hsl.emulator.program import Condition, Program
from hsl.errors import HslError, PeerLost, TransportError
from hsl.transport.loopback import Loopback, Wire

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 400
LIMIT = 1 << 26  # ns


class Run:
    """A CPU with a job, and GPUs on the loopback; `lose` takes the first one away."""

    def __init__(self, build: Callable[[Topology, Any], Host], **settings: Any) -> None:
        numbers = count(1)
        self.epoch: Callable[[], int] = lambda: next(numbers)
        self.topology = Topology(tu=6, device_bytes=1 << 20, **settings)
        self.cpu = build(self.topology, self.epoch)
        gpus = [GpuDevice(self.topology, self.epoch, gpu) for gpu in range(self.topology.gpus)]
        self.loopback = Loopback([self.cpu, *gpus], [Wire(*ends) for ends in self.topology.wires()])

    def run(self, until: Callable[[], bool]) -> None:
        try:
            self.loopback.run(max_time=self.loopback.now + LIMIT, until=until)
        except TransportError as error:
            raise AssertionError("it never came to that") from error

    def lose(self) -> None:
        """Cut the wire of the first GPU, and put a new GPU in its place."""
        self.loopback.set_wire(0, up=False)
        gpu = self.loopback.devices[1]
        self.run(lambda: self.cpu.node.session(0) == gpu.node.session(0) == 0)  # type: ignore[attr-defined]
        self.loopback.devices[1] = new = GpuDevice(self.topology, self.epoch)
        for node in (self.cpu.node, new.node):
            node.ports[0].enable(self.loopback.now)
        self.loopback.set_wire(0, up=True)


@pytest.mark.parametrize("kernel", ["wordcount", "histogram", "ring"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_job_that_counts_begins_anew(kernel: str, times: int) -> None:
    """All checks hold as for one whole run, and the poison that the lost GPU has left is gone."""
    text = TEXT[:4000] if kernel == "ring" else TEXT
    one = Run(lambda topology, epoch: CpuDevice(topology, epoch, text, kernel))
    cpu = one.cpu
    assert isinstance(cpu, CpuDevice)
    counted: list[int] = []
    cpu.progress = lambda done, total: counted.append(done)
    for _ in range(times):
        counted.clear()
        one.run(lambda: cpu.bounces > 20 if kernel == "ring" else bool(counted) and counted[-1] > 0)
        one.lose()
    one.run(lambda: cpu.finished)
    assert cpu.checks == dict.fromkeys(cpu.checks, True)
    assert cpu.result == cpu.kernel.expected(text)


@pytest.mark.parametrize("rung", [False, True])
@pytest.mark.parametrize("home", ["device", "host", "hostmem"])
def test_a_job_on_arrays_begins_anew(home: str, rung: bool) -> None:
    """All devices do the job again with all inputs when one of them was lost."""
    one = Run(lambda topology, epoch: ArrayCpuDevice(topology, epoch, "saxpy", home=home, size=4096), gpus=2)
    cpu = one.cpu
    assert isinstance(cpu, ArrayCpuDevice)
    phases: list[str] = []
    cpu.phase = phases.append
    one.run(lambda: "kernel" in phases and rung <= ("interrupt" in cpu.awaited))
    one.lose()
    one.run(lambda: cpu.finished)
    assert phases == ["write", "kernel", "write", "kernel", "read", "end"]
    assert cpu.verified, cpu.checks


def test_a_device_that_was_not_lost_ends_its_job_first() -> None:
    """The end of the job that was given up is not taken for that of the next one."""
    one = Run(lambda topology, epoch: ArrayCpuDevice(topology, epoch, "saxpy", size=4096), gpus=2)
    cpu, slow, phases, freed = one.cpu, one.loopback.devices[2], list[str](), list[bool]()
    assert isinstance(cpu, ArrayCpuDevice)
    assert isinstance(slow, GpuDevice)
    cpu.phase = phases.append
    interrupt = slow.interrupt

    def held(vector: JobVector) -> Program[None]:
        yield Condition(lambda: bool(freed))
        yield from interrupt(vector)

    slow.interrupt = held  # type: ignore[method-assign]
    one.run(lambda: "kernel" in phases and "interrupt" in cpu.awaited)
    one.lose()
    one.run(lambda: cpu.awaited == "end the job that was given up")
    assert phases == ["write", "kernel"]
    freed.append(True)
    one.run(lambda: cpu.finished)
    assert cpu.verified, cpu.checks


def test_a_device_that_is_lost_at_the_end_takes_nothing_with_it() -> None:
    """A result that was verified stays, also when the device goes before its BYE."""
    one = Run(lambda topology, epoch: CpuDevice(topology, epoch, TEXT))
    cpu = one.cpu
    assert isinstance(cpu, CpuDevice)
    one.run(lambda: cpu.quiescing)
    one.lose()
    one.run(lambda: cpu.finished)
    assert cpu.verified, cpu.checks


def test_a_device_that_is_back_before_it_is_missed_begins_anew() -> None:
    """Its job is not waited for when it left, and was back, while another one took its doorbell. HSL A.7."""
    one = Run(lambda topology, epoch: ArrayCpuDevice(topology, epoch, "saxpy", size=4096), gpus=2)
    cpu, other = one.cpu, one.loopback.devices[2]
    assert isinstance(cpu, ArrayCpuDevice)
    assert isinstance(other, GpuDevice)
    io, held = other.node.io, list[Message]()
    assert io is not None
    take = io.receive

    def receive(message: Message, now: int, viral: bool = False) -> None:
        if message.op == Op.NcWrite and message.addr % PAGE_BYTES == PageRegister.DOORBELL and not held:
            held.append(message)
        else:
            take(message, now, viral)

    io.receive = receive  # type: ignore[method-assign]
    one.run(lambda: bool(held))
    one.lose()
    one.run(lambda: cpu.node.session(0) == 2 and cpu.master.complete)
    take(held[0], one.loopback.now)
    one.run(lambda: cpu.finished)
    assert cpu.verified, cpu.checks


@pytest.mark.parametrize("home", ["device", "host"])
def test_a_device_that_is_back_before_its_result_is_read_begins_anew(home: str) -> None:
    """What the CPU reads of the new device is not the result of the job: that has gone. HSL A.7."""
    one = Run(lambda topology, epoch: ArrayCpuDevice(topology, epoch, "saxpy", home=home, size=4096), gpus=2)
    cpu, phases, back = one.cpu, list[str](), list[bool]()
    assert isinstance(cpu, ArrayCpuDevice)
    cpu.phase = phases.append
    verify = cpu.verify

    def late(core: Core, done: list[int]) -> Program[None]:
        yield Condition(lambda: bool(back))
        yield from verify(core, done)

    cpu.verify = late  # type: ignore[method-assign]
    one.run(lambda: "read" in phases)
    one.lose()
    one.run(lambda: cpu.node.session(0) == 2 and cpu.master.complete)
    back.append(True)
    one.run(lambda: cpu.finished)
    assert phases == ["write", "kernel", "read"] * 2 + ["end"]
    assert cpu.verified, cpu.checks


def test_lives_that_have_ended_are_forgotten() -> None:
    """A device that comes and goes leaves nothing in the CPU. HSL A.7."""
    one = Run(lambda topology, epoch: ArrayCpuDevice(topology, epoch, "saxpy", size=4096))
    cpu, phases = one.cpu, list[str]()
    assert isinstance(cpu, ArrayCpuDevice)
    cpu.phase = phases.append
    for times in range(1, 4):
        one.run(lambda: phases.count("kernel") == times and "interrupt" in cpu.awaited)  # noqa: B023
        one.lose()
        cpu.awaited = ""
    one.run(lambda: cpu.finished)
    assert cpu.verified, cpu.checks
    assert [set(each) for each in (cpu._rung, cpu._ended, cpu._done)] == [{(0, 4)}] * 3


REFUSALS = [
    ("DOORBELL", Op.NcWrite, Err.ACCESS),
    ("DOORBELL", Op.NcWrite, Err.DECODE),
    ("DOORBELL", Op.NcWrite, Err.UNREACH),
    ("UNITS", Op.NcRead, Err.DATA),
]


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(("register", "op", "err"), REFUSALS)
def test_a_device_that_refuses_its_job_is_waited_out(register: str, op: Op, err: Err, once: bool) -> None:
    """The CPU says why, with the register and the clause; with the next device the job is done. HSL A.4.

    With `--once` there is no next one: to the command the peer is lost.
    """
    one = Run(lambda topology, epoch: CpuDevice(topology, epoch, TEXT, "wordcount"))
    cpu, said = one.cpu, list[str]()
    assert isinstance(cpu, CpuDevice)
    io = one.loopback.devices[1].node.io  # type: ignore[attr-defined]
    take, at = io.receive, PageRegister[register]

    def receive(message: Message, now: int, viral: bool = False) -> None:
        if message.op == op and message.addr % PAGE_BYTES == at:
            io.outbox.append(Message(Op.Cmp, message.dst, message.src, message.txn, err=err))
        else:
            take(message, now, viral)

    io.receive = receive
    if once:
        with pytest.raises(HslError, match=rf"^{register}: .* ended with {err.name}; expected OK") as caught:
            one.loopback.run(max_time=LIMIT)
        assert caught.type is PeerLost
        return
    cpu.unfit = said.append
    one.run(lambda: bool(said))
    assert said[0].startswith(f"{register}: {op.name.lower()} at ")
    assert f"ended with {err.name}; expected OK: the device can run no job (HSL A.4)" in said[0]
    one.lose()
    one.run(lambda: cpu.finished)
    assert all(cpu.checks.values())
