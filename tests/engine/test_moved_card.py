"""A device that comes up behind another port of a node: when its NIDs are free again (HSL 6.3)."""

from __future__ import annotations

from dataclasses import replace

from hsl._generated.constants import TIMERS, Op
from hsl.engine.node import Node
from tests.engine.wires import HOST, Peer, Wire, node, port

NIDS = range(16, 32)


def meeting() -> tuple[Node, Wire, Peer]:
    """A node of two ports; the peer behind the first owns a line of it."""
    cpu = Node(replace(node(0).config, ports=[port(0), port(0, guid=101)]))
    wire = Wire(cpu, peer := Peer(16, guid=500))
    for each in (cpu, peer):
        each.start(0)
        each.pal_up(0, 0, 0)
    wire.run(lambda: peer.port.up and cpu.ports[0].up)
    peer.send(Op.ReadUnique, 18, 0, txn=0, len=3, addr=HOST)
    wire.run(lambda: any(m.op == Op.CmpData for m in peer.messages))
    (grant,) = peer.took(Op.CmpData)
    peer.send(Op.CmpAck, 18, 0, txn=grant.htxn)
    wire.quiesce()
    return cpu, wire, peer


def walked(cpu: Node, wire: Wire) -> None:
    """T_LOSS has passed."""
    wire.now += TIMERS["T_LOSS"].tu << 6
    cpu.tick(wire.now)
    cpu.advance(wire.now)


def test_nids_are_refused_elsewhere_until_their_loss_is_walked() -> None:
    """Else the home would lose the device at its new port, without an end. HSL 6.2 F2 [HSL-SEC-015]."""
    cpu, wire, _ = meeting()
    cpu.ports[0].disable(wire.now)
    cpu.advance(wire.now)
    assert cpu.homes[0].isolating(18)
    assert cpu._gates[0].claims(NIDS) == NIDS
    walked(cpu, wire)
    assert cpu._gates[0].claims(NIDS) == range(0)


def test_a_port_that_was_disabled_and_enabled_again_has_given_its_nids_up() -> None:
    """The owner has disabled it, whatever it is now. [HSL-SEC-015]."""
    cpu, wire, _ = meeting()
    cpu.ports[0].disable(wire.now)
    cpu.advance(wire.now)
    cpu.ports[0].enable(wire.now)
    walked(cpu, wire)
    assert cpu._gates[0].claims(NIDS) == range(0)
