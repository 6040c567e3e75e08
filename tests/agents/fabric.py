"""Conforming agents on a fabric that loses nodes: whatever the profile allows, at random, from one seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hsl._generated.constants import Err, Op
from hsl.agents.home import HomeAgent
from hsl.agents.invariants import directory_exact, single_writer
from hsl.agents.request import RequestAgent
from hsl.agents.target import MemoryTarget
from hsl.codec.message import Message
from tests.support.coherence import (
    AMAP,
    BASE,
    FIRST,
    HOME,
    REFUSABLE,
    SIZE,
    TARGET,
    TARGET_MAP,
    Network,
    agent,
    random_access,
)

T_REQ = 400  # steps: now and then an answer is later than that
SHARE = 0.12  # of the steps in which something else happens than an access or an arrival


class Fabric(Network):
    """Three agents, a home, with a memory target or without; nodes are lost and come back."""

    def __init__(self, seed: int, *, target: bool, dead: bool = False) -> None:
        rng = Random(seed)
        agents = [
            agent(FIRST + i, amap=TARGET_MAP if target else AMAP, sets=1, ways=2, mshrs=3, t_req=T_REQ)
            for i in range(3)
        ]
        super().__init__(rng, agents, lines=3, refuse=0.05, tshrs=3, amap=TARGET_MAP if target else AMAP)
        self.away: set[int] = set()  # agents that are lost
        if dead:
            self.memory.fail(self.lines[0])

    @property
    def here(self) -> list[RequestAgent]:
        """The agents that are not lost."""
        return [one for one in self.agents.values() if one.nid not in self.away]

    def happen(self) -> None:
        """One step: an arrival, an access, or something rare."""
        self.now += 1
        rare: list[Callable[[], None]] = [
            self.recall,
            self.lose,
            self.come_back,
            self.come_back,
            self.lose_target,
        ]
        rare += [self.late] * 6
        if self.rng.random() < SHARE:
            self.rng.choice(rare)()
        elif self.flying and self.rng.random() < 0.7:
            self.arrive()
        else:
            one = self.rng.choice(self.here or list(self.agents.values()))
            if not one.full:
                one.submit(random_access(self.rng, self.lines), self.now)
        self.collect()
        for addr in self.lines:
            single_writer(self.here, addr)
        odd = sum(one.counters.odd + one.counters.proto for one in self.agents.values())
        assert not odd + self.home.counters["PROTO"], "a conforming node sends no such message"

    def arrive(self) -> None:
        """One message under way arrives, unless its home refuses it."""
        message = self.flying.pop(self.rng.randrange(len(self.flying)))
        if message.op in REFUSABLE and self.rng.random() < self.refuse:
            self.flying.append(Message(Op.Cmp, message.dst, message.src, message.txn, err=Err.ACCESS))
            return
        receiver: HomeAgent | RequestAgent | MemoryTarget | None
        receiver = self.homes.get(message.dst) or self.agents.get(message.dst) or self.target
        assert receiver is not None
        receiver.receive(message, self.now)

    def collect(self) -> None:
        """What was sent is under way."""
        for one in self.agents.values():
            one.completions()
            while one.outbox:
                self.flying += one.outbox
                one.outbox.clear()
                one.tick(self.now)
            if HOME in one.lost and one.nid not in self.away:  # it gave up its home: the home hears of it
                self.away.add(one.nid)
                self.home.fence(one.nid, self.now)
        servers: list[HomeAgent | MemoryTarget] = [self.home, *([self.target] if self.target else [])]
        for each in servers:
            self.flying += each.outbox
            each.outbox.clear()
            each.taken.clear()
        self.flying = [m for m in self.flying if not self.away & {m.src, m.dst}]

    # ---- what is rare
    def recall(self) -> None:
        """The home wants its lines back."""
        if len(self.home._open) < 4:
            self.home.recall(BASE, BASE + SIZE - 1, self.now)

    def lose(self) -> None:
        """A node is lost: both sides fence the other."""
        if len(self.here) > 1:
            one = self.rng.choice(self.here)
            self.away.add(one.nid)
            self.home.fence(one.nid, self.now)
            one.home_lost(HOME, self.now)

    def come_back(self) -> None:
        """A lost node is admitted again."""
        for nid in sorted(self.away):
            self.away.discard(nid)
            self.home.readmit(nid)
            self.agents[nid].readmit(HOME)

    def late(self) -> None:
        """So much time passes that T_REQ of what is outstanding is over once."""
        for one in self.agents.values():
            due = one.next_deadline()
            if due is not None and due > self.now:
                one.tick(due)

    def lose_target(self) -> None:
        """The memory target is lost, and comes back with what it held."""
        if self.target is not None:
            self.home.fence(TARGET, self.now)
            self.flying = [m for m in self.flying if TARGET not in (m.src, m.dst)]
            self.home.readmit(TARGET)

    def rest(self) -> None:
        """Everybody is there, nothing new begins: all come to rest with an exact directory."""
        self.come_back()
        self.collect()
        while self.flying:
            self.now += 1
            self.arrive()
            self.collect()
        for addr in self.lines:
            directory_exact(self.agents.values(), addr, self.home.directory_of(addr))
        assert all(one.idle for one in self.agents.values())
        assert self.home.idle
