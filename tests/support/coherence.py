"""Request agents and a home over an unordered network of messages, judged after every step."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hsl._generated.constants import LINE_BYTES, Aop, Err, Op, SamType, Vc
from hsl._generated.tables import OPCODES, RA_EVENTS, RA_TABLE
from hsl.agents.access import KINDS, Access, Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.interpreter import Table
from hsl.agents.invariants import InvariantError, ReferenceMemory, directory_exact, single_writer
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import MemoryTarget, TargetConfig
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message

HOME = 0
FIRST = 8  # NID of the first request agent
BASE = 0x10000
SIZE = 0x4000
MAX_STEPS = 20_000  # messages that a few hundred pending accesses need to end, and more
# What a home may answer with BUSY: all but Evict and WbFull (5.4 T4).
BUSY = frozenset(op for op, info in OPCODES.items() if info.vc in (Vc.REQ, Vc.RWD)) - {Op.Evict, Op.WbFull}
# What an access list may refuse: never Evict and WbFull (T14).
REFUSABLE = frozenset(op for op, info in OPCODES.items() if info.vc in (Vc.REQ, Vc.RWD) and info.right)
AMAP = AddressMap([SamEntry(BASE, BASE + SIZE - 1, home=HOME)])
# A memory target behind the home; two homes by turns; one home with a target and one with its own memory.
TARGET = 4
HALF = BASE + SIZE // 2
TARGET_MAP = AddressMap([SamEntry(BASE, BASE + SIZE - 1, SamType.HDM_H, home=HOME, mt=TARGET)])
TWO_HOMES_MAP = AddressMap([SamEntry(BASE, BASE + SIZE - 1, home=HOME, ways=1, granule=8)])
MIXED_MAP = AddressMap(
    [
        SamEntry(BASE, HALF - 1, SamType.HDM_H, home=HOME, mt=TARGET),
        SamEntry(HALF, BASE + SIZE - 1, home=HOME + 1),
    ]
)


def agent(nid: int = FIRST, table: Table = RA_TABLE, amap: AddressMap = AMAP, **config: int) -> RequestAgent:
    """A request agent with a cache of two sets of two ways, unless `config` says otherwise."""
    defaults = {"sets": 2, "ways": 2, "mshrs": 4, "ncrs": 4, "pending": 64}
    return RequestAgent(RequestConfig(nid=nid, address_map=amap, **{**defaults, **config}), table)


class Network:
    """Agents, homes, a memory target, and what is under way; `rng` chooses what arrives next.

    `amap` says which homes and whether a target; lines are `stride` lines apart.
    `refuse`: the share of requests that end with ERR=ACCESS at arrival, as an access list would do it (T15);
    `busy`: with ERR=BUSY, as at a range that is quiesced.
    """

    def __init__(
        self,
        rng: Random,
        agents: Sequence[RequestAgent],
        lines: int = 4,
        refuse: float = 0,
        tshrs: int = 2,
        amap: AddressMap = AMAP,
        stride: int = 1,
        busy: float = 0,
        negotiated: Negotiated = LOCAL,
    ) -> None:
        self.rng = rng
        self.refuse = refuse
        self.busy = busy
        self.agents = {one.nid: one for one in agents}
        self.amap = amap
        self.lines = [BASE + LINE_BYTES * stride * i for i in range(lines)]
        self.memory = Memory(BASE, SIZE)
        for addr in self.lines:
            self.memory.write_line(addr, rng.randbytes(LINE_BYTES))
        nids = {nid for entry in amap for nid in entry.homes}
        self.homes = {
            nid: HomeAgent(
                HomeConfig(nid=nid, address_map=amap, tshrs=tshrs, negotiated=negotiated), self.memory
            )
            for nid in nids
        }
        self.home = self.homes[HOME]
        mine = any(entry.mt == TARGET for entry in amap)
        self.target = MemoryTarget(TargetConfig(nid=TARGET, address_map=amap), self.memory) if mine else None
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
        if message.op in REFUSABLE and self.rng.random() < self.refuse:
            self._refuse(message, Err.ACCESS)
        elif message.op in BUSY and self.rng.random() < self.busy:
            self._refuse(message, Err.BUSY)
        elif (home := self.homes.get(message.dst)) is not None:
            home.receive(message, self.now)
            for answer in home.outbox:
                if answer.vc != Vc.MEM:
                    self.reference.answered(answer)
            self.flying += home.outbox
            home.outbox.clear()
            home.taken.clear()
        elif self.target is not None and message.dst == TARGET:
            self.target.receive(message, self.now)
            self.flying += self.target.outbox
            self.target.outbox.clear()
            self.target.taken.clear()
        else:
            one = self.agents[message.dst]
            one.receive(message, self.now)
            self._after(one)

    def _refuse(self, message: Message, err: Err) -> None:
        refusal = Message(Op.Cmp, message.dst, message.src, message.txn, err=err)
        self.reference.answered(refusal)
        self.flying.append(refusal)

    def wake(self) -> bool:
        """Let the next timer of an agent expire; False when none runs."""
        due = [deadline for one in self.agents.values() if (deadline := one.next_deadline()) is not None]
        if not due:
            return False
        self.now = max(self.now, min(due))
        for one in self.agents.values():
            one.tick(self.now)
            self._after(one)
        return True

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
        """Assert the invariants that hold after every step."""
        for addr in self.lines:
            single_writer(self.agents.values(), addr)
            self.reference.judge_copies(self.agents.values(), addr)

    def run(self) -> None:
        """Until nothing is under way, which must come soon."""
        for _ in range(MAX_STEPS):
            if self.flying:
                self.step()
            elif not self.wake():
                return
            self.judge()
        raise InvariantError(f"{MAX_STEPS} messages and no rest")

    def play(self, steps: int) -> None:
        """Random accesses and arrivals, judged after each, then rest."""
        for _ in range(steps):
            if self.flying and self.rng.random() < 0.75:
                self.step()
            else:
                one = self.agents[self.rng.choice(list(self.agents))]
                if not one.full:
                    self.submit(one.nid, random_access(self.rng, self.lines))
            self.judge()
        self.run()
        self.judge_rest()

    def judge_rest(self) -> None:
        """Assert the invariants that hold when nothing is under way."""
        for addr in self.lines:
            listing = self.homes[self.amap.home(addr)].directory_of(addr)
            directory_exact(self.agents.values(), addr, listing)
            owners = [one for one in self.agents.values() if one.state_of(addr) == "M"]
            if not owners:
                self.reference.judge_memory(addr, self.memory.read_line(addr)[0])
        for one in self.agents.values():
            if not one.idle:
                raise InvariantError(f"node {one.nid} waits for ever")
            if one.errors or one.counters.odd or one.counters.proto:
                raise InvariantError(f"node {one.nid} logged {one.errors}")
        for home in self.homes.values():
            if home.errors or not home.idle:
                raise InvariantError(f"home {home.nid} is not at rest; it logged {list(home.errors)}")


INTEGER_AOPS = [Aop.ADD, Aop.CLR, Aop.EOR, Aop.SET, Aop.SMAX, Aop.SMIN, Aop.UMAX, Aop.UMIN, Aop.SWAP, Aop.CAS]


# Every kind, and more of those that leave lines shared and owned.
MIX = [*(kind for kind in RA_EVENTS if kind in KINDS), *["load"] * 6, *["store"] * 2]


def random_access(rng: Random, lines: Sequence[int]) -> Access:
    """Any coherent access to one of the lines."""
    line = rng.choice(lines)
    kind = rng.choice(MIX)
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
