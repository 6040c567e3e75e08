"""The GPU node: wavefronts on compute units, an L2 cache before the link, doorbells in, interrupts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hsl._generated.constants import LINE_BYTES, Err, JobVector, PageRegister, SystemNid
from hsl._generated.layouts import NOTIFY_D0
from hsl.agents.io import Doorbell
from hsl.emulator.array_kernels import ARRAY_KERNELS, TILE
from hsl.emulator.device import Core, Device, lies, wait_for
from hsl.emulator.kernels import KERNELS, LANE_BYTES
from hsl.emulator.program import Condition, Program
from hsl.emulator.records import COMPLETION
from hsl.emulator.topology import Topology
from hsl.errors import TransactionError

__all__ = ["GpuDevice", "Wavefront"]

LANES = 64
# How an access ends that no node serves: no such address, or memory that is none.
UNSERVED = frozenset({Err.DECODE, Err.ACCESS, Err.UNSUP})
SLOT = 8  # bytes of a scratch line that one writer owns


class Work(Protocol):
    """The part of a job that every GPU reads."""

    @property
    def groups(self) -> int:
        """Workgroups."""
        ...

    @property
    def completion(self) -> int:
        """Address of the line that the GPU writes last."""
        ...

    @property
    def written(self) -> list[int]:
        """Lines that must be in memory when the job is done."""
        ...


class GpuKernel(Protocol):
    """The interface of a kernel to a GPU."""

    @property
    def unit(self) -> Callable[[Wavefront, Any, Any], Program[None]]:
        """Return the program of a compute unit."""
        ...

    def job(self, line: bytes) -> Any:
        """The job in a descriptor, a `Work`; None when it is nonsense."""
        ...


# By the number that a descriptor begins with.
PROGRAMS: Final[dict[int, GpuKernel]] = {
    **{kernel.code: kernel for kernel in KERNELS.values()},
    **{kernel.code: kernel for kernel in ARRAY_KERNELS.values()},
}


class Wavefront:
    """64 lanes in lockstep on one compute unit; their addresses are coalesced to line requests."""

    lanes = LANES

    def __init__(self, core: Core, unit: int) -> None:
        self.core = core
        self.unit = unit
        self.bounces = 0

    def gather(
        self, address: int, size: int, width: int, *, once: bool = False
    ) -> Program[NDArray[np.uint8]]:
        """Lane n loads `width` bytes, a divisor of a line, from `address` + n x width; return `size` bytes.

        With `once` the cache keeps no copy of the lines.
        """
        load = self.core.read_once if once else self.core.load
        lanes = address + width * np.arange(-(-size // width), dtype=np.uint64)
        lines, lane_line = np.unique(lanes // LINE_BYTES, return_inverse=True)
        tickets = [load(int(line) * LINE_BYTES, LINE_BYTES) for line in lines]
        yield tickets
        memory = np.frombuffer(b"".join(ticket.result() for ticket in tickets), np.uint8).reshape(
            -1, LINE_BYTES
        )
        offsets = (lanes % LINE_BYTES).astype(np.int64)[:, None] + np.arange(width)
        loaded: NDArray[np.uint8] = memory[lane_line[:, None], offsets].reshape(-1)[:size]
        return loaded

    def floats(self, address: int, count: int) -> Program[NDArray[np.float32]]:
        """`count` numbers from `address`, four to a lane."""
        step = LANE_BYTES * self.lanes
        parts = []
        for start in range(0, 4 * count, step):
            size = min(4 * count - start, step)
            parts.append((yield from self.gather(address + start, size, LANE_BYTES)))
        loaded: NDArray[np.float32] = np.concatenate(parts).view(np.float32)
        return loaded

    def rows(self, address: int, stride: int) -> Program[NDArray[np.float32]]:
        """A tile of 16 x 16 numbers: a line from `address`, from `address` + `stride`, and so on."""
        tickets = [self.core.load(address + stride * row, LINE_BYTES) for row in range(TILE)]
        yield tickets
        return np.frombuffer(b"".join(ticket.result() for ticket in tickets), np.float32).reshape(TILE, TILE)

    def bounce(self, line: int) -> Program[None]:
        """Count up this unit's slot of a scratch line that CPU cores write too: the line changes owners."""
        slot = line + SLOT * (1 + self.unit)
        value = int.from_bytes((yield from wait_for(self.core.load(slot, SLOT))), "little")
        yield from wait_for(self.core.store(slot, (value + 1).to_bytes(SLOT, "little")))
        self.bounces += 1


