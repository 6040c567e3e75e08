"""The GPU and a host that tells it nonsense: a fault interrupt each, and the next job is done."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from hsl._generated.constants import LINE_BYTES, Err, JobVector, PageRegister
from hsl.emulator import GpuDevice, Topology
from hsl.emulator.array_kernels import BLOCK, ArrayJob
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import wait_for
from hsl.emulator.gpu import PROGRAMS, guarded
from hsl.emulator.host import Host as BootHost
from hsl.emulator.kernels import Job
from hsl.emulator.program import Condition, Program
from hsl.emulator.system_map import CPU_MMIO
from hsl.errors import TransactionError
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire

TOP = 1 << 52  # where addresses end
GOOD = ArrayJob(16, 0x10000, 0x20000, 0x20000, 1, BLOCK, 0, 0x1000)
MATMUL = ArrayJob(18, 0x10000, 0x20000, 0x30000, 16, 16, 0, 0x1000)
COUNT = Job(1, 0x10000, 4096, 0x4000, 0x2000, 0x1000)

NONSENSE: list[ArrayJob | Job] = [
    GOOD._replace(kernel=99),
    GOOD._replace(scalar=1 << 32),
    GOOD._replace(columns=BLOCK + 1),
    GOOD._replace(columns=0),
    GOOD._replace(columns=1 << 60),
    GOOD._replace(rows=2),
    GOOD._replace(a=0x10004),
    GOOD._replace(a=(1 << 64) - 64),
    GOOD._replace(b=TOP - 64),
    GOOD._replace(out=1 << 63),
    GOOD._replace(completion=0x1008),
    GOOD._replace(completion=TOP),
    GOOD._replace(kernel=17, columns=3),
    MATMUL._replace(columns=17),
    MATMUL._replace(rows=0),
    MATMUL._replace(rows=8),
    MATMUL._replace(columns=1 << 40),
    MATMUL._replace(kernel=16),
    COUNT._replace(source=0x10008),
    COUNT._replace(length=1 << 60),
    COUNT._replace(counters=0x4004),
    COUNT._replace(counters=TOP - 64),
    COUNT._replace(scratch=0x2010),
    COUNT._replace(scratch=TOP - 512),
    COUNT._replace(kernel=3, ring=0x1001),
    COUNT._replace(kernel=3, ring=(1 << 64) - 64),
]


class Host(BootHost):
    """Rings with each descriptor, at the address that it is to have, and keeps the vectors that come."""

    def __init__(self, topology: Topology, epoch: Any, rings: list[tuple[int, bytes]]) -> None:
        super().__init__(topology, epoch)
        self.rings = rings
        self.vectors: list[int] = []

    def programs(self) -> None:
        self.scheduler.spawn("host", self.attempt(self.main))

    def main(self, devices: list[BootedDevice]) -> Program[None]:
        core, io, page = self.core, self.io, devices[0].page
        assert page is not None
        for at, line in self.rings:
            if at + LINE_BYTES <= 0x10000 and at % LINE_BYTES == 0:
                yield from wait_for(core.store(at, line))
            yield from wait_for(core.ncwrite(page + PageRegister.DOORBELL, at))
            yield Condition(io.has_interrupt)
            self.vectors += [one.vector for one in io.interrupts()]
        self.quiescing = True
        yield from wait_for(core.ncwrite(page + PageRegister.EXIT, 0))
        yield Condition(io.has_interrupt)
        self.vectors += [one.vector for one in io.interrupts()]
        self.finished = True


def run(rings: list[tuple[int, bytes]]) -> list[int]:
    """The interrupts that the host sees."""
    epochs, topology = count(1), Topology(tu=6)
    host = Host(topology, lambda: next(epochs), rings)
    devices = [host, GpuDevice(topology, lambda: next(epochs))]
    Loopback(devices, [Wire(Place(0), Place(1))]).run(max_time=1 << 40)
    return host.vectors


@pytest.mark.parametrize("job", NONSENSE)
def test_no_job_is_made_of_nonsense(job: ArrayJob | Job) -> None:
    """What no kernel can do is no job: shapes, alignment, arrays that end outside the address space."""
    kernel = PROGRAMS.get(job.kernel)
    assert kernel is None or kernel.job(job.encode()) is None


@pytest.mark.parametrize("job", [GOOD, MATMUL, COUNT, GOOD._replace(kernel=17)])
def test_what_a_kernel_can_do_is_a_job(job: ArrayJob | Job) -> None:
    """A good descriptor comes back as it was."""
    assert PROGRAMS[job.kernel].job(job.encode()) == job


def test_nonsense_is_a_fault() -> None:
    """Doorbells with nonsense, or at no line, end with the interrupt FAULT; the GPU does the next job."""
    bad = [(64 * at, job.encode()) for at, job in enumerate(NONSENSE)]
    bad += [(address, b"") for address in (8, TOP, (1 << 64) - 64)]
    jobs: list[ArrayJob | Job] = [GOOD, MATMUL, COUNT]
    good = [(0x3000 + 64 * at, job.encode()) for at, job in enumerate(jobs)]
    assert run(bad + good) == [JobVector.FAULT] * len(bad) + [JobVector.DONE] * 3 + [JobVector.BYE]


END = Topology().memory_bytes
MMIO = Topology().page(0)
ELSEWHERE = [TOP - 64, 1 << 45, CPU_MMIO, MMIO]  # lines that no memory is at
UNSERVED: list[ArrayJob | Job] = [
    *(GOOD._replace(a=at & ~4095) for at in ELSEWHERE),
    GOOD._replace(b=1 << 45),
    GOOD._replace(out=1 << 45),
    GOOD._replace(completion=1 << 45),
    GOOD._replace(a=END - 4096, columns=2 * BLOCK),
    GOOD._replace(kernel=17, out=1 << 45),
    GOOD._replace(kernel=17, a=1 << 45),
    MATMUL._replace(a=1 << 45),
    MATMUL._replace(b=MMIO),
    MATMUL._replace(out=1 << 45),
    COUNT._replace(source=1 << 45),
    COUNT._replace(source=END - 4096, length=8192),
    COUNT._replace(counters=1 << 45),
    COUNT._replace(scratch=1 << 45),
    COUNT._replace(kernel=3, ring=1 << 45),
]


def test_addresses_that_nobody_serves_are_a_fault() -> None:
    """A doorbell or a job whose addresses nobody serves ends with the interrupt FAULT."""
    bad = [(64 * at, job.encode()) for at, job in enumerate(UNSERVED)]
    bad += [(address, b"") for address in ELSEWHERE]
    assert run([*bad, (0x3000, GOOD.encode())]) == [JobVector.FAULT] * len(bad) + [
        JobVector.DONE,
        JobVector.BYE,
    ]


def test_poison_is_no_fault_of_the_job() -> None:
    """Only addresses are the job's own fault: data that were lost end the run, as they must."""
    programs = iter([TransactionError("load ended with DATA", code=Err.DATA)])

    def program() -> Program[None]:
        yield []
        raise next(programs)

    faults: list[TransactionError] = []
    with pytest.raises(TransactionError, match="DATA"):
        list(guarded(program(), faults))
    assert not faults
