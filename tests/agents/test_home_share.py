"""The share of a home's TSHRs that each port can count on, and what it costs to keep (HSL 6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from hsl._generated.constants import LINE_BYTES, Op, SamType, St
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.peers import LOCAL
from hsl.codec.message import Message
from tests.support.calls import calls

HOME, CORE, TARGET = 1, 2, 9
PORTS = tuple(range(base, base + 16) for base in (16, 32, 48))
LINES = 512
MAP = AddressMap([SamEntry(0, LINES * LINE_BYTES - 1, SamType.HDM_H, home=HOME, mt=TARGET)])


class Shared:
    """A home whose memory target answers when told: each request that is begun sends one MemRd.

    The first `ports` of PORTS are up; CORE is a local agent.
    """

    def __init__(self, ports: int, tshrs: int = 64, entries: int = LINES) -> None:
        config = HomeConfig(nid=HOME, address_map=MAP, tshrs=tshrs, directory_lines=entries)
        self.home = HomeAgent(config, None)
        self.now = 0
        self.lines = 0
        self.open: list[Message] = []  # MemRd that the target has not answered
        for port, nids in enumerate(PORTS[:ports]):
            self.home.attach(nids, LOCAL, port)

    def begun(self) -> list[int]:
        """The lines that were begun since the last look, in order."""
        asked = [message for message in self.home.outbox if message.op == Op.MemRd]
        self.home.outbox.clear()
        self.home.taken.clear()
        self.open += asked
        return [message.addr for message in asked]

    def ask(self, src: int, count: int = 1) -> list[int]:
        """ReadOnce of `count` further lines by `src`; which were begun."""
        for _ in range(count):
            self.now += 1
            addr = self.lines * LINE_BYTES
            self.home.receive(Message(Op.ReadOnce, src, HOME, self.lines, 3, addr), self.now)
            self.lines += 1
        return self.begun()

    def answer(self, index: int = 0) -> list[int]:
        """The target answers a MemRd; which lines were begun upon it."""
        asked = self.open.pop(index)
        self.home.receive(
            Message(Op.CmpData, TARGET, HOME, asked.txn, 3, data=bytes(LINE_BYTES), st=St.I), self.now
        )
        return self.begun()

    def own(self, src: int, count: int) -> None:
        """`src` owns `count` further lines."""
        for _ in range(count):
            self.home.receive(
                Message(Op.ReadUnique, src, HOME, self.lines, 3, self.lines * LINE_BYTES), self.now
            )
            self.lines += 1
            self.begun()
            asked = self.open.pop()
            self.home.receive(Message(Op.CmpData, TARGET, HOME, asked.txn, 3, data=bytes(LINE_BYTES)), 0)
            (grant,) = self.home.outbox
            self.home.receive(Message(Op.CmpAck, src, HOME, grant.htxn), self.now)
            self.home.outbox.clear()


# ---- who may take how many


@pytest.mark.parametrize("tshrs", [1, 7, 12, 64])
@pytest.mark.parametrize("ports", [1, 2, 3])
def test_a_flood_leaves_exactly_the_parts_of_the_others(ports: int, tshrs: int) -> None:
    """One port may take all TSHRs but the part of each other port and of the local agents. HSL 6.3."""
    shared = Shared(ports, tshrs)
    groups = ports + 1
    part = tshrs // (2 * groups)
    begun = shared.ask(PORTS[0].start, 100)
    rule = f"6.3: of {tshrs} TSHRs a port leaves {part} to each of {groups - 1} others"
    assert len(begun) == tshrs - part * (groups - 1), rule
    for other in (CORE, *(nids.start for nids in PORTS[1:ports])):
        assert len(shared.ask(other, 100)) == part, f"6.3: node {other} can count on {part} TSHRs"


def test_what_others_hold_of_their_part_is_not_kept_twice() -> None:
    """TSHRs that a port holds count towards its part: only the rest is kept for it. HSL 6.3."""
    shared = Shared(ports=2)
    part = 64 // 6
    held = 4
    assert len(shared.ask(PORTS[1].start, held)) == held
    assert len(shared.ask(PORTS[0].start, 100)) == 64 - held - (part - held) - part
    assert shared.answer(held) == [(held + 64 - held - (part - held) - part) * LINE_BYTES], "6.3: one for one"


def test_recalls_of_management_leave_each_group_its_part() -> None:
    """Holders may answer a recall by register late: neither ports nor local agents wait for them. HSL 6.3."""
    shared = Shared(ports=1, tshrs=8)
    src = PORTS[0].start
    shared.own(src, 12)
    shared.home.recall(0, LINES * LINE_BYTES - 1, shared.now)
    assert [m.op for m in shared.home.outbox] == [Op.SnpInv] * 4, "6.3: what is no part of anybody"
    assert len(shared.ask(CORE, 100)) == 2, "6.3: the local agents have their part"
    assert len(shared.ask(src + 1, 100)) == 2, "6.3: the port has its part"


def test_a_recall_for_an_entry_counts_to_who_waits_for_it() -> None:
    """A port that waits for entries and answers no snoop holds TSHRs of its share only. HSL 5.2 D10, 6.3."""
    shared = Shared(ports=2, tshrs=8, entries=12)
    src = PORTS[1].start
    shared.own(src, 8)
    for txn in range(100, 120):
        shared.home.receive(Message(Op.ReadUnique, src, HOME, txn, 3, txn * LINE_BYTES), shared.now)
    assert [m.op for m in shared.home.outbox] == [Op.SnpInv] * 6, "6.3: one is left to each other group"
    assert len(shared.ask(CORE)) == 1, "6.3: the local agents have their part"
    assert len(shared.ask(PORTS[0].start)) == 1


def test_the_walk_of_a_lost_node_counts_to_its_port() -> None:
    """The lines of a lost owner that are written with POISON take TSHRs of its port. HSL 6.2, 6.3."""
    shared = Shared(ports=2, tshrs=8)
    src = PORTS[1].start
    shared.own(src, 20)
    shared.home.fence(src, shared.now)
    assert [m.op for m in shared.home.outbox] == [Op.MemWr] * 6, "6.3: one is left to each other group"
    assert len(shared.ask(CORE)) == 1, "6.3: the local agents have their part"
    assert len(shared.ask(PORTS[0].start)) == 1


def test_a_port_has_one_share_whatever_nids_come_up_behind_it() -> None:
    """A peer that starts anew under other NIDs makes no part smaller. HSL 6.3."""
    shared = Shared(ports=2, tshrs=12)
    for nid in range(33, 44):
        shared.home.attach(range(nid, nid + 1), LOCAL, 1)
    peers = shared.home._peers
    assert (peers.groups, peers.group(42), peers.group(43)) == (3, 0, 2), "the former range is forgotten"
    assert len(shared.ask(43, 100)) == 8, "6.3: two are left to each of two groups"
    assert len(shared.ask(CORE, 100)) == 2
    assert len(shared.ask(PORTS[0].start, 100)) == 2


def test_a_port_that_comes_up_has_its_part_at_once() -> None:
    """Parts are counted anew when a port comes up, with what is under way. HSL 6.3."""
    shared = Shared(ports=1, tshrs=12)
    assert len(shared.ask(PORTS[0].start, 100)) == 9
    shared.home.attach(PORTS[1], LOCAL, 1)
    assert len(shared.ask(PORTS[1].start, 100)) == 1, "6.3: the part of 2 for local agents is kept"
    assert shared.answer() == [101 * LINE_BYTES], "6.3: the second TSHR of its part, before the flood"


# ---- in which order


class Naive:
    """The rule of 6.3 and T5, counted anew each time: who may begin, of lines that wait in order."""

    def __init__(self, tshrs: int, ports: Sequence[range]) -> None:
        self.tshrs = tshrs
        self.ports = ports
        self.waiting: list[tuple[int, int]] = []  # (line, SRC), as they came
        self.busy: dict[int, int] = {}  # line: SRC

    def group(self, nid: int) -> int:
        """0: local; else the place of the port."""
        return next((1 + i for i, nids in enumerate(self.ports) if nid in nids), 0)

    def may(self, src: int) -> bool:
        """Is a TSHR left beyond what is kept for the other groups."""
        part = self.tshrs // (2 * (len(self.ports) + 1))
        held = [self.group(nid) for nid in self.busy.values()]
        others = set(range(len(self.ports) + 1)) - {self.group(src)}
        return self.tshrs - len(held) > sum(max(0, part - held.count(each)) for each in others)

    def begin(self) -> list[int]:
        """The lines that begin now, in their order."""
        begun: list[int] = []
        while found := next((each for each in self.waiting if self.may(each[1])), None):
            self.waiting.remove(found)
            self.busy[found[0]] = found[1]
            begun.append(found[0])
        return begun


@pytest.mark.parametrize("seed", range(6))
def test_requests_begin_in_the_order_of_arrival_of_those_that_may(seed: int) -> None:
    """After each event exactly those begin that the rule of 6.3 lets in, the first to come first. HSL 5.4 T5.

    Floods, answers in any order, ports that come up and nodes that are lost.
    """
    rng = Random(seed)
    tshrs = rng.choice([4, 9, 24])
    shared = Shared(1, tshrs)
    naive = Naive(tshrs, PORTS[:1])
    nids = [CORE, *(nids.start + i for nids in PORTS for i in range(2))]
    favourite = rng.choice(nids)
    for step in range(400):
        what = rng.random()
        if what < 0.5:
            src = favourite if rng.random() < 0.6 else rng.choice(nids)
            naive.waiting.append((shared.lines * LINE_BYTES, src))
            begun = shared.ask(src)
        elif what < 0.97 and shared.open:
            index = rng.randrange(len(shared.open))
            del naive.busy[shared.open[index].addr]
            begun = shared.answer(index)
        elif what < 0.99:
            lost = rng.choice(nids)
            shared.home.fence(lost, shared.now)
            naive.waiting = [each for each in naive.waiting if each[1] != lost]
            begun = shared.begun()
            shared.home.readmit(lost)
        else:
            naive.ports = PORTS[: max(len(naive.ports), rng.randint(1, 3))]
            for port, nids_of_port in enumerate(naive.ports):
                shared.home.attach(nids_of_port, LOCAL, port)
            shared.home.tick(shared.now)
            begun = shared.begun()
        if shared.lines >= LINES:
            break
        assert begun == naive.begin(), f"6.3, T5: seed {seed}, step {step}"


def test_who_is_first_at_one_instant_is_judged_by_its_own_share() -> None:
    """A request that is held back does not hold up who goes before it: of one instant, the lower SRC.

    HSL 5.4 T5, 6.3.
    """
    shared = Shared(ports=2)
    flood = PORTS[0].start
    shared.ask(flood, 80)
    line = (LINES - 1) * LINE_BYTES

    def at_once(src: int, txn: int) -> list[int]:
        shared.home.receive(Message(Op.ReadOnce, src, HOME, txn, 3, line), shared.now)
        return shared.begun()

    assert at_once(flood, 900) == []
    assert at_once(CORE, 901) == [line], "6.3: the core has a part of its own"
    assert shared.answer(len(shared.open) - 1) == [], "6.3: the line waits again, for the flood"
    assert at_once(CORE, 902) == [line]
    assert shared.answer(len(shared.open) - 1) == []
    rest = [addr for _ in range(100) for addr in (shared.answer() if shared.open else [])]
    assert rest.count(line) == 1, "T4: a request that was taken is served exactly once"
    assert rest[-1] == line, "T5: in the order of arrival"
    assert shared.home.idle


def test_who_was_second_at_one_instant_stays_in_line() -> None:
    """A request whose turn comes while its line is busy gets another turn at the end of that. HSL 5.4 T4, T5.

    Two requests for one line wait for a TSHR from the same instant on; the one that is served first takes the
    line, and a further TSHR falls to the other one while the line is busy.
    """
    shared = Shared(ports=1, tshrs=2)
    flood = PORTS[0].start
    line = (LINES - 1) * LINE_BYTES
    assert len(shared.ask(CORE, 2)) == 2
    for src in (flood + 1, flood):
        shared.home.receive(Message(Op.ReadOnce, src, HOME, 900, 3, line), shared.now)
        assert shared.begun() == []
    assert shared.answer() == [line], "T5: of one instant, the lower SRC"
    assert shared.answer() == [], "T4: the line is busy"
    assert shared.answer() == [line], "T5: the request that was second is served"
    assert shared.answer() == []
    assert shared.home.idle


# ---- what it costs


def costs(waiting: int) -> dict[str, int]:
    """The calls that one event makes while `waiting` lines are held back for the share of others."""
    shared = Shared(ports=2, tshrs=64)
    assert len(shared.ask(PORTS[0].start, 44 + waiting)) == 44
    home = shared.home
    stray = Message(Op.CmpAck, PORTS[0].start, HOME, 999)
    more = Message(Op.ReadOnce, PORTS[0].start, HOME, 1000, 3, (LINES - 1) * LINE_BYTES)
    core = Message(Op.ReadOnce, CORE, HOME, 1000, 3, (LINES - 2) * LINE_BYTES)
    done = Message(Op.CmpData, TARGET, HOME, shared.open[0].txn, 3, data=bytes(LINE_BYTES))
    hot = Message(Op.ReadOnce, PORTS[0].start, HOME, 1001, 3, shared.open[1].addr)
    return {
        "a request for a busy line": calls(lambda: home.receive(hot, shared.now)),
        "a message that changes nothing": calls(lambda: home.receive(stray, shared.now)),
        "a tick": calls(lambda: home.tick(shared.now)),
        "a request that has to wait": calls(lambda: home.receive(more, shared.now)),
        "a request that may begin": calls(lambda: home.receive(core, shared.now)),
        "an answer that lets another begin": calls(lambda: home.receive(done, shared.now)),
        "the next deadline": calls(home.next_deadline),
    }


@pytest.mark.parametrize("waiting", [37, 107])
def test_the_cost_of_a_message_does_not_depend_on_how_many_lines_wait(waiting: int) -> None:
    """Each message and each tick makes as many calls with 37 or 107 lines waiting as with 7. HSL 6.3.

    Else one node within its credits keeps its home too busy to hear the others in time.
    """
    assert costs(waiting) == costs(7), f"6.3: work for each of {waiting} waiting lines"


def loss(lines: int) -> dict[str, int]:
    """The calls that the loss of a node makes that holds one of `lines` lines; another owns the rest."""
    shared = Shared(ports=2, tshrs=8)
    src, other = PORTS[1].start, PORTS[0].start
    shared.own(src, 1)
    shared.own(other, lines - 1)
    home = shared.home
    return {
        "LINK_DOWN, of a node that holds nothing": calls(lambda: home.isolate(src + 1, 0)),
        "LINK_DOWN": calls(lambda: home.isolate(src, 0)),
        "the proof": calls(lambda: home.fence(src, 0)),
    }


def test_the_cost_of_a_loss_does_not_depend_on_the_lines_of_others() -> None:
    """A node that starts again and again makes nobody wait who holds many lines. HSL 6.3."""
    assert loss(200) == loss(10), "6.3: work for lines of others"
