"""Fences of the request agent: what each kind of access is to a fence, and when a fence ends (HSL 5.9 F1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Aop, Err, St
from hsl._generated.tables import OPCODES
from hsl.agents.access import KINDS, Access, Order
from tests.support.agents import NEW, OTHER, A, complete, drain, holding, load, names

T_REQ = 1000
IO = 1  # an I/O agent
WORD = bytes(8)
TRANSLATION = ("trans_req", "page_req", "page_rsp")
# What each kind is to a fence (5.9), if not an NCR: a flush writes, an eviction and translation are nothing.
PARTS = {
    "load": Order.LOAD,
    "store": Order.STORE,
    "store_line": Order.STORE,
    "evict": Order(0),
    "read_once": Order.LOAD,
    "write_full": Order.STORE,
    "write_ptl": Order.STORE,
    "atomic_load": Order.LOAD | Order.STORE,
    "atomic_store": Order.STORE,
    "flush": Order.STORE,
    **dict.fromkeys(TRANSLATION, Order(0)),
}
# An access of each kind that has to wait for a message: what is not here is an NCR without data.
ACCESSES = {
    "load": load(OTHER),
    "store": Access("store", OTHER, 8, WORD),
    "store_line": Access("store_line", OTHER, 64, NEW),
    "evict": Access("evict", A),
    "read_once": Access("read_once", OTHER, 8),
    "write_full": Access("write_full", OTHER, 64, NEW),
    "write_ptl": Access("write_ptl", OTHER, 8, WORD),
    "atomic_load": Access("atomic_load", OTHER, 8, WORD, aop=Aop.ADD),
    "atomic_store": Access("atomic_store", OTHER, 8, WORD, aop=Aop.ADD),
    "flush": Access("flush", A),
    "ncread": Access("ncread", 0, 8, dst=IO),
    "ncwrite": Access("ncwrite", 0, 8, WORD, dst=IO),
    "ncenq": Access("ncenq", 0, 64, NEW, dst=IO),
    "mgmt": Access("mgmt", size=64, data=NEW, dst=IO),
    "cfg_read": Access("cfg_read", 0, 8, dst=IO),
    "cfg_write": Access("cfg_write", 0, 8, WORD, dst=IO),
    "trans_req": Access("trans_req", 0, dst=IO),
    "intr": Access("intr", size=8, data=WORD, dst=IO),
    "trans_inv": Access("trans_inv", 0, data=WORD, dst=IO),
    "page_req": Access("page_req", 0, data=WORD, dst=IO),
    "page_rsp": Access("page_rsp", 0, data=WORD, dst=IO),
}


@pytest.mark.parametrize("order", range(Order.ALL + 1))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "fence"])
def test_a_fence_waits_for_exactly_the_kinds_that_it_names(kind: str, order: int) -> None:
    """A fence ends at once past kinds that it does not name, and with the completion of one that it names."""
    one = holding(A, St.M)
    access = one.submit(ACCESSES[kind], 0)
    (request,) = drain(one)
    fence = one.submit(Access("fence", order=Order(order)), 0)
    named = bool(PARTS.get(kind, Order.NCR) & order)
    rule = f"5.9 F1: a fence of {Order(order)!r} {'waits' if named else 'does not wait'} for {kind}"
    assert fence.done != named, rule
    complete(one, request, St.I, err=Err.ACCESS)
    assert access.done
    assert fence.done, f"5.9 F1: a fence ends when {kind} is completed"


@pytest.mark.parametrize(("held", "sent"), [(St.M, "WbFull"), (St.E, "Evict"), (St.S, "Evict")])
def test_a_fence_ends_after_a_flush_that_was_reported(held: St, sent: str) -> None:
    """A flush whose WbFull or Evict T_REQ has reported holds a fence until the Cmp comes, and no longer.

    HSL 5.9, 5.11.
    """
    one = holding(A, held, t_req=T_REQ)
    flush = one.submit(Access("flush", A), 0)
    (request,) = drain(one)
    assert names([request]) == [sent]
    fence = one.submit(Access("fence"), 0)
    one.tick(T_REQ)
    assert flush.err == Err.UNREACH
    assert not fence.done, "5.9: a report of T_REQ is no completion for a fence"
    complete(one, request, St.I, now=T_REQ + 1)
    later = one.submit(Access("fence"), T_REQ + 1)
    assert (fence.done, later.done) == (True, True), f"5.9 F1: the Cmp of {sent} ends what a fence waits for"
    assert one.idle


@pytest.mark.parametrize("kind", TRANSLATION)
def test_a_fence_does_not_hold_translation(kind: str) -> None:
    """Translation passes a fence that waits for an NcWrite, which its target may complete only after it.

    HSL 5.2 D6, 5.10 [HSL-NCR-010, HSL-NCR-011].
    """
    one = holding(A, St.M)
    one.submit(ACCESSES["ncwrite"], 0)
    drain(one)
    fence = one.submit(Access("fence"), 0)
    one.submit(ACCESSES[kind], 0)
    sent = drain(one)
    assert [OPCODES[message.op].order for message in sent] == ["translation"]
    assert not fence.done
    complete(one, sent[0], St.I, err=Err.ACCESS)
    assert not fence.done
