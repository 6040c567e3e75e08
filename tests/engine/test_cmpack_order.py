"""CmpAcks that are in a flit, and those of a session that is over (HSL 5.2 D4)."""

from __future__ import annotations

from hsl._generated.constants import Op
from hsl.agents.outstanding import Request, acked
from hsl.codec.message import Message
from tests.engine.test_hostile_peer import Meeting

CORE, HOME = 2, 16


def test_the_last_cmpacks_to_a_home_are_those_that_have_not_left() -> None:
    """One of three is in no flit: the third. [HSL-TXN-011]."""
    leaving = [Request(txn, Op.ReadShared, HOME, 3, None, None) for txn in range(3)]
    assert [request.txn for request in acked(leaving, [], lambda home: 1)] == [0, 1]
    here = [Message(Op.CmpAck, CORE, HOME)]
    assert [request.txn for request in acked(leaving, here, lambda home: 1)] == [0]


def test_a_cmpack_of_a_lost_session_is_waited_for_no_more() -> None:
    """LINK_DOWN drops what was kept: no CmpAck of it counts in the next session. HSL 6.2 F8."""
    meeting = Meeting(credits={4: 8})
    gate = meeting.node._gates[0]
    meeting.peer.releases = False
    for txn in range(10):
        gate.send(Message(Op.CmpAck, CORE, HOME, txn))
    gate.flush()
    meeting.rest()
    assert gate.unsent_acks(CORE, HOME) == 2
    gate.port.down(meeting.wire.now)
    meeting.wire.run(lambda: not meeting.node.connected)
    assert gate.unsent_acks(CORE, HOME) == 0
