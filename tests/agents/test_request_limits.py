"""The request agent: its caps, the accesses it refuses, and fences (HSL 5.9, 5.12)."""

import pytest

from hsl._generated.constants import Aop, AtomicClass, Err, St
from hsl.agents.access import Access, Order
from hsl.agents.peers import LOCAL
from hsl.errors import ConfigError, TransactionError
from tests.support.agents import NEW, OLD, OTHER, A, complete, drain, holding, line_of, load, names, store
from tests.support.coherence import BASE, SIZE, agent

T_REQ = 1000


# ---- accesses that are refused


@pytest.mark.parametrize(
    "what",
    [
        Access("jump"),
        Access("load", A, 0),
        Access("load", A + 60, 8),
        Access("load", 1 << 52, 1),
        Access("load", A, 4, b"data"),
        Access("store", A, 4, b"dat"),
        Access("store_line", A + 8, 64, NEW),
        Access("write_full", A, 32, NEW[:32]),
        Access("write_ptl", A, 3, b"abc"),
        Access("write_ptl", A + 4, 8, bytes(8)),
        Access("write_ptl", A, 8, bytes(8), be=1 << 8),
        Access("atomic_load", A + 4, 8, bytes(8), aop=Aop.ADD),
        Access("atomic_store", A, 4, bytes(4), aop=Aop.SWAP),
        Access("ncread", 0, 8, dst=1024),
        Access("ncread", 0, 8, stream=32),
        Access("ncread", 0, 8, b"x"),
        Access("ncwrite", 4, 8, bytes(8)),
        Access("intr", 0, 8, bytes(4)),
    ],
)
def test_illegal_accesses_are_refused(what: Access) -> None:
    """An access that no message could carry, or that leaves its line, is a ConfigError without a trace."""
    one = agent()
    with pytest.raises(ConfigError):
        one.submit(what, 0)
    assert one.idle
    assert not one.cache.lines


def test_addresses_without_a_home_end_with_decode() -> None:
    """Outside the map, and in MMIO, a coherent access ends with DECODE, and no message is sent."""
    one = agent()
    ticket = one.submit(load(BASE + SIZE), 0)
    assert ticket.err == Err.DECODE
    with pytest.raises(TransactionError) as caught:
        ticket.result()
    assert caught.value.code == Err.DECODE
    assert one.idle
    assert not one.cache.lines


def test_atomics_that_were_not_negotiated_end_with_unsup() -> None:
    """An operation of a class that the peer does not have is not done, near or far."""
    one = holding(A, St.M)
    assert one.submit(Access("atomic_load", A, 16, bytes(32), aop=Aop.CAS), 0).err == Err.UNSUP
    assert one.submit(Access("atomic_store", A, 4, bytes(4), aop=Aop.FADD32), 0).err == Err.UNSUP
    one.attach(range(16), LOCAL._replace(atomics=AtomicClass.CAS16 | AtomicClass.FADD32))
    assert one.submit(Access("atomic_load", A, 16, NEW[:16] + OLD[:16], aop=Aop.CAS), 0).result() == NEW[:16]
    assert one.submit(Access("atomic_store", A, 8, bytes(8), aop=Aop.FADD64), 0).err == Err.UNSUP
    assert one.peek(A) == OLD[:16] + NEW[16:]
    half = bytes.fromhex("0000003f")
    one.submit(Access("store", A, 4, half), 0)
    assert one.submit(Access("atomic_load", A, 4, half, aop=Aop.FADD32), 0).result() == half
    assert one.submit(Access("load", A, 4), 0).result() == bytes.fromhex("0000803f")


# ---- fences (5.9)


def test_a_fence_waits_for_what_came_before_and_holds_what_comes_after() -> None:
    """The fence ends with the last earlier access; later ones are not even sent before."""
    one = agent()
    first = one.submit(store(A), 0)
    fence = one.submit(Access("fence"), 0)
    later = one.submit(load(OTHER), 0)
    (request,) = drain(one)
    assert (first.done, fence.done, later.done) == (False, False, False)
    sent = complete(one, request, St.E, now=3)
    assert (first.finished, fence.finished) == (3, 3)
    assert names(sent) == ["CmpAck", "ReadShared"]


def test_a_fence_orders_the_kinds_it_names() -> None:
    """A fence of stores does not wait for loads."""
    one = agent()
    one.submit(load(A), 0)
    assert one.submit(Access("fence", order=Order.STORE | Order.NCR), 0).done
    assert not one.submit(Access("fence", order=Order.LOAD), 0).done


def test_many_fences_in_a_row() -> None:
    """A queue of fences, as long as accesses may pend, ends in one go."""
    one = agent(pending=4096)
    one.submit(load(A), 0)
    fences = [one.submit(Access("fence"), 0) for _ in range(4095)]
    (request,) = drain(one)
    complete(one, request, St.S)
    assert all(fence.done for fence in fences)


def test_evictions_take_no_part_in_order() -> None:
    """A fence does not wait for Cmp of an Evict or WbFull (5.9)."""
    one = holding(A, St.M)
    one.submit(Access("evict", A), 0)
    assert one.submit(Access("fence"), 0).done


def test_a_report_is_no_completion_for_a_fence() -> None:
    """T_REQ reports the access, but the fence waits for the real end of its request (5.9)."""
    one = agent(t_req=T_REQ)
    ticket = one.submit(line_of("write_full", A), 0)
    (request,) = drain(one)
    fence = one.submit(Access("fence"), 0)
    one.tick(T_REQ)
    assert (ticket.err, fence.done) == (Err.UNREACH, False)
    complete(one, request, St.I)
    assert fence.done
