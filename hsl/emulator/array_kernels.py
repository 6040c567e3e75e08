"""Kernels on arrays of binary32: saxpy, reduction, tiled matmul. Every result is defined to the bit.

A sum of floating-point numbers depends on its order, so each kernel fixes one, which depends neither on where
the data are nor on how many GPUs and compute units work: `expected` computes it on whole arrays with numpy,
sharing no code with the compute units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsl._generated.constants import LINE_BYTES, MATRIX_TILE, VECTOR_BLOCK
from hsl._generated.constants import Kernel as KernelCode
from hsl.emulator.device import lies, wait_for
from hsl.emulator.program import Program
from hsl.emulator.records import ARRAY_JOB
from hsl.errors import ConfigError

if TYPE_CHECKING:
    from hsl.emulator.gpu import Wavefront

__all__ = ["ARRAY_KERNELS", "BLOCK", "TILE", "ArrayJob", "ArrayKernel", "Problem"]

FLOAT = 4  # bytes
BLOCK = VECTOR_BLOCK  # elements of a workgroup of saxpy and reduction, a power of two
TILE = MATRIX_TILE  # rows and columns of a tile: a row of it is a line
Floats = NDArray[np.float32]
# Infinities and numbers that are none are results like all others (IEEE 754), nothing to warn of.
quiet = np.errstate(all="ignore")


class ArrayJob(NamedTuple):
    """A job on arrays, in a line of its own (HSL A.6). `a`, `b`, `out` are addresses.

    `rows` x `columns`: of `out` in matmul, of a vector 1 x its length; `scalar`: a binary32.
    """

    kernel: int
    a: int
    b: int
    out: int
    rows: int
    columns: int
    scalar: int
    completion: int

    def encode(self) -> bytes:
        """The 64 bytes that the CPU stores."""
        return ARRAY_JOB.pack(self._asdict())

    @classmethod
    def decode(cls, line: bytes) -> ArrayJob:
        """The descriptor in a line."""
        return cls(**ARRAY_JOB.unpack(line))

    @property
    def groups(self) -> int:
        """Workgroups: blocks of a vector, tiles of a matrix."""
        if self.rows == 1:
            return -(-self.columns // BLOCK)
        return self.rows // TILE * (self.columns // TILE)

    @property
    def written(self) -> list[int]:
        """Lines that must be in memory when the job is done: results stay in caches until they are read."""
        return [self.completion]


class Problem(NamedTuple):
    """The whole task, or the share of a GPU: what the arrays hold, and how long the result is, in bytes."""

    a: Floats
    b: Floats
    scalar: float
    out_bytes: int
    in_place: bool = False  # the result takes the place of b

    @property
    def shape(self) -> tuple[int, int]:
        """`rows` and `columns` of the job."""
        return (1, self.a.size) if self.a.ndim == 1 else (self.a.shape[0], self.b.shape[1])

    @property
    def scalar_bits(self) -> int:
        """The scalar as the descriptor has it."""
        return int(np.float32(self.scalar).view(np.uint32))


@dataclass(frozen=True)
class ArrayKernel:
    """A kernel on arrays: what a compute unit does, the task, its shares, and the exact result of the whole.

    `size`: elements of a vector, rows of a square matrix; a multiple of `step` times the number of GPUs.
    """

    name: str
    code: int
    size: int
    greatest: int
    step: int
    unit: Callable[[Wavefront, ArrayJob, Any], Program[None]]
    make: Callable[[np.random.Generator, int], Problem]
    split: Callable[[Problem, int], list[Problem]]
    expected: Callable[[Problem], Floats]
    combine: Callable[[Sequence[bytes]], Floats]
    sizes: Callable[[ArrayJob], tuple[int, int, int] | None]  # bytes of a, b, out; None: no legal shape

    def job(self, line: bytes) -> ArrayJob | None:
        """The job in a descriptor, None when it is nonsense: no such shape, or outside the addresses."""
        job = ArrayJob.decode(line)
        sizes = self.sizes(job)
        places = (job.a, job.b, job.out, job.completion)
        good = sizes is not None and all(map(lies, places, (*sizes, LINE_BYTES)))
        return job if good and job.scalar < 1 << (8 * FLOAT) else None

    def shares(self, problem: Problem, gpus: int) -> list[Problem]:
        """Return the share of each GPU. Raises ConfigError if the task cannot be shared evenly."""
        size = problem.a.shape[0]
        if size % (self.step * gpus):
            raise ConfigError(
                f"{self.name}: size {size}; expected a multiple of {self.step * gpus} "
                f"({self.step} for each GPU), at most {self.greatest}"
            )
        return self.split(problem, gpus)


def blocks(job: ArrayJob, groups: Any) -> Any:
    """(group, first element, number of elements) of each workgroup taken."""
    for group in groups:
        yield group, group * BLOCK, min(BLOCK, job.columns - group * BLOCK)


def blocks_of(job: ArrayJob) -> int:
    """Return the number of blocks of a vector, 0 if the job is not made of whole blocks."""
    return 0 if job.rows != 1 or job.columns % BLOCK else job.columns // BLOCK


# ---- saxpy: b := scalar x a + b, two roundings an element


def saxpy_unit(wave: Wavefront, job: ArrayJob, groups: Any) -> Program[None]:
    """A compute unit: block after block."""
    scalar = np.uint32(job.scalar).view(np.float32)
    for _, first, count in blocks(job, groups):
        x = yield from wave.floats(job.a + FLOAT * first, count)
        y = yield from wave.floats(job.b + FLOAT * first, count)
        yield from wave.core.write(job.out + FLOAT * first, axpy(scalar, x, y).tobytes())


@quiet
def axpy(scalar: np.float32, x: Floats, y: Floats) -> Floats:
    """Two roundings an element."""
    result: Floats = scalar * x + y
    return result


def saxpy_sizes(job: ArrayJob) -> tuple[int, int, int] | None:
    """Three vectors."""
    return (FLOAT * job.columns,) * 3 if blocks_of(job) else None


def saxpy_make(rng: np.random.Generator, size: int) -> Problem:
    """Two random vectors and a factor."""
    x, y = (rng.standard_normal(size, np.float32) for _ in range(2))
    return Problem(x, y, float(rng.standard_normal(dtype=np.float32)), FLOAT * size, in_place=True)


def saxpy_split(problem: Problem, gpus: int) -> list[Problem]:
    """A piece of both vectors each."""
    pieces = zip(np.split(problem.a, gpus), np.split(problem.b, gpus), strict=True)
    return [Problem(a, b, problem.scalar, problem.out_bytes // gpus, in_place=True) for a, b in pieces]


@quiet
def saxpy_expected(problem: Problem) -> Floats:
    """Numpy's own."""
    result: Floats = np.multiply(np.float32(problem.scalar), problem.a) + problem.b
    return result


