"""The CPU node with an array kernel for all GPUs: places the data, starts, compares to the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from hsl._generated.constants import LINE_BYTES
from hsl.agents.address_map import PAGE_BYTES
from hsl.emulator.array_kernels import ARRAY_KERNELS, ArrayJob, Problem
from hsl.emulator.device import Core, Device, wait_for
from hsl.emulator.gpu import GPU_VECTORS, VECTOR_BYE, VECTOR_DONE
from hsl.emulator.kernels import COMPLETION
from hsl.emulator.program import Condition, Program
from hsl.emulator.topology import Topology, gpu_of
from hsl.errors import ConfigError
from hsl.nearest import expected

__all__ = ["HOMES", "ArrayCpuDevice"]

# Where the data are: host memory; device memory homed at the CPU (HDM-H) or at the device (HDM-D); by turns
# homed at both; the memory node.
HOMES = ("hostmem", "host", "device", "interleaved", "memory")
DESCRIPTORS, COMPLETIONS, HOST_DATA = 0x0, 0x1000, 0x10000
WAITING = {VECTOR_DONE: "done", VECTOR_BYE: "bye"}


class ArrayCpuDevice(Device):
    """A CPU that shares a task among the GPUs; `seed` makes the data. `phase(name)` is called as one begins.

    ConfigError for an unknown kernel or place, a size that cannot be shared, data that do not fit, a place
    that not all GPUs reach.
    """

    def __init__(
        self,
        topology: Topology,
        epoch: Callable[[], int],
        kernel: str,
        *,
        home: str = "device",
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        if kernel not in ARRAY_KERNELS:
            raise ConfigError(f"unknown array kernel {kernel!r}; {expected(ARRAY_KERNELS, kernel)}")
        self.kernel = ARRAY_KERNELS[kernel]
        self.home = home
        self.size = self.kernel.size if size is None else size
        if not 0 < self.size <= self.kernel.greatest:
            raise ConfigError(
                f"{kernel}: size {self.size}; expected a multiple of {self.kernel.step} for each GPU, "
                f"at most {self.kernel.greatest}"
            )
        self.problem = self.kernel.make(np.random.default_rng(seed), self.size)
        self.shares = self.kernel.shares(self.problem, topology.gpus)
        self.jobs = self.place(topology)
        super().__init__(topology.cpu_node(epoch), topology)
        self.phase: Callable[[str], None] = lambda name: None
        self.checks: dict[str, bool] = {}
        self.outputs: list[bytes] = []
        self.awaited = "answer what the programs ask for"
        io = self.node.io
        assert io is not None  # the topology gives the node one
        self.io = io

    @property
    def verified(self) -> bool:
        """All checks were made and hold."""
        return bool(self.checks) and all(self.checks.values())

    # ---- where things are
    def place(self, topology: Topology) -> list[ArrayJob]:
        """The job of each GPU, its arrays one behind the other, each from a new page."""
        self.check_place(topology)
        regions = topology.regions()
        jobs = []
        at = 0
        for gpu, share in enumerate(self.shares):
            own = f"{self.home}{gpu}" in regions
            region = regions[f"{self.home}{gpu}" if own else self.home]
            at = 0 if own else at
            first = region.base + (HOST_DATA if self.home == "hostmem" else 0)
            sizes = (share.a.nbytes, share.b.nbytes, 0 if share.in_place else share.out_bytes)
            places = []
            for size in sizes:
                places.append(first + at)
                at += -(-size // PAGE_BYTES) * PAGE_BYTES
            if first + at > region.last + 1:
                room = region.last + 1 - region.base
                raise ConfigError(f"{self.kernel.name}: size {self.size} does not fit {room} bytes")
            jobs.append(self.job(gpu, share, places))
        return jobs

    def job(self, gpu: int, share: Problem, places: list[int]) -> ArrayJob:
        """The descriptor of one GPU."""
        a, b, out = places
        rows, columns = share.shape
        return ArrayJob(
            self.kernel.code,
            a,
            b,
            b if share.in_place else out,
            rows,
            columns,
            share.scalar_bits,
            COMPLETIONS + LINE_BYTES * gpu,
        )

    def check_place(self, topology: Topology) -> None:
        """ConfigError when the data would be where there is no memory, or where a GPU does not reach."""
        if self.home not in HOMES:
            raise ConfigError(f"unknown home {self.home!r}; {expected(HOMES, self.home)}")
        if self.home == "memory" and not topology.memory_nodes:
            raise ConfigError("data in a memory node need one: memory_nodes = 1 in the topology")
        if self.home == "interleaved" and topology.gpus > 1 and topology.shape != "mesh":
            raise ConfigError("interleaved data are homed at the first GPU too: others reach it in a mesh")

    # ---- the program
    def boot(self) -> None:
        """One core does it all."""
        self.scheduler.spawn("main", self.main(Core(self, self.topology.cpu_cores[0])))

    def main(self, core: Core) -> Program[None]:
        """Write the inputs, ring, wait for the interrupts, read the results, say good-bye."""
        yield Condition(lambda: all(port.up for port in self.node.ports))
        self.phase("write")
        for job, share in zip(self.jobs, self.shares, strict=True):
            yield from core.write(job.a, share.a.tobytes())
            yield from core.write(job.b, share.b.tobytes())
            yield from core.write(job.completion, bytes(LINE_BYTES))
        self.phase("kernel")
        for gpu, job in enumerate(self.jobs):
            yield from core.write(DESCRIPTORS + LINE_BYTES * gpu, job.encode())
        yield from wait_for(core.fence())
        for gpu in range(self.topology.gpus):
            yield from wait_for(core.ncwrite(self.topology.gpu_doorbell(gpu), DESCRIPTORS + LINE_BYTES * gpu))
        yield from self.interrupts(VECTOR_DONE)
        self.phase("read")
        yield from self.verify(core)
        self.quiescing = True
        for gpu in range(self.topology.gpus):
            yield from wait_for(core.ncwrite(self.topology.gpu_exit_doorbell(gpu), 0))
        yield from self.interrupts(VECTOR_BYE)
        self.phase("end")
        self.finished = True

    def interrupts(self, vector: int) -> Program[None]:
        """Wait for one interrupt of each GPU; another than expected, or one of another, is a failed check."""
        self.awaited = f"send interrupt {vector}"
        seen: Counter[tuple[int, int]] = Counter()  # by GPU and vector
        while len({gpu for gpu, _ in seen}) < self.topology.gpus:
            yield Condition(self.io.has_interrupt)
            seen.update((gpu_of(one.src), one.vector) for one in self.io.interrupts())
        good = seen == {(gpu, GPU_VECTORS * gpu + vector): 1 for gpu in range(self.topology.gpus)}
        self.checks[f"interrupts_{WAITING[vector]}"] = good

    def verify(self, core: Core) -> Program[None]:
        """Compare the result with numpy's, bit by bit, and the record of each GPU."""
        records = []
        for job, share in zip(self.jobs, self.shares, strict=True):
            self.outputs.append((yield from core.read(job.out, share.out_bytes)))
            records.append(COMPLETION.unpack((yield from core.read(job.completion, LINE_BYTES))))
        result = self.kernel.combine(self.outputs)
        self.checks["result"] = result.tobytes() == self.kernel.expected(self.problem).tobytes()
        self.checks["completions"] = all(record == (1, 0) for record in records)
