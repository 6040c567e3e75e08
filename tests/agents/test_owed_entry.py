"""An entry that was given to a request that has not begun stays with it (HSL 5.2 D10)."""

from __future__ import annotations

from hsl._generated.constants import Op
from hsl.agents.entries import Entries
from hsl.agents.peers import Peers
from tests.agents.home_rig import LINE, A, B, Rig


def test_an_entry_that_is_owed_goes_to_nobody_else() -> None:
    """The victim is free and line 2 has its entry; a transaction of line 2 that lists nobody ends. D10."""
    entries = Entries(1, Peers())
    assert entries.ask(1, A)
    assert not entries.ask(2, A)
    assert not entries.ask(3, A)
    assert entries.choose(lambda line: True, lambda line: False) == (1, A)
    assert entries.free(1) == 2
    assert entries.free(2) is None, "the request of line 2 has not begun"
    assert entries.ask(2, A)
    assert not entries.ask(3, A)


def test_the_entry_is_there_when_a_write_came_between() -> None:
    """A WriteFull of the same instant is served first at the line that waits for an entry. [HSL-TXN-010]."""
    rig = Rig(directory_lines=1, tshrs=4)
    rig.hold(A)
    second, third = LINE + 64, LINE + 128
    (recall,) = rig.send(Op.ReadUnique, B, addr=second)
    assert rig.send(Op.ReadUnique, A, addr=third) == []
    rig.send(Op.WriteFull, B, addr=second)
    granted = rig.send(Op.SnpRsp, A, txn=recall.txn)
    assert [(message.dst, message.op) for message in granted[:1]] == [(B, Op.CmpData)]
