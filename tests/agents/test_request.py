"""The request agent: races, waiting, ways and MSHRs, what is sent (HSL 5.2, 5.5, 5.7, 5.9)."""

import pytest

from hsl._generated.constants import ERROR_LOG_ENTRIES, LINE_BYTES, TIMERS, Aop, Err, Op, St
from hsl.agents.access import Access
from hsl.agents.address_map import AddressMap
from hsl.agents.peers import LOCAL
from hsl.agents.request_config import MAX_PENDING, RequestConfig
from hsl.codec.message import Message
from hsl.errors import ConfigError
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
from tests.support.coherence import BASE, FIRST, HOME, agent

T_REQ = 1000


# ---- races (5.7)


def test_snoop_meets_writeback() -> None:
    """SnpInv in MI_A gets the data once; the stale WbFull is just completed [HSL-COH-025]."""
    one = holding(A, St.M)
    one.submit(Access("evict", A), 0)
    (request,) = drain(one)
    assert (request.op, request.data, request.len) == (Op.WbFull, NEW, 3)
    answer = snoop(one, Op.SnpInv, A)
    assert (answer.op, answer.st, answer.data) == (Op.SnpRspData, St.I, NEW)
    drain(one)
    one.receive(Message(Op.SnpInv, HOME, one.nid, 6, 3, A), 0)
    assert names(drain(one)) == ["SnpRsp"]  # no second use of the data
    complete(one, request, St.I)
    assert one.state_of(A) == "I"
    assert one.idle


def test_snapshot_meets_writeback() -> None:
    """SnpCur in MI_A gets the data and leaves the agent listed: its WbFull still counts."""
    one = holding(A, St.M)
    one.submit(Access("evict", A), 0)
    drain(one)
    answer = snoop(one, Op.SnpCur, A)
    assert (answer.op, answer.st, answer.data) == (Op.SnpRspData, St.M, NEW)
    assert one.state_of(A) == "MI_A"


def test_snoop_meets_clean_evict() -> None:
    """A snoop in II_A is answered SnpRsp(I) and is not odd: the home has not seen the Evict yet."""
    one = holding(A, St.S)
    one.submit(Access("evict", A), 0)
    assert names(drain(one)) == ["Evict"]
    answer = snoop(one, Op.SnpInv, A)
    assert (answer.op, answer.st) == (Op.SnpRsp, St.I)
    assert one.counters.odd == 0


def test_two_upgrades() -> None:
    """The loser is snooped in SM_A; its Upgrade brings data, and its store is done [HSL-COH-024]."""
    one = holding(A, St.S)
    ticket = one.submit(store(A), 0)
    (upgrade,) = drain(one)
    assert upgrade.op == Op.Upgrade
    assert snoop(one, Op.SnpInv, A).op == Op.SnpRsp
    assert one.state_of(A) == "IM_D"
    drain(one)
    one.receive(Message(Op.CmpData, HOME, one.nid, upgrade.txn, len=3, data=NEW, st=St.E, htxn=9), 0)
    assert ticket.done
    assert one.state_of(A) == "M"
    assert one.peek(A) == b"new data" + NEW[8:]


@pytest.mark.parametrize("snoop_first", [False, True])
def test_refused_upgrade_meets_snoop(snoop_first: bool) -> None:
    """Upgrade that ends with ERR: S kept, or I after a snoop; both orders end in I [HSL-COH-042]."""
    one = holding(A, St.S)
    ticket = one.submit(store(A), 0)
    (upgrade,) = drain(one)
    for step in ("snoop", "refuse") if snoop_first else ("refuse", "snoop"):
        if step == "refuse":
            complete(one, upgrade, St.I, err=Err.ACCESS)
            assert one.state_of(A) == ("I" if snoop_first else "S")
            assert ticket.err == Err.ACCESS
        else:
            snoop(one, Op.SnpInv, A)
            drain(one)
    assert one.state_of(A) == "I"
    assert one.idle


def test_the_waiting_store_comes_before_the_snoop() -> None:
    """A fresh line does the waiting store before it answers a snoop, which gets it [HSL-COH-043]."""
    one = agent()
    one.submit(store(A), 0)
    (request,) = drain(one)
    complete(one, request, St.E)
    assert snoop(one, Op.SnpInv, A).data == b"new data" + OLD[8:]


