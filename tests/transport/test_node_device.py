"""A node on a transport without programs above it."""

from __future__ import annotations

from functools import partial

from examples.node_pair import build
from hsl.agents.access import Access, Ticket
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire
from hsl.transport.node_device import NodeDevice

LIMIT = 10**9


def all_done(tickets: list[Ticket]) -> bool:
    return all(ticket.done for ticket in tickets)


def pair() -> tuple[list[NodeDevice], Loopback]:
    """A CPU and a GPU on one wire."""
    devices = [NodeDevice(node) for node in build()]
    return devices, Loopback(devices, [Wire(Place(0), Place(1))])


def test_started_stays() -> None:
    """A device has started once its ports were up, also when its link is lost later."""
    devices, loopback = pair()
    assert [device.started for device in devices] == [False, False]
    assert [(device.finished, device.quiescing) for device in devices] == 2 * [(True, False)]
    loopback.bring_up()
    loopback.set_wire(0, up=False)
    loopback.run(max_time=LIMIT, until=lambda: bool(loopback.failure))
    assert [(device.started, device.node.connected) for device in devices] == 2 * [(True, False)]


def test_completions_are_dropped() -> None:
    """More accesses than an agent keeps tickets for can be submitted: nobody asks for their completions."""
    devices, loopback = pair()
    loopback.bring_up()
    node = devices[1].node
    nid = next(iter(node.agents))
    for turn in range(100):
        accesses = [Access("read_once", 64 * (turn + line), 8) for line in range(50)]
        tickets = [node.submit(nid, access, loopback.now) for access in accesses]
        loopback.call(loopback.now, loopback.wires[0].b, lambda: None)
        loopback.run(max_time=LIMIT, until=partial(all_done, tickets))
    assert node.agents[nid].idle
