"""A lost node is isolated before anything completes that its copies contradict (HSL 6.2 F1)."""

from __future__ import annotations

from hsl._generated.constants import TIMERS, Err, Op
from hsl.agents.access import Access
from hsl.agents.home import HomeAgent
from hsl.link.events import PeerGone
from tests.engine.cluster import HOST, MESH, TU_EXPONENT, Cluster, base, homed

H1, B, C = 0, 1, 2  # the home of x, the slow node, the writer that is the home of y
X, Y = HOST, homed(C - 1)
NEW = (1).to_bytes(8, "little")
OLD = bytes(8)
TU = 1 << TU_EXPONENT


def deaf(mesh: Cluster, node: int) -> None:
    """The agents of a node answer no SnpInv of H1."""
    for agent in mesh.nodes[node].agents.values():
        receive = agent.receive

        def hang(message: object, now: int, receive: object = receive) -> None:
            if not (getattr(message, "op", 0) == Op.SnpInv and getattr(message, "src", -1) == base(H1)):
                receive(message, now)  # type: ignore[operator]

        agent.receive = hang  # type: ignore[method-assign,assignment]


def held() -> Cluster:
    """B holds x, and answers no snoop for it."""
    mesh = Cluster(2, MESH)
    assert mesh.load(B, X) == OLD
    deaf(mesh, B)
    return mesh


def store_x_until_lost(mesh: Cluster) -> object:
    """C stores x; its home gives B up after T_SNP, and the wire to B breaks at that moment."""
    ticket = mesh.submit(C, Access("store", X, len(NEW), NEW))
    mesh.run(lambda: not mesh.nodes[H1].ports[0].up)
    mesh.loopback.set_wire(0, up=False, at=mesh.loopback.now)
    return ticket


def test_a_slow_node_does_not_break_the_order_of_two_stores() -> None:
    """C stores x, then y at another home; B, lost at the home of x, does not see y new and x old [HSL-RAS-007]."""
    mesh = held()
    ticket = store_x_until_lost(mesh)
    mesh.run(lambda: ticket.done)  # type: ignore[attr-defined]
    mesh.store(C, Y, NEW)
    assert mesh.load(B, Y) == NEW
    x = mesh.do(B, Access("load", X, 8))
    assert (x.err, x.data) != (Err.OK, OLD), "r0 = 1, r1 = 0"
