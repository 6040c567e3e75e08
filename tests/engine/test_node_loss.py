"""Three nodes on the loopback; one of them is lost in mid-run and comes back (HSL 6.2)."""

from __future__ import annotations

from random import Random

from hsl._generated.constants import Aop, Err, ErrorCode, Op
from hsl.agents.access import Access, Ticket
from hsl.agents.invariants import directory_exact, single_writer
from hsl.agents.services import Later
from hsl.codec.message import Message
from hsl.link.events import ErrorLogged, Event
from tests.engine.star import CPU_CORES, CPU_HOME, CPU_IO, GPUS, SIZE, Star, gpu

A, B = GPUS["a"], GPUS["b"]
SEED = 11
THINK = 4_000  # ns at most between two accesses of one agent
LINE = 64
OWNED_BY_A = [LINE * i for i in range(8)]  # dirty at A when it dies
CLEAN_AT_A = LINE * 9  # E: nobody can tell it from M
OWNED_BY_B = [LINE * i for i in range(16, 24)]
SHARED = [LINE * i for i in range(32, 40)]
COUNTERS = {nid: LINE * (48 + i) for i, nid in enumerate((*CPU_CORES, A, B))}  # far atomics, one for each
ONE = (1).to_bytes(8, "little")


class Traffic:
    """Accesses of everybody, some always under way; what the survivors wrote is known."""

    def __init__(self, star: Star) -> None:
        self.star = star
        self.rng = Random(SEED)
        self.open: dict[int, list[tuple[Access, Ticket]]] = {nid: [] for nid in COUNTERS}
        self.counted = dict.fromkeys(COUNTERS, 0)
        self.ended = dict.fromkeys(COUNTERS, 0)
        self.next = dict.fromkeys(COUNTERS, 0)  # when it begins something again

    def access(self, nid: int) -> Access:
        if self.rng.random() < 0.5:
            return Access("atomic_store", COUNTERS[nid], 8, ONE, aop=Aop.ADD)
        return Access(self.rng.choice(["load", "read_once"]), self.rng.choice(SHARED), 8)

    def step(self, alive: list[int]) -> None:
        """Note what ended, begin something new for each of `alive`, and go on an instant."""
        for nid in alive:
            for access, ticket in [pair for pair in self.open[nid] if pair[1].done]:
                self.open[nid].remove((access, ticket))
                self.ended[nid] += 1
                assert ticket.err == Err.OK, f"seed {SEED}: {ticket}"
                assert not ticket.poison, f"seed {SEED}: {ticket}"
                self.counted[nid] += access.kind == "atomic_store"
            self.star.node(nid).completions()
            if len(self.open[nid]) < 4 and self.star.now >= self.next[nid]:
                self.next[nid] = self.star.now + self.rng.randrange(THINK)
                access = self.access(nid)
                self.open[nid].append((access, self.star.submit(nid, access)))
        assert self.star.net.step()

    def run(self, alive: list[int], ends: int) -> None:
        """Until each of `alive` has ended `ends` more accesses."""
        goal = {nid: self.ended[nid] + ends for nid in alive}
        while any(self.ended[nid] < goal[nid] for nid in alive):
            self.step(alive)

    def drain(self, alive: list[int]) -> None:
        self.star.finish(ticket for nid in alive for _, ticket in self.open[nid])
        for nid in alive:
            self.counted[nid] += sum(access.kind == "atomic_store" for access, _ in self.open[nid])
            self.open[nid].clear()


def prepare(star: Star) -> None:
    """Give A and B their lines, and everybody a copy of the shared ones."""
    for nid, lines in ((A, OWNED_BY_A), (B, OWNED_BY_B)):
        for line in lines:
            assert star.store(nid, line, nid + line).err == Err.OK
    star.load(A, CLEAN_AT_A)
    for line in SHARED:
        star.store(CPU_CORES[0], line, line)
        star.load(A, line)
        star.load(B, line)


