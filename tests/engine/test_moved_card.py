"""A device that comes up behind another port of a node: when its NIDs are free again (HSL 6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hsl._generated.constants import TIMERS, ErrorCode, LinkState, Op
from hsl.engine.node import Node
from tests.engine.wires import HOST, Peer, Wire, node, port

NIDS = range(16, 32)


def up(**changes: Any) -> tuple[Node, Wire, Peer]:
    """A node of two ports that has not taken LINK_UP of the first yet, and the peer behind it."""
    cpu = Node(replace(node(0).config, ports=[port(0), port(0, guid=101)], **changes))
    wire = Wire(cpu, peer := Peer(16, guid=500))
    for each in (cpu, peer):
        each.start(0)
        each.pal_up(0, 0, 0)
    wire.run(lambda: cpu.ports[0].up)
    return cpu, wire, peer


def meeting() -> tuple[Node, Wire, Peer]:
    """A node of two ports; the peer behind the first owns a line of it."""
    cpu, wire, peer = up()
    wire.run(lambda: peer.port.up)
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


@pytest.mark.parametrize("enabled", [False, True])
def test_a_port_that_is_disabled_before_its_node_takes_link_up_has_given_its_nids_up(enabled: bool) -> None:
    """The owner calls `disable` after LINK_UP; the node takes that LINK_UP later. [HSL-SEC-015]."""
    cpu, wire, _ = up()
    assert cpu._gates[0].nids == range(0)
    cpu.ports[0].disable(wire.now)
    if enabled:
        cpu.ports[0].enable(wire.now)
    cpu.advance(wire.now)
    walked(cpu, wire)
    assert cpu._gates[0].claims(NIDS) == range(0)


def test_a_session_that_is_over_may_be_refused_and_its_port_lives() -> None:
    """The owner has removed the wrong card and enabled the port before the node refuses the card. HSL 6.3."""
    cpu, wire, _ = up(neighbours=(range(32, 48), NIDS))
    cpu.ports[0].disable(wire.now)
    cpu.ports[0].enable(wire.now)
    cpu.advance(wire.now)
    assert [entry.code for entry in cpu._gates[0].log.entries] == [ErrorCode.CFG]
    assert cpu.ports[0].links[0].state is LinkState.DETECT


def test_nids_of_a_later_session_are_those_of_the_port_again() -> None:
    """`disable` gives up the NIDs of the last session; those of the next are the port's. [HSL-SEC-015]."""
    cpu, wire, peer = meeting()
    for each in (cpu, peer):
        each.ports[0].disable(wire.now)
        each.advance(wire.now)
    walked(cpu, wire)
    for each in (cpu, peer):
        each.ports[0].enable(wire.now)
        each.pal_up(0, 0, wire.now)
    wire.run(lambda: bool(cpu._gates[0].nids))
    assert cpu._gates[0].claims(NIDS) == NIDS


class Slots:
    """A node of two ports, and the cards behind them."""

    def __init__(self) -> None:
        self.cpu = Node(replace(node(0).config, ports=[port(0), port(0, guid=101)]))
        self.cards: list[Peer] = []
        self.now = 0

    def plug(self, *cards: Peer) -> None:
        """Both ports come up in the same instants."""
        self.cards = list(cards)
        for index, card in enumerate(cards):
            self.cpu.ports[index].enable(self.now)
            self.cpu.pal_up(index, 0, self.now)
            card.start(self.now)
            card.pal_up(0, 0, self.now)
        for _ in range(3000):
            self.step()
            if self.cpu.connected:
                return

    def step(self) -> None:
        """One instant, then the next."""
        self.cpu.tick(self.now)
        self.cpu.advance(self.now)
        for card in self.cards:
            card.tick(self.now)
            card.advance(self.now)
        flits = [(i, f) for i, _, f in self.cpu.transmit(self.now, lambda p, link: True)]
        for i, flit in flits:
            self.cards[i].receive(0, 0, flit, self.now)
        for i, card in enumerate(self.cards):
            for _, _, flit in list(card.transmit(self.now, lambda p, link: True)):
                self.cpu.receive(i, 0, flit, self.now)
                flits.append((i, flit))
        if not flits:
            ends = [self.cpu.next_deadline(), *(card.next_deadline() for card in self.cards)]
            self.now = max(self.now + 1, min(end for end in ends if end is not None))

    def unplug(self) -> None:
        """The owner disables both ports; T_LOSS passes."""
        for index in range(2):
            self.cpu.ports[index].disable(self.now)
            self.cpu.pal_down(index, 0, self.now)
        self.cpu.advance(self.now)
        self.now += TIMERS["T_LOSS"].tu << 6
        self.cpu.tick(self.now)
        self.cpu.advance(self.now)


def test_two_cards_change_places() -> None:
    """Both ports were disabled: each card is heard at its new port, also at one instant. [HSL-SEC-015]."""
    slots = Slots()
    slots.plug(Peer(16, guid=500), Peer(32, guid=501))
    slots.unplug()
    slots.plug(Peer(32, guid=501), Peer(16, guid=500))
    assert [gate.nids for gate in slots.cpu._gates] == [range(32, 48), range(16, 32)]
