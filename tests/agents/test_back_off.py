"""Accesses that ended BUSY: they wait, and are presented again (HSL 5.4 T4)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import N_BUSY, TIMERS, Err, ErrorCode, Op, St
from hsl.agents.access import Access, Order, Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from tests.support.agents import NEW, A, B, C, complete, drain, holding, line_of, load, names, snoop, store
from tests.support.coherence import BASE, HOME, agent

TU = 10
PAUSE_TU = TIMERS["T_BUSY"].tu
MOST_TU = 4096
FIRST_PAUSE = PAUSE_TU * TU


def refused(one: RequestAgent, now: int = 0) -> Message:
    """The one request that the agent has sent ends BUSY; it sends nothing upon that."""
    (request,) = drain(one, now)
    assert complete(one, request, St.I, now, err=Err.BUSY) == []
    return request


def asked(access: Access, **config: Any) -> tuple[RequestAgent, Ticket]:
    """An agent whose access has ended BUSY once."""
    one = agent(tu=TU, **config)
    ticket = one.submit(access, 0)
    refused(one)
    return one, ticket


def test_the_pauses_double_up_to_a_limit() -> None:
    """64 TU, twice as long after each further BUSY, 4,096 TU at most. [HSL-COH-060]."""
    one, ticket = asked(store(A))
    now, pauses = 0, []
    for _ in range(9):
        due = one.next_deadline()
        assert due is not None
        assert drain(one, due - 1) == []
        pauses.append((due - now) // TU)
        now = due
        one.tick(now)
        refused(one, now)
    doubled = [PAUSE_TU << n for n in range(N_BUSY + 1)]
    assert (pauses, doubled[-1]) == ([*doubled, MOST_TU, MOST_TU], MOST_TU)
    assert not ticket.done


@pytest.mark.parametrize(
    "access",
    [
        load(A),
        store(A),
        line_of("store_line", A),
        Access("read_once", A, 8),
        line_of("write_full", A),
        Access("write_ptl", A, 8, b"new data"),
        Access("atomic_store", A, 8, bytes(8), aop=0),
        Access("flush", A),
    ],
    ids=lambda access: access.kind,
)
def test_nothing_is_held_while_it_waits(access: Access) -> None:
    """Another access gets the one MSHR, the one TXN and the one way, and is done. [HSL-COH-060]."""
    one, ticket = asked(access, sets=1, ways=1, mshrs=1, max_txn=1)
    other = one.submit(store(B), 0)
    (request,) = drain(one)
    assert (request.op, request.addr) == (Op.ReadUnique, B)
    complete(one, request, St.E)
    assert other.done
    assert not ticket.done
    assert one.state_of(A) == "I"


def test_each_presentation_is_a_new_request() -> None:
    """It has a TXN of its own and T_REQ from its start: no report within T_REQ of it. [HSL-TXN-008]."""
    one, ticket = asked(store(A), t_req=FIRST_PAUSE + 5)
    one.tick(FIRST_PAUSE)
    (again,) = drain(one, FIRST_PAUSE)
    one.tick(FIRST_PAUSE + 6)  # T_REQ of the first request would be over
    assert not ticket.done
    one.tick(2 * FIRST_PAUSE + 5)
    assert (ticket.done, ticket.err) == (True, Err.UNREACH)
    complete(one, again, St.E, 2 * FIRST_PAUSE + 6)
    assert one.state_of(A) == "M" or one.state_of(A) == "E"


def test_an_access_that_was_reported_is_not_presented_again() -> None:
    """T_REQ has told the program UNREACH; BUSY comes afterwards and ends it. HSL 5.4 T4."""
    one = agent(tu=TU, t_req=100)
    ticket = one.submit(store(A), 0)
    (request,) = drain(one)
    one.tick(100)
    assert ticket.err == Err.UNREACH
    complete(one, request, St.I, 101, err=Err.BUSY)
    assert (ticket.performed, one.next_deadline(), one.idle) == (True, None, True)
    assert len(one.errors) == 1, "T_REQ is logged, and nothing is given up after it"


def test_a_later_access_of_the_agent_waits_behind() -> None:
    """A load behind a store in back-off sees its data; in S it would hit the old bytes. [HSL-COH-060]."""
    one = holding(A, St.S, tu=TU)
    stored = one.submit(store(A), 0)
    refused(one)
    assert one.state_of(A) == "S"
    loaded = one.submit(load(A), 0)
    assert not loaded.done
    one.tick(FIRST_PAUSE)
    (upgrade,) = drain(one, FIRST_PAUSE)
    complete(one, upgrade, St.E, FIRST_PAUSE)
    assert (stored.err, loaded.result()) == (Err.OK, b"new data")


def test_a_copy_that_waits_to_be_written_can_be_snooped_and_evicted() -> None:
    """In S the pause keeps neither the copy nor its way: another line of the set takes it. [HSL-COH-060]."""
    one = holding(A, St.S, tu=TU, sets=1, ways=1)
    stored = one.submit(store(A), 0)
    refused(one)
    other = one.submit(load(B), 0)
    sent = drain(one)
    assert [(each.op, each.addr) for each in sent] == [(Op.Evict, A), (Op.ReadShared, B)]
    evict, read = sent
    complete(one, evict, St.I)
    complete(one, read, St.E)
    assert (stored.done, other.done) == (False, True)
    kept = holding(A, St.S, tu=TU)
    kept.submit(store(A), 0)
    refused(kept)
    assert snoop(kept, Op.SnpInv, A).st == St.I
    drain(kept)
    kept.tick(FIRST_PAUSE)
    assert names(drain(kept, FIRST_PAUSE)) == ["ReadUnique"]


def test_the_home_is_looked_up_again() -> None:
    """The range has moved while the access waited: the next request goes to the new home. HSL 5.1.4."""
    amap = AddressMap([SamEntry(BASE, BASE + 4095, home=HOME)])
    one = agent(amap=amap, tu=TU)
    ticket = one.submit(store(A), 0)
    refused(one)
    amap.put(0, SamEntry(BASE, BASE + 4095, home=HOME + 5))
    one.tick(FIRST_PAUSE)
    (request,) = drain(one, FIRST_PAUSE)
    assert request.dst == HOME + 5
    complete(one, request, St.E, FIRST_PAUSE)
    assert ticket.err == Err.OK


def test_a_request_by_the_old_entry_is_outdated_until_it_is_completed() -> None:
    """A CfgWrite of the entry waits for requests under way; a line in back-off has none. [HSL-COH-061]."""
    amap = AddressMap([SamEntry(BASE, BASE + 4095, home=HOME)])
    one = agent(amap=amap, tu=TU)
    one.submit(store(A), 0)
    assert not one.outdated(BASE, BASE + 4095)
    amap.put(0, SamEntry(BASE, BASE + 4095, home=HOME + 5))
    assert one.outdated(BASE, BASE + 4095)
    assert not one.outdated(A + 64, BASE + 4095)
    refused(one)
    assert not one.outdated(BASE, BASE + 4095)


def test_a_fence_waits_for_an_access_in_back_off() -> None:
    """The store has not been performed, also when it is withdrawn and begun anew. [HSL-COH-062]."""
    one, ticket = asked(store(A))
    fence = one.submit(Access("fence", order=Order.ALL), 0)
    later = one.submit(load(C), 0)
    assert one.withdraw({ticket}) == [ticket]
    assert one.next_deadline() is None
    assert not fence.done
    one.present(ticket, B, 5)
    (request,) = drain(one, 5)
    assert (request.op, request.addr) == (Op.ReadUnique, B)
    sent = complete(one, request, St.E, 5)
    assert (fence.done, ticket.err, later.done) == (True, Err.OK, False)
    assert names(sent) == ["CmpAck", "ReadShared"]


def test_only_accesses_in_back_off_are_withdrawn() -> None:
    """One whose request is under way stays; those behind the first of a line in back-off go with it."""
    one, first = asked(store(A))
    behind = one.submit(load(A), 0)
    under_way = one.submit(load(B), 0)
    assert one.withdraw({behind, under_way, first}) == [first, behind]
    one.finish(first, 3, Err.ACCESS)
    assert (first.err, first.performed, behind.done) == (Err.ACCESS, True, False)
    one.present(behind, A, 3)
    assert {message.addr for message in drain(one, 3)} == {A, B}


def test_a_writeback_that_ends_busy_loses_its_data() -> None:
    """A home must not say BUSY to WbFull; if it does, the data are gone, and this is logged. HSL 5.5."""
    one = holding(A, St.M, tu=TU)
    one.submit(Access("evict", A), 0)
    refused(one)
    assert [code.name for code, _, _ in one.errors] == ["DATA_LOST"]
    assert (one.state_of(A), NEW) == ("I", NEW)


def test_an_access_that_is_busy_for_t_req_ends() -> None:
    """It ends UNREACH and lets the fence go; the home is not lost, the next access asks it. [HSL-TXN-018]."""
    t_req = 100 * FIRST_PAUSE
    one = agent(tu=TU, t_req=t_req)
    ticket, fence, behind = one.submit(store(A), 0), one.submit(Access("fence"), 0), one.submit(load(B), 0)
    now = 0
    while not ticket.done:
        (request,) = drain(one, now)
        sent = complete(one, request, St.I, now, err=Err.BUSY)
        assert ticket.done == (now >= t_req), "5.4 T4: T_REQ since it was first presented"
        now = now if ticket.done else one.next_deadline() or 0
        one.tick(now)
    assert t_req <= now <= t_req + MOST_TU * TU
    assert (ticket.err, fence.done, one.lost) == (Err.UNREACH, True, set())
    assert [code for code, *_ in one.errors] == [ErrorCode.TIMEOUT]
    (request,) = sent
    complete(one, request, St.E, now)
    assert (behind.done, behind.err) == (True, Err.OK)
    one.submit(load(A), now)
    assert names(drain(one, now)) == ["ReadShared"]


def test_an_access_in_back_off_ends_with_its_home() -> None:
    """It is not presented to the next incarnation. HSL 6.2 F6 [HSL-RAS-004]."""
    one = agent()
    paused = one.submit(load(A), 0)
    (request,) = drain(one)
    one.receive(Message(Op.Cmp, HOME, request.src, request.txn, err=Err.BUSY), 1)
    one.home_lost(HOME, 2)
    assert (paused.done, paused.err) == (True, Err.UNREACH)
    one.readmit(HOME)
    one.tick(1 << 50)
    assert drain(one) == []


def test_what_waits_behind_an_access_that_was_busy_for_t_req_is_asked_once() -> None:
    """An access has waited as long as its line: a fence waits one T_REQ for all. [HSL-TXN-018]."""
    t_req = 100 * FIRST_PAUSE
    one = agent(tu=TU, t_req=t_req)
    tickets = [one.submit(load(A + 8 * word), 0) for word in range(4)]
    fence = one.submit(Access("fence"), 0)
    now = 0
    while not fence.done and now < 5 * t_req:
        sent = drain(one, now)
        while sent:
            sent = [more for each in sent for more in complete(one, each, St.I, now, err=Err.BUSY)]
        now = now if fence.done else one.next_deadline() or 5 * t_req
        one.tick(now)
    assert [ticket.err for ticket in tickets] == [Err.UNREACH] * 4
    assert now <= t_req + MOST_TU * TU


def test_an_access_behind_one_that_was_withdrawn_is_presented_after_the_pause() -> None:
    """A line in back-off keeps its pause for the accesses that no TransInv takes out. [HSL-COH-062]."""
    one, ticket = asked(store(A))
    behind = one.submit(load(A), 0)
    assert one.withdraw([ticket]) == [ticket]
    one.tick(FIRST_PAUSE)
    assert [message.op for message in drain(one, FIRST_PAUSE)] == [Op.ReadShared], "5.4 T4: presented again"
    assert not behind.done


def test_what_waits_behind_an_access_that_was_reported_and_busy_counts_with_it() -> None:
    """T_REQ has reported the first; the others are asked once, and not for another T_REQ. [HSL-TXN-018]."""
    t_req = 100_000
    one = agent(tu=10, t_req=t_req)
    tickets = [one.submit(load(A + 8 * word), 0) for word in range(4)]
    (first,) = drain(one)
    one.tick(t_req)
    sent = complete(one, first, St.I, 2 * t_req - 1, err=Err.BUSY)
    while sent:
        sent = [more for each in sent for more in complete(one, each, St.I, 2 * t_req - 1, err=Err.BUSY)]
    assert [ticket.err for ticket in tickets] == [Err.UNREACH] * 4


def test_an_access_that_comes_after_the_t_req_of_its_line_has_its_own_pauses() -> None:
    """It ends by its own T_REQ, and does not ask the home once a round trip. HSL 5.4 T4 [HSL-COH-060]."""
    one = agent(tu=10, t_req=100_000)
    first, behind = one.submit(load(A), 0), one.submit(load(A), 0)
    now = 0
    (asked,) = drain(one)
    while not first.done:
        sent = complete(one, asked, St.I, now, err=Err.BUSY)
        if not sent:
            now = one.next_deadline() or now
            one.tick(now)
            sent = drain(one, now)
        (asked,) = sent
    late = one.submit(load(A), now + 10)
    (asked,) = complete(one, asked, St.I, now + 20, err=Err.BUSY)
    assert behind.err == Err.UNREACH
    assert complete(one, asked, St.I, now + 30, err=Err.BUSY) == []
    assert not late.done, "5.4 T4: it was presented 10 ns ago, and waits for T_BUSY"