# ---- program order on one line (5.9 F2), different lines at once


def test_accesses_of_one_line_end_in_program_order() -> None:
    """A load behind a store waits for it although the S copy is readable, and reads what it stored."""
    one = holding(A, St.S)
    first = one.submit(store(A), 0)
    second = one.submit(load(A), 0)
    assert not second.done
    (upgrade,) = drain(one)
    complete(one, upgrade, St.E)
    assert [ticket is first for ticket in one.completions()] == [True, False]
    assert second.result() == b"new data"
    assert second.missed


def test_no_load_passes_an_upgrade_that_is_out() -> None:
    """In SM_A a load waits for the end of the Upgrade, also when its store was reported by T_REQ.

    [HSL-COH-048].
    """
    one = holding(A, St.S, t_req=T_REQ)
    one.submit(store(A), 0)
    one.tick(T_REQ)
    ticket = one.submit(load(A), T_REQ)
    assert one.state_of(A) == "SM_A"
    assert not ticket.done
    (request,) = [message for message in drain(one) if message.op == Op.Upgrade]
    complete(one, request, St.E)
    assert ticket.result() == OLD[:8]


def test_lines_do_not_wait_for_each_other() -> None:
    """Requests of different lines are outstanding at once, each with the lowest free TXN [HSL-TXN-002]."""
    one = agent()
    for addr in (A, B, OTHER):
        one.submit(load(addr), 0)
    requests = drain(one)
    assert [request.txn for request in requests] == [0, 1, 2]
    complete(one, requests[1], St.S)
    one.submit(load(OTHER + LINE_BYTES * 2), 0)
    assert [request.txn for request in drain(one)] == [1]


def test_one_request_per_line() -> None:
    """Whatever waits, a line has at most one request outstanding [HSL-COH-027]."""
    one = agent()
    tickets = [one.submit(what, 0) for what in (load(A), store(A), line_of("store_line", A), load(A))]
    (request,) = drain(one)
    assert names(complete(one, request, St.S)) == ["CmpAck"]
    assert [ticket.done for ticket in tickets] == [True, False, False, False]
    (upgrade,) = drain(one)
    assert upgrade.op == Op.Upgrade
    complete(one, upgrade, St.E)
    assert all(ticket.done for ticket in tickets)
    assert one.peek(A) == NEW


def test_the_line_asks_again_only_when_its_ack_has_left() -> None:
    """D4: until the CmpAck has left the outbox the MSHR is busy, and neither its line nor another gets it."""
    one = agent(mshrs=1)
    one.submit(load(A), 0)
    (request,) = drain(one)
    one.submit(store(A), 0)
    one.submit(load(OTHER), 0)
    one.receive(Message(Op.CmpData, HOME, one.nid, request.txn, len=3, data=OLD, st=St.S, htxn=9), 0)
    one.tick(0)
    assert names(one.outbox) == ["CmpAck"]
    assert one.next_deadline() != 0
    one.outbox.clear()
    assert one.next_deadline() == 0  # due at once
    one.tick(0)
    assert len(one.outbox) == 1


# ---- ways, victims, MSHRs (5.2 D1)


def test_a_full_set_writes_its_oldest_line_back() -> None:
    """Evict or WbFull of the least recently used line makes room, before the request is sent."""
    one = holding(A, St.M)
    one.submit(load(B), 0)
    (request,) = drain(one)
    complete(one, request, St.E)
    one.submit(load(A), 0)  # B is now the oldest
    ticket = one.submit(load(C), 0)
    sent = drain(one)
    assert names(sent) == ["Evict", "ReadShared"]
    assert [message.addr for message in sent] == [B, C]
    one.submit(load(B), 0)
    assert one.state_of(B) == "II_A"
    complete(one, sent[1], St.S)
    assert ticket.done
    sent2 = complete(one, sent[0], St.I)
    assert names(sent2) == ["WbFull", "ReadShared"]
    assert (sent2[0].addr, sent2[0].data) == (A, NEW)
    assert one.counters.evictions == 2
    assert one.counters.writebacks == 1


