"""The CPU node with a job for one device: cores with a cache each, and the check of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsl._generated.constants import (
    DEFAULT_UNITS,
    LINE_BYTES,
    SCRATCH_LINES,
    JobVector,
    PageRegister,
)
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import Core, wait_for
from hsl.emulator.host import Host
from hsl.emulator.kernels import COUNTER_BYTES, KERNELS, Job
from hsl.emulator.program import Condition, Program, Thread
from hsl.emulator.records import COMPLETION
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError, TransactionError
from hsl.nearest import expected

__all__ = ["CpuDevice"]

# Where the program puts things in host memory.
DESCRIPTOR, RING, SCRATCH, COUNTERS, INPUT = 0x0, 0x1000, 0x2000, 0x4000, 0x10000
SLOT = 8
BOUNCE_TU = 8  # pause between two writes of a bouncing core: the GPU gets the line in between
POLL_TU = 16  # pause between two looks at the counters


class CpuDevice(Host):
    """A CPU with a job for a device: `data` is counted by `kernel`; the result is compared with Python's own.

    A job whose device is lost starts again when the device is back (HSL A.7). Raises ConfigError when `data`
    does not fit the host memory, or the kernel does not exist.
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
        super().__init__(topology, epoch)
        self.kernel = KERNELS[kernel]
        self.data = data
        self.job = Job(self.kernel.code, INPUT, len(data), COUNTERS, SCRATCH, RING)
        self.progress: Callable[[int, int], None] = lambda done, total: (
            None
        )  # told the bytes counted, and all
        self.bounces = 0
        self.awaited = "answer what the programs ask for"
        self.result: dict[str, Any] | None = None
        self.checks: dict[str, bool] = {}
        self.done = False  # the cores stop to poll and to bounce
        self.helpers: list[Thread] = []

    @property
    def verified(self) -> bool:
        """All checks were made and hold."""
        return bool(self.checks) and all(self.checks.values())

    def programs(self) -> None:
        """Start the program of the first core, which starts the others with each job."""
        self.scheduler.spawn(f"core {self.core.nid}", self.main())

    def main(self) -> Program[None]:
        """Core 0: do the job, again if the device was lost meanwhile; then say good-bye."""
        while not (yield from self.attempt(self.run_job)):
            self.done = True
            yield Condition(lambda: all(helper.finished for helper in self.helpers))
        self.quiescing = True
        yield from self.attempt(self.leave, wait=False)
        self.finished = True

    def run_job(self, devices: list[BootedDevice]) -> Program[None]:
        """Prepare, ring, wait for the interrupt, verify."""
        (device,) = devices
        if device.page is None or device.is_memory:
            raise ConfigError("the device has no register page, so it cannot run a job (HSL A.4)")
        core = self.core
        self.done, self.bounces = False, 0
        yield from core.write(COUNTERS, bytes(COUNTER_BYTES))
        yield from core.write(RING, bytes(2 * LINE_BYTES))
        yield from core.write(SCRATCH, bytes((1 + SCRATCH_LINES) * LINE_BYTES))
        if self.kernel.feed is None:
            yield from core.stream(INPUT, self.data)  # the GPU reads each line once: no cache gains by it
        told = core.read_register(device.page + PageRegister.UNITS, DEFAULT_UNITS)
        units = yield from self.taken(PageRegister.UNITS, told)
        units = units if 0 < units <= DEFAULT_UNITS else DEFAULT_UNITS
        programs = [self.poll] + [self.bounce] * (len(self.cores) - 2)
        self.helpers = [
            self.scheduler.spawn(f"core {each.nid}", self.helping(program(each)))
            for each, program in zip(self.cores[1:], programs, strict=True)
        ]
        yield from core.write(DESCRIPTOR, self.job.encode())
        yield from wait_for(core.fence())
        rung = wait_for(core.ncwrite(device.page + PageRegister.DOORBELL, DESCRIPTOR))
        yield from self.taken(PageRegister.DOORBELL, rung)
        if self.kernel.feed is not None:
            yield from self.kernel.feed(core, self.job, self.data)
        interrupts = yield from self.interrupts(device.vector + JobVector.DONE)
        self.done = True
        yield Condition(lambda: all(helper.finished for helper in self.helpers))
        yield from self.verify(core, units, interrupts)

    def helping(self, program: Program[None]) -> Program[None]:
        """Run the program of another core; it ends when a device is lost."""
        try:
            yield from program
        except TransactionError:
            if not self.lost:
                raise

    def leave(self, devices: list[BootedDevice]) -> Program[None]:
        """Write EXIT and wait for BYE; a device without the register is left as it is. HSL A.4."""
        (device,) = devices
        assert device.page is not None
        if (yield from self.write_exit(device.page)):
            yield from self.interrupts(device.vector + JobVector.BYE)

    def interrupts(self, vector: int) -> Program[int]:
        """Wait for an interrupt; gives the number of interrupts seen, 0 when the first was another one."""
        self.awaited = f"send interrupt {vector}"
        yield from self.interrupt()
        seen = self.io.interrupts()
        return len(seen) if seen[0].vector == vector else 0

    def verify(self, core: Core, units: int, interrupts: int) -> Program[None]:
        """Compare counters, scratch slots and the GPU's own record with the expected values."""
        counters = yield from core.read(COUNTERS, COUNTER_BYTES)
        self.show(counters)
        result = self.kernel.decode(counters)
        scratch = yield from core.read(SCRATCH, SCRATCH_LINES * LINE_BYTES)
        record = COMPLETION.unpack((yield from core.read(self.job.completion, LINE_BYTES)))
        words = [int.from_bytes(scratch[at : at + SLOT], "little") for at in range(0, len(scratch), SLOT)]
        slots = LINE_BYTES // SLOT
        gpu = sum(sum(words[line + 1 : line + 1 + units]) for line in range(0, len(words), slots))
        bounced = self.job.groups if self.kernel.feed is None else -(-len(self.data) // LINE_BYTES)
        self.result = result
        self.checks = {
            "counters": result == self.kernel.expected(self.data),
            "scratch_cpu": sum(words[::slots]) == self.bounces,
            "scratch_gpu": gpu == bounced,
            "completion": record == {"jobs": 1, "bounces": bounced},
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
