"""What `hsl check` infers (HSL 5.9): each rule alone finds the cycle, before any order of writes is tried."""

from __future__ import annotations

import pytest

from hsl.verify.checker import Cycle, Order, saturate
from hsl.verify.memory_graph import build
from hsl.verify.trace_operation import read_trace

# What a rule infers from, and whether there is a cycle then.
TRACES = {
    # 1 is overwritten by 2, so a read of 1 comes before 2; here it comes after a read of 2.
    "from-read": (["0: M[0] := 1", "0: M[0] := 2", "1: M[0] == 2", "1: M[0] == 1"], True),
    "from-read in order": (["0: M[0] := 1", "0: M[0] := 2", "1: M[0] == 1", "1: M[0] == 2"], False),
    # Who reads 2 and then 1 has seen 2 written before 1; the other reader has seen it the other way about.
    "order of writes": (
        ["0: M[0] := 1", "1: M[0] := 2", "2: M[0] == 2", "2: M[0] == 1", "3: M[0] == 1", "3: M[0] == 2"],
        True,
    ),
    "one order of writes": (
        ["0: M[0] := 1", "1: M[0] := 2", "2: M[0] == 2", "2: M[0] == 1", "3: M[0] == 2", "3: M[0] == 1"],
        False,
    ),
    # Each read has found the initial value, so it comes before the write of its word.
    "both": (
        ["0: M[0] := 1", "0: sync", "0: M[64] == 0", "1: M[64] := 1", "1: sync", "1: M[0] == 0"],
        True,
    ),
}


@pytest.mark.parametrize("name", TRACES)
def test_inference_alone(name: str) -> None:
    """A read comes before each later write of its word; a write it has not found comes before its own."""
    lines, cyclic = TRACES[name]
    found = saturate(build(read_trace(lines, name), "hsl", global_clock=False))
    assert isinstance(found, Cycle if cyclic else Order), f"5.9: {name}"