def test_one_mshr_does_everything() -> None:
    """With one MSHR a miss in a full set first evicts, then asks: the way stays reserved between."""
    one = holding(A, St.M, mshrs=1, ways=1)
    ticket = one.submit(load(B), 0)
    (write_back,) = drain(one)
    assert write_back.op == Op.WbFull
    sent = complete(one, write_back, St.I)
    assert names(sent) == ["ReadShared"]
    complete(one, sent[0], St.E)
    assert ticket.result() == OLD[:8]
    assert one.cache.lines.keys() == {B}


def test_mshrs_are_never_exceeded_and_serve_the_oldest_first() -> None:
    """Accesses beyond the MSHRs wait, and are sent in the order in which they came."""
    one = agent(mshrs=2, sets=8)
    lines = [BASE + LINE_BYTES * i for i in range(6)]
    tickets = [one.submit(Access("read_once", addr, 8), 0) for addr in lines]
    flying = drain(one)
    seen = [message.addr for message in flying]
    while flying:
        assert len(one._outstanding) <= 2
        more = complete(one, flying.pop(), St.I)
        seen += [message.addr for message in more]
        flying += more
    assert all(ticket.done for ticket in tickets)
    assert seen == lines


def test_a_set_whose_lines_are_all_on_their_way_waits() -> None:
    """Without a victim the miss waits for a line of its set to come."""
    one = agent(ways=1)
    one.submit(load(A), 0)
    (first,) = drain(one)
    one.submit(load(B), 0)
    assert drain(one) == []
    assert names(complete(one, first, St.S)) == ["CmpAck"]
    assert names(drain(one)) == ["Evict", "ReadShared"]


def test_the_negotiated_txns_are_never_exceeded() -> None:
    """TXNs stay below the negotiated number, coherent and NCR together, and NCR leaves one for coherence."""
    one = agent(mshrs=8, ncrs=8, sets=8)
    one.attach(range(16), LOCAL._replace(max_txn=3))
    for i in range(8):
        one.submit(Access("ncwrite", 8 * i, 8, bytes(8), dst=1), 0)
        one.submit(load(BASE + LINE_BYTES * i), 0)
    sent = drain(one)
    assert sorted(message.txn for message in sent) == [0, 1, 2]
    assert {message.op for message in sent} == {Op.NcWrite, Op.ReadShared}


def test_pending_accesses_are_capped() -> None:
    """Beyond the cap of accesses pending or not collected, the next is refused with the limit."""
    one = agent(pending=3)
    for addr in (A, B, C):
        assert not one.full
        one.submit(load(addr), 0)
    assert one.full
    with pytest.raises(ConfigError, match="3 accesses"):
        one.submit(load(A), 0)
    for request in drain(one):
        complete(one, request, St.S)
    assert one.full
    one.completions()
    assert not one.full


def test_the_error_log_is_capped() -> None:
    """Errors that nobody collects are counted, not kept."""
    one = agent()
    for _ in range(ERROR_LOG_ENTRIES + 5):
        one.receive(Message(Op.Cmp, HOME, one.nid, 77), 0)
    assert len(one.errors) == ERROR_LOG_ENTRIES
    assert one.counters.unlogged == 5
    assert one.counters.proto == ERROR_LOG_ENTRIES + 5


@pytest.mark.parametrize(
    "bad", [{"nid": 1024}, {"mshrs": 0}, {"ncrs": 0}, {"pending": MAX_PENDING + 1}, {"max_txn": 4097}]
)
def test_a_configuration_has_limits(bad: dict[str, int]) -> None:
    """A number outside its range is a ConfigError with the range."""
    with pytest.raises(ConfigError, match="expected "):
        RequestConfig(**{"nid": 1, "address_map": AddressMap([]), **bad})  # type: ignore[arg-type]


# ---- what is sent


def test_the_messages_of_far_accesses() -> None:
    """WritePtl and atomics look as 5.12 says; fewer than 8 bytes travel in the 8 around them."""
    one = agent(mshrs=8, sets=16)
    one.submit(Access("write_ptl", A + 2, 2, b"ab"), 0)
    one.submit(Access("write_ptl", OTHER, 16, NEW[:16], be=0x0FF0), 0)
    one.submit(Access("atomic_load", B + 12, 4, b"\1\0\0\0", aop=Aop.ADD), 0)
    one.submit(Access("atomic_load", C, 8, OLD[:16], aop=Aop.CAS), 0)
    ptl, wide, add, cas = drain(one)
    assert ptl == Message(Op.WritePtl, FIRST, HOME, 0, 0, A, 0b1100, bytes(2) + b"ab" + bytes(4))
    assert wide == Message(Op.WritePtl, FIRST, HOME, 1, 1, OTHER, 0x0FF0, NEW[:16])
    assert add == Message(
        Op.AtomicLoad, FIRST, HOME, 2, 0, B + 12, None, bytes(4) + b"\1\0\0\0", aop=Aop.ADD, x=0
    )
    assert cas == Message(Op.AtomicLoad, FIRST, HOME, 3, 1, C, None, OLD[:16], aop=Aop.CAS, x=1)


