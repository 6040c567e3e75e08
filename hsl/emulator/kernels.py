"""The kernels that a GPU runs on coherent memory, and what the CPU expects of them.

A descriptor of one line tells a kernel where its input, its counters and its scratch lines are. It never
sees anything but memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsl._generated.constants import (
    CHUNK_STEP,
    LEAST_CHUNK,
    LINE_BYTES,
    MAX_CHUNKS,
    RING_SLOTS,
    SCRATCH_LINES,
)
from hsl._generated.constants import Kernel as KernelCode
from hsl.emulator.device import Core, lies, wait_for
from hsl.emulator.program import Program
from hsl.emulator.records import COUNT_JOB

if TYPE_CHECKING:
    from hsl.emulator.gpu import Wavefront

__all__ = ["COUNTER_BYTES", "KERNELS", "KERNEL_OF", "Job", "Kernel", "count"]

LANE_BYTES = 16  # what one lane loads at once
WORD = 8
BINS = 256
BYTES_AT, WORDS_AT, BINS_AT = 0, WORD, LINE_BYTES
COUNTER_BYTES = BINS_AT + BINS * WORD
SPACES = b" \t\n\r\x0b\x0c"  # what bytes.split() splits at
WORDS = re.compile(rb"\S+")  # \S of bytes is what is not in SPACES
PART = 1 << 16  # bytes of the input that Python counts at once
RING_TU = 1  # pause between two looks at a ring index

IS_SPACE: NDArray[np.bool_] = np.isin(np.arange(BINS), np.frombuffer(SPACES, np.uint8))
Array = NDArray[np.uint8]


class Job(NamedTuple):
    """A job that counts, in a line of its own. HSL A.5."""

    kernel: int
    source: int
    length: int
    counters: int
    scratch: int
    ring: int = 0

    def encode(self) -> bytes:
        """The 64 bytes that the CPU stores."""
        return COUNT_JOB.pack(self._asdict())

    @classmethod
    def decode(cls, line: bytes) -> Job:
        """The descriptor in a line; `kernel` may name none that exists."""
        return cls(**COUNT_JOB.unpack(line))

    @property
    def legal(self) -> bool:
        """True if a kernel can do the job: its arrays begin at lines and are inside the address space."""
        return (
            lies(self.source, self.length)
            and lies(self.counters, COUNTER_BYTES)
            and lies(self.scratch, LINE_BYTES * (1 + SCRATCH_LINES))
            and lies(self.ring, 2 * LINE_BYTES)
        )

    @property
    def completion(self) -> int:
        """Address of the line, behind the scratch lines, that the GPU writes last and only the GPU writes."""
        return self.scratch + LINE_BYTES * SCRATCH_LINES

    @property
    def written(self) -> list[int]:
        """Lines that the GPU brings to memory at the end: the scratch lines and the completion."""
        return [*range(self.scratch, self.completion, LINE_BYTES), self.completion]

    @property
    def group_bytes(self) -> int:
        """Bytes of a chunk, which one workgroup counts. HSL A.5."""
        return max(LEAST_CHUNK, CHUNK_STEP * -(-self.length // (MAX_CHUNKS * CHUNK_STEP)))

    @property
    def groups(self) -> int:
        """Workgroups of the job."""
        return -(-self.length // self.group_bytes)


@dataclass(frozen=True)
class Kernel:
    """A kernel: its number in the descriptor, what a compute unit does, and what the CPU must find."""

    name: str
    code: int
    words: bool  # counts words too
    unit: Callable[[Wavefront, Job, Any], Program[None]]
    feed: Callable[[Core, Job, bytes], Program[None]] | None = None  # what the CPU does meanwhile (ring)

    def job(self, line: bytes) -> Job | None:
        """The job in a descriptor, None when it is nonsense."""
        job = Job.decode(line)
        return job if job.legal else None

    def expected(self, data: bytes) -> dict[str, Any]:
        """Python's own count of `data`."""
        result: dict[str, Any] = {"bytes": len(data)}
        if self.words:
            result["words"] = sum(1 for _ in WORDS.finditer(data))  # split() would hold a copy of the file
        # bincount() makes 8 bytes of each: a part at a time.
        parts = (np.frombuffer(data[at : at + PART], np.uint8) for at in range(0, len(data), PART))
        bins = sum((np.bincount(part, minlength=BINS) for part in parts), np.zeros(BINS, np.int64))
        return result | {"histogram": bins.tolist()}

    def decode(self, counters: bytes) -> dict[str, Any]:
        """Read the counters of a block of memory (COUNTER_BYTES bytes)."""
        values = np.frombuffer(counters, "<u8")
        result: dict[str, Any] = {"bytes": int(values[BYTES_AT // WORD])}
        if self.words:
            result["words"] = int(values[WORDS_AT // WORD])
        return result | {"histogram": values[BINS_AT // WORD :].tolist()}


def count(data: Array, before: int) -> tuple[int, NDArray[np.int64]]:
    """Words that start in `data`, given the byte before it, and the histogram of its bytes."""
    spaces = IS_SPACE[data]
    starts = ~spaces & np.concatenate(([IS_SPACE[before]], spaces[:-1]))
    return int(starts.sum()), np.bincount(data, minlength=BINS)


def publish(core: Core, job: Job, length: int, words: int, bins: NDArray[np.int64]) -> Program[None]:
    """Add the counts of a workgroup to the counters in memory."""
    adds = [(BYTES_AT, length)] + ([(WORDS_AT, words)] if KERNEL_OF[job.kernel].words else [])
    adds += [(BINS_AT + WORD * int(i), int(bins[i])) for i in np.flatnonzero(bins)]
    tickets = [core.add(job.counters + at, value) for at, value in adds if value]
    yield tickets
    for ticket in tickets:
        ticket.result()


def count_unit(wave: Wavefront, job: Job, groups: Any) -> Program[None]:
    """A compute unit of wordcount and histogram: takes workgroups until none is left."""
    for group in groups:
        first = group * job.group_bytes
        last = min(first + job.group_bytes, job.length)
        before = ord(" ")
        if first:
            before = (yield from wait_for(wave.core.load(job.source + first - 1, 1)))[0]
        total = np.zeros(BINS, np.int64)
        words = 0
        for start in range(first, last, LANE_BYTES * wave.lanes):
            data = yield from wave.gather(
                job.source + start, min(last - start, LANE_BYTES * wave.lanes), LANE_BYTES, once=True
            )
            found, bins = count(data, before)
            words, total, before = words + found, total + bins, int(data[-1])
        yield from publish(wave.core, job, last - first, words, total)
        yield from wave.bounce(job.scratch + LINE_BYTES * (group % SCRATCH_LINES))


# The ring: the CPU fills slots, the GPU empties them; both indices are coherent lines of their own.


def ring_unit(wave: Wavefront, job: Job, groups: Any) -> Program[None]:
    """The consumer: one compute unit takes line after line from the ring; the others have nothing to do."""
    if next(groups, None) != 0:
        return
    total, words, before = np.zeros(BINS, np.int64), 0, ord(" ")
    lines = -(-job.length // LINE_BYTES)
    for index in range(lines):
        while int.from_bytes((yield from wait_for(wave.core.load(job.ring, WORD))), "little") <= index:
            yield wave.core.device.pause(RING_TU)
        slot = job.source + LINE_BYTES * (index % RING_SLOTS)
        data = yield from wave.gather(slot, min(LINE_BYTES, job.length - LINE_BYTES * index), LANE_BYTES)
        found, bins = count(data, before)
        words, total, before = words + found, total + bins, int(data[-1])
        yield from wait_for(wave.core.store(job.ring + LINE_BYTES, (index + 1).to_bytes(WORD, "little")))
        yield from wave.bounce(job.scratch + LINE_BYTES * (index % SCRATCH_LINES))
    yield from publish(wave.core, job, job.length, words, total)


def ring_feed(core: Core, job: Job, data: bytes) -> Program[None]:
    """The producer: waits for a free slot, stores a line, then moves the head."""
    for index in range(-(-len(data) // LINE_BYTES)):
        while (
            int.from_bytes((yield from wait_for(core.load(job.ring + LINE_BYTES, WORD))), "little")
            + RING_SLOTS
            <= index
        ):
            yield core.device.pause(RING_TU)
        line = data[LINE_BYTES * index :][:LINE_BYTES].ljust(LINE_BYTES, b"\0")
        yield from wait_for(core.store(job.source + LINE_BYTES * (index % RING_SLOTS), line))
        yield from wait_for(core.store(job.ring, (index + 1).to_bytes(WORD, "little")))


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("wordcount", KernelCode.WORDCOUNT, True, count_unit),
        Kernel("histogram", KernelCode.HISTOGRAM, False, count_unit),
        Kernel("ring", KernelCode.RING, True, ring_unit, ring_feed),
    )
}
KERNEL_OF = {kernel.code: kernel for kernel in KERNELS.values()}  # as a descriptor names them
