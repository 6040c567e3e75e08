"""A line that was granted is used for the next request only when its CmpAck is in a flit (HSL 5.2 D4)."""

from __future__ import annotations

from hsl._generated.constants import LINE_BYTES, Op, St
from tests.engine.test_hostile_peer import Meeting
from tests.engine.wires import DEVICE

CORE = 2
CREDITS = 8  # of RSP, which the peer does not give back
SETS, WAYS = 4, 2  # of the cache of tests.engine.wires


def grant(meeting: Meeting, number: int) -> int:
    """Load a line of one set that the peer is the home of; return its address."""
    addr = DEVICE + number * SETS * LINE_BYTES
    ticket = meeting.node.load(CORE, addr, 8, meeting.wire.now)
    meeting.rest()
    for request in meeting.peer.took(Op.ReadShared):
        data = {"len": 3, "data": bytes(LINE_BYTES), "st": St.E, "htxn": number}
        meeting.say(Op.CmpData, request.dst, CORE, txn=request.txn, **data)
        assert ticket.done
    return addr


def test_an_evict_does_not_overtake_the_cmpack_of_its_line() -> None:
    """While RSP has no credits no line is evicted whose CmpAck waits for one. [HSL-TXN-011]."""
    meeting = Meeting(credits={4: CREDITS})
    meeting.peer.releases = False
    lines = {number: grant(meeting, number) for number in range(CREDITS + WAYS + 2)}
    acked = {lines[ack.txn] for ack in meeting.peer.messages if ack.op == Op.CmpAck}
    evicted = {evict.addr for evict in meeting.peer.messages if evict.op == Op.Evict}
    assert len(acked) == CREDITS
    assert evicted <= acked, "5.2 D4: an Evict has overtaken the CmpAck of its line"


def test_the_line_goes_on_when_its_cmpack_is_sent() -> None:
    """When RSP has credits again all that waited for a CmpAck goes on, and nothing is left. [HSL-TXN-011]."""
    meeting = Meeting(credits={4: CREDITS})
    meeting.peer.releases = False
    for number in range(CREDITS + WAYS):
        grant(meeting, number)
    stuck = meeting.node.load(CORE, DEVICE + 99 * SETS * LINE_BYTES, 8, meeting.wire.now)
    meeting.rest()
    assert not meeting.peer.took(Op.ReadShared), "5.2 D4: no way is free before a CmpAck is in a flit"
    meeting.peer.releases = True
    meeting.rest()
    (request,) = meeting.peer.took(Op.ReadShared)
    meeting.say(
        Op.CmpData, request.dst, CORE, txn=request.txn, len=3, data=bytes(LINE_BYTES), st=St.E, htxn=99
    )
    for evict in meeting.peer.took(Op.Evict):
        meeting.say(Op.Cmp, evict.dst, CORE, txn=evict.txn)
    assert stuck.done
    assert meeting.node.agents[CORE].idle
