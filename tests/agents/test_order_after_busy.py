"""A later access of an agent to a line never passes one that was BUSY (HSL 5.4 T4)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import TIMERS, Err, Op
from hsl.agents.access import Access
from hsl.codec.message import Message
from tests.support.agents import A, drain
from tests.support.coherence import FIRST, HOME, agent

PAUSE = TIMERS["T_BUSY"].tu * 2
FIRSTS = {
    "write_full": (Access("write_full", A, 64, bytes(64)), Op.WriteFull),
    "write_ptl": (Access("write_ptl", A, 8, bytes(8)), Op.WritePtl),
    "atomic_load": (Access("atomic_load", A, 8, bytes(8)), Op.AtomicLoad),
}


@pytest.mark.parametrize("kind", FIRSTS)
def test_an_access_that_was_busy_stays_before_later_ones_of_its_line(kind: str) -> None:
    """The access left the line with its request; BUSY puts it before the read that came later."""
    one = agent(tu=2)
    access, op = FIRSTS[kind]
    one.submit(access, 0)
    one.submit(Access("read_once", A, 8), 0)
    (request,) = drain(one)
    one.receive(Message(Op.Cmp, HOME, FIRST, request.txn, err=Err.BUSY), 0)
    assert drain(one) == []
    one.tick(PAUSE)
    assert [message.op for message in drain(one)] == [op]
