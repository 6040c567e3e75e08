"""Ranges that are quiesced, recalled and changed by registers, under way (HSL 5.1.4)."""

from __future__ import annotations

from hsl._generated.constants import Err, Register, Right
from hsl._generated.layouts import ACL_BASE
from hsl.agents.access_list import AclEntry, encode_acl
from tests.engine.star import GPUS, Star, configure, configured, quiesce, word

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
