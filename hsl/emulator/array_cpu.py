"""The CPU node with an array kernel for all GPUs: places the data, starts, compares to the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from hsl._generated.constants import LINE_BYTES, JobVector, PageRegister
from hsl.agents.address_map import PAGE_BYTES, SamEntry
from hsl.agents.mmio import Interrupt
from hsl.emulator.array_kernels import ARRAY_KERNELS, ArrayJob, Problem
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import Core, wait_for
from hsl.emulator.host import DeviceLost, Host
from hsl.emulator.program import Program
from hsl.emulator.records import COMPLETION
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError
from hsl.nearest import expected

__all__ = ["HOMES", "ArrayCpuDevice"]

# Where the data are: host memory; device memory homed at the CPU (HDM-H) or at the device (HDM-D); by turns
# homed at both; the memory node.
HOMES = ("hostmem", "host", "device", "interleaved", "memory")
Life = tuple[int, int]  # of a device: its port, and the session
DESCRIPTORS, COMPLETIONS, HOST_DATA = 0x0, 0x1000, 0x10000


class ArrayCpuDevice(Host):
    """A CPU that shares a task among the GPUs; `seed` makes the data. `phase(name)` is called as one begins.

    A task begins anew when a device was lost meanwhile and is back (HSL A.7).

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
        self.check_place(topology)
        self.place(topology.regions())  # what does not fit the devices that are expected is told now
        super().__init__(topology, epoch)
        self.phase: Callable[[str], None] = lambda name: None
        self.checks: dict[str, bool] = {}
        self.jobs: list[ArrayJob] = []
        self.outputs: list[bytes] = []
        # By port and session: doorbells that were taken, jobs that have ended, and that are done.
        self._rung, self._ended, self._done = Counter[Life](), Counter[Life](), Counter[Life]()
        self.awaited = "answer what the programs ask for"

    @property
    def verified(self) -> bool:
        """All checks were made and hold."""
        return bool(self.checks) and all(self.checks.values())

    # ---- where things are
    def place(self, regions: Mapping[str, SamEntry]) -> list[ArrayJob]:
        """The job of each GPU, its arrays one behind the other, each from a new page.

        Raises ConfigError if the devices have no such memory, or too little.
        """
        jobs = []
        at = 0
        for gpu, share in enumerate(self.shares):
            own = f"{self.home}{gpu}" in regions
            name = f"{self.home}{gpu}" if own else self.home
            if name not in regions:
                raise ConfigError(f"no device has memory for {self.home}; there is {', '.join(regions)}")
            region = regions[name]
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
    def programs(self) -> None:
        """One core does it all."""
        self.scheduler.spawn("main", self.main())

    def main(self) -> Program[None]:
        """Do the task, anew if a device was lost meanwhile; then say good-bye."""
        while not (yield from self.attempt(self.run_task)):
            self.checks, self.outputs = {}, []
        self.quiescing = True
        yield from self.attempt(self.leave, wait=False)
        self.phase("end")
        self.finished = True

    def workers(self, devices: list[BootedDevice]) -> list[tuple[BootedDevice, int]]:
        """Return the devices that run jobs, with their register pages. ConfigError for another number."""
        found = [
            (device, device.page) for device in devices if device.page is not None and not device.is_memory
        ]
        if len(found) != len(self.shares):
            raise ConfigError(f"{len(found)} devices run jobs; expected {len(self.shares)} (HSL A.4)")
        return found

    def run_task(self, devices: list[BootedDevice]) -> Program[None]:
        """Write the inputs, ring, wait for the interrupts, read the results."""
        core, workers = self.core, self.workers(devices)
        yield from self.settle(workers)
        self.jobs = self.place({"hostmem": self.topology.regions()["hostmem"]} | self.master.regions)
        self.phase("write")
        for job, share in zip(self.jobs, self.shares, strict=True):
            yield from core.write(job.a, share.a.tobytes())
            yield from core.write(job.b, share.b.tobytes())
            yield from core.write(job.completion, bytes(LINE_BYTES))
        self.phase("kernel")
        for gpu, job in enumerate(self.jobs):
            yield from core.write(DESCRIPTORS + LINE_BYTES * gpu, job.encode())
        yield from wait_for(core.fence())
        for gpu, (device, page) in enumerate(workers):
            rung = wait_for(core.ncwrite(page + PageRegister.DOORBELL, DESCRIPTORS + LINE_BYTES * gpu))
            yield from self.taken(PageRegister.DOORBELL, rung)
            self._rung[self.life(device)] += 1
        yield from self.interrupts(workers, JobVector.DONE)
        self.phase("read")
        yield from self.verify(core, [self._done[self.life(device)] for device, _ in workers])
        if self.lost and not self.verified:  # what was read of a device that is back is not its result
            raise DeviceLost("a device was lost")

    def leave(self, devices: list[BootedDevice]) -> Program[None]:
        """Write EXIT of each device, and wait for BYE of each."""
        leaving = []
        for device, page in self.workers(devices):
            if (yield from self.write_exit(page)):
                leaving.append((device, page))
        if leaving:
            yield from self.interrupts(leaving, JobVector.BYE)

    def interrupts(self, workers: list[tuple[BootedDevice, int]], vector: JobVector) -> Program[None]:
        """Wait for one interrupt of each GPU; another than expected, or one of another, is a failed check."""
        self.awaited = f"send interrupt {vector}"
        expected = {(device.port, device.vector + vector): 1 for device, _ in workers}
        seen: Counter[tuple[int | None, int]] = Counter()  # by port and vector
        while len({port for port, _ in seen}) < len(workers):
            yield from self.interrupt()
            taken = self.io.interrupts()
            self.left_over(taken)
            seen.update((self.master.port_of(one.src), one.vector) for one in taken)
        self.checks[f"interrupts_{vector.name.lower()}"] = seen == expected

    def life(self, device: BootedDevice) -> Life:
        """The session in which a device counts its jobs."""
        return device.port, self.node.session(device.port)

    def left_over(self, interrupts: list[Interrupt]) -> None:
        """Count the jobs that have ended, those of an attempt that was given up too. HSL A.7."""
        for one in interrupts:
            port = self.master.port_of(one.src)
            device = None if port is None else self.master.devices.get(port)
            if device is None or self._ended[life := self.life(device)] == self._rung[life]:
                continue
            vector = one.vector - device.vector
            self._ended[life] += vector in (JobVector.DONE, JobVector.FAULT)
            self._done[life] += vector == JobVector.DONE

    def settle(self, workers: list[tuple[BootedDevice, int]]) -> Program[None]:
        """Wait for the jobs that devices still do for an attempt that was given up. HSL A.7."""
        lives = {self.life(device) for device, _ in workers}
        for tally in (self._rung, self._ended, self._done):
            for past in tally.keys() - lives:
                del tally[past]
        while any(self._ended[life] != self._rung[life] for life in lives):
            self.awaited = "end the job that was given up"
            yield from self.interrupt()
            self.left_over(self.io.interrupts())

    def verify(self, core: Core, done: list[int]) -> Program[None]:
        """Compare the result with numpy's, bit by bit, and the record of each GPU; `done`: jobs of each."""
        records = []
        for job, share in zip(self.jobs, self.shares, strict=True):
            self.outputs.append((yield from core.read(job.out, share.out_bytes)))
            records.append(COMPLETION.unpack((yield from core.read(job.completion, LINE_BYTES))))
        result = self.kernel.combine(self.outputs)
        self.checks["result"] = result.tobytes() == self.kernel.expected(self.problem).tobytes()
        self.checks["completions"] = records == [{"jobs": jobs, "bounces": 0} for jobs in done]
