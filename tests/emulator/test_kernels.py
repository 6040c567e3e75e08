"""Kernels: the counts of pieces add up to Python's own count of the whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated.constants import LINE_BYTES, MAX_CHUNKS
from hsl.emulator.kernels import COUNTER_BYTES, KERNELS, Job, Kernel, count

TEXT = st.binary(min_size=1, max_size=400) | st.text("ab \n\t\v\f\r\x1c", min_size=1, max_size=400).map(
    str.encode
)


@given(TEXT, st.lists(st.integers(0, 400), max_size=6))
def test_counts_of_pieces_add_up(data: bytes, cuts: list[int]) -> None:
    """Words and bins are those of bytes.split() and a byte count, wherever the data are cut."""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    words, bins = 0, np.zeros(256, np.int64)
    for first, last in pairwise(edges):
        found, more = count(np.frombuffer(data[first:last], np.uint8), data[first - 1] if first else ord(" "))
        words, bins = words + found, bins + more
    assert words == len(data.split())
    assert bins.tolist() == [data.count(bytes([value])) for value in range(256)]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 2047, 2048, 2049, 1 << 20, (1 << 26) + 1])
def test_groups_cover_the_input(length: int) -> None:
    """The workgroups of a job cover its input, and there are at most MAX_CHUNKS of them."""
    job = Job(1, 0, length, 0, 0)
    assert (
        job.groups - 1
    ) * job.group_bytes < length <= job.groups * job.group_bytes or job.groups == length == 0
    assert job.groups <= MAX_CHUNKS


def test_descriptor_is_one_line() -> None:
    """A descriptor fills one line and comes back as it was."""
    job = Job(KERNELS["ring"].code, 0x10000, 77, 0x4000, 0x2000, 0x1000)
    assert len(job.encode()) == LINE_BYTES
    assert Job.decode(job.encode()) == job


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_expected_and_decoded_have_one_shape(kernel: Kernel) -> None:
    """What the counters decode to is compared with what is expected key by key."""
    zero = kernel.decode(bytes(COUNTER_BYTES))
    assert zero == kernel.expected(b"")
