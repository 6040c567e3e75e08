"""A line of a lost owner is walked before it serves an earlier request (HSL 6.2 F2)."""

from __future__ import annotations

from hsl._generated.constants import Op
from tests.agents.home_rig import LINE, OTHER, A, B, C, SlowRig


def test_the_loss_of_an_owner_is_first_at_its_line() -> None:
    """C waits for a TSHR; the owner B is lost: the line is poisoned, then read. [HSL-COH-036]."""
    rig = SlowRig(tshrs=1)
    rig.send(Op.ReadUnique, B)
    rig.ack(rig.memory_done()[0])
    assert rig.send(Op.ReadUnique, A, addr=OTHER) == []
    assert rig.send(Op.ReadOnce, C) == []
    rig.now += 1
    rig.home.fence(B, rig.now)
    (grant,) = rig.memory_done()
    assert rig.ack(grant) == [], "no snoop of B, which is lost"
    (written,) = rig.open
    assert (written.op, written.addr, written.poison) == (Op.MemWr, LINE, 1)
    rig.memory_done()
    (answer,) = rig.memory_done() if rig.open else rig.sent()
    assert (answer.op, answer.dst, answer.poison) == (Op.CmpData, C, 1)