class GpuDevice(Device):
    """A GPU that learns its map at boot, and its jobs from its doorbells and from memory alone. HSL A.4."""

    def __init__(self, topology: Topology, epoch: Callable[[], int], index: int = 0) -> None:
        super().__init__(topology.gpu_node(epoch, index), topology)
        self.caches = [Core(self, nid) for nid in topology.gpu_agents(index)]
        self.core = self.caches[0]  # that of the command processor
        self.kernel_traffic: Counter[str] = Counter()  # of the compute units
        self.jobs = 0
        self._notified, self._first_vector = (
            int(SystemNid.IO),
            0,
        )  # who gets the interrupts, until NOTIFY says
        io = self.node.io
        assert io is not None  # the topology gives the node one
        self.io = io

    def begin(self) -> None:
        """Start the command processor."""
        self.scheduler.spawn("command processor", self.command_processor())

    def command_processor(self) -> Program[None]:
        """Run the job of each doorbell, until the exit doorbell, and tell the CPU how each ended."""
        yield Condition(lambda: self.node.ready and self.io.mmio.base is not None)
        page = self.io.mmio.base
        assert page is not None  # the condition
        self.io.write_register(page + PageRegister.UNITS, self.topology.units)
        bells: list[Doorbell] = []
        while True:
            yield Condition(self.io.has_doorbell)
            bells += self.io.doorbells()
            while bells:
                bell = bells.pop(0)
                register, value = bell.addr - page, int.from_bytes(bell.data, "little")
                if register == PageRegister.NOTIFY:
                    fields = NOTIFY_D0.parse(bell.data)
                    self._notified, self._first_vector = fields["nid"], fields["vector"]
                elif register == PageRegister.DOORBELL:
                    vector = yield from self.serve(value)
                    yield from self.interrupt(vector)
                elif register == PageRegister.EXIT:
                    self.quiescing = True
                    yield from self.interrupt(JobVector.BYE)
                    self.finished = True
                    return

    def interrupt(self, vector: JobVector) -> Program[None]:
        """Send an interrupt to the I/O agent that NOTIFY names."""
        yield from wait_for(self.core.intr(self._notified, self._first_vector + vector, self.jobs))

    def serve(self, address: int) -> Program[JobVector]:
        """Do the job whose descriptor is at an address; return the vector of its interrupt.

        FAULT where there is nothing that a kernel can do, and for addresses that nobody serves.
        """
        try:
            found = yield from self.job_at(address)
            done = found is not None and (yield from self.run(*found))
        except TransactionError as error:
            if error.code not in UNSERVED:
                raise
            done = False
        return JobVector.DONE if done else JobVector.FAULT

    def job_at(self, address: int) -> Program[tuple[Work, GpuKernel] | None]:
        """The job whose descriptor is at an address, None where there is nothing that a kernel can do."""
        if not lies(address, LINE_BYTES):
            return None
        line = yield from wait_for(self.core.load(address, LINE_BYTES))
        kernel = PROGRAMS.get(int.from_bytes(line[:8], "little"))
        job = None if kernel is None else kernel.job(line)
        return None if kernel is None or job is None else (job, kernel)

    def run(self, job: Work, kernel: GpuKernel) -> Program[bool]:
        """All workgroups of a job on the compute units, then what the job says is in memory.

        False as soon as a unit has met an address that nobody serves.
        """
        faults: list[TransactionError] = []
        groups = takewhile(lambda group: not faults, range(job.groups))
        units = self.topology.units
        waves = [Wavefront(self.caches[unit % len(self.caches)], unit) for unit in range(units)]
        before = self.traffic()
        threads = [
            self.scheduler.spawn(f"unit {wave.unit}", guarded(kernel.unit(wave, job, groups), faults))
            for wave in waves
        ]
        yield Condition(lambda: all(thread.finished for thread in threads))
        self.kernel_traffic += self.traffic() - before
        if faults:
            return False
        bounces = sum(wave.bounces for wave in waves)
        record = COMPLETION.pack({"jobs": self.jobs + 1, "bounces": bounces})
        yield from wait_for(self.core.store(job.completion, record))
        flushes = [self.core.flush(line) for line in job.written]
        yield [*flushes, self.core.fence()]
        for flush in flushes:
            flush.result()
        self.jobs += 1
        return True


def guarded(program: Program[None], faults: list[TransactionError]) -> Program[None]:
    """Run a program; an access to an address without a home ends it and is noted in `faults`."""
    try:
        yield from program
    except TransactionError as error:
        if error.code not in UNSERVED:
            raise
        faults.append(error)
