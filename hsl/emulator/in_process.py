"""All nodes of a topology in this process, joined by the loopback: what such runs have in common."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from hsl.emulator.topology import Topology
from hsl.transport.base import Place, Tap
from hsl.transport.faults import Arrival, FaultPlan
from hsl.transport.loopback import Wire

__all__ = ["EPOCH_BITS", "Tally", "epochs", "wires"]

EPOCH_BITS = 32
NO_FAULTS = FaultPlan()


def epochs(seed: int) -> Callable[[], int]:
    """Return the source of EPOCH values for every port of a run; the same seed gives the same values."""
    return partial(random.Random(seed).getrandbits, EPOCH_BITS)


def wires(topology: Topology, faults: FaultPlan = NO_FAULTS, *, grain_ns: int = 1) -> list[Wire]:
    """Return a wire for each link of each pair of neighbours, with the same faults in both directions.

    Raises ConfigError for a fault of a link that the topology does not have.
    """
    plan = faults.fits(topology.links)
    return [
        Wire(a._replace(link=link), b._replace(link=link), faults=(plan, plan), grain_ns=grain_ns)
        for a, b in topology.wires()
        for link in range(topology.links)
    ]


class Tally:
    """Counts of what each device has sent: `flits` and `bytes`, by index of the device."""

    def __init__(self) -> None:
        self.flits: Counter[int] = Counter()
        self.bytes: Counter[int] = Counter()

    def clear(self) -> None:
        """Count from 0 again."""
        self.flits.clear()
        self.bytes.clear()

    def tap(self, then: Tap | None = None) -> Tap:
        """Return a tap that counts each sent flit and hands all it sees to `then`."""

        def count(now: int, place: Place, flit: bytes, arrivals: list[Arrival] | None) -> None:
            if arrivals is not None:
                self.flits[place.device] += 1
                self.bytes[place.device] += len(flit)
            if then is not None:
                then(now, place, flit, arrivals)

        return count