def test_qos_and_trace_follow_the_cause() -> None:
    """QOS and TRACE of a snoop are in its answer, those of a completion in its CmpAck (2.6)."""
    one = agent()
    one.submit(load(A), 0)
    (request,) = drain(one)
    (ack,) = complete(one, request, St.E, qos=2, trace=1)
    assert ack == Message(Op.CmpAck, FIRST, HOME, 9, qos=2, trace=1)
    answer = snoop(one, Op.SnpInv, A, qos=3, trace=1)
    assert answer == Message(Op.SnpRsp, FIRST, HOME, 5, st=St.I, qos=3, trace=1)


def test_the_data_of_far_reads() -> None:
    """ReadOnce returns the bytes asked for, AtomicLoad the old value from its place in the granule."""
    one = agent()
    once = one.submit(Access("read_once", A + 5, 3), 0)
    (request,) = drain(one)
    complete(one, request, St.I)
    assert once.result() == OLD[5:8]
    add = one.submit(Access("atomic_load", A + 12, 4, b"\1\0\0\0", aop=Aop.ADD), 0)
    (request,) = drain(one)
    old = bytes(4) + b"wxyz"
    one.receive(Message(Op.CmpData, HOME, FIRST, request.txn, len=0, data=old), 0)
    assert add.result() == b"wxyz"


def test_what_starves_goes_before_a_newcomer() -> None:
    """When the CmpAck has left, the access that waited for its MSHR is sent before one that comes now."""
    one = agent(mshrs=1)
    one.submit(load(A), 0)
    (request,) = drain(one)
    one.submit(load(B), 0)
    one.receive(Message(Op.CmpData, HOME, FIRST, request.txn, len=3, data=OLD, st=St.S, htxn=9), 0)
    one.outbox.clear()
    one.submit(load(OTHER), 0)
    assert [message.addr for message in one.outbox] == [B]


def test_a_line_taken_before_its_ack_left_is_forgotten() -> None:
    """A line that is snooped away while its CmpAck is still here leaves nothing behind."""
    one = agent()
    one.submit(load(A), 0)
    (request,) = drain(one)
    one.receive(Message(Op.CmpData, HOME, FIRST, request.txn, len=3, data=OLD, st=St.S, htxn=9), 0)
    snoop(one, Op.SnpInv, A)
    assert names(drain(one)) == ["CmpAck", "SnpRsp"]
    assert not one.cache.lines
    assert one.idle


def test_counters() -> None:
    """Hits, misses, fills, evictions, writebacks, snoops and near atomics are counted."""
    one = holding(A, St.M, ways=1)
    one.submit(load(A), 0)
    one.submit(Access("atomic_store", A, 8, bytes(8), aop=Aop.ADD), 0)
    snoop(one, Op.SnpCur, A)
    one.submit(load(B), 0)
    assert {name: count for name, count in one.counters.as_dict().items() if count} == {
        "hits": 2,
        "misses": 2,
        "evictions": 1,
        "writebacks": 1,
        "snoops": 1,
        "snoop_data": 1,
        "near_atomics": 1,
    }


def test_t_req_of_a_later_request_is_not_held_up_by_an_earlier_one_in_a_greater_unit() -> None:
    """The slow peer has gone; each timer keeps its own end. HSL 5.11 [HSL-LNK-061]."""
    one = agent()
    one.set_tu(1 << 22)
    slow = one.submit(load(A), 0)
    one.set_tu(1 << 6)
    fast = one.submit(load(B), 0)
    t_req = TIMERS["T_REQ"].tu << 6
    assert one.next_deadline() == t_req
    one.tick(t_req)
    assert (slow.done, fast.done) == (False, True)
