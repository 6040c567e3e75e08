"""Random runs with a memory target and two homes, with a target that is lost, and with a hostile one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest

from hsl._generated.constants import LINE_BYTES, TIMERS, Err, Op, Vc
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import AddressMap
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.home_actions import HomeActions
from hsl.agents.invariants import InvariantError, directory_exact, single_writer
from hsl.agents.memory import Memory
from hsl.agents.memory_leg import MemoryLeg
from hsl.agents.target import MemoryTarget
from hsl.agents.transaction import Transaction
from hsl.codec.message import Message
from tests.support.coherence import (
    BASE,
    FIRST,
    HALF,
    HOME,
    MIXED_MAP,
    SIZE,
    TARGET,
    TARGET_MAP,
    TWO_HOMES_MAP,
    Network,
    agent,
)

MAPS = {"target": (TARGET_MAP, 1), "two homes": (TWO_HOMES_MAP, 5), "both": (MIXED_MAP, 43)}
T_MEM = TIMERS["T_MEM"].tu * 64


def network(seed: int, amap: AddressMap, stride: int) -> Network:
    """Two to four agents with tiny caches and a few lines, all from the seed."""
    rng = Random(seed)
    agents = [
        agent(FIRST + i, amap=amap, sets=rng.choice([1, 2]), ways=rng.choice([1, 2, 3]))
        for i in range(rng.choice([2, 3, 4]))
    ]
    return Network(
        rng, agents, lines=rng.choice([2, 4, 6]), tshrs=rng.choice([1, 2, 8]), amap=amap, stride=stride
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("memory", MAPS)
def test_random_accesses(memory: str, seed: int) -> None:
    """Accesses over an unordered network agree with the reference memory at every step."""
    net = network(seed, *MAPS[memory])
    net.play(1500)
    served = [sum(home.counters[op.name] for op in Op) for home in net.homes.values()]
    assert all(served)
    if net.target is not None:
        assert net.target.counters[Op.MemRd.name] > 0
        assert net.target.counters[Op.MemWr.name] > 0
        assert net.target.counters["refused"] == 0


def several(run: Callable[[int], object], seeds: int) -> None:
    """A run for each seed."""
    for seed in range(seeds):
        run(seed)


def wrong_write(self: MemoryLeg, t: Transaction, data: bytes, poison: bool, now: int) -> str | None:
    """Tells that the line is written, and does not write it."""
    t.matches = True
    return "MemDone_OK"


def wrong_read(self: MemoryLeg, t: Transaction, now: int) -> str | None:
    """Reads nothing."""
    t.matches, t.mem = True, (bytes(LINE_BYTES), False)
    return "MemData_OK"


@pytest.mark.parametrize(("name", "fault"), [("write", wrong_write), ("read", wrong_read)])
def test_planted_faults_of_the_leg_are_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: object
) -> None:
    """A home that does not write back, or does not read, is caught by the reference memory."""
    monkeypatch.setattr(MemoryLeg, name, fault)
    with pytest.raises(InvariantError):
        several(lambda seed: network(seed, TARGET_MAP, 1).play(400), 5)


# ---- a target that is lost and comes back


class Write(NamedTuple):
    """A write of a stamp, and when it began."""

    stamp: bytes
    ticket: Ticket


class Stamps:
    """Every write has a stamp of its own, so that a read tells which one it saw."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.writes: dict[int, list[Write]] = defaultdict(list)
        self.reads: list[Ticket] = []
        self.count = 0

    def submit(self) -> None:
        """A random access: whole lines only, so that a line that is lost can come back."""
        net = self.net
        one = net.agents[net.rng.choice(list(net.agents))]
        if one.full:
            return
        addr = net.rng.choice(net.lines)
        kind = net.rng.choice(["load", "load", "read_once", "store_line", "write_full", "evict", "flush"])
        if kind in ("store_line", "write_full"):
            self.count += 1
            stamp = self.count.to_bytes(8, "little") * 8
            ticket = one.submit(Access(kind, addr, LINE_BYTES, stamp), net.now)
            self.writes[addr].append(Write(stamp, ticket))
        elif kind in ("evict", "flush"):
            one.submit(Access(kind, addr), net.now)
        else:
            self.reads.append(one.submit(Access(kind, addr, LINE_BYTES), net.now))

    def judge(self) -> int:
        """No good read saw a stamp that was overwritten before it began; the number of good reads."""
        good = 0
        for read in self.reads:
            if read.finished is None or read.err or read.poison:
                continue
            good += 1
            seen = next((w for w in self.writes[read.access.addr] if w.stamp == read.data), None)
            since = -1 if seen is None or seen.ticket.finished is None else seen.ticket.finished
            if seen is not None and seen.ticket.finished is None:
                continue
            for other in self.writes[read.access.addr]:
                end = other.ticket.finished
                if (
                    end is not None
                    and not other.ticket.err
                    and since < other.ticket.issued
                    and end < read.issued
                ):
                    raise InvariantError(f"{read} saw {seen}, which {other} had overwritten")
        return good