def codes(star: Star, port: int) -> list[ErrorCode]:
    return [entry.code for entry in star.cpu.error_logs[port].entries]


def test_killing_one_of_three_nodes_in_mid_run() -> None:
    """The others go on, its dirty lines are poisoned and reported, nothing else changes; it comes back clean.

    [HSL-RAS-003, HSL-RAS-004, HSL-COH-036, HSL-COH-037].
    """
    star = Star()
    home = star.home
    prepare(star)
    traffic = Traffic(star)
    everybody, survivors = list(COUNTERS), [*CPU_CORES, B]
    traffic.run(everybody, 20)
    while not any(not ticket.done for _, ticket in traffic.open[A]):  # it dies in the middle of something
        traffic.step(everybody)
    listed = {line: home.directory_of(line) for line in OWNED_BY_B}
    assert A not in home.directory_of(COUNTERS[A]).nids  # a far atomic leaves no copy

    star.kill("a")
    while not home.fenced(A) or home.isolating(A):  # each access of the others ends OK and unpoisoned
        traffic.step(survivors)
    traffic.run(survivors, 20)
    traffic.drain(survivors)

    assert all(A not in home.directory_of(line).nids for line in range(0, SIZE, LINE))
    assert {line: home.directory_of(line) for line in OWNED_BY_B} == listed
    poisoned = {line for line in range(0, SIZE, LINE) if home.memory.poisoned(line)}
    assert poisoned == {*OWNED_BY_A, CLEAN_AT_A}
    assert codes(star, 0).count(ErrorCode.DATA_LOST) == 1
    (lost,) = [entry for entry in star.cpu.error_logs[0].entries if entry.code == ErrorCode.DATA_LOST]
    assert f"{len(poisoned)} lines" in lost.text
    assert codes(star, 1) == []
    for nid in (CPU_CORES[0], B):
        for line in OWNED_BY_A[:3]:
            read = star.load(nid, line)
            assert (read.err, read.poison) == (Err.OK, True)
    for line in OWNED_BY_B:
        assert star.load(CPU_CORES[1], line).result() == (B + line).to_bytes(8, "little")
    for line in SHARED:
        assert star.load(B, line).result() == line.to_bytes(8, "little")

    star.revive("a")
    assert not home.fenced(A)
    assert star.gpus["a"].agents[A].state_of(OWNED_BY_A[0]) == "I"
    assert star.load(A, OWNED_BY_A[0]).poison  # what was lost stays lost
    cured = star.do(A, Access("store_line", OWNED_BY_A[0], LINE, bytes(range(LINE))))
    assert cured.err == Err.OK
    assert star.load(B, OWNED_BY_A[0]).result() == bytes(range(8))
    traffic.open[A].clear()
    before = star.load(CPU_CORES[0], COUNTERS[A]).result()
    traffic.counted[A] = int.from_bytes(before, "little")  # what of its last adds was done, nobody was told
    traffic.run(everybody, 20)
    traffic.drain(everybody)
    for nid, counter in COUNTERS.items():
        total = star.load(CPU_CORES[0], counter)
        assert int.from_bytes(total.result(), "little") == traffic.counted[nid], f"seed {SEED}, node {nid}"
    star.run(lambda: star.cpu.idle and all(node.idle for node in star.gpus.values()))
    agents = [*star.cpu.agents.values(), *(a for node in star.gpus.values() for a in node.agents.values())]
    for line in range(0, SIZE, LINE):
        single_writer(agents, line)
        directory_exact(agents, line, home.directory_of(line))
    assert ErrorCode.PROTO not in codes(star, 0) + codes(star, 1)


