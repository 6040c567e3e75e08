"""Turns of the two lanes of NCR, and what sinks while a home lets requests wait (HSL 3.5, 5.10)."""

from __future__ import annotations

from hsl._generated.constants import Op, Vc
from hsl.link.lanes import Lanes
from tests.engine.test_hostile_peer import Meeting

LINE = {"addr": 64, "len": 3}
SEEN_BY_ALL = [0] * 8


def test_ordinary_ncr_and_ncr_that_sink_take_turns() -> None:
    """While both may send neither lane waits for the other to be empty. HSL 3.5 F10."""
    lanes = Lanes(16)
    for _ in range(3):
        lanes.put(Op.Intr, b"s")
        lanes.put(Op.NcWrite, b"o")
    left = [lanes.take(Vc.NCR, 8, 8)[1] for _ in range(6)]
    assert left == [b"s", b"o"] * 3


def test_what_sinks_waits_for_no_room_at_a_home() -> None:
    """A request waits at the home: an interrupt is completed all the same. [HSL-NCR-007]."""
    meeting = Meeting()
    meeting.say(Op.ReadUnique, txn=0, **LINE)
    assert len(meeting.peer.took(Op.CmpData)) == 1  # and no CmpAck follows: the line stays busy
    meeting.say(Op.ReadOnce, txn=1, **LINE)
    assert not meeting.node.homes[0].idle
    meeting.say(Op.Intr, dst=1, txn=2, data=bytes(8))
    assert [answer.txn for answer in meeting.peer.took(Op.Cmp)] == [2]
