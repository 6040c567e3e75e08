"""Protection and RAS between nodes: hostile third node, access lists, rate, log, management (6.1 to 6.5)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from hsl._generated.constants import (
    Aop,
    Err,
    ErrorCode,
    Feature,
    FenceCommand,
    Op,
    Register,
    Right,
    Role,
    SamType,
    Vc,
)
from hsl._generated.layouts import (
    ACL_BASE,
    FENCE_D0,
    RATE_D0,
    SAM_BASE,
)
from hsl.agents.access import Access
from hsl.agents.access_list import AclEntry, encode_acl
from hsl.agents.address_map import SamEntry, encode_entry
from hsl.agents.iommu import Iommu
from hsl.agents.peers import FEATURES
from hsl.codec.checks import request_fault
from hsl.codec.message import Message
from hsl.engine.token_bucket import TokenBucket
from hsl.link.port import Port
from tests.engine.star import (
    CPU_CORES,
    CPU_HOME,
    GPUS,
    MAP,
    SIZE,
    TIMERS,
    Star,
    configure,
    port,
    quiesce,
    word,
)
from tests.engine.test_hostile_peer import random_message
from tests.engine.wires import Peer

A, B = GPUS["a"], GPUS["b"]
LINE = 64
CONTESTED = 16  # lines
ONE = (1).to_bytes(8, "little")
CORE = CPU_CORES[0]


# ---- a hostile third node


class Attacker(Peer):
    """A bare port behind the CPU's second port that says what a test wants."""

    def __init__(self) -> None:
        super().__init__()
        # Everything but the upper tester, which gives the rights of the tested node away.
        features = int(FEATURES & ~Feature.UT)
        self.ports = [Port(port(B, Role.RA | Role.HA | Role.IOA, features=features))]
        self.port = self.ports[0]

    def events(self) -> list[object]:
        return []

    def receive(self, port: int, link: int, data: bytes, now: int, error: bool = False) -> None:
        self.port.receive(link, data, now, error)

    def stop(self, now: int) -> None:
        self.port.disable(now)

    def pal_down(self, port: int, link: int, now: int) -> None:
        self.port.pal_down(link, now)


@pytest.mark.parametrize("seed", range(3))
def test_a_hostile_third_node_harms_only_itself(seed: int) -> None:
    """While it sends random well-formed messages, two good nodes work as if it were not there. HSL 6.3.

    Its rights end at a page of its own (access list); CFGMASTER keeps its hands off the registers. Its port
    may end, and does; then it comes back and goes on. [HSL-SEC-002, HSL-SEC-003].
    """
    rng = Random(seed)
    attacker = Attacker()
    star = Star(attacker, master=CORE, iommu=Iommu(), queues={(1 << 40) + 4096: 4})
    own = SIZE - 4096
    every = Right.C | Right.R | Right.W | Right.A | Right.N
    rules = (
        AclEntry(own, SIZE - 1, src=B, src_mask=0x3F0, rights=every),
        AclEntry(0, (1 << 52) - 1, B, 0x3F0),
    )
    assert quiesce(star, True) == Err.OK
    for index, rule in enumerate(rules):
        assert configure(star, ACL_BASE + 32 * index, encode_acl(rule)) == Err.OK
    assert quiesce(star, False) == Err.OK
    model: dict[int, int] = {}
    sessions = sent = 0
    for _ in range(300):
        if attacker.port.up and star.cpu.ports[1].up:
            for _ in range(rng.randrange(4)):
                op, fields = random_message(rng)
                if fields.get("addr"):  # mostly a page of its own, or lines that the good ones use
                    low = fields["addr"] % LINE
                    target = rng.choice([own + rng.randrange(4) * LINE, rng.randrange(CONTESTED) * LINE])
                    fields["addr"] = rng.choice([fields["addr"], target, target + low])
                attacker.messages.clear()
                if attacker.port.serves(op >> 5) and attacker.port.room(op >> 5):
                    attacker.port.send(
                        Message(op, rng.randrange(B, B + 16), rng.randrange(4), **legal(op, fields))
                    )
                    sent += 1
        else:
            sessions += 1
            attacker.port.enable(star.now)
            star.cpu.ports[1].enable(star.now)
        star.touch(attacker)  # type: ignore[arg-type]
        nid = rng.choice([*CPU_CORES, A])
        addr = rng.randrange(0, CONTESTED * LINE, 8)
        if rng.random() < 0.6:
            model[addr] = rng.getrandbits(64)
            ticket = star.do(nid, Access("store", addr, 8, word(model[addr])))
            assert (ticket.err, ticket.poison) == (Err.OK, False), f"seed {seed}: {ticket}"
        else:
            ticket = star.do(nid, Access("load", addr, 8))
            assert ticket.result() == word(model.get(addr, 0)), f"seed {seed}: {ticket}"
        for node in (star.cpu, star.gpus["a"]):
            node.completions()
            assert node.io is not None
            node.io.doorbells()
            node.io.interrupts()
    assert sent > 100
    assert sessions > 1
    assert star.cpu.ports[0].up
    assert len(star.cpu.error_logs[1]) > 0
    assert {entry.code for entry in star.cpu.error_logs[0].entries} <= {ErrorCode.RETRAIN}
    for addr, value in model.items():
        assert star.load(A, addr).result() == word(value), f"seed {seed}, {addr:#x}"


