"""The request agent when things go wrong: poison, time-outs, loss of a home (HSL 5.11, 6.1, 6.2)."""

import pytest

from hsl._generated.constants import Aop, Err, ErrorCode, Op, St
from hsl.agents.access import Access
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.codec.message import Message
from hsl.errors import TransactionError
from tests.support.agents import (
    NEW,
    OLD,
    OTHER,
    A,
    B,
    C,
    complete,
    drain,
    holding,
    line_of,
    load,
    names,
    snoop,
    store,
)
from tests.support.coherence import BASE, FIRST, HOME, SIZE, agent

T_REQ = 1000


# ---- poison (6.1)


def test_poison_stays_with_the_line() -> None:
    """A poisoned fill is installed; loads are told, stores leave the mark, a whole line clears it."""
    one = agent()
    ticket = one.submit(load(A), 0)
    (request,) = drain(one)
    assert names(complete(one, request, St.E, poison=1)) == ["CmpAck"]
    assert (ticket.err, ticket.poison) == (Err.OK, True)
    with pytest.raises(TransactionError, match="poisoned"):
        ticket.result()
    one.submit(store(A), 0)
    assert one.submit(load(A), 0).poison
    assert one.submit(Access("atomic_load", A, 4, bytes(4), aop=Aop.SWAP), 0).err == Err.DATA
    assert one.peek(A) == b"new data" + OLD[8:]
    assert snoop(one, Op.SnpCur, A).poison == 1
    one.submit(line_of("store_line", A), 0)
    assert not one.submit(load(A), 0).poison


def test_a_partial_write_of_all_bytes_clears_poison() -> None:
    """WritePtl with all 64 BE does what WriteFull does, in the cache too (6.1)."""
    one = agent()
    one.submit(store(A), 0)
    (request,) = drain(one)
    complete(one, request, St.E, poison=1)
    one.submit(Access("write_ptl", A, 64, NEW, be=(1 << 64) - 2), 0)
    assert one.submit(load(A), 0).poison
    assert one.peek(A) == b"n" + NEW[1:]
    one.submit(Access("write_ptl", A, 64, NEW), 0)
    assert not one.submit(load(A), 0).poison


def test_writeback_carries_poison() -> None:
    """WbFull of a poisoned line has POISON=1 [HSL-RAS-001]."""
    one = agent()
    one.submit(store(A), 0)
    (request,) = drain(one)
    complete(one, request, St.E, poison=1)
    one.submit(Access("evict", A), 0)
    (write_back,) = drain(one)
    assert (write_back.op, write_back.poison) == (Op.WbFull, 1)


def test_a_refused_writeback_is_data_lost() -> None:
    """WbFull that ends with ERR: line dropped, DATA_LOST once; the flush that waited for it gets the ERR."""
    one = holding(A, St.M)
    ticket = one.submit(Access("flush", A), 0)
    (request,) = drain(one)
    complete(one, request, St.I, err=Err.UNREACH)
    assert ticket.err == Err.UNREACH
    assert [code for code, *_ in one.errors] == [ErrorCode.DATA_LOST]
    assert one.state_of(A) == "I"
    assert one.idle


def test_a_refused_evict_is_logged() -> None:
    """An Evict that nobody waits for and that the home refuses, which T14 forbids, is PROTO."""
    one = holding(A, St.S, ways=1)
    one.submit(load(B), 0)
    evict, _ = drain(one)
    complete(one, evict, St.I, err=Err.ACCESS)
    assert [code for code, *_ in one.errors] == [ErrorCode.PROTO]


# ---- T_REQ (5.11)


def test_the_first_expiry_reports_and_a_late_grant_is_kept() -> None:
    """ERR=UNREACH once; the late CmpData installs the line, and the store is not done."""
    one = agent(t_req=T_REQ)
    ticket = one.submit(store(A), 0)
    (request,) = drain(one)
    assert one.next_deadline() == T_REQ
    one.tick(T_REQ - 1)
    assert not ticket.done
    one.tick(T_REQ)
    assert (ticket.err, ticket.finished) == (Err.UNREACH, T_REQ)
    assert [code for code, *_ in one.errors] == [ErrorCode.TIMEOUT]
    assert names(complete(one, request, St.E, now=T_REQ + 1)) == ["CmpAck"]
    assert one.state_of(A) == "E"
    assert one.peek(A) == OLD
    assert len(one.completions()) == 1
    assert one.idle


def test_a_late_makeunique_is_written() -> None:
    """Cmp(M) that comes after the report still writes the line: nobody else has its data any more."""
    one = agent(t_req=T_REQ)
    one.submit(line_of("store_line", A), 0)
    (request,) = drain(one)
    one.tick(T_REQ)
    complete(one, request, St.M, now=T_REQ + 1)
    assert (one.state_of(A), one.peek(A)) == ("M", NEW)
    assert one.submit(Access("fence"), T_REQ + 2).done


