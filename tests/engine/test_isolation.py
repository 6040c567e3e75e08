"""A lost node is isolated before anything completes that its copies contradict (HSL 6.2 F1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from hsl._generated.constants import (
    TIMERS,
    CtlOp,
    Err,
    ErrorCode,
    FlitType,
    LinkState,
    Op,
    Power,
)
from hsl.agents.access import Access, Ticket
from hsl.codec.message import Message
from hsl.engine.node import Node
from tests.engine.cluster import HOST, MESH, TU_EXPONENT, Cluster, base, homed
from tests.engine.translating import (
    DATA,
)
from tests.engine.wires import DEVICE, Wire, node
from tests.engine.wires import HOST as WIRE_HOST

H1, B, C = 0, 1, 2  # the home of x, the slow node, the writer that is the home of y
X, Y = HOST, homed(C - 1)
NEW = (1).to_bytes(8, "little")
OLD = bytes(8)
TU = 1 << TU_EXPONENT
TIMERS_OF_HOMES = {"T_SNP": 2 * TIMERS["T_LOSS"].tu * TU}  # a snoop is given up soon


def deaf(mesh: Cluster, node: int) -> None:
    """The agents of a node answer no SnpInv of H1."""
    for agent in mesh.nodes[node].agents.values():
        agent.receive = partial(hang, agent.receive)  # type: ignore[method-assign]


def hang(receive: Callable[..., None], message: Message, *rest: Any) -> None:
    """Take a message, unless it is a SnpInv of H1."""
    if (message.op, message.src) != (Op.SnpInv, base(H1)):
        receive(message, *rest)


def held() -> Cluster:
    """B holds x, and answers no snoop for it."""
    mesh = Cluster(2, MESH, timers=TIMERS_OF_HOMES)
    assert mesh.load(B, X) == OLD
    deaf(mesh, B)
    return mesh


def store_x_until_lost(mesh: Cluster) -> Ticket:
    """C stores x; its home gives B up after T_SNP, and the wire to B breaks at that moment."""
    ticket = mesh.submit(C, Access("store", X, len(NEW), NEW))
    mesh.run(lambda: not mesh.nodes[H1].ports[0].up)
    mesh.loopback.set_wire(0, up=False, at=mesh.loopback.now)
    return ticket


def test_a_slow_node_does_not_break_the_order_of_two_stores() -> None:
    """C stores x, then y elsewhere; B, lost at the home of x, does not see y new and x old [HSL-RAS-007]."""
    mesh = held()
    ticket = store_x_until_lost(mesh)
    mesh.run(lambda: ticket.done)
    mesh.store(C, Y, NEW)
    assert mesh.load(B, Y) == NEW
    x = mesh.do(B, Access("load", X, 8))
    assert x.err == Err.UNREACH, "r0 = 1, r1 = 0"


def test_a_restarted_node_is_isolated_no_longer_than_its_hello_takes() -> None:
    """After T_SNP the port goes down; the slow node sees it, and its HELLO is the proof [HSL-RAS-009]."""
    mesh = held()
    ticket = mesh.submit(C, Access("store", X, len(NEW), NEW))
    home = mesh.nodes[H1].homes[base(H1)]
    mesh.run(lambda: home.isolating(base(B) + 2))
    began = mesh.loopback.now
    mesh.run(lambda: ticket.done)
    assert ticket.err == Err.OK
    assert mesh.loopback.now - began < TIMERS["T_HS"].tu * 4 * TU
    mesh.run(lambda: mesh.nodes[B].connected and mesh.nodes[H1].connected)
    assert mesh.do(B, Access("load", X, 8)).err == Err.OK


def test_all_nodes_behind_the_port_are_lost_together() -> None:
    """T_SNP of one agent isolates the other agent of its node too [HSL-COH-051]."""
    mesh = held()
    assert mesh.load(B, X + 64, 1) == OLD
    store_x_until_lost(mesh)
    home = mesh.nodes[H1].homes[base(H1)]
    assert [home.isolating(base(B) + 2 + agent) for agent in (0, 1)] == [True, True]
    other = mesh.submit(C, Access("store", X + 64, len(NEW), NEW), 1)
    mesh.run(lambda: not home.isolating(base(B) + 3))
    assert not other.done, "HSL-RAS-008: X + 64 lists the other agent"
    mesh.run(lambda: other.done)


def test_an_access_whose_lease_has_ended_wakes_the_link() -> None:
    """After T_STATE in L1 a load of a remote line does not hit before the port has woken [HSL-LNK-057]."""
    wire = Wire(node(0, power=1), node(16, power=1))
    wire.connect()
    right = wire.nodes[1]
    assert isinstance(right, Node)
    wire.finish(right.load(18, WIRE_HOST, 8, wire.now))
    wire.quiesce()
    for each in wire.nodes:
        each.ports[0].pm_idle(wire.now)
    wire.run(lambda: all(each.ports[0].state(0) is LinkState.L1 for each in wire.nodes))
    asleep = right.load(18, WIRE_HOST, 8, wire.now)
    assert asleep.done, "HSL-LNK-057: the lease has not ended"
    wire.now += TIMERS["T_STATE"].tu * TU
    wire.step()
    assert right.ports[0].state(0) is LinkState.L1
    late = right.load(18, WIRE_HOST, 8, wire.now)
    assert not late.done
    wire.finish(late)
    assert late.result() == OLD
    assert right.ports[0].state(0) is LinkState.ACTIVE


def test_copies_are_dropped_before_the_first_hello() -> None:
    """What a node says after the end of a session is said without copies of its lines [HSL-RAS-011]."""
    mesh = held()
    slow, said = mesh.nodes[B], list[tuple[int, str]]()
    transmit, agent = slow.transmit, slow.agents[base(B) + 2]

    def spied(*args: Any) -> Iterator[tuple[int, int, bytes]]:
        for port, link, flit in transmit(*args):
            if port == 0 and flit[0] & 7 == FlitType.CTL:
                said.append((flit[4], agent.state_of(X)))
            yield port, link, flit

    slow.transmit = spied  # type: ignore[method-assign,assignment]
    mesh.submit(C, Access("store", X, len(NEW), NEW))
    mesh.run(lambda: any(op == CtlOp.HELLO for op, _ in said))
    assert {state for op, state in said if op == CtlOp.HELLO} == {"I"}


@pytest.mark.parametrize("last", [CtlOp.DISABLE, CtlOp.ERR_FATAL, CtlOp.HELLO])
def test_no_driver_can_speak_before_the_copies_are_dropped(last: CtlOp) -> None:
    """The end of a session comes from the owner, and `transmit` follows at once [HSL-RAS-011]."""
    mesh = Cluster(2, MESH)
    mesh.store(B, X, NEW)
    node, now = mesh.nodes[B], mesh.loopback.now
    agent, port, said = node.agents[base(B) + 2], node.ports[0], list[tuple[int, str]]()
    assert agent.state_of(X) == "M"
    if last is CtlOp.DISABLE:
        node.stop(now)
    elif last is CtlOp.ERR_FATAL:
        port.fatal(ErrorCode.MALFORMED, now)
    else:
        port.down(now)
    assert list(port.transmit(now, lambda link: True)) == [], "the port waits for its owner"
    for index, _, flit in node.transmit(now, lambda port, link: True):
        if index == 0 and flit[0] & 7 == FlitType.CTL:
            said.append((flit[4], agent.state_of(X)))
    assert (last, "I") in said
    assert {state for _, state in said} == {"I"}


def test_a_home_that_is_lost_by_t_req_comes_back() -> None:
    """The port of the home goes down, and the bring-up admits both sides again [HSL-RAS-017]."""
    wire = Wire(left := node(0), right := node(16))
    wire.connect()
    wire.finish(right.store(18, WIRE_HOST, NEW, wire.now))
    home, agent = left.homes[0], right.agents[18]
    serve, home.receive = home.receive, lambda *rest: None  # type: ignore[method-assign]
    agent._outstanding.t_req = 1 << 16
    ticket = right.load(18, WIRE_HOST + 64, 8, wire.now)
    wire.run(lambda: bool(agent.lost))
    home.receive = serve  # type: ignore[method-assign]
    assert ticket.err == Err.UNREACH
    assert not right.ports[0].up
    wire.run(wire.connected)
    for line, poison in ((64, False), (0, True)):  # what it had modified is lost
        again = right.load(18, WIRE_HOST + line, 8, wire.now)
        wire.finish(again)
        assert (again.err, again.poison) == (Err.OK, poison)


def test_a_home_of_the_node_that_is_lost_by_t_req_is_admitted_at_once() -> None:
    """There is no port between them [HSL-RAS-017]."""
    one = node(0)
    home, agent = one.homes[0], one.agents[2]
    serve, home.receive = home.receive, lambda *rest: None  # type: ignore[method-assign]
    ticket = one.load(2, WIRE_HOST, 8, 0)
    one.advance(0)
    home.receive = serve  # type: ignore[method-assign]
    for expiry in (1, 2):
        one.tick(expiry * agent._outstanding.t_req)
        one.advance(expiry * agent._outstanding.t_req)
    assert ticket.err == Err.UNREACH
    again = one.load(2, WIRE_HOST, 8, one.agents[2]._now)
    one.advance(agent._now)
    assert again.result() == OLD


@pytest.mark.parametrize("power", [0, int(Power.L1)])
@pytest.mark.parametrize("ticked", [True, False])
def test_no_copy_is_used_after_a_stall_that_has_ended_the_session(power: int, ticked: bool) -> None:
    """A load straight after the stall ends UNREACH, with L1 and without, after a tick and before it.

    HSL 3.1 [HSL-LNK-058].
    """
    one, other = node(0, power=power), node(16, power=power)
    wire = Wire(one, other)
    wire.connect()
    wire.finish(one.store(2, DEVICE, b"A" * 8, wire.now))
    wire.quiesce()
    later = wire.now + 10**10
    if ticked:
        one.tick(later)
    ticket = one.load(2, DEVICE, 8, later)
    assert (ticket.err, ticket.data) == (Err.UNREACH, b"")


def test_a_program_that_goes_on_hides_no_stall() -> None:
    """Accesses are no run of the port: its timers are judged before a copy is used. HSL 3.1 [HSL-LNK-058]."""
    one, other = node(0), node(16)
    wire = Wire(one, other)
    wire.connect()
    wire.finish(one.store(2, DEVICE, DATA, wire.now))
    wire.quiesce()
    step, end = 8 << 6, wire.now + 2 * (TIMERS["T_DEADKA"].tu + TIMERS["T_STATE"].tu << 6)
    for now in range(wire.now, end, step):
        one.load(2, DEVICE, 8, now)
        one.completions()
    assert one.load(2, DEVICE, 8, end).err == Err.UNREACH
