"""Ranges that are quiesced, recalled and changed by registers, under way (HSL 5.1.4)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op, Register, Right, St
from hsl._generated.layouts import ACL_BASE, SAM_BASE
from hsl.agents.access import Access, Ticket
from hsl.agents.access_list import AclEntry, encode_acl
from hsl.agents.address_map import SamEntry, encode_entry
from tests.engine.star import GPUS, Star, configure, configured, quiesce, word
from tests.engine.wires import HOST, MAP, Peer, Wire, node

A, B = GPUS["a"], GPUS["b"]
LINE = 64


def test_recall_by_register() -> None:
    """RECALL of a quiesced range ends at once; at RECALLING = 0 nobody holds a line, and memory is current.

    HSL 5.1.4 [HSL-COH-057, HSL-COH-058].
    """
    star = Star()
    for line in range(4):
        star.store(A, line * LINE, line + 1)
    both = word(0) + word(4 * LINE - 1)
    assert configure(star, Register.RECALL, both) == Err.PROTO
    assert quiesce(star, True) == Err.OK
    assert configure(star, Register.RECALL, both) == Err.OK
    star.run(lambda: configured(star, Register.RECALLING) == 0)
    assert all(star.home.directory_of(line * LINE).dir == "I" for line in range(4))
    assert star.home.memory.read(3 * LINE, 8) == word(4)


def test_a_right_is_taken_away_from_a_range_that_is_recalled() -> None:
    """An owner that lost W would write back all the same: the write of the rule ends PROTO. [HSL-COH-059]."""
    star = Star()
    rule = AclEntry(0, 4095, src=A, rights=Right.C | Right.R)
    star.store(A, 0, 5)
    assert configure(star, ACL_BASE, encode_acl(rule)) == Err.PROTO
    assert quiesce(star, True) == Err.OK
    assert configure(star, ACL_BASE, encode_acl(rule)) == Err.PROTO
    assert configure(star, Register.RECALL, word(0) + word(4095)) == Err.OK
    star.run(lambda: configured(star, Register.RECALLING) == 0)
    assert configure(star, ACL_BASE, encode_acl(rule)) == Err.OK
    assert quiesce(star, False) == Err.OK
    assert star.store(A, 0, 6).err == Err.ACCESS
    assert star.load(A, 0).result() == word(5)


def test_an_access_to_a_quiesced_range_waits_and_is_done_afterwards() -> None:
    """The store of a device backs off while the range is quiesced. [HSL-COH-055, HSL-COH-060]."""
    star = Star()
    assert quiesce(star, True) == Err.OK
    ticket = star.gpus["a"].store(A, 0, word(7), star.now)
    star.run(lambda: ticket.refusals >= 2)
    assert not ticket.done
    assert quiesce(star, False) == Err.OK
    star.run(lambda: ticket.done)
    assert ticket.err == Err.OK
    assert star.load(B, 0).result() == word(7)


@pytest.mark.parametrize("late", [False, True], ids=["held", "granted afterwards"])
def test_a_range_does_not_leave_a_home_that_granted_a_copy(late: bool) -> None:
    """The old home says that it has recalled the range, but an agent of this node has a line of it.

    The CfgWrite ends PROTO; one that came before the grant is completed only when the copy is gone.
    [HSL-COH-059, HSL-COH-061].
    """
    wire = Wire(one := node(16), peer := Peer(0))
    wire.connect()
    quiet = MAP.entries[0]._replace(quiesced=True)  # type: ignore[union-attr]

    def write(entry: SamEntry) -> Ticket:
        return one.submit(19, Access("cfg_write", SAM_BASE, 32, encode_entry(entry), dst=17), wire.now)

    loaded = one.load(18, HOST, 8, wire.now)
    wire.run(lambda: bool(peer.messages))
    (request,) = peer.took(Op.ReadShared)
    written = [write(quiet)] + ([write(quiet._replace(home=32))] if late else [])
    wire.step()
    peer.send(Op.CmpData, src=0, dst=18, txn=request.txn, st=St.E, htxn=1, len=3, data=bytes(64))
    wire.finish(loaded)
    if late:
        wire.run(lambda: any(message.op == Op.CmpAck for message in peer.messages))
        assert [ticket.done for ticket in written] == [True, False]
    else:
        wire.finish(refused := write(quiet._replace(home=32)))
        assert refused.err == Err.PROTO
    one.submit(18, Access("evict", HOST), wire.now)
    wire.run(lambda: any(message.op == Op.Evict for message in peer.messages))
    peer.send(Op.Cmp, src=0, dst=18, txn=peer.took(Op.Evict)[0].txn)
    wire.quiesce()
    moved = written[1] if late else write(quiet._replace(home=32))
    wire.finish(moved)
    assert moved.err == Err.OK
