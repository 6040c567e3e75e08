"""T_REQ and a refused PageReq, and what they mean to later NCR of the sender (HSL 5.10, 5.11)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op
from hsl.agents.access import Access, Perm
from tests.agents.test_sinking import DATA, T_REQ, done, intr, sent, write
from tests.engine.translating import CPU_IO, PASID, Scripted
from tests.support.coherence import agent

LATER = 1 << 50  # ns: longer than any pause


def test_an_interrupt_waits_again_when_the_late_write_before_it_is_answered() -> None:
    """The stream stays in use by a second write; its Intr is held behind it, not ended. [HSL-NCR-006]."""
    one = agent(t_req=T_REQ)
    one.submit(write(), 0)
    assert sent(one) == ["NcWrite"]
    one.tick(T_REQ)
    one.submit(write(), T_REQ)
    assert sent(one) == ["NcWrite"]
    assert done(one, 0, T_REQ) == []
    behind = one.submit(intr(), T_REQ)
    assert not behind.done, "no request of the stream is late any more"
    assert done(one, 1, T_REQ) == ["Intr"]


@pytest.mark.parametrize("kind", ["trans_req", "page_req"])
def test_what_was_reported_is_not_repeated(kind: str) -> None:
    """An NCR that ended UNREACH by T_REQ, and is BUSY then, is over. HSL 5.11 [HSL-NCR-009]."""
    one = agent(t_req=T_REQ)
    data = DATA if kind == "page_req" else b""
    ticket = one.submit(Access(kind, 0, data=data, dst=1, pasid=1, perms=Perm.R), 0)
    assert len(sent(one)) == 1
    one.tick(T_REQ)
    assert ticket.err == Err.UNREACH
    assert done(one, 0, T_REQ, err=Err.BUSY) == []
    one.tick(LATER)
    assert (sent(one), one.idle) == ([], True)
    assert len(one.errors) == 1, "T_REQ is logged, and nothing is given up after it"


def test_the_last_page_request_is_not_sent_after_one_that_failed() -> None:
    """The first PageReq of a group ends ACCESS: the one with LAST is never sent. [HSL-NCR-012]."""
    system = Scripted(page_requests=True)
    group = system.atc.request_pages(PASID, [1, 2], Perm.R, system.wire.now)
    system.rest()
    first = system.took(Op.PageReq)
    system.say(Op.Cmp, CPU_IO, first.src, txn=first.txn, err=Err.ACCESS)
    assert system.peer.took(Op.PageReq) == []
    assert group.err == Err.ACCESS


def test_an_interrupt_goes_after_writes_that_were_never_sent() -> None:
    """Writes that a silent target did not get end, and an Intr of their stream waits for them no more.

    HSL 5.11.
    """
    one = agent(ncrs=1, t_req=T_REQ)
    first, second = one.submit(write(), 0), one.submit(write(), 0)
    assert sent(one) == ["NcWrite"]
    one.tick(T_REQ)
    assert (first.done, second.done) == (True, True)
    done(one, 0, T_REQ)
    one.submit(intr(), T_REQ)
    assert sent(one) == ["Intr"], "HSL-NCR-006: all earlier NCR of its stream have ended"
