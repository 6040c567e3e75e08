"""The soak of bonded ports that restart: after each restart both sides come up, and soon stay up.

Flits are late at random, the first HELLOs of a new EPOCH more than others. So the HELLO of one link arrives
when the port has a new session on the others, which rows 33 and 34 of 3.2.3 must bear. The long form is
`python -m tests.link.restarts --restarts 10000`.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable

from hsl._generated.constants import CtlOp, LinkState
from hsl.codec.ctl import decode_ctl
from hsl.link import Event, Port, StateChanged
from hsl.link.classify import ENDED_STATES
from tests.link.pair import TU, Pair, Side, Wire, config, decode, is_ctl

FAST = 20  # ns
LATE_TU = 40  # the most that a flit is late: more than a whole handshake, and less than T_STATE
STEADY_TU = 30
PATIENCE_TU = 6 * 4096  # a few T_STATE: what a side may need that finds its peer's links DEAD
PERIOD_TU = 256  # software looks at its port as often, and enables it where it is down with DEAD links
MOST_FALLS = (
    4  # times per link that links leave ACTIVE after the last restart, at most, on both sides together
)


class LateWire(Wire):
    """A wire on which flits are late: the first HELLOs of a new EPOCH often, others by `share`.

    A `steady` wire delays all of them by the same time: so both sides may meet the same order for ever.
    """

    def __init__(self, rng: random.Random, first: float, share: float) -> None:
        super().__init__()
        self._rng, self._first, self._share = rng, first, share
        self.steady = False
        self._flit = b""
        self.hook = self._look

    def _look(self, data: bytes) -> list[tuple[bytes, bool]]:
        self._flit = data
        return [(data, False)]

    @property
    def latency(self) -> int:
        """Ns that the flit which was looked at needs; those behind it wait for it."""
        first = is_ctl(CtlOp.HELLO)(self._flit) and decode_ctl(decode(self._flit).payload).peer == 0
        if self.steady:
            return FAST + (STEADY_TU * TU if first else 0)
        late = self._rng.random() < (self._first if first else self._share)
        return FAST + (self._rng.randrange(LATE_TU // 2, LATE_TU) * TU if late else 0)

    @latency.setter
    def latency(self, value: int) -> None:
        """Ignore the latency of the base class."""


def cold(pair: Pair, side: Side) -> None:
    """A new port; what the old one has sent still arrives."""
    side.port = Port(side.port.config)
    side.port.enable(pair.now)
    for index in random.Random(pair.now).sample(range(len(side.wires)), len(side.wires)):
        side.port.pal_up(index, pair.now)
        pair.run(random.Random(pair.now).choice((0, 1, LATE_TU)) * TU)


def toggled(pair: Pair, side: Side) -> None:
    """sw_disable and sw_enable."""
    side.port.disable(pair.now)
    pair.run(random.Random(pair.now).randrange(4 * TU))
    side.port.enable(pair.now)


def declared(pair: Pair, side: Side) -> None:
    """port_down of the transaction layer. HSL 6.2 F4."""
    side.port.down(pair.now)


RESTARTS: tuple[Callable[[Pair, Side], None], ...] = (cold, toggled, declared)


class Soak:
    """Two ports of `links` links; `falls` says how often links left ACTIVE after a restart."""

    def __init__(self, seed: int, links: int) -> None:
        self.rng = random.Random(seed)
        self.pair = Pair(config(1, links=links), config(2, links=links))
        first, share = self.rng.choice((0.5, 0.9, 1.0)), self.rng.choice((0.0, 0.0, 0.2))
        self.wires = [LateWire(self.rng, first, share) for _ in range(2 * links)]
        self.pair.a.wires, self.pair.b.wires = [*self.wires[:links]], [*self.wires[links:]]
        self.falls: Counter[int] = Counter()
        self.pair.start()
        self._come_up("start")

    def restart(self) -> None:
        """Restart a side, at times both or the same again at once, and wait until both are up."""
        for _ in range(self.rng.randrange(1, 5)):
            self.rng.choice(RESTARTS)(self.pair, self.rng.choice((self.pair.a, self.pair.b)))
            self.pair.run(self.rng.randrange(2 * LATE_TU * TU))
        for side, _ in self.pair.sides:
            side.events.clear()
            side.sent.clear()
            for wire in side.wires:
                wire.sent.clear()
        self._come_up("restart")

    def _come_up(self, after: str) -> None:
        steady = self.rng.random() < 0.5
        for wire in self.wires:
            wire.steady = steady
        for _ in range(PATIENCE_TU // PERIOD_TU):
            if self.pair.run(PERIOD_TU * TU, until=self.up) and not self._falls():
                break
            for side, _ in self.pair.sides:
                if any(link.state is LinkState.DEAD for link in side.port.links):
                    side.port.enable(self.pair.now)
        falls = sum(_fell(event) for side, _ in self.pair.sides for event in side.events)
        self.falls[falls] += 1
        most = MOST_FALLS * len(self.pair.a.wires)
        for wire in self.wires:
            wire.steady = False
        assert self.up(), f"not up {PATIENCE_TU} TU after a {after}; links have left ACTIVE {falls} times"
        assert falls <= most, f"links have left ACTIVE {falls} times after a {after}; expected {most} at most"

    def _falls(self) -> bool:
        """True if the port that has just come up goes down by what is still under way."""
        self.pair.run(2 * LATE_TU * TU)
        return not self.up()

    def up(self) -> bool:
        """True if both ports are up with the same links."""
        a, b = self.pair.a.port, self.pair.b.port
        return a.up and b.up and a.alive == b.alive


def _fell(event: Event) -> bool:
    return isinstance(event, StateChanged) and event.old is LinkState.ACTIVE and event.new in ENDED_STATES


def soak(restarts: int, seed: int, links: int) -> Counter[int]:
    """Run restarts of a port of `links` links; return after how many of them links fell how often."""
    run = Soak(seed, links)
    for _ in range(restarts):
        run.restart()
    return run.falls


def main() -> None:
    """Run 100 restarts for each seed, on ports of 2 and 3 links in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--restarts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    total: Counter[int] = Counter()
    for turn in range(-(-given.restarts // 100)):
        total += soak(100, given.seed + turn, 2 + turn % 2)
    print(f"{given.restarts} restarts; links left ACTIVE so often afterwards: {dict(sorted(total.items()))}")


if __name__ == "__main__":
    main()
