"""The GPU node: wavefronts on compute units, an L2 cache before the link, doorbells in, interrupts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hsl._generated.constants import LINE_BYTES
from hsl.agents.io import Doorbell
from hsl.emulator.device import Core, Device, wait_for
from hsl.emulator.kernels import COMPLETION, KERNEL_OF, Job, Kernel
from hsl.emulator.program import Condition, Program
from hsl.emulator.topology import Topology

__all__ = ["VECTOR_BYE", "VECTOR_DONE", "VECTOR_FAULT", "GpuDevice", "Wavefront"]

LANES = 64
VECTOR_DONE, VECTOR_BYE, VECTOR_FAULT = 1, 2, 3
SLOT = 8  # bytes of a scratch line that one writer owns


class Wavefront:
    """64 lanes in lockstep on one compute unit; their addresses are coalesced to line requests."""

    lanes = LANES

    def __init__(self, core: Core, unit: int) -> None:
        self.core = core
        self.unit = unit
        self.bounces = 0

    def gather(self, address: int, size: int, width: int) -> Program[NDArray[np.uint8]]:
        """Lane n loads `width` bytes, a divisor of a line, from `address` + n x width; gives `size` bytes."""
        lanes = address + width * np.arange(-(-size // width), dtype=np.uint64)
        lines, lane_line = np.unique(lanes // LINE_BYTES, return_inverse=True)
        tickets = [self.core.load(int(line) * LINE_BYTES, LINE_BYTES) for line in lines]
        yield tickets
        memory = np.frombuffer(b"".join(ticket.result() for ticket in tickets), np.uint8).reshape(
            -1, LINE_BYTES
        )
        offsets = (lanes % LINE_BYTES).astype(np.int64)[:, None] + np.arange(width)
        loaded: NDArray[np.uint8] = memory[lane_line[:, None], offsets].reshape(-1)[:size]
        return loaded

    def bounce(self, line: int) -> Program[None]:
        """Count up this unit's slot of a scratch line that CPU cores write too: the line changes owners."""
        slot = line + SLOT * (1 + self.unit)
        value = int.from_bytes((yield from wait_for(self.core.load(slot, SLOT))), "little")
        yield from wait_for(self.core.store(slot, (value + 1).to_bytes(SLOT, "little")))
        self.bounces += 1


class GpuDevice(Device):
    """A GPU that knows nothing but its doorbells and memory."""

    def __init__(self, topology: Topology, epoch: Callable[[], int]) -> None:
        super().__init__(topology.gpu_node(epoch), topology)
        self.core = Core(self, topology.gpu_agent)
        self.jobs = 0
        io = self.node.io
        assert io is not None  # the topology gives the node one
        self.io = io
        io.write_register(topology.gpu_units_register, topology.units)

    def boot(self) -> None:
        """Start the command processor."""
        self.scheduler.spawn("command processor", self.command_processor())

    def command_processor(self) -> Program[None]:
        """Run the job of each doorbell, until the exit doorbell; a descriptor of no kernel is a fault."""
        bells: list[Doorbell] = []
        while True:
            yield Condition(self.io.has_doorbell)
            bells += self.io.doorbells()
            while bells and bells[0].addr != self.topology.gpu_exit_doorbell:
                address = int.from_bytes(bells.pop(0).data, "little")
                job = Job.decode((yield from wait_for(self.core.load(address, LINE_BYTES))))
                kernel = KERNEL_OF.get(job.kernel)
                if kernel is not None:
                    yield from self.run(job, kernel)
                vector = VECTOR_FAULT if kernel is None else VECTOR_DONE
                yield from wait_for(self.core.intr(self.topology.cpu_io, vector, self.jobs))
            if bells:
                break
        self.quiescing = True
        yield from wait_for(self.core.intr(self.topology.cpu_io, VECTOR_BYE))
        self.finished = True

    def run(self, job: Job, kernel: Kernel) -> Program[None]:
        """All workgroups of a job on the compute units, then everything this GPU wrote is in memory."""
        groups: Iterator[int] = iter(range(job.groups))
        waves = [Wavefront(self.core, unit) for unit in range(self.topology.units)]
        units = [self.scheduler.spawn(f"unit {wave.unit}", kernel.unit(wave, job, groups)) for wave in waves]
        yield Condition(lambda: all(unit.finished for unit in units))
        record = COMPLETION.pack(self.jobs + 1, sum(wave.bounces for wave in waves))
        yield from wait_for(self.core.store(job.completion, record))
        written = [*range(job.scratch, job.completion, LINE_BYTES), job.completion]
        flushes = [self.core.flush(line) for line in written]
        yield [*flushes, self.core.fence()]
        for flush in flushes:
            flush.result()
        self.jobs += 1
