"""A range that moves from one home to the other and back under traffic, in the order of HSL 5.1.4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from tests.support.coherence import AMAP, BASE, FIRST, SIZE, Network, agent, random_access

LAST = BASE + SIZE - 1
HOMES = (0, 1)


class Moving(Network):
    """Two homes of one memory and three agents, each with a map of its own; software moves the range."""

    def __init__(self, rng: Random, directory_lines: int, tshrs: int) -> None:
        agents = [agent(FIRST + i, amap=AMAP.copy(), tu=1) for i in range(3)]
        super().__init__(rng, agents, lines=6)
        self.homes = {
            nid: HomeAgent(
                HomeConfig(nid=nid, address_map=AMAP.copy(), tshrs=tshrs, directory_lines=directory_lines),
                self.memory,
            )
            for nid in HOMES
        }
        self.place = 0
        self.moves = 0
        self.software: Iterator[Callable[[], bool]] = iter(())
        self.until: Callable[[], bool] = lambda: True

    def write(self, amap: AddressMap, **fields: int | bool) -> None:
        """Replace the entry of one node's map."""
        entry = amap.entries[0]
        assert entry is not None
        amap.put(0, SamEntry(**(entry._asdict() | fields)))

    def move(self) -> Iterator[Callable[[], bool]]:
        """The CfgWrites of a move, in random order inside a step; each yields a test of its completion."""
        old, new = self.place, 1 - self.place
        homes = [home.config.address_map for home in self.homes.values()]
        nodes = [one.config.address_map for one in self.agents.values()]
        for amap in self.rng.sample([*homes, *nodes], len(homes) + len(nodes)):
            self.write(amap, quiesced=True)
            yield lambda: True
        self.homes[old].recall(BASE, LAST, self.now)
        self.collect()
        yield lambda: self.homes[old].recalling == 0
        assert not self.homes[old].in_use(BASE, LAST), "5.1.4 HSL-COH-058: a line is in use after the recall"
        for amap in self.rng.sample([*homes, *nodes], len(homes) + len(nodes)):
            self.write(amap, home=new)
            yield lambda: not any(one.outdated(BASE, LAST) for one in self.agents.values())
        for amap in [*self.rng.sample(homes, len(homes)), *nodes]:
            self.write(amap, quiesced=False)
            yield lambda: True
        self.place = new
        self.moves += 1

    def collect(self) -> None:
        """What the homes have sent is under way."""
        for home in self.homes.values():
            for answer in home.outbox:
                self.reference.answered(answer)
            self.flying += home.outbox
            home.outbox.clear()
            home.taken.clear()

    def manage(self) -> None:
        """Do the next CfgWrite if the last one is completed."""
        if self.until():
            self.until = next(self.software, lambda: True)

    def rest(self) -> None:
        """Let all pauses end, and everything that is under way arrive."""
        for _ in range(20_000):
            self.manage()
            due = [at for one in self.agents.values() if (at := one.next_deadline()) is not None]
            if self.flying:
                self.step()
            elif any(not one.idle for one in self.agents.values()):
                self.now = max(self.now, min(due))
            else:
                return
            self.pauses()
            self.judge()
        raise AssertionError("an access never ends")

    def pauses(self) -> None:
        """Let the agents know the time."""
        for one in self.agents.values():
            if (at := one.next_deadline()) is not None and at <= self.now:
                one.tick(self.now)
                self._after(one)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("directory_lines", "tshrs"), [(64, 4), (1, 1), (2, 4)])
def test_a_range_moves_under_traffic(seed: int, directory_lines: int, tshrs: int) -> None:
    """No access is lost or fails, data and SWMR hold at every step, and each move ends.

    [HSL-COH-055, HSL-COH-057, HSL-COH-060, HSL-COH-061, HSL-TXN-010].
    """
    rng = Random(seed)
    system = Moving(rng, directory_lines, tshrs)
    tickets = []
    begun, moves = 100, 0
    for step in range(1200):
        if step == begun:
            system.software = system.move()
        if system.flying and rng.random() < 0.8:
            system.step()
        else:
            one = rng.choice(list(system.agents.values()))
            if not one.full:
                tickets.append(system.submit(one.nid, random_access(rng, system.lines)))
        system.pauses()
        system.manage()
        system.judge()
        if system.moves > moves:
            moves, begun = system.moves, step + 50
    system.rest()
    assert system.moves >= 2
    assert sum(ticket.refusals for ticket in tickets) > 0
    assert [ticket for ticket in tickets if not ticket.done or ticket.err] == []
    system.amap = system.homes[system.place].config.address_map
    system.judge_rest()
