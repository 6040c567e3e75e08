"""When a node permits low power, and that its accesses wake the link (HSL 3.7)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from hsl._generated.constants import PM_IDLE_HOLDOFF_TU, LinkState, Power
from hsl.engine.config import MAX_IDLE_TU
from hsl.engine.node import Node
from hsl.errors import ConfigError
from tests.engine.wires import DEVICE, HOST, TU_EXPONENT, Peer, Wire, node

TU = 1 << TU_EXPONENT
IDLE = 20
LOW: dict[str, Any] = {"power": int(Power.L1)}


def sleepy(base: int, idle_tu: int = IDLE) -> Node:
    return Node(replace(node(base, **LOW).config, l1_idle_tu=idle_tu))


def both(wire: Wire) -> list[LinkState]:
    return [each.ports[0].state(0) for each in wire.nodes]


def asleep(wire: Wire) -> bool:
    return both(wire) == [LinkState.L1, LinkState.L1]


def rest(wire: Wire, duration: int) -> None:
    """Let time pass; when both sleep nothing happens in it."""
    end = wire.now + duration
    wire.run(lambda: wire.now >= end or asleep(wire))
    wire.now = max(wire.now, end)


@pytest.fixture
def wire() -> Wire:
    wire = Wire(sleepy(0), sleepy(16, 0))
    wire.connect()
    return wire


def test_an_idle_port_goes_to_l1_after_its_time(wire: Wire) -> None:
    """Not before `l1_idle_tu` of an idle port have passed, and at that instant both sides go."""
    (left, _), began = wire.nodes, wire.now
    wire.run(lambda: left.next_deadline() == began + IDLE * TU)
    assert both(wire) == [LinkState.ACTIVE, LinkState.ACTIVE]
    wire.run(lambda: asleep(wire))
    assert wire.now == began + IDLE * TU
    wire.step()
    assert [each.next_deadline() for each in wire.nodes] == [None, None]


def test_an_access_wakes_the_link_and_it_sleeps_again(wire: Wire) -> None:
    """Each access from either side wakes the link and ends as it should; then it goes back to L1."""
    left, right = wire.nodes
    assert isinstance(left, Node)
    assert isinstance(right, Node)
    for turn in range(10):
        wire.run(lambda: asleep(wire))
        agent, nid, other, there = (left, 2, right, 18) if turn % 2 else (right, 18, left, 2)
        data = turn.to_bytes(8, "little")
        for base in (HOST, DEVICE):
            wire.finish(agent.store(nid, base, data, wire.now))
            ticket = other.load(there, base, 8, wire.now)
            wire.finish(ticket)
            assert ticket.result() == data
    assert all(each.ports[0].links[0].rc == 0 for each in wire.nodes)
    assert left.ports[0].links[0].counters.recoveries == 0


def test_traffic_starts_the_time_again(wire: Wire) -> None:
    """A port that is used more often than every `l1_idle_tu` stays ACTIVE."""
    left, _ = wire.nodes
    assert isinstance(left, Node)
    for line in range(20):
        ticket = left.load(2, DEVICE + 64 * line, 8, wire.now)
        wire.finish(ticket)
        rest(wire, 5 * TU)
        assert both(wire)[0] is LinkState.ACTIVE
    wire.run(lambda: asleep(wire))


def test_off_by_default() -> None:
    """Without `l1_idle_tu` nobody asks, though both offer L1."""
    wire = Wire(node(0, **LOW), node(16, **LOW))
    wire.connect()
    rest(wire, 5000 * TU)
    assert both(wire) == [LinkState.ACTIVE, LinkState.ACTIVE]


def test_refused_and_asked_again() -> None:
    """A busy peer refuses; the node asks again, and the link after the holdoff: then both sleep."""
    peer = Peer(16, **LOW)
    wire = Wire(sleepy(0), peer)
    wire.connect()
    peer.releases = False
    left = wire.nodes[0]
    assert isinstance(left, Node)
    left.store(2, DEVICE, bytes(8), wire.now)
    wire.run(lambda: bool(peer.messages))
    link = left.ports[0].links[0]
    peer.release()  # a credit is returnable until T_CR: the peer is not idle
    wire.run(lambda: link.state is LinkState.L1 or link.pm_quiet_until > 0)
    wire.run(lambda: link.state is LinkState.L1)
    assert wire.now <= link.pm_quiet_until + (PM_IDLE_HOLDOFF_TU + IDLE) * TU


def test_losses_under_sleep() -> None:
    """With a tenth of all flits lost, every access of both nodes ends right and the link keeps sleeping."""
    rng = Random(5)
    wire = Wire(sleepy(0, 3), sleepy(16, 3))
    wire.connect()
    wire.drop = lambda side, flit: rng.random() < 0.1
    left, right = wire.nodes
    assert isinstance(left, Node)
    assert isinstance(right, Node)
    seen = 0
    for turn in range(60):
        agent, nid = rng.choice([(left, 2), (left, 3), (right, 18), (right, 19)])
        address = rng.choice([HOST, DEVICE]) + 64 * rng.randrange(4)
        data = turn.to_bytes(8, "little")
        wire.finish(agent.store(nid, address, data, wire.now))
        rest(wire, rng.randrange(200) * TU)
        seen += LinkState.L1 in both(wire)
        ticket = left.load(2, address, 8, wire.now)
        wire.finish(ticket)
        assert ticket.result() == data
    assert seen > 10
    assert all(each.connected for each in wire.nodes)


@pytest.mark.parametrize("value", [-1, MAX_IDLE_TU + 1, 1.5])
def test_limits(value: Any) -> None:
    """A time outside 0..MAX_IDLE_TU is a ConfigError."""
    with pytest.raises(ConfigError, match="l1_idle_tu"):
        replace(node(0).config, l1_idle_tu=value)
