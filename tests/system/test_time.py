"""hsl.System: virtual time, tickets and fences."""

from __future__ import annotations

import pytest

import hsl
from hsl.emulator import machine


def test_latency(s: hsl.System) -> None:
    """A miss leaves at once, from either side: it takes one round trip of a wire of 100 ns, and a little."""
    for agent, addr in ((s.gpu, 0x40), (s.cpu, s.gpu.memory.base)):
        before = s.now
        agent.load(addr)
        assert 200 <= s.now - before < 210


def test_time(s: hsl.System) -> None:
    """A miss takes virtual time, a hit none, run() as much as it is told."""
    before = s.now
    s.gpu.load(0x40)
    missed = s.now
    assert missed > before
    s.gpu.load(0x48)
    assert s.now == missed
    s.run(1000)
    assert s.now == missed + 1000


def test_hits_without_end(s: hsl.System) -> None:
    """More hits than an agent has room for tickets are no problem, though nothing moves between them."""
    s.cpu.store(0x40, b"x")
    for _ in range(5000):
        assert s.cpu.load(0x40, 1) == b"x"


def test_submit_overlaps(s: hsl.System) -> None:
    """Submitted accesses of two agents are under way together; a fence of stores waits for the stores."""
    loads = [agent.submit(hsl.Access("load", 0x1000, 8)) for agent in s.gpus + s.cpus[:1]]
    stores = [s.gpu.submit(hsl.Access("store", 64 * i, 1, b"x")) for i in range(8)]
    assert not any(ticket.done for ticket in loads[:1] + stores)
    s.gpu.fence("store")
    assert all(ticket.done for ticket in stores)
    assert s.wait(*loads) == [bytes(8), bytes(8)]


@pytest.mark.parametrize(
    ("kinds", "awaited"),
    [
        ((), {"load", "store", "ncread"}),
        (("load",), {"load"}),
        (("store",), {"store"}),
        (("ncr",), {"ncread"}),
        (("load", "ncr"), {"load", "ncread"}),
    ],
)
def test_a_fence_waits_for_its_kinds(s: hsl.System, kinds: tuple[str, ...], awaited: set[str]) -> None:
    """fence() waits for accesses of the kinds that it names, for all without any, and for no others."""
    far = (hsl.Access("load", 0x40, 8), hsl.Access("store", 0x80, 1, b"x"), hsl.Access("ncread", 1 << 40, 8))
    for access in far:
        ticket = s.gpu.submit(access)
        s.gpu.fence(*kinds)
        assert ticket.done == (access.kind in awaited)
        s.wait(ticket)


def test_results_in_the_order_of_the_tickets(s: hsl.System) -> None:
    """wait() returns results in the order of its tickets, whichever access ends first."""
    near = s.gpu.memory.base
    s.cpu.store(0x40, b"far")
    s.gpu.store(near, b"near")
    s.gpu.flush(near)
    tickets = [s.gpu.submit(hsl.Access("load", addr, size)) for addr, size in ((0x40, 3), (near, 4))]
    assert s.wait(*tickets) == [b"far", b"near"]
    assert (tickets[0].finished or 0) > (tickets[1].finished or 0)


def test_ticket_of_another_system(s: hsl.System) -> None:
    """wait() refuses an open ticket of another system, for which it would wait without end."""
    with hsl.System() as other:
        ticket = other.gpu.submit(hsl.Access("load", 0x40, 8))
        with pytest.raises(hsl.ConfigError, match=r"Ticket\(load 0x40 .* is of another system"):
            s.wait(ticket)
        assert other.wait(ticket) == [bytes(8)]
    assert s.wait(ticket) == [bytes(8)]  # it has ended: nothing to wait for


def test_open_tickets_are_not_kept(s: hsl.System) -> None:
    """Accesses that end without a wait do not add up; a ticket from before a sweep can be waited for."""
    first = s.gpu.submit(hsl.Access("load", 0xF0000, 8))
    most = 0
    for turn in range(12):
        for line in range(500):
            s.cpu.submit(hsl.Access("flush", 64 * (500 * (turn % 2) + line)))
        most = max(most, len(s._machine._open))
        if turn:
            s.run(20_000)
    assert most <= machine.MIN_SWEEP
    assert s.wait(first) == [bytes(8)]
