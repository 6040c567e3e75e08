"""Request agents and a home over an unordered network of messages, judged after every step."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hsl._generated.constants import LINE_BYTES, Aop
from hsl._generated.tables import RA_EVENTS, RA_TABLE
from hsl.agents.access import KINDS, Access, Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.interpreter import Table
from hsl.agents.invariants import ReferenceMemory, directory_exact, single_writer
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent, RequestConfig
from hsl.codec.message import Message

HOME = 0
FIRST = 8  # NID of the first request agent
BASE = 0x10000
SIZE = 0x4000
AMAP = AddressMap([SamEntry(BASE, BASE + SIZE - 1, home=HOME)])


def agent(nid: int = FIRST, table: Table = RA_TABLE, **config: int) -> RequestAgent:
    """A request agent with a cache of two sets of two ways, unless `config` says otherwise."""
    defaults = {"sets": 2, "ways": 2, "mshrs": 4, "ncrs": 4, "pending": 64}
    return RequestAgent(RequestConfig(nid=nid, address_map=AMAP, **{**defaults, **config}), table)


class Network:
    """Agents, one home, and what is under way between them; `rng` chooses what arrives next."""

    def __init__(self, rng: Random, agents: Sequence[RequestAgent], lines: int = 4) -> None:
        self.rng = rng
        self.agents = {one.nid: one for one in agents}
        self.lines = [BASE + LINE_BYTES * i for i in range(lines)]
        self.memory = Memory(BASE, SIZE)
        for addr in self.lines:
            self.memory.write_line(addr, rng.randbytes(LINE_BYTES))
        self.home = HomeAgent(HomeConfig(nid=HOME, address_map=AMAP, tshrs=2), self.memory)
        self.reference = ReferenceMemory(lambda addr: self.memory.read_line(addr)[0])
        for addr in self.lines:
            self.reference.value(addr)  # taken before anything changes it
        self.flying: list[Message] = []
        self.now = 0

    def submit(self, nid: int, access: Access) -> Ticket:
        """An agent begins an access."""
        one = self.agents[nid]
        ticket = one.submit(access, self.now)
        self.reference.begun(ticket)  # nothing has changed yet but by this access
        self._after(one)
        return ticket

    def step(self) -> None:
        """One message under way arrives."""
        self.now += 1
        message = self.flying.pop(self.rng.randrange(len(self.flying)))
        if message.dst == HOME:
            self.home.receive(message, self.now)
            for answer in self.home.outbox:
                self.reference.answered(answer)
            self.flying += self.home.outbox
            self.home.outbox.clear()
            self.home.taken.clear()
        else:
            one = self.agents[message.dst]
            one.receive(message, self.now)
            self._after(one)

    def _after(self, one: RequestAgent) -> None:
        """Hand on what the agent sent, judge what it finished, tell it that its outbox is empty."""
        while True:
            for ticket in one.completions():
                self.reference.ended(ticket)
            if not one.outbox:
                break
            for message in one.outbox:
                self.reference.sent(message)
            self.flying += one.outbox
            one.outbox.clear()
            one.tick(self.now)

    def judge(self) -> None:
        """What must hold after every step."""
        for addr in self.lines:
            single_writer(self.agents.values(), addr)
            self.reference.judge_copies(self.agents.values(), addr)

    def run(self) -> None:
        """Until nothing is under way."""
        while self.flying:
            self.step()
            self.judge()

    def judge_rest(self) -> None:
        """What must hold when nothing is under way."""
        for addr in self.lines:
            listing = self.home.directory_of(addr)
            directory_exact(self.agents.values(), addr, listing)
            owners = [one for one in self.agents.values() if one.state_of(addr) == "M"]
            if not owners:
                assert self.memory.read_line(addr)[0] == self.reference.value(addr), (
                    f"memory of {addr:#x} is stale"
                )
        for one in self.agents.values():
            assert one.idle, f"node {one.nid} is not idle"
            assert not one.errors, one.errors
        assert not self.home.errors, self.home.errors


INTEGER_AOPS = [Aop.ADD, Aop.CLR, Aop.EOR, Aop.SET, Aop.SMAX, Aop.SMIN, Aop.UMAX, Aop.UMIN, Aop.SWAP, Aop.CAS]


COHERENT = [kind for kind in RA_EVENTS if kind in KINDS]


def random_access(rng: Random, lines: Sequence[int]) -> Access:
    """Any coherent access to one of the lines."""
    line = rng.choice(lines)
    kind = rng.choice(COHERENT)
    if kind in ("evict", "flush"):
        return Access(kind, line)
    if kind in ("store_line", "write_full"):
        return Access(kind, line, LINE_BYTES, rng.randbytes(LINE_BYTES))
    if kind in ("load", "read_once", "store"):
        offset = rng.randrange(LINE_BYTES)
        size = rng.randint(1, LINE_BYTES - offset)
        return Access(kind, line + offset, size, rng.randbytes(size) if kind == "store" else b"")
    if kind == "write_ptl":
        size = 1 << rng.randrange(7)
        addr = line + rng.randrange(LINE_BYTES // size) * size
        be = rng.choice([None, rng.getrandbits(size)])
        return Access(kind, addr, size, rng.randbytes(size), be)
    aop = rng.choice(INTEGER_AOPS if kind == "atomic_load" else INTEGER_AOPS[:-2])
    size = rng.choice([4, 8])
    addr = line + rng.randrange(LINE_BYTES // size) * size
    operand = rng.randbytes(size * (2 if aop == Aop.CAS else 1))
    return Access(kind, addr, size, operand, aop=aop)
