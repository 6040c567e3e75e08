"""Request agents and the home together, at random: nothing that the judges forbid ever happens."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsl._generated.constants import Err
from hsl.agents.access import Access
from hsl.agents.invariants import directory_exact, single_writer
from hsl.agents.peers import LOCAL
from tests.agents.home_rig import NO_HAND
from tests.support.coherence import FIRST, HOME, Network, agent, random_access


def network(seed: int, refuse: float = 0, **config: Any) -> Network:
    """Two to four agents with tiny caches and few lines, all from the seed."""
    rng = Random(seed)
    agents = [
        agent(
            FIRST + i,
            sets=rng.choice([1, 2]),
            ways=rng.choice([1, 2, 3]),
            mshrs=rng.choice([1, 2, 4]),
            **config,
        )
        for i in range(rng.choice([2, 3, 4]))
    ]
    lines, tshrs = rng.choice([1, 2, 4, 8]), rng.choice([1, 2, 8])
    negotiated = rng.choice([LOCAL, NO_HAND])
    return Network(rng, agents, lines=lines, refuse=refuse, tshrs=tshrs, negotiated=negotiated)


@pytest.mark.parametrize("seed", range(12))
def test_random_accesses(seed: int) -> None:
    """Thousands of accesses over an unordered network agree with the reference memory at every step."""
    net = network(seed)
    net.play(4000)
    for one in net.agents.values():
        assert one.counters.hits > 0
        assert one.counters.misses > 0


@pytest.mark.parametrize("seed", range(4))
def test_random_accesses_of_which_some_are_refused(seed: int) -> None:
    """Requests that are refused at arrival change nothing, and nothing else goes wrong (5.13)."""
    net = network(1000 + seed, refuse=0.1)
    net.play(3000)


@pytest.mark.parametrize("seed", range(4))
def test_random_accesses_while_homes_are_busy(seed: int) -> None:
    """Accesses that end with BUSY are presented again, in their order, and all end well. [HSL-COH-048]."""
    net = network(3000 + seed, tu=1, t_req=1 << 40)
    net.busy = 0.2
    net.play(2000)
    assert sum(one.counters.retries for one in net.agents.values()) > 10


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    geometry=st.lists(
        st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(1, 4)),
        min_size=1,
        max_size=4,
    ),
    lines=st.integers(1, 6),
    tshrs=st.integers(1, 3),
)
def test_any_geometry(seed: int, geometry: list[tuple[int, int, int, int]], lines: int, tshrs: int) -> None:
    """Whatever the sizes of caches, MSHRs, TXN spaces and TSHRs, runs end and are coherent."""
    agents = [
        agent(FIRST + i, sets=sets, ways=ways, mshrs=mshrs, max_txn=txns)
        for i, (sets, ways, mshrs, txns) in enumerate(geometry)
    ]
    Network(Random(seed), agents, lines, tshrs=tshrs).play(200)


@pytest.mark.parametrize("seed", range(8))
def test_random_loss_and_return_of_an_agent(seed: int) -> None:
    """The others of a fenced node stay coherent, and it comes back with nothing cached [HSL-COH-037]."""
    net = network(2000 + seed)
    lost = net.agents[FIRST]
    others = [one for one in net.agents.values() if one is not lost]
    play_without_values(net, 300)
    net.home.fence(FIRST, net.now)
    collect(net)
    for _ in range(300):
        turn(net)
        for addr in net.lines:
            single_writer(others, addr)
    lost.home_lost(HOME, net.now)
    assert all(ticket.done for ticket in lost.completions())
    assert lost.idle
    assert lost.submit(Access("load", net.lines[0], 8), net.now).err == Err.UNREACH
    net.flying = [message for message in net.flying if FIRST not in (message.src, message.dst)]
    net.home.readmit(FIRST)
    lost.readmit(HOME)
    play_without_values(net, 300)
    while net.flying:
        turn(net, submit=False)
    for addr in net.lines:
        directory_exact(net.agents.values(), addr, net.home.directory_of(addr))
    assert all(one.idle for one in net.agents.values())


def collect(net: Network) -> None:
    net.flying += net.home.outbox
    net.home.outbox.clear()


def turn(net: Network, submit: bool = True) -> None:
    """One step, without the reference memory: what a lost owner wrote is gone."""
    net.now += 1
    if net.flying and (not submit or net.rng.random() < 0.75):
        message = net.flying.pop(net.rng.randrange(len(net.flying)))
        if message.dst == HOME:
            net.home.receive(message, net.now)
            collect(net)
        else:
            net.agents[message.dst].receive(message, net.now)
    elif submit:
        one = net.agents[net.rng.choice(list(net.agents))]
        if not one.full:
            one.submit(random_access(net.rng, net.lines), net.now)
    for one in net.agents.values():
        one.completions()
        while one.outbox:
            net.flying += one.outbox
            one.outbox.clear()
            one.tick(net.now)


def play_without_values(net: Network, steps: int) -> None:
    for _ in range(steps):
        turn(net)
        for addr in net.lines:
            single_writer(net.agents.values(), addr)