def test_a_poor_offer_binds_only_who_made_it() -> None:
    """A peer with one TXN and no atomics, which answers no NCR, takes neither from the others. HSL 6.3."""
    poor = Attacker()
    poor.ports = [Port(port(B, Role.RA | Role.HA | Role.IOA, max_txn=1, atomics=0))]
    poor.port = poor.ports[0]
    star = Star(poor)
    star.run(lambda: poor.port.up)
    unheard = [star.submit(CORE, Access("cfg_read", 0, 8, dst=B + 1)) for _ in range(3)]
    for nid in (CORE, A):
        line = nid * LINE
        assert star.store(nid, line, 1).err == Err.OK
        assert star.do(nid, Access("atomic_store", line, 8, ONE, aop=Aop.ADD)).err == Err.OK
        assert star.load(nid, line).result() == word(2)
    begun = [star.submit(CORE, Access("cfg_read", 0, 8, dst=A + 1)) for _ in range(8)]
    star.finish(begun)
    assert {ticket.err for ticket in begun} == {Err.OK}
    assert len(poor.took(Op.CfgRead)) == 1
    assert not any(ticket.done for ticket in unheard)


def test_who_never_acknowledges_holds_up_nobody_else() -> None:
    """A node that takes as many grants as it can and acknowledges none is fenced after T_CACK; others go on.

    Its requests use up their share of the home's TSHRs, not that of the other port or the cores. HSL 6.3.
    """
    attacker = Attacker()
    star = Star(attacker, master=CORE)
    for txn in range(2 * star.home.config.tshrs):
        star.run(lambda: attacker.port.room(Vc.REQ))
        attacker.port.send(Message(Op.ReadUnique, B + txn % 8, CPU_HOME, txn, 3, (CONTESTED + txn) * LINE))
        star.touch(attacker)  # type: ignore[arg-type]
    star.run(lambda: len(attacker.messages) > star.home.config.tshrs // 2)
    before = star.now
    for nid in (A, CORE):
        for line in range(CONTESTED):
            assert star.store(nid, line * LINE, nid).err == Err.OK
    assert not star.home.fenced(B)
    assert star.now - before < TIMERS["T_CACK"]
    star.run(lambda: star.home.fenced(B))
    assert star.load(A, CONTESTED * LINE).poison


def legal(op: int, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, snoops on whole lines: another would be malformed."""
    return fields | {"addr": fields["addr"] & ~63} if op >> 5 == 3 else fields


# ---- access lists


def test_denied_access_has_no_effect_and_no_other_answer_time() -> None:
    """Without the right: ACCESS, no snoop, memory and directory as before, for held and free lines alike.

    The holder still gives its line back. [HSL-SEC-002, HSL-COH-034].
    """
    star = Star()
    star.store(A, 0, 5)
    star.store(A, LINE, 6)
    rule = AclEntry(0, 4095, src=A, rights=Right(0))
    star.home.config.address_map.access_list.put(0, rule)  # by no register: lines are held (5.1.4)
    before = {line: star.home.directory_of(line) for line in (0, LINE)}
    assert star.store(A, 0, 7).err == Err.OK  # its own copy: nobody is asked
    times = []
    for line in (2 * LINE, 3 * LINE):
        if line == 2 * LINE:
            star.store(B, line, 1)
        began = star.now
        assert star.do(A, Access("read_once", line, 8)).err == Err.ACCESS
        times.append(star.now - began)
    assert star.home.counters["SnpCur"] == 0
    assert abs(times[0] - times[1]) <= 100, "one flit time: the answer does not look at the directory"
    assert {line: star.home.directory_of(line) for line in before} == before
    for kind, fields in (
        ("write_full", {"data": bytes(64), "size": 64}),
        ("flush", {}),
        ("load", {"size": 8}),
    ):
        assert star.do(A, Access(kind, 4 * LINE, **fields)).err == Err.ACCESS
    assert star.do(A, Access("atomic_store", 4 * LINE, 8, ONE, aop=Aop.ADD)).err == Err.ACCESS
    assert star.do(A, Access("evict", 0)).err == Err.OK
    assert star.home.directory_of(0).dir == "I"
    assert star.load(B, 0).result() == word(7)


# ---- poison


def test_poison_through_every_path() -> None:
    """The mark is kept through read, writeback, snoop, upgrade and merge, and cleared by 64 bytes.

    HSL 6.1 [HSL-RAS-001].
    """
    star = Star()
    star.home.memory.poison(0)

    def seen(nid: int, kind: str = "load") -> bool:
        ticket = star.do(nid, Access(kind, 0, 8))
        assert ticket.err == Err.OK
        return ticket.poison

    assert seen(A)  # E, from memory
    assert star.store(A, 0, 1).err == Err.OK  # merged in the cache, still poisoned
    assert seen(B)  # by a snoop of the owner
    assert seen(CORE, "read_once")
    assert star.store(B, 0, 2).err == Err.OK  # an upgrade, then dirty
    assert seen(A, "read_once")  # SnpCur
    assert star.do(B, Access("atomic_load", 0, 8, ONE, aop=Aop.ADD)).err == Err.DATA  # near
    assert star.do(B, Access("evict", 0)).err == Err.OK  # written back
    star.run(lambda: star.gpus["b"].idle)
    assert star.home.memory.poisoned(0)
    assert star.do(A, Access("atomic_load", 0, 8, ONE, aop=Aop.ADD)).err == Err.DATA  # far
    assert star.do(A, Access("write_ptl", 0, 8, ONE)).err == Err.OK
    assert star.home.memory.poisoned(0)
    assert star.do(A, Access("flush", 0)).err == Err.OK
    assert star.do(A, Access("write_full", 0, 64, bytes(64))).err == Err.OK
    assert not seen(B)
    star.home.memory.poison(LINE)
    assert star.do(A, Access("store_line", LINE, 64, bytes(64))).err == Err.OK
    assert star.load(B, LINE).result() == bytes(8)
    assert not star.home.memory.poisoned(LINE)


# ---- registers over the wire


def test_fence_by_register() -> None:
    """FENCE takes a neighbour's port down; the new session admits it again. 6.2 F1, F4, F5 [HSL-COH-037]."""
    star = Star()
    star.store(A, 0, 1)
    assert (
        configure(star, Register.FENCE, FENCE_D0.build({"nid": A, "command": FenceCommand.FENCE})) == Err.OK
    )
    again = FENCE_D0.build({"nid": A, "command": FenceCommand.READMIT})
    assert configure(star, Register.FENCE, again) == Err.UNREACH
    star.run(lambda: star.home.memory.poisoned(0))
    star.run(lambda: star.cpu.connected and star.gpus["a"].connected)
    assert configure(star, Register.FENCE, again) == Err.OK
    assert star.store(A, LINE, 2).err == Err.OK
    assert star.load(B, LINE).result() == word(2)


def test_map_by_register() -> None:
    """An entry written by CfgWrite rules at once, in that node only; what its home has not is refused."""
    star = Star()
    entry = MAP.entries[0]
    assert entry is not None
    too_large = encode_entry(entry._replace(last=2 * SIZE - 1))
    assert configure(star, SAM_BASE + 32 * 9, too_large) == Err.PROTO
    assert configure(star, SAM_BASE, bytes(32)) == Err.PROTO
    assert quiesce(star, True) == Err.OK
    assert configure(star, SAM_BASE, bytes(32)) == Err.OK
    assert star.load(A, 0).err == Err.DECODE
    assert star.do(CORE, Access("load", 0, 8)).err == Err.DECODE
    assert configure(star, SAM_BASE, encode_entry(entry)) == Err.OK
    assert star.load(A, 0).result() == bytes(8)


def test_lines_outlive_their_map_entry() -> None:
    """A copy whose entry left the map in between is still written back to where it came from."""
    star = Star()
    star.store(A, 0, 3)
    star.gpus["a"].agents[A].config.address_map.put(0, None)  # by no register: 5.1.4
    assert star.load(A, LINE).err == Err.DECODE
    assert star.do(A, Access("evict", 0)).err == Err.OK
    star.run(lambda: star.gpus["a"].idle)
    assert star.home.memory.read(0, 8) == word(3)


def test_a_map_entry_of_another_home_breaks_nothing() -> None:
    """A held line whose entry now names a target of another home is lost as any other when its owner is."""
    star = Star()
    star.store(A, LINE, 3)
    elsewhere = SamEntry(0, SIZE - 1, SamType.HDM_H, home=GPUS["b"] + 8, mt=GPUS["b"] + 9)
    star.home.config.address_map.put(0, elsewhere)  # by no register: 5.1.4
    star.kill("a")
    star.run(lambda: star.home.memory.poisoned(LINE))


# ---- rate


def test_token_bucket() -> None:
    """Credits go back at once while there are tokens, then at the rate; other channels never wait."""
    bucket = TokenBucket()
    bucket.tu = 64
    assert all(bucket.take(1, 0) for _ in range(100))
    bucket.set(16, 2, 0)  # one in 4096 ns
    assert [bucket.take(1, 10), bucket.take(2, 10), bucket.take(7, 10), bucket.take(1, 10)] == [
        True,
        True,
        False,
        False,
    ]
    assert bucket.take(4, 10)
    assert bucket.next_deadline() == 4106
    assert bucket.due(4105) == []
    assert bucket.due(4106) == [7]
    assert bucket.due(8202) == [1]
    assert bucket.next_deadline() is None
    assert bucket.take(1, 100_000)
    assert bucket.take(1, 100_000)
    assert not bucket.take(1, 100_000)
    bucket.set(0, 0, 100_000)
    assert bucket.due(100_000) == [1]


def test_rate_slows_a_flood_and_nothing_else() -> None:
    """With RATE the requests of a node are served at that rate, its log says so; none is lost. HSL 6.3."""
    star = Star()
    assert configure(star, Register.RATE, RATE_D0.build({"messages": 64, "bucket": 8})) == Err.OK
    began = star.now
    tickets = [star.submit(A, Access("read_once", LINE * (i % 64), 8)) for i in range(100)]
    local = star.submit(CORE, Access("load", 0, 8))
    star.finish([local])
    assert star.now - began < 1024
    star.finish(tickets)
    assert all(ticket.err == Err.OK for ticket in tickets)
    advertised = 32
    assert star.now - began >= (100 - 8 - advertised) * 1024
    assert star.cpu.error_logs[0].counters[ErrorCode.RATE] >= 1
    assert ErrorCode.RATE not in star.cpu.error_logs[1].counters


def test_what_the_tests_rely_on() -> None:
    """The random messages of the attacker reach the tables: most of them pass the format checks."""
    rng = Random(1)
    negotiated = Star().cpu.ports[0].result
    assert negotiated is not None
    passed = 0
    for _ in range(200):
        op, fields = random_message(rng)
        if op >> 5 in (1, 2, 7):
            passed += request_fault(Message(op, **fields), negotiated.negotiated) is None
    assert passed > 20