def test_lost_snoop_answer_isolates_only_that_node() -> None:
    """A node that answers no snoop is fenced after T_SNP; who waited gets its line, long before T_REQ.

    Whoever watches the port hears why it ends. [HSL-RAS-002].
    """
    star = Star()
    star.store(A, 0, 7)
    agent = star.gpus["a"].agents[A]
    silent = agent.receive

    def deaf(message: Message, now: int, viral: bool = False) -> None:
        if message.op != Op.SnpShared:
            silent(message, now, viral)

    agent.receive = deaf  # type: ignore[method-assign]
    events, seen = star.cpu.events, list[tuple[int, Event]]()

    def watched() -> list[tuple[int, Event]]:
        seen.extend(new := events())
        return new

    star.cpu.events = watched  # type: ignore[method-assign]
    began = star.now
    ticket = star.load(B, 0)
    assert (ticket.err, ticket.poison) == (Err.OK, True)
    assert star.now - began < 600_000
    assert ErrorCode.TIMEOUT in codes(star, 0)
    told = [event for port, event in seen if port == 0 and isinstance(event, ErrorLogged)]
    assert [event.code for event in told][:2] == [ErrorCode.TIMEOUT, ErrorCode.FENCED]
    assert f"node {A}: no answer to SnpShared of line 0x0 within T_SNP" in told[0].text
    assert star.cpu.ports[1].up
    assert star.store(B, LINE, 5).err == Err.OK
    agent.receive = silent  # type: ignore[method-assign]
    star.run(lambda: star.cpu.connected and star.gpus["a"].connected)
    assert star.load(A, LINE).result() == (5).to_bytes(8, "little")
    assert not star.home.fenced(A)
    assert star.home.nid == CPU_HOME


def place(star: Star, name: str, behind: str) -> None:
    """Power on a new device, with the NIDs of `name`, behind the port that was that of `behind`."""
    index = list(GPUS).index(behind)
    star.holders[1 + index].node = star.gpus[behind] = gpu(name)
    star.gpus[behind].start(star.now)
    star.cpu.ports[index].enable(star.now)
    star.net.set_wire(index, up=True)
    star.run(lambda: star.gpus[behind].connected or star.cpu.ports[index].dead)


def test_the_nids_of_a_port_that_is_down_are_no_one_elses() -> None:
    """A device cannot take the NIDs of another that has lost its session, until the owner gives them up.

    Else it answers for the memory of the other one, which is refused when it comes back. [HSL-SEC-015].
    """
    star = Star()
    for name in GPUS:
        star.kill(name)
    star.run(lambda: not any(port.up or port.hold for port in star.cpu.ports))
    place(star, "a", behind="b")
    assert star.cpu.ports[1].dead
    assert ErrorCode.CFG in [entry.code for entry in star.cpu.error_logs[1].entries]
    place(star, "a", behind="a")
    assert star.load(A, 0).err == Err.OK, "the one whose they are comes back"
    star.cpu.ports[0].disable(star.now)
    star.run(lambda: not star.cpu.ports[0].hold)
    place(star, "a", behind="b")
    assert star.cpu.ports[1].up, "the card was moved"
    star.kill("b")
    star.run(lambda: not star.cpu.ports[1].up)
    place(star, "b", behind="b")
    assert star.cpu.ports[1].up, "other NIDs behind the same port"


def test_requests_to_the_io_agent_end_with_their_node() -> None:
    """An NCR request of a node that is lost is under way no longer, and has no completion later.

    HSL 6.2 F1.
    """
    star = Star()
    io = star.cpu.io
    assert io is not None
    never = Later(lambda now: None)
    io._management.serve = lambda message, tested, now: never  # type: ignore[method-assign,assignment]
    asked = star.submit(B, Access("mgmt", size=64, data=bytes(64), dst=CPU_IO))
    star.run(lambda: not io.idle)
    star.kill("b")
    star.run(lambda: not star.cpu.connected)
    assert io.idle, "6.2 F1: it went with its session"
    assert not asked.done
    star.revive("b")
    assert star.load(B, LINE).err == Err.OK
    assert Op.MgmtMsg not in [message.op for message, _ in io._later]