def turn(net: Network) -> None:
    """One message arrives, or the network has none."""
    net.now += 1
    if net.flying:
        message = net.flying.pop(net.rng.randrange(len(net.flying)))
        receiver = net.homes.get(message.dst) or net.agents.get(message.dst) or net.target
        assert receiver is not None
        receiver.receive(message, net.now)
    servers: list[HomeAgent | MemoryTarget] = [*net.homes.values(), *([net.target] if net.target else [])]
    for each in servers:
        net.flying += each.outbox
        each.outbox.clear()
        each.taken.clear()
    for one in net.agents.values():
        one.completions()
        while one.outbox:
            net.flying += one.outbox
            one.outbox.clear()
            one.tick(net.now)


def lose_and_return(seed: int) -> int:
    """A run in which the target is lost three times; the number of good reads."""
    net = network(seed, MIXED_MAP, 43)
    stamps = Stamps(net)
    for _ in range(3):
        for phase in ("up", "down"):
            for _ in range(250):
                if net.rng.random() < 0.35:
                    stamps.submit()
                turn(net)
                for addr in net.lines:
                    single_writer(net.agents.values(), addr)
            if phase == "up":
                net.home.fence(TARGET, net.now)
        net.flying = [message for message in net.flying if TARGET not in (message.src, message.dst)]
        net.home.readmit(TARGET)
    while net.flying:
        turn(net)
    for addr in net.lines:
        listing = net.homes[net.amap.home(addr)].directory_of(addr)
        directory_exact(net.agents.values(), addr, listing)
    assert all(one.idle for one in net.agents.values())
    assert all(home.idle for home in net.homes.values())
    return stamps.judge()


@pytest.mark.parametrize("seed", range(6))
def test_target_is_lost_and_comes_back(seed: int) -> None:
    """Whatever the target loses, no read gives data that were overwritten: they come as errors or POISON."""
    assert lose_and_return(seed) > 20


def test_lost_line_that_is_forgotten_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a lost list gives stale data after a loss, and the judge sees it."""
    monkeypatch.setattr(HomeActions, "do_mark", lambda self, t: None)
    with pytest.raises(InvariantError):
        several(lose_and_return, 40)


# ---- a hostile target


def hostile(rng: Random, asked: list[Message]) -> Message:
    """Anything that a target may put on the wire; often nearly right."""
    txn = rng.choice(asked).txn if asked and rng.random() < 0.7 else rng.randrange(8)
    op = rng.choice([Op.Cmp, Op.CmpData, Op.CmpData, Op.CmpAck, Op.SnpRsp, Op.SnpRspData])
    data = rng.choice([0, 3]) if op in (Op.CmpData, Op.SnpRspData) else 0
    return Message(
        op,
        TARGET,
        HOME,
        txn,
        len=data,
        data=rng.randbytes(8 << data) if op in (Op.CmpData, Op.SnpRspData) else b"",
        st=rng.randrange(4),
        err=rng.choice([0, 0, 0, *Err]),
        htxn=rng.randrange(4),
        poison=rng.randrange(2),
    )


@pytest.mark.parametrize("seed", range(6))
def test_hostile_target(seed: int) -> None:
    """A target that answers anything, twice, late or never harms only its own lines; all requests end."""
    rng = Random(seed)
    home = HomeAgent(HomeConfig(nid=HOME, address_map=HOSTILE_MAP), Memory(HALF, SIZE // 2))
    own = {HALF + LINE_BYTES * i: bytes(LINE_BYTES) for i in range(4)}
    asked: list[Message] = []
    open_: dict[tuple[int, int], Message] = {}
    txn, now = 0, 0

    def drain() -> None:
        for message in home.outbox:
            if message.vc == Vc.MEM:
                asked.append(message)
            else:
                request = open_.pop((message.dst, message.txn))  # exactly once
                if request.addr in own and request.op == Op.ReadOnce:
                    assert (message.err, message.poison, message.data) == (0, 0, own[request.addr])
        home.outbox.clear()
        home.taken.clear()

    for step in range(1200):
        now += 1
        if rng.random() < 0.5:
            line = rng.choice([*own, *(BASE + LINE_BYTES * i for i in range(4))])
            op = rng.choice([Op.ReadOnce, Op.WriteFull])
            data = rng.randbytes(LINE_BYTES) if op == Op.WriteFull else b""
            txn = (txn + 1) % 200
            if (FIRST, txn) in open_:
                continue
            request = Message(op, FIRST, HOME, txn, 3, line, data=data)
            open_[FIRST, txn] = request
            if line in own and data:
                own[line] = data
            home.receive(request, now)
        else:
            home.receive(hostile(rng, asked), now)
        drain()
        if step % 400 == 399:
            home.fence(TARGET, now)
            drain()
            for _ in range(20):
                home.receive(hostile(rng, asked), now)
            drain()
            asked.clear()
            home.readmit(TARGET)
    home.tick(now + T_MEM)
    drain()
    assert not open_
    assert home.idle


HOSTILE_MAP = AddressMap([entry if entry.home == HOME else entry._replace(home=HOME) for entry in MIXED_MAP])
