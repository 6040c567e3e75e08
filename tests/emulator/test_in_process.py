"""Wires with faults, counts and EPOCH values of runs with all nodes in one process."""

from __future__ import annotations

from hsl.emulator.in_process import Tally, epochs, wires
from hsl.emulator.topology import Topology
from hsl.transport.base import Place
from hsl.transport.faults import Arrival, FaultPlan

PLAN = FaultPlan.parse("crc:0.1")


def test_every_wire_has_the_faults() -> None:
    """Each link of each pair of neighbours has the faults in both directions, and the grain."""
    found = wires(Topology(gpus=2, shape="mesh", links=2), PLAN, grain_ns=50)
    assert [(wire.a.link, wire.b.link) for wire in found] == 3 * [(0, 0), (1, 1)]
    assert {(wire.faults, wire.grain_ns) for wire in found} == {((PLAN, PLAN), 50)}


def test_epochs() -> None:
    """EPOCH values have 32 bits and come from the seed alone."""
    one, same, other = ([draw() for _ in range(64)] for draw in map(epochs, (1, 1, 2)))
    assert one == same != other
    assert max(one).bit_length() == 32


def test_tally() -> None:
    """Each sent flit is counted once, with its bytes, also if it is lost; one that arrives is not."""
    tally, seen = Tally(), list[bytes]()
    tap = tally.tap(lambda now, place, flit, arrivals: seen.append(flit))
    short, long = bytes(64), bytes(256)
    tap(1, Place(0), short, [Arrival(short)])
    tap(2, Place(0), long, [])
    tap(3, Place(1), long, [Arrival(long), Arrival(long)])
    tap(4, Place(1), short, None)
    assert (dict(tally.flits), dict(tally.bytes)) == ({0: 2, 1: 1}, {0: 320, 1: 256})
    assert seen == [short, long, long, short]
    tally.clear()
    assert (tally.flits.total(), tally.bytes.total()) == (0, 0)
