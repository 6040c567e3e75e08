"""A full lost list, and a line that is in it (HSL 5.6 M3)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import LINE_BYTES, LOST_LINES, Err, Op
from tests.agents.home_rig import FIELDS, A, SlowRig


@pytest.mark.parametrize("op", [Op.WritePtl, Op.WriteFull])
def test_a_line_of_a_full_lost_list_is_lost_again(op: Op) -> None:
    """A write of a lost line fails: it stays in the list, and its target in reach. [HSL-COH-047]."""
    rig = SlowRig(lost_lines=LOST_LINES)
    for index in range(LOST_LINES):
        rig.send(Op.WriteFull, A, addr=index * LINE_BYTES)
        rig.memory_done(err=Err.DATA)
    rig.send(op, A, addr=0, **FIELDS.get(op, {}))
    (done,) = rig.memory_done(err=Err.DATA)
    assert (done.err, rig.errors(), rig.home.overflow) == (Err.DATA, [], False)
