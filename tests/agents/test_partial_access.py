"""Accesses of a part of a line: exactly their bytes change, and they end alone (HSL 5.9, 5.12)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op, St
from hsl.agents.access import SIZES, Access
from hsl.agents.memory import Memory
from tests.support.agents import NEW, OLD, A, complete, drain, holding, line_of, load

PLACES = [(size, offset) for size in SIZES for offset in range(0, 64, size)]


@pytest.mark.parametrize("be", [None, 0b1, 0b10, 0b101])
def test_a_partial_write_in_the_cache_changes_its_bytes_only(be: int | None) -> None:
    """A write_ptl of any size at any place changes the bytes whose BE is 1, at their place in the line."""
    for size, offset in PLACES:
        mask = (1 << size) - 1 if be is None else be & (1 << size) - 1
        one = holding(A, St.E)
        one.submit(Access("write_ptl", A + offset, size, NEW[:size], mask), 0)
        expected = bytearray(OLD)
        for i in range(size):
            if mask >> i & 1:
                expected[offset + i] = NEW[i]
        assert one.peek(A) == bytes(expected), f"5.12: {size} bytes at {offset}, BE {mask:#b}"


def test_a_partial_write_at_the_home_changes_its_bytes_only() -> None:
    """A merge of whole granules at any place of any line changes the bytes whose BE is 1, and no others."""
    for line in (0, 64, 192):
        for size, offset in PLACES:
            if size < 8:
                continue
            memory = Memory(0, 256)
            memory.write(0, OLD * 4)
            mask = 0x5A5A_5A5A_5A5A_5A5A & (1 << size) - 1
            memory.merge(line + offset, NEW[:size], mask)
            expected = bytearray(OLD * 4)
            for i in range(size):
                if mask >> i & 1:
                    expected[line + offset + i] = NEW[i]
            assert memory.read(0, 256) == bytes(expected), f"5.12: {size} bytes at {line + offset}"


@pytest.mark.parametrize("op", [Op.WriteFull, Op.WritePtl])
@pytest.mark.parametrize("err", [Err.OK, Err.ACCESS])
def test_the_end_of_an_access_ends_no_other(op: Op, err: Err) -> None:
    """What waits behind a write that is under way is presented when it ends, in its order. HSL 5.9 F2."""
    one = holding(A, St.M)
    one.submit(Access("evict", A), 0)
    (write_back,) = drain(one)
    complete(one, write_back, St.I)
    write = line_of("write_full", A) if op == Op.WriteFull else Access("write_ptl", A, 8, NEW[:8])
    first = one.submit(write, 0)
    behind = [one.submit(load(A), 0) for _ in range(3)]
    (request,) = drain(one)
    assert request.op == op
    (read,) = complete(one, request, St.I, err=err)
    assert (first.err, [ticket.done for ticket in behind]) == (err, [False] * 3)
    assert read.op == Op.ReadShared
    complete(one, read, St.S)
    ended = [ticket.done for ticket in behind]
    assert ended == [True] * 3, "5.9 F2: an access that waits is not lost with the one before it"
    assert one.idle
