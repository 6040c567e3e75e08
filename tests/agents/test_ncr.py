"""The non-coherent requests of an agent (HSL 5.10, 5.14)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op, St
from hsl.agents.access import Access
from hsl.agents.peers import LOCAL
from hsl.codec.message import Message
from hsl.errors import TransactionError
from tests.support.agents import A, B, complete, drain, load
from tests.support.coherence import FIRST, agent

T_REQ = 1000


def test_ncr_messages() -> None:
    """Doorbell, small read and interrupt look as 5.14 says, with TXNs of the common space."""
    one = agent()
    one.submit(load(A), 0)
    one.submit(Access("ncwrite", 0x100, 8, b"doorbell", dst=1, stream=3), 0)
    read = one.submit(Access("ncread", 0x106, 2, dst=1), 0)
    one.submit(Access("intr", 0, 8, b"\1\0\0\0\2\0\0\0", dst=1, stream=4), 0)
    _, write, small, intr = drain(one)
    assert write == Message(Op.NcWrite, FIRST, 1, 1, 0, 0x100, None, b"doorbell", aop=3)
    assert small == Message(Op.NcRead, FIRST, 1, 2, 0, 0x100, 0b11000000)
    assert intr == Message(Op.Intr, FIRST, 1, 3, 0, 0, None, b"\1\0\0\0\2\0\0\0", aop=4)
    one.receive(Message(Op.CmpData, 1, FIRST, 2, len=0, data=bytes(6) + b"ok"), 4)
    assert read.result() == b"ok"


def test_ncr_is_sent_in_order_and_capped() -> None:
    """NCR leaves in the order of submission, at most `ncrs` at a time."""
    one = agent(ncrs=2)
    tickets = [one.submit(Access("ncwrite", 8 * i, 8, bytes(8), dst=1), 0) for i in range(5)]
    seen: list[int] = []
    while sent := drain(one):
        assert len(sent) <= 2
        for message in sent:
            seen.append(message.addr)
            one.receive(Message(Op.Cmp, 1, FIRST, message.txn), 0)
    assert seen == [0, 8, 16, 24, 32]
    assert all(ticket.done for ticket in tickets)


@pytest.mark.parametrize(
    "bad",
    [
        Message(Op.CmpData, 1, FIRST, 0, len=0, data=bytes(8)),
        Message(Op.Cmp, 1, FIRST, 1),
        Message(Op.CmpData, 1, FIRST, 1, len=1, data=bytes(16)),
        Message(Op.Cmp, 2, FIRST, 0),
    ],
)
def test_wrong_ncr_completions_are_refused(bad: Message) -> None:
    """Data for a write, none for a read, another LEN or another node: PROTO, and the request goes on."""
    one = agent()
    write = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    read = one.submit(Access("ncread", 0, 8, dst=1), 0)
    drain(one)
    one.receive(bad, 0)
    assert one.counters.proto == 1
    assert not write.done
    assert not read.done


def test_ncr_errors_and_poison_are_told() -> None:
    """An NCR ends with the ERR of its completion; poisoned read data are marked."""
    one = agent()
    write = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    read = one.submit(Access("ncread", 0, 8, dst=1), 0)
    drain(one)
    one.receive(Message(Op.Cmp, 1, FIRST, 0, err=Err.DECODE), 0)
    one.receive(Message(Op.CmpData, 1, FIRST, 1, data=bytes(8), poison=1), 0)
    assert write.err == Err.DECODE
    assert read.poison


def test_an_ncr_that_is_never_answered_keeps_its_txn() -> None:
    """First T_REQ: UNREACH. Second: nothing, the TXN stays taken until the port goes down (5.11)."""
    one = agent(t_req=T_REQ)
    ticket = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    drain(one)
    one.tick(T_REQ)
    assert ticket.err == Err.UNREACH
    one.tick(2 * T_REQ)
    assert one.next_deadline() is None
    assert not one.lost
    one.submit(load(A), 0)
    assert [message.txn for message in drain(one)] == [1]
    one.home_lost(1, 3 * T_REQ)
    one.submit(load(B), 0)
    assert [message.txn for message in drain(one)] == [0]


def test_a_node_that_answers_no_ncr_costs_only_its_own() -> None:
    """NCR to others go on whatever one target does; to it they end UNREACH once `ncrs` are without answer.

    A late answer makes room again. HSL 5.11, 6.3.
    """
    one = agent(ncrs=2, t_req=T_REQ)
    silent = [one.submit(Access("ncwrite", 8 * i, 8, bytes(8), dst=1), 0) for i in range(4)]
    other = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=2), 0)
    sent = drain(one)
    assert [message.dst for message in sent] == [1, 1, 2]
    one.receive(Message(Op.Cmp, 2, FIRST, sent[2].txn), 1)
    assert other.done
    one.tick(T_REQ)
    assert [ticket.err for ticket in silent] == [Err.UNREACH] * 4
    assert one.submit(Access("ncread", 0, 8, dst=1), T_REQ).err == Err.UNREACH
    one.tick(2 * T_REQ)
    again = one.submit(Access("ncread", 0, 8, dst=2), 2 * T_REQ)
    assert [message.dst for message in drain(one)] == [2]
    assert not again.done
    one.receive(Message(Op.Cmp, 1, FIRST, sent[0].txn), 2 * T_REQ)
    late = one.submit(Access("ncread", 0, 8, dst=1), 2 * T_REQ)
    assert [message.dst for message in drain(one)] == [1]
    assert not late.done
    one.home_lost(1, 3 * T_REQ)
    assert late.err == Err.UNREACH
    one.readmit(1)
    one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    one.submit(Access("ncwrite", 8, 8, bytes(8), dst=1), 0)
    assert [message.dst for message in drain(one)] == [1, 1]


@pytest.mark.parametrize("max_txn", [1, 2, 5, 16])
def test_silent_targets_leave_txns_for_others(max_txn: int) -> None:
    """However few TXNs there are, one target holds at most a quarter of them, but one at least. HSL 5.11."""
    one = agent(ncrs=16, max_txn=max_txn)
    for i in range(16):
        one.submit(Access("ncwrite", 8 * i, 8, bytes(8), dst=1), 0)
    assert len(drain(one)) == max(1, max_txn // 4)


@pytest.mark.parametrize("max_txn", [3, 4, 5])
def test_silent_targets_leave_a_txn_for_coherent_requests(max_txn: int) -> None:
    """NCR to as many silent targets as there are TXNs leave two, for an NCR that sinks and for a load.

    HSL 5.11, 6.3 [HSL-NCR-005].
    """
    one = agent(ncrs=16, max_txn=max_txn)
    for dst in range(1, max_txn + 2):
        one.submit(Access("ncwrite", 0, 8, bytes(8), dst=dst), 0)
    assert len(drain(one)) == max_txn - 2, "6.3: ordinary NCR hold all TXNs but two"
    for dst in (max_txn + 2, max_txn + 3):
        one.submit(Access("trans_req", 0, dst=dst), 0)
    assert len(drain(one)) == 1, "6.3: NCR hold all TXNs but one"
    read = one.submit(load(A), 0)
    (request,) = drain(one)
    assert (request.op, request.txn) == (Op.ReadShared, max_txn - 1)
    complete(one, request, St.S)
    assert read.err == Err.OK


def test_ncr_to_a_lost_node_ends_at_once() -> None:
    """What waits for a lost node, or is asked of it later, ends with UNREACH; others go on."""
    one = agent(ncrs=1)
    first = one.submit(Access("ncwrite", 0, 8, bytes(8), dst=1), 0)
    queued = one.submit(Access("ncwrite", 8, 8, bytes(8), dst=1), 0)
    other = one.submit(Access("ncwrite", 16, 8, bytes(8), dst=2), 0)
    assert [message.dst for message in drain(one)] == [1, 2]
    one.home_lost(1, 0)
    assert (first.err, queued.err, other.done) == (Err.UNREACH, Err.UNREACH, False)
    one.receive(Message(Op.Cmp, 2, FIRST, 1), 0)
    assert other.err == Err.OK
    assert one.submit(Access("ncread", 0, 8, dst=1), 0).err == Err.UNREACH


def test_a_ticket_tells_what_it_is() -> None:
    """An open ticket has no result, and its text names the access."""
    one = agent()
    ticket = one.submit(load(A), 0)
    with pytest.raises(TransactionError, match=f"load at {A:#x} by node {FIRST} is not finished"):
        ticket.result()
    assert "open" in repr(ticket)
    (request,) = drain(one)
    complete(one, request, St.S, now=7)
    assert "OK at 7" in repr(ticket)


@pytest.mark.parametrize("kind", ["ncread", "ncwrite"])
def test_no_fence_waits_for_an_ncr_that_is_never_answered(kind: str) -> None:
    """After its second T_REQ others go on; a late answer changes nothing. [HSL-NCR-014]."""
    one = agent(t_req=T_REQ)
    access = Access(kind, 0, 8, bytes(8) if kind == "ncwrite" else b"", dst=1)
    silent, fence, read = one.submit(access, 0), one.submit(Access("fence"), 0), one.submit(load(A), 0)
    (request,) = drain(one)
    one.tick(T_REQ)
    assert (silent.err, fence.done) == (Err.UNREACH, False), "5.9 F1: reported, not complete"
    one.tick(2 * T_REQ)
    assert fence.done
    (other,) = drain(one, 2 * T_REQ)
    complete(one, other, St.S, 2 * T_REQ)
    assert read.err == Err.OK
    one.receive(Message(Op.Cmp, 1, FIRST, request.txn, err=Err.DECODE), 3 * T_REQ)
    assert silent.err == Err.UNREACH
    second = one.submit(Access("fence"), 3 * T_REQ)
    assert second.done, "5.9 F1: no access is counted twice"


def test_what_stands_behind_an_intr_that_is_never_answered_ends() -> None:
    """An Intr beyond T_REQ holds nothing, until its answer opens the stream again. [HSL-NCR-006]."""
    one = agent(t_req=T_REQ)
    intr = Access("intr", 0, 8, bytes(8), dst=1, stream=3)
    write = Access("ncwrite", 0x100, 8, bytes(8), dst=1, stream=3)
    first, held = one.submit(intr, 0), one.submit(write, 0)
    (request,) = drain(one)
    one.tick(T_REQ)
    assert (first.err, held.err) == (Err.UNREACH, Err.UNREACH)
    assert one.submit(write, T_REQ).err == Err.UNREACH
    one.receive(Message(Op.Cmp, 1, FIRST, request.txn), T_REQ)
    assert not one.submit(write, T_REQ).done
    assert [message.op for message in drain(one)] == [Op.NcWrite]


@pytest.mark.parametrize("max_txn", [4, 16])
def test_a_silent_node_leaves_txns_that_all_nodes_take(max_txn: int) -> None:
    """A node with a small MAX_TXN can be asked whatever another one leaves unanswered. [HSL-NCR-015]."""
    one = agent(ncrs=64, max_txn=64)
    one.attach(range(1, 2), LOCAL._replace(max_txn=64), 0)
    one.attach(range(2, 3), LOCAL._replace(max_txn=max_txn), 1)
    one.attach(range(3, 4), LOCAL._replace(max_txn=1), 2)
    for i in range(16):
        one.submit(Access("ncwrite", 8 * i, 8, bytes(8), dst=1), 0)
        one.submit(Access("trans_req", i, dst=1), 0)
    taken = [message.txn for message in drain(one)]
    assert len(taken) == 32, "5.10: its own share"
    assert sum(txn < max_txn for txn in taken) <= max(0, max_txn - 2), "5.10: two are kept"
    one.submit(load(A), 0)
    assert [message.txn < max_txn for message in drain(one)] == [True]


def test_an_ncr_waits_for_a_txn_that_its_target_takes() -> None:
    """The TXN of an NCR lies below what its target has negotiated, whatever others hold. HSL 2.6."""
    one = agent()
    one.attach(range(1, 2), LOCAL._replace(max_txn=2))
    for addr in (A, B):
        one.submit(load(addr), 0)
    held = drain(one)
    one.submit(Access("ncread", 1 << 40, 8, dst=1), 0)
    assert [message.txn for message in held] == [0, 1]
    assert [message for message in drain(one) if message.op == Op.NcRead] == [], "2.6: both TXNs are in use"


@pytest.mark.parametrize("kind", ["ncwrite", "intr"])
def test_a_silent_node_stops_no_ncr_to_a_node_that_takes_fewer_txns(kind: str) -> None:
    """NCR to other nodes go on, and the fence behind them. HSL 5.10 [HSL-NCR-015]."""
    silent, good = 1, 2
    one = agent(ncrs=64, max_txn=64, t_req=T_REQ)
    one.attach(range(silent, silent + 1), LOCAL._replace(max_txn=64), 0)
    one.attach(range(good, good + 1), LOCAL._replace(max_txn=8), 1)
    for stream in range(16):
        one.submit(Access(kind, 0, 8, bytes(8), dst=silent, stream=stream), 0)
    assert len(drain(one)) == 16
    one.tick(T_REQ)
    one.tick(2 * T_REQ)
    one.submit(Access(kind, 0, 8, bytes(8), dst=good), 2 * T_REQ)
    assert [message.dst for message in drain(one, 2 * T_REQ)] == [good]
