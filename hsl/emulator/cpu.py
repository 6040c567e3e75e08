"""The CPU node: host memory behind a home agent, cores with a cache each, and the program for the GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsl._generated.constants import LINE_BYTES
from hsl.emulator.device import Core, Device, wait_for
from hsl.emulator.gpu import VECTOR_BYE, VECTOR_DONE
from hsl.emulator.kernels import COMPLETION, COUNTER_BYTES, KERNELS, SCRATCH_LINES, Job
from hsl.emulator.program import Condition, Program
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError
from hsl.nearest import expected

__all__ = ["CpuDevice"]

# Where the program puts things in host memory.
DESCRIPTOR, RING, SCRATCH, COUNTERS, INPUT = 0x0, 0x1000, 0x2000, 0x4000, 0x10000
SLOT = 8
BOUNCE_TU = 8  # pause between two writes of a bouncing core: the GPU gets the line in between
POLL_TU = 16  # pause between two looks at the counters


class CpuDevice(Device):
    """A CPU with a job for the GPU: `data` is counted by `kernel`; the result is compared with Python's own.

    Raises ConfigError when `data` does not fit the host memory, or the kernel does not exist.
    """

    def __init__(
        self, topology: Topology, epoch: Callable[[], int], data: bytes, kernel: str = "wordcount"
    ) -> None:
        if kernel not in KERNELS:
            raise ConfigError(f"unknown kernel {kernel!r}; {expected(KERNELS, kernel)}")
        if topology.gpus > 1 or topology.memory_nodes:
            raise ConfigError(f"kernel {kernel} is for one GPU and no memory node; array kernels use more")
        room = topology.memory_bytes - INPUT
        if len(data) > room:
            raise ConfigError(f"input of {len(data)} bytes does not fit host memory: at most {room} bytes")
        super().__init__(topology.cpu_node(epoch), topology)
        self.kernel = KERNELS[kernel]
        self.data = data
        self.job = Job(self.kernel.code, INPUT, len(data), COUNTERS, SCRATCH, RING)
        self.cores = [Core(self, nid) for nid in topology.cpu_cores]
        self.progress: Callable[[int, int], None] = lambda done, total: (
            None
        )  # told the bytes counted, and all
        self.bounces = 0
        self.awaited = "answer what the programs ask for"
        self.result: dict[str, Any] | None = None
        self.checks: dict[str, bool] = {}
        self.done = False
        io = self.node.io
        assert io is not None  # the topology gives the node one
        self.io = io

    @property
    def verified(self) -> bool:
        """All checks were made and hold."""
        return bool(self.checks) and all(self.checks.values())

    def boot(self) -> None:
        """Start the program of each core."""
        programs = [self.main, self.poll] + [self.bounce] * (len(self.cores) - 2)
        for core, program in zip(self.cores, programs, strict=True):
            self.scheduler.spawn(f"core {core.nid}", program(core))

    def main(self, core: Core) -> Program[None]:
        """Core 0: prepare, ring, wait for the interrupt, verify, say good-bye."""
        yield from core.write(COUNTERS, bytes(COUNTER_BYTES))
        yield from core.write(RING, bytes(2 * LINE_BYTES))
        if self.kernel.feed is None:
            yield from core.stream(INPUT, self.data)  # the GPU reads each line once: no cache gains by it
        units = int.from_bytes(
            (yield from wait_for(core.ncread(self.topology.gpu_units_register(0)))), "little"
        )
        yield from core.write(DESCRIPTOR, self.job.encode())
        yield from wait_for(core.fence())
        yield from wait_for(core.ncwrite(self.topology.gpu_doorbell(0), DESCRIPTOR))
        if self.kernel.feed is not None:
            yield from self.kernel.feed(core, self.job, self.data)
        interrupts = yield from self.interrupt(VECTOR_DONE)
        self.done = True
        yield Condition(lambda: len(self.scheduler.threads) == 1)
        yield from self.verify(core, units, interrupts)
        self.quiescing = True
        yield from wait_for(core.ncwrite(self.topology.gpu_exit_doorbell(0), 0))
        yield from self.interrupt(VECTOR_BYE)
        self.finished = True

    def interrupt(self, vector: int) -> Program[int]:
        """Wait for an interrupt; gives the number of interrupts seen, 0 when the first was another one."""
        self.awaited = f"send interrupt {vector}"
        yield Condition(self.io.has_interrupt)
        seen = self.io.interrupts()
        return len(seen) if seen[0].vector == vector else 0

    def verify(self, core: Core, units: int, interrupts: int) -> Program[None]:
        """Compare counters, scratch slots and the GPU's own record with the expected values."""
        counters = yield from core.read(COUNTERS, COUNTER_BYTES)
        self.show(counters)
        self.result = self.kernel.decode(counters)
        scratch = yield from core.read(SCRATCH, SCRATCH_LINES * LINE_BYTES)
        record = COMPLETION.unpack((yield from core.read(self.job.completion, LINE_BYTES)))
        words = [int.from_bytes(scratch[at : at + SLOT], "little") for at in range(0, len(scratch), SLOT)]
        slots = LINE_BYTES // SLOT
        gpu = sum(sum(words[line + 1 : line + 1 + units]) for line in range(0, len(words), slots))
        bounced = self.job.groups if self.kernel.feed is None else -(-len(self.data) // LINE_BYTES)
        self.checks = {
            "counters": self.result == self.kernel.expected(self.data),
            "scratch_cpu": sum(words[::slots]) == self.bounces,
            "scratch_gpu": gpu == bounced,
            "completion": record == (1, bounced),
            "interrupts": interrupts == 1,
        }

    def poll(self, core: Core) -> Program[None]:
        """Core 1: watch the byte counter."""
        while not self.done:
            self.show((yield from wait_for(core.load(COUNTERS, SLOT))))
            yield self.pause(POLL_TU)

    def show(self, counters: bytes) -> None:
        """Tell the progress: the first counter is that of bytes."""
        self.progress(int.from_bytes(counters[:SLOT], "little"), len(self.data))

    def bounce(self, core: Core) -> Program[None]:
        """The other cores: count up a slot of the scratch lines that the GPU writes too. One core a line."""
        mine = [
            line
            for line in range(SCRATCH_LINES)
            if line % (len(self.cores) - 2) == core.nid % (len(self.cores) - 2)
        ]
        while not self.done:
            for line in mine:
                slot = SCRATCH + LINE_BYTES * line
                value = int.from_bytes((yield from wait_for(core.load(slot, SLOT))), "little")
                yield from wait_for(core.store(slot, (value + 1).to_bytes(SLOT, "little")))
                self.bounces += 1
                yield self.pause(BOUNCE_TU)
