"""A VIRAL peer over a real port: what its data are taken for, and how it is still looked at (HSL 6.1)."""

from __future__ import annotations

from hsl._generated.constants import LINE_BYTES, Op, St
from hsl.agents.access import Access, Ticket
from tests.engine.test_hostile_peer import Meeting
from tests.engine.wires import DEVICE, MMIO, PAGE

GOOD = bytes(range(LINE_BYTES))
CORE = 2  # a request agent of the node
PEER_IO = 17


def answered(meeting: Meeting, op: Op, access: Access, **fields: object) -> Ticket:
    """The node begins an access, and the peer completes it with good data."""
    ticket = meeting.node.submit(CORE, access, meeting.wire.now)
    meeting.rest()
    (request,) = meeting.peer.took(op)
    meeting.say(Op.CmpData, request.dst, CORE, txn=request.txn, len=request.len, **fields)
    assert ticket.done
    return ticket


def test_data_of_a_viral_peer_are_poisoned_until_the_session_ends() -> None:
    """CmpData in the flit that shows VIRAL, and each one after it, is poison, also when VIRAL goes off.

    [HSL-RAS-013, HSL-RAS-014].
    """
    meeting = Meeting()
    for number, (viral, poison) in enumerate([(False, False), (True, True), (False, True)]):
        meeting.peer.port.viral = viral
        load = Access("load", DEVICE + number * LINE_BYTES, 8)
        got = answered(meeting, Op.ReadShared, load, data=GOOD, st=St.S)
        assert (got.data, got.poison) == (GOOD[:8], poison)
    meeting.node.ports[0].down(meeting.wire.now)
    meeting.wire.run(lambda: not meeting.node.connected)
    meeting.wire.run(meeting.wire.connected)
    got = answered(meeting, Op.ReadShared, Access("load", DEVICE, 8), data=GOOD, st=St.S)
    assert not got.poison


def test_a_viral_peer_can_be_asked_what_happened() -> None:
    """NcRead of a VIRAL peer gives poison; CfgRead and MgmtMsg give what it says. [HSL-RAS-015]."""
    meeting = Meeting()
    meeting.peer.port.viral = True
    record = Access("mgmt", size=LINE_BYTES, data=bytes(LINE_BYTES), dst=PEER_IO)
    assert answered(meeting, Op.NcRead, Access("ncread", MMIO + PAGE, 8), data=GOOD[:8]).poison
    assert not answered(meeting, Op.CfgRead, Access("cfg_read", 0, 8, dst=PEER_IO), data=GOOD[:8]).poison
    assert not answered(meeting, Op.MgmtMsg, record, data=GOOD).poison
