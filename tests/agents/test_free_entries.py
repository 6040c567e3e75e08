"""Entries of a home that come free by a loss or by a busy victim (HSL 5.2 D10)."""

from __future__ import annotations

from hsl._generated.constants import Op, St
from tests.agents.home_rig import LINE, A, B, C, Rig, shape

LINES = [LINE + 64 * i for i in range(5)]


def test_a_recall_by_register_is_not_spared_with_that_of_a_victim() -> None:
    """Both stand behind a Flush of the victim; the entry comes free, and RECALLING ends at 0."""
    rig = Rig(directory_lines=1)
    rig.hold(A)
    (snoop,) = rig.send(Op.Flush, B)
    assert rig.send(Op.ReadUnique, B, addr=LINES[1]) == []
    recall = rig.home.recall(LINE, LINE + 63, rig.now)
    sent = rig.send(Op.SnpRsp, A, txn=snoop.txn, st=St.I)
    assert shape(sent)[-1] == ("CmpData", B, "E", "OK")
    assert (recall.done, rig.home.recalling) == (True, 0)


def test_the_loss_of_a_holder_frees_the_entry_of_its_line() -> None:
    """A held the second line alone: after its loss a third line needs no Recall of the first."""
    rig = Rig(directory_lines=2)
    rig.hold(C, addr=LINES[0])
    rig.hold(A, addr=LINES[1])
    rig.home.fence(A, rig.now)
    assert shape(rig.send(Op.ReadUnique, B, addr=LINES[2])) == [("CmpData", B, "E", "OK")]


def test_the_loss_of_a_requester_frees_the_entry_that_it_was_owed() -> None:
    """B has got the entry of the victim and no TSHR yet; B is lost: the next line needs no Recall."""
    rig = Rig(directory_lines=2, tshrs=1)
    rig.hold(A, addr=LINES[0])
    rig.hold(C, addr=LINES[1])
    (victim,) = rig.send(Op.ReadUnique, B, addr=LINES[2])
    assert (victim.op, victim.dst) == (Op.SnpInv, A)
    assert rig.send(Op.ReadOnce, A, addr=LINES[1]) == []  # same instant, lower SRC: before that of B
    (snoop,) = rig.send(Op.SnpRsp, A, txn=victim.txn, st=St.I)
    assert (snoop.op, snoop.dst) == (Op.SnpCur, C)
    rig.home.fence(B, rig.now)
    rig.send(Op.SnpRsp, C, txn=snoop.txn, st=St.E)
    assert shape(rig.send(Op.ReadUnique, A, addr=LINES[3])) == [("CmpData", A, "E", "OK")]


def test_a_victim_that_came_free_is_not_recalled_from_its_next_owner() -> None:
    """The Recall of the victim stands behind the request of B; the victim is flushed: B keeps its line."""
    rig = Rig(directory_lines=1)
    rig.hold(A)
    (flush,) = rig.send(Op.Flush, C)
    assert rig.send(Op.ReadUnique, B) == []
    rig.now += 1
    assert rig.send(Op.ReadUnique, A, addr=LINES[1]) == []
    sent = rig.send(Op.SnpRsp, A, txn=flush.txn, st=St.I)
    granted = sent[-1]
    assert (granted.op, granted.dst) == (Op.CmpData, A)
    (recall,) = rig.ack(granted)
    assert (recall.op, recall.dst, recall.addr) == (Op.SnpInv, A, LINES[1])
    sent = rig.send(Op.SnpRsp, A, txn=recall.txn, st=St.I)
    assert shape(sent) == [("CmpData", B, "E", "OK")]
    assert rig.ack(sent[0]) == []
    assert rig.directory() == ("X", {B})
