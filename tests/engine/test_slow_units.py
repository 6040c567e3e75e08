"""The unit of the transaction timers of a node, and how slow the peers of a home may be (HSL 3.3.2, 5.11)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsl._generated.constants import TIMERS, ErrorCode, Role
from hsl.agents.access import Access
from hsl.agents.home import HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.request_config import RequestConfig
from hsl.engine.node import Node, NodeConfig
from hsl.errors import ConfigError
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire
from tests.engine.star import GPUS, MAP, SIZE, Dead, Holder, port

A, B = GPUS["a"], GPUS["b"]
USUAL, SLOW = 6, 7  # exponents


def hub(*offers: int, home: bool = True) -> Node:
    """Core 2, home 0 or none, and a port for each SLOW_EXP."""
    roles = Role.RA | Role.HA if home else Role.RA
    return Node(
        NodeConfig(
            ports=[port(0, roles, slow_exp=slow) for slow in offers],
            agents=[RequestConfig(nid=2, address_map=MAP, tu=1 << USUAL)],
            homes=[(HomeConfig(nid=0, address_map=MAP), Memory(0, SIZE))] if home else [],
        )
    )


def device(nid: int, slow: int = 0) -> Node:
    """A cache."""
    agent = RequestConfig(nid=nid, address_map=MAP, tu=1 << USUAL)
    return Node(NodeConfig(ports=[port(nid, Role.RA, slow_exp=slow)], agents=[agent]))


class Net:
    """A hub with a device at each port."""

    def __init__(self, hub: Node, *devices: Node) -> None:
        self.hub = hub
        self.holders = [Holder(each) for each in (hub, *devices)]
        self.net = Loopback(self.holders, [Wire(Place(0, i), Place(i + 1)) for i in range(len(devices))])
        self.net.start()

    def run(self, until: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if until():
                return
            assert self.net.step()
        raise AssertionError(f"not reached at {self.net.now} ns")

    def kill(self, port: int) -> None:
        """Cut the power of a device, and with it its wire."""
        self.holders[1 + port].node = Dead()
        self.net.set_wire(port, up=False)


def unit_of(node: Node) -> int:
    """The exponent of the unit that all timers of a node count in."""
    agent = node.agents[2]
    found = {"T_REQ": agent._outstanding.t_req, "T_BUSY": agent._ncr._t_busy}
    assert agent._ncr._t_busy == TIMERS["T_BUSY"].tu * agent._back_off.tu
    if node.home is not None:
        found |= {"T_SNP": node.home._do.t_snp, "T_CACK": node.home._do.t_cack, "T_MEM": node.home._leg.t_mem}
    (unit,) = {length // TIMERS[name].tu for name, length in found.items()}
    return unit.bit_length() - 1


def test_a_requester_never_waits_less_than_its_home() -> None:
    """A peer slower than a home of several ports is refused, and told how: T_REQ of all others covers T_SNP.

    HSL 3.3.2, 5.11 [HSL-LNK-060] [HSL-LNK-055].
    """
    cpu, a, b = hub(USUAL, USUAL), device(A), device(B, SLOW)
    net = Net(cpu, a, b)
    net.run(lambda: cpu.ports[0].up and bool(cpu.ports[1].up or cpu.error_logs[1].entries))
    home = cpu.home
    assert home is not None
    need = home._do.t_snp + 4 * home._leg.t_mem + home._do.t_cack + (2 * TIMERS["T_LOSS"].tu << USUAL)
    assert a.agents[A]._outstanding.t_req > need, "HSL-LNK-055"
    assert not cpu.ports[1].up, "HSL-LNK-060"
    (entry,) = cpu.error_logs[1].entries
    assert entry.code == ErrorCode.CFG
    assert entry.text.endswith(
        "TU exponent 7 is above 6: set tu_exp and slow_exp of the peer to at most 6, or slow_exp = 7 at all"
        " ports of this node"
    )


@pytest.mark.parametrize(
    ("offers", "home"), [((SLOW, SLOW), True), ((USUAL,), True), ((USUAL, USUAL), False)]
)
def test_who_has_no_such_limit(offers: tuple[int, ...], home: bool) -> None:
    """No slower than the home, the only peer of a home, or no home: it is taken. HSL 3.3.2 [HSL-LNK-060]."""
    node = hub(*offers, home=home)
    net = Net(node, *(device(nid, SLOW) for nid in (A, B)[: len(offers)]))
    net.run(lambda: node.connected)
    assert unit_of(node) == SLOW


@pytest.mark.parametrize("changes", [{"slow_exp": 9}, {"tu_exp_limit": 7}])
def test_ports_of_a_home_are_alike(changes: dict[str, int]) -> None:
    """The ports of a home offer one SLOW_EXP, and no limit lies above it. HSL 3.3.2 [HSL-LNK-060]."""
    roles = Role.RA | Role.HA
    agents = [RequestConfig(nid=2, address_map=MAP)]
    homes = [(HomeConfig(nid=0, address_map=MAP), Memory(0, SIZE))]
    ports = [port(0, roles), port(0, roles, **changes)]
    with pytest.raises(ConfigError, match="a node with a home"):
        NodeConfig(ports=ports, agents=agents, homes=homes)
    NodeConfig(ports=[port(0, Role.RA), port(0, Role.RA, **changes)], agents=agents)
    NodeConfig(ports=ports[1:], agents=agents, homes=homes)


@pytest.mark.parametrize("slow", [(SLOW, SLOW + 1), (SLOW + 1, SLOW)])
def test_the_unit_is_the_greatest(slow: tuple[int, int]) -> None:
    """Two peers with a SLOW_EXP of their own, whichever is at the last port [HSL-LNK-051] [HSL-LNK-061]."""
    node = hub(USUAL, USUAL, home=False)
    net = Net(node, *(device(nid, exponent) for nid, exponent in zip((A, B), slow, strict=True)))
    net.run(lambda: node.connected)
    assert unit_of(node) == SLOW + 1


def test_the_unit_goes_with_the_peer() -> None:
    """The unit of a node is the greatest of its sessions, not that of a peer that has gone. [HSL-LNK-061]."""
    node = hub(USUAL, USUAL, home=False)
    net = Net(node, device(A), device(B, SLOW))
    net.run(lambda: node.connected)
    assert unit_of(node) == SLOW, "HSL-LNK-061: the greatest"
    net.kill(1)
    net.run(lambda: not node.ports[1].up)
    assert unit_of(node) == USUAL, "HSL-LNK-061: of those that are there"


def test_the_unit_stays_while_lines_wait_for_t_loss() -> None:
    """Until the loss of a node has ended, requests wait for T_LOSS of its session. HSL 5.11 [HSL-LNK-061]."""
    node, gpu = hub(USUAL), device(A, SLOW)
    net = Net(node, gpu)
    net.run(lambda: node.connected)
    stored = gpu.submit(A, Access("store", 0, 8, bytes(8)), net.net.now)
    net.net.call(net.net.now + 1, Place(1), lambda: None)
    net.run(lambda: stored.done)
    net.kill(0)
    net.run(lambda: not node.ports[0].up)
    assert node.ports[0].hold
    assert unit_of(node) == SLOW, "HSL-LNK-061: the loss goes on"
    net.run(lambda: not node.ports[0].hold)
    assert unit_of(node) == USUAL, "HSL-LNK-061: the unit of its own"