def test_the_second_expiry_loses_the_home() -> None:
    """Its lines go to I, modified data are logged, accesses end UNREACH, its messages are dropped.

    An answer to its snoop would make it grant memory in place of the modified data [HSL-COH-052].
    """
    one = holding(OTHER, St.M, t_req=T_REQ)
    one.submit(load(A), 0)
    second = one.submit(load(A), 0)
    (request,) = drain(one)
    one.tick(T_REQ)
    assert not second.done
    one.tick(2 * T_REQ)
    assert second.err == Err.UNREACH
    assert one.state_of(OTHER) == "I"
    codes = [code for code, *_ in one.errors]
    assert codes == [ErrorCode.TIMEOUT, ErrorCode.FENCED, ErrorCode.DATA_LOST]
    complete(one, request, St.S)
    one.receive(Message(Op.SnpInv, src=HOME, dst=one.nid, txn=3, addr=OTHER), 2 * T_REQ)
    assert drain(one) == [], "no answer, not even of an agent without a copy"
    assert one.counters.fenced == 2
    assert one.submit(load(A), 0).err == Err.UNREACH
    assert one.idle
    one.readmit(HOME)
    again = one.submit(load(A), 0)
    assert [message.txn for message in drain(one)] == [0]
    assert not again.done


def test_expiries_of_one_instant_come_by_txn() -> None:
    """Requests that expire together are reported in ascending TXN (5.11)."""
    one = agent(t_req=T_REQ, sets=8)
    one.submit(load(A), 0)
    one.submit(load(B), 0)
    first, _ = drain(one)
    complete(one, first, St.S)
    one.submit(load(C), 0)  # TXN 0 again, started last
    one.completions()
    one.tick(T_REQ)
    assert [ticket.access.addr for ticket in one.completions()] == [C, B]


def test_each_request_expires_at_its_own_instant() -> None:
    """An early request that expires and begins again does not hold up T_REQ of a later one. HSL 5.11."""
    one = agent(t_req=T_REQ)
    early = one.submit(load(A), 0)
    late = one.submit(load(OTHER), T_REQ // 2)
    drain(one, T_REQ // 2)
    one.tick(T_REQ)
    assert (early.done, late.done) == (True, False)
    due = T_REQ + T_REQ // 2
    assert one.next_deadline() == due, "5.11: T_REQ of the later request is the next to expire"
    one.tick(due)
    assert (late.err, late.finished) == (Err.UNREACH, due), "5.11: T_REQ of a request ends at its instant"
    assert one.next_deadline() == 2 * T_REQ


# ---- loss of the home (6.2 F6)


def test_loss_of_a_home_ends_everything_with_it() -> None:
    """Waiting, outstanding, held and unsent: all end UNREACH; other homes go on [HSL-RAS-004]."""
    second = BASE + SIZE
    homes = AddressMap([SamEntry(BASE, second - 1, home=0), SamEntry(second, second + SIZE - 1, home=1)])
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=homes, sets=4, ways=2, mshrs=2))
    kept = one.submit(store(second), 0)
    (request,) = drain(one)
    complete(one, request, St.E)
    tickets = [one.submit(load(addr), 0) for addr in (A, B, C)]
    tickets.append(one.submit(Access("ncwrite", 0, 8, bytes(8), dst=0), 0))
    other = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    fence = one.submit(Access("fence"), 0)
    tickets.append(one.submit(store(A), 0))
    one.home_lost(0, 5)
    assert [ticket.err for ticket in tickets[:4]] == [Err.UNREACH] * 4
    assert [message.dst for message in one.outbox] == [1]
    assert (kept.err, other.done, fence.done) == (Err.OK, False, False)
    assert one.state_of(second) == "M"
    complete(one, drain(one)[0], St.I)
    assert fence.done
    assert tickets[4].err == Err.UNREACH
    assert one.idle


def test_loss_frees_what_waits_for_its_ack_to_leave() -> None:
    """A CmpAck that has not left when the home is lost never leaves, and its MSHR is free."""
    one = agent(mshrs=1)
    one.submit(load(A), 0)
    (request,) = drain(one)
    one.receive(Message(Op.CmpData, HOME, FIRST, request.txn, len=3, data=OLD, st=St.E, htxn=9), 0)
    one.home_lost(HOME, 1)
    one.home_lost(HOME, 2)
    assert one.outbox == []
    assert one.idle
    assert not one.cache.lines


def test_what_waited_for_a_lost_home_goes_on_at_once() -> None:
    """The MSHR of a request to a lost home goes to an access that lacks one, and its fence ends.

    HSL 6.2 F6.
    """
    second = BASE + SIZE
    homes = AddressMap([SamEntry(BASE, second - 1, home=0), SamEntry(second, second + SIZE - 1, home=1)])
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=homes, sets=4, ways=2, mshrs=1))
    lost, other = one.submit(load(A), 0), one.submit(load(second), 0)
    drain(one)
    one.home_lost(0, 1)
    assert (lost.err, other.done) == (Err.UNREACH, False)
    assert [message.addr for message in one.outbox] == [second], "no other event may come to begin it"
    fenced = RequestAgent(RequestConfig(nid=FIRST, address_map=homes, sets=4, ways=2, mshrs=1))
    fenced.submit(load(A), 0)
    fence = fenced.submit(Access("fence"), 0)
    drain(fenced)
    fenced.home_lost(0, 1)
    assert fence.done, "5.9 F1: all that it waited for has ended"


def test_a_home_that_is_lost_at_one_expiry_is_not_lost_again_at_the_next() -> None:
    """Two requests whose T_REQ expires twice at one instant lose their home once, with one log entry.

    HSL 5.11.
    """
    one = agent(t_req=T_REQ)
    for addr in (A, OTHER):
        one.submit(load(addr), 0)
    drain(one)
    one.tick(T_REQ)
    one.tick(2 * T_REQ)
    assert one.fences == [HOME], "6.2 F6: the loss of a home ends all requests to it"
    assert [code for code, _, _ in one.errors].count(ErrorCode.FENCED) == 1
