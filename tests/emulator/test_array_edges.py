"""Array kernels on infinities and numbers that are none: numpy's results to the bit, and no warning."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest

from hsl._generated.constants import PageRegister
from hsl.emulator import GpuDevice, Topology
from hsl.emulator.array_kernels import ARRAY_KERNELS, BLOCK, ArrayJob
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import wait_for
from hsl.emulator.host import Host as BootHost
from hsl.emulator.program import Condition, Program
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire

A, B, OUT, COMPLETION, DESCRIPTOR = 0x10000, 0x20000, 0x30000, 0x1000, 0x0
EDGES = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, 3.4e38, -3.4e38, 1.0]


class Host(BootHost):
    """Has one job done on given arrays, and keeps what comes out."""

    def __init__(self, topology: Topology, epoch: Any, job: ArrayJob, a: bytes, b: bytes, size: int) -> None:
        super().__init__(topology, epoch)
        self.job, self.a, self.b, self.size = job, a, b, size
        self.out = b""

    def programs(self) -> None:
        self.scheduler.spawn("host", self.attempt(self.main))

    def main(self, devices: list[BootedDevice]) -> Program[None]:
        core, io, page = self.core, self.io, devices[0].page
        assert page is not None
        yield from core.write(A, self.a)
        yield from core.write(B, self.b)
        yield from core.write(DESCRIPTOR, self.job.encode())
        for bell in (page + PageRegister.DOORBELL, page + PageRegister.EXIT):
            yield from wait_for(core.ncwrite(bell, DESCRIPTOR))
            yield Condition(io.has_interrupt)
            io.interrupts()
            self.out = self.out or (yield from core.read(self.job.out, self.size))
        self.finished = True


def compute(job: ArrayJob, a: Any, b: Any, size: int) -> bytes:
    """What the GPU makes of the arrays."""
    epochs, topology = count(1), Topology(tu=6)
    host = Host(topology, lambda: next(epochs), job, a.tobytes(), b.tobytes(), size)
    Loopback([host, GpuDevice(topology, lambda: next(epochs))], [Wire(Place(0), Place(1))]).run(
        max_time=1 << 40
    )
    return host.out


def edges(*shape: int) -> Any:
    return np.resize(np.array(EDGES, np.float32), shape)


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000, 0x7FA00001, 0xFFFFFFFF, 0x7F7FFFFF, 1])
def test_saxpy_with_a_scalar_at_the_edge(bits: int) -> None:
    """A scalar of inf, nan or the greatest number gives numpy's own result, bit by bit, without a warning."""
    x, y = edges(BLOCK), np.roll(edges(BLOCK), 2)
    job = ArrayJob(16, A, B, OUT, 1, BLOCK, bits, COMPLETION)
    with np.errstate(all="ignore"):
        expected = np.uint32(bits).view(np.float32) * x + y
    assert compute(job, x, y, 4 * BLOCK) == expected.tobytes()


@pytest.mark.parametrize("name", ["reduction", "matmul"])
def test_data_at_the_edge(name: str) -> None:
    """Infinite sums and products are results like all others: the kernel and its expectation agree."""
    kernel = ARRAY_KERNELS[name]
    shape = (BLOCK,) if name == "reduction" else (16, 16)
    a, b = edges(*shape), edges(*shape)
    rows, columns = (1, BLOCK) if name == "reduction" else (16, 16)
    task = kernel.make(np.random.default_rng(1), shape[0])._replace(a=a, b=b if name == "matmul" else a[:0])
    out = compute(ArrayJob(kernel.code, A, B, OUT, rows, columns, 0, COMPLETION), a, b, task.out_bytes)
    found = np.frombuffer(out, np.float32)
    assert np.array_equal(found, kernel.expected(task), equal_nan=True)