def joined(parts: Sequence[bytes]) -> Floats:
    """The results one behind the other."""
    return np.frombuffer(b"".join(parts), np.float32)


# ---- reduction: a block by halves (element i with element i + half), the sums of the blocks in their order


def reduction_unit(wave: Wavefront, job: ArrayJob, groups: Any) -> Program[None]:
    """A compute unit: the sum of each block goes to its place in `out`."""
    for group, first, count in blocks(job, groups):
        values = yield from wave.floats(job.a + FLOAT * first, count)
        while values.size > 1:
            values = halved(values)
        yield from wait_for(wave.core.store(job.out + FLOAT * group, values.tobytes()))


@quiet
def halved(values: Floats) -> Floats:
    """The first half plus the second."""
    return values[: values.size // 2] + values[values.size // 2 :]


def reduction_sizes(job: ArrayJob) -> tuple[int, int, int] | None:
    """A vector, and a sum for each block."""
    return (FLOAT * job.columns, 0, FLOAT * blocks_of(job)) if blocks_of(job) else None


def reduction_make(rng: np.random.Generator, size: int) -> Problem:
    """A random vector."""
    none = np.zeros(0, np.float32)
    return Problem(rng.standard_normal(size, np.float32), none, 0.0, FLOAT * (size // BLOCK))


def reduction_split(problem: Problem, gpus: int) -> list[Problem]:
    """A run of blocks each."""
    return [Problem(piece, problem.b, 0.0, problem.out_bytes // gpus) for piece in np.split(problem.a, gpus)]


@quiet
def reduction_expected(problem: Problem) -> Floats:
    """All blocks at once, as columns; then the sums one after the other."""
    table = problem.a.reshape(-1, BLOCK).T
    while len(table) > 1:
        table = np.add(*np.split(table, 2))
    return running_sum(table[0])


def reduction_combine(parts: Sequence[bytes]) -> Floats:
    """The sums of the blocks in the order of the blocks."""
    return running_sum(joined(parts))


@quiet
def running_sum(values: Floats) -> Floats:
    """The sum from first to last, rounded after each step (numpy's own sum works in pairs)."""
    last: Floats = np.add.accumulate(values, dtype=np.float32)[-1:]
    return last


# ---- matmul: out := a x b; each element is summed over the inner index, ascending, product and sum rounded


def matmul_unit(wave: Wavefront, job: ArrayJob, groups: Any) -> Program[None]:
    """A compute unit: tile after tile of the result, over the tiles of a row of a and a column of b."""
    stride, across = FLOAT * job.columns, job.columns // TILE
    for group in groups:
        row, column = divmod(group, across)
        total = np.zeros((TILE, TILE), np.float32)
        for inner in range(across):
            left = yield from wave.rows(job.a + stride * TILE * row + LINE_BYTES * inner, stride)
            right = yield from wave.rows(job.b + stride * TILE * inner + LINE_BYTES * column, stride)
            for k in range(TILE):
                total = rank_one(total, left[:, k : k + 1], right[k : k + 1, :])
        out = job.out + stride * TILE * row + LINE_BYTES * column
        stores = [wave.core.store(out + stride * i, line.tobytes()) for i, line in enumerate(total)]
        yield stores
        for store in stores:
            store.result()


@quiet
def rank_one(total: Floats, column: Floats, row: Floats) -> Floats:
    """The tile plus the products of a column and a row."""
    return total + column * row


def matmul_sizes(job: ArrayJob) -> tuple[int, int, int] | None:
    """Rows of a and of the result, and the square b, of whole tiles."""
    if not job.rows or not job.columns or job.rows % TILE or job.columns % TILE:
        return None
    rows = FLOAT * job.rows * job.columns
    return rows, FLOAT * job.columns**2, rows


def matmul_make(rng: np.random.Generator, size: int) -> Problem:
    """Two random square matrices."""
    a, b = (rng.standard_normal((size, size), np.float32) for _ in range(2))
    return Problem(a, b, 0.0, FLOAT * size * size)


def matmul_split(problem: Problem, gpus: int) -> list[Problem]:
    """Rows of a, and all of b, each."""
    return [Problem(rows, problem.b, 0.0, problem.out_bytes // gpus) for rows in np.split(problem.a, gpus)]


@quiet
def matmul_expected(problem: Problem) -> Floats:
    """One update of the whole matrix for each inner index."""
    result = np.zeros((problem.a.shape[0], problem.b.shape[1]), np.float32)
    for column, row in zip(problem.a.T, problem.b, strict=True):
        result += np.outer(column, row)
    return result.ravel()


ARRAY_KERNELS = {
    kernel.name: kernel
    for kernel in (
        ArrayKernel(
            "saxpy", KernelCode.SAXPY, 1 << 13, 1 << 22, BLOCK,
            saxpy_unit, saxpy_make, saxpy_split, saxpy_expected, joined, saxpy_sizes,
        ),
        ArrayKernel(
            "reduction", KernelCode.REDUCTION, 1 << 14, 1 << 22, BLOCK,
            reduction_unit, reduction_make, reduction_split, reduction_expected, reduction_combine,
            reduction_sizes,
        ),
        ArrayKernel(
            "matmul", KernelCode.MATMUL, 64, 1 << 10, TILE,
            matmul_unit, matmul_make, matmul_split, matmul_expected, joined, matmul_sizes,
        ),
    )
}  # fmt: skip
