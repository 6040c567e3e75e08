"""A request that ends with ERR=BUSY: its access waits and is presented again, in its place (HSL 5.4 T4)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import LINE_BYTES, N_BUSY, TIMERS, Err, ErrorCode, Op, St
from hsl.agents.access import Access
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from tests.agents.test_request_table import IN_FLIGHT, LINE, NEW, OLD, REACH, access, answer, drain, hold
from tests.support.coherence import HOME, agent

T_BUSY = TIMERS["T_BUSY"].tu
OTHER = LINE + LINE_BYTES


def requester(**config: Any) -> RequestAgent:
    """An agent with a TU of 1 ns."""
    return agent(tu=1, **config)


def busy(one: RequestAgent, now: int, txn: int = 0) -> None:
    """The home answers the request with BUSY."""
    one.receive(Message(Op.Cmp, HOME, one.nid, txn, err=Err.BUSY), now)


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_the_access_is_presented_again(state: str) -> None:
    """After T_BUSY the same request goes out; meanwhile the access holds no MSHR, TXN or way."""
    one = requester()
    if state == "SM_A":
        hold(one, St.S)
    ticket = one.submit(access(IN_FLIGHT[state]), 0)
    (first,) = drain(one)
    assert one.state_of(LINE) == state
    busy(one, 0)
    kept = "S" if state == "SM_A" else "I"
    assert (one.state_of(LINE), one._mshrs, len(one._outstanding), ticket.done) == (kept, 0, 0, False)
    assert one.cache.line(LINE).way == (state == "SM_A")
    assert (one.next_deadline(), one.errors) == (T_BUSY, [])
    one.tick(T_BUSY - 1)
    assert drain(one) == []
    one.tick(T_BUSY)
    assert drain(one) == [first]


def test_t_busy_doubles_up_to_its_limit() -> None:
    """64, 128, ... 4096 TU, and 4096 again; another access begins with 64."""
    one, now = requester(), 0
    one.submit(access("load"), 0)
    for count in range(N_BUSY + 3):
        drain(one)
        busy(one, now)
        waits = T_BUSY << min(count, N_BUSY)
        assert one.next_deadline() == now + waits
        now += waits
        one.tick(now)
    assert waits == 4096
    drain(one)
    one.receive(answer(one, Op.CmpData, St.S), now)
    drain(one)
    one.tick(now)
    one.submit(Access("load", OTHER, 8), now)
    drain(one)
    busy(one, now)
    assert one.next_deadline() == now + T_BUSY


def test_no_later_access_passes_one_in_back_off() -> None:
    """A load behind a store whose Upgrade was BUSY waits, though the copy in S is there. [HSL-COH-048]."""
    one = requester()
    hold(one, St.S)
    store = one.submit(access("store"), 0)
    drain(one)
    busy(one, 0)
    load = one.submit(Access("load", LINE, 4), 1)
    other = one.submit(Access("load", OTHER, 4), 1)
    assert (one.state_of(LINE), store.done, load.done) == ("S", False, False)
    (request,) = drain(one)
    one.receive(Message(Op.CmpData, HOME, one.nid, request.txn, 3, data=OLD, st=St.S, htxn=1), 2)
    assert other.done
    drain(one)
    one.tick(T_BUSY)
    (upgrade,) = drain(one)
    one.receive(Message(Op.Cmp, HOME, one.nid, upgrade.txn, st=St.E, htxn=2), T_BUSY)
    assert (store.err, load.result()) == (Err.OK, NEW[:4])


def test_a_snoop_takes_the_copy_during_the_back_off() -> None:
    """The line of an Upgrade in back-off is snooped: the store is presented from I, as ReadUnique."""
    one = requester()
    hold(one, St.S)
    one.submit(access("store"), 0)
    drain(one)
    busy(one, 0)
    one.receive(Message(Op.SnpInv, HOME, one.nid, 5, 3, LINE), 1)
    assert [message.op for message in drain(one)] == [Op.SnpRsp]
    one.tick(T_BUSY)
    assert [message.op for message in drain(one)] == [Op.ReadUnique]


def test_t_req_starts_anew() -> None:
    """Each presentation has its own T_REQ; in back-off none runs."""
    one = requester(t_req=100)
    ticket = one.submit(access("load"), 0)
    drain(one)
    busy(one, 90)
    one.tick(90 + T_BUSY)
    drain(one)
    assert one.next_deadline() == 90 + T_BUSY + 100
    assert not ticket.done


def test_an_access_that_t_req_reported_is_not_presented_again() -> None:
    """BUSY that comes after T_REQ ends the request, and the access is not done."""
    one = requester(t_req=100)
    ticket = one.submit(access("store"), 0)
    drain(one)
    one.tick(100)
    busy(one, 101)
    assert (ticket.err, ticket.performed, one.idle, one.next_deadline()) == (Err.UNREACH, True, True, None)


def test_the_loss_of_the_home_ends_the_back_off() -> None:
    """An access in back-off whose home is lost ends with UNREACH when it is presented."""
    one = requester()
    ticket = one.submit(access("write_full"), 0)
    drain(one)
    busy(one, 0)
    one.home_lost(HOME, 1)
    one.tick(T_BUSY)
    assert (ticket.err, one.idle, drain(one)) == (Err.UNREACH, True, [])


def test_a_writeback_that_is_busy_loses_its_data() -> None:
    """T14 forbids it: the modified line is gone, which is logged as DATA_LOST."""
    one = requester()
    REACH["MI_A"](one)
    busy(one, 0)
    assert ([code for code, *_ in one.errors], one.idle) == ([ErrorCode.DATA_LOST], True)


def test_a_line_in_back_off_holds_up_no_other_that_lacks_an_mshr() -> None:
    """While a line waits for T_BUSY its MSHR serves the next one."""
    one = requester(mshrs=1)
    one.submit(access("load"), 0)
    drain(one)
    other = one.submit(Access("load", OTHER, 4), 0)
    assert drain(one) == []
    busy(one, 0)
    (request,) = drain(one)
    assert request.addr == OTHER
    one.receive(answer(one, Op.CmpData, St.S), 1)
    assert other.done
