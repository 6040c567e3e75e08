"""The judges of coherence: what is right passes, and each planted bug is caught."""

from random import Random
from typing import NamedTuple

import pytest

from hsl._generated.constants import LINE_BYTES, Aop, Op
from hsl._generated.tables import HA_TABLE, RA_TABLE, CoherenceRow
from hsl.agents.access import Access, Ticket
from hsl.agents.directory import Holders
from hsl.agents.interpreter import Table
from hsl.agents.invariants import InvariantError, ReferenceMemory, directory_exact, single_writer
from hsl.codec.message import Message
from tests.support.coherence import FIRST, Network, agent

LINE = 0x1000
ZERO = bytes(LINE_BYTES)


class Fake(NamedTuple):
    """An agent with one line."""

    nid: int
    state: str
    copy: bytes = ZERO

    def state_of(self, addr: int) -> str:
        return self.state

    def peek(self, addr: int) -> bytes | None:
        return self.copy


def agents(states: str) -> list[Fake]:
    return [Fake(nid, state) for nid, state in enumerate(states.split())]


@pytest.mark.parametrize("states", ["I I", "E I", "M MI_A", "S S S", "S SM_A", "E IM_D II_A"])
def test_one_writer_or_many_readers(states: str) -> None:
    """One owner alone, or any number of readers, are right."""
    single_writer(agents(states), LINE)


@pytest.mark.parametrize("states", ["E E", "M S", "E SM_A", "M E I"])
def test_a_writer_beside_others_is_caught(states: str) -> None:
    """Two owners, or an owner beside a readable copy, are named."""
    with pytest.raises(InvariantError, match="beside readers"):
        single_writer(agents(states), LINE)


@pytest.mark.parametrize(("states", "listing"), [("I I", "I"), ("S I", "S0"), ("S S", "S01"), ("I M", "X1")])
def test_an_exact_directory(states: str, listing: str) -> None:
    """A directory that lists the holders and nobody else is right."""
    directory_exact(agents(states), LINE, Holders(listing[0], frozenset(map(int, listing[1:]))))


@pytest.mark.parametrize(
    ("states", "listing"),
    [
        ("S I", "I"),
        ("I I", "S0"),
        ("E I", "S0"),
        ("S I", "X0"),
        ("S S", "S0"),
        ("M M", "X01"),
        ("II_A I", "I"),
    ],
)
def test_an_inexact_directory_is_caught(states: str, listing: str) -> None:
    """A holder not listed, one listed that holds nothing, a wrong state, or work at rest, are named."""
    with pytest.raises(InvariantError, match="directory"):
        directory_exact(agents(states), LINE, Holders(listing[0], frozenset(map(int, listing[1:]))))


def ended(access: Access, data: bytes = b"", agent: int = 1) -> Ticket:
    ticket = Ticket(access, agent, 0)
    ticket.finished = 1
    ticket.data = data
    return ticket


def near(reference: ReferenceMemory, ticket: Ticket) -> None:
    reference.begun(ticket)
    reference.ended(ticket)


def test_the_reference_follows_cached_accesses() -> None:
    """Stores, partial writes and near atomics change the value when they end; a load must read it."""
    reference = ReferenceMemory(lambda addr: ZERO)
    near(reference, ended(Access("store", LINE + 1, 2, b"ab")))
    near(reference, ended(Access("write_ptl", LINE, 4, b"wxyz", be=0b1001)))
    near(reference, ended(Access("atomic_load", LINE + 4, 4, b"\5\0\0\0", aop=Aop.ADD), bytes(4)))
    assert reference.value(LINE)[:8] == b"wabz\5\0\0\0"
    near(reference, ended(Access("load", LINE, 4), b"wabz"))
    with pytest.raises(InvariantError, match="read"):
        near(reference, ended(Access("load", LINE, 4), b"wxyz"))
    with pytest.raises(InvariantError, match="was current"):
        near(reference, ended(Access("atomic_load", LINE + 4, 4, b"\5\0\0\0", aop=Aop.ADD), bytes(4)))


def test_the_reference_follows_accesses_at_the_home() -> None:
    """A far write is performed when the home completes it, not when its ticket ends."""
    reference = ReferenceMemory(lambda addr: ZERO)
    ticket = ended(Access("write_full", LINE, LINE_BYTES, b"x" * LINE_BYTES))
    snapshot = ended(Access("read_once", LINE, 1), b"\0")
    late = ended(Access("read_once", LINE, 1), b"\0")
    reference.begun(ticket)
    reference.begun(snapshot)
    reference.sent(Message(Op.WriteFull, 1, 0, 3, 3, LINE, data=b"x" * LINE_BYTES))
    reference.answered(Message(Op.Cmp, 0, 1, 3))
    assert reference.value(LINE) == b"x" * LINE_BYTES
    reference.begun(late)
    reference.ended(snapshot)  # zero was current when it began
    with pytest.raises(InvariantError, match="read"):
        reference.ended(late)
    near(reference, ended(Access("store", LINE, 1, b"y"), agent=2))
    reference.ended(ticket)
    assert reference.value(LINE)[:2] == b"yx"


def test_a_wrong_old_value_at_the_home_is_caught() -> None:
    """AtomicLoad must return what was current when the home did it."""
    reference = ReferenceMemory(lambda addr: ZERO)
    reference.sent(Message(Op.AtomicLoad, 1, 0, 3, 0, LINE, data=bytes(8), aop=Aop.ADD, x=1))
    with pytest.raises(InvariantError, match="was current"):
        reference.answered(Message(Op.CmpData, 0, 1, 3, data=b"\1" + bytes(7)))


def test_stale_copies_and_memory_are_caught() -> None:
    """A readable copy, or memory at rest, that is not current is named; one on its way out is not read."""
    reference = ReferenceMemory(lambda addr: ZERO)
    old = b"\1" * LINE_BYTES
    reference.judge_copies([Fake(1, "S"), Fake(2, "MI_A", old)], LINE)
    with pytest.raises(InvariantError, match="node 3 in E"):
        reference.judge_copies([Fake(3, "E", old)], LINE)
    with pytest.raises(InvariantError, match="memory"):
        reference.judge_memory(LINE, old)


# Bugs in the cache table: (state, event), actions, next state.
BUGS = [
    ("S", "SnpInv", ["rsp I"], "="),
    ("M", "SnpInv", ["drop", "rsp I"], "I"),
    ("M", "SnpShared", ["rspdata S"], "="),
    ("M", "SnpCur", ["rsp E"], "="),
    ("E", "SnpShared", ["rsp S"], "="),
    ("E", "SnpInv", ["rsp I"], "="),
    ("E", "store", ["hit"], "="),
    ("E", "atomic_store", ["hit"], "="),
    ("S", "store", ["hit"], "="),
    ("S", "evict", ["drop"], "I"),
    ("M", "evict", ["send Evict", "drop"], "II_A"),
    ("M", "flush", ["send Evict", "wait"], "MI_A"),
    ("MI_A", "SnpInv", ["drop", "rsp I"], "II_A"),
    ("MI_A", "Cmp_I", ["free"], "M"),
    ("SM_A", "SnpInv", ["rsp I"], "="),
    ("SM_A", "Cmp_E", ["ack"], "S"),
    ("IS_D", "CmpData_S", ["fill", "ack"], "E"),
    ("IS_D", "CmpData_E", ["fill"], "E"),
    ("IM_D", "CmpData_E", ["fill", "ack"], "I"),
    ("IM_A", "Cmp_M", ["hit_line", "done", "ack"], "E"),
    ("I", "write_full", ["send Flush"], "IN_A"),
]


def play_with(table: Table) -> None:
    for seed in range(60):
        bad = agent(FIRST, table, ways=1)
        Network(Random(seed), [bad, agent(FIRST + 1), agent(FIRST + 2, ways=1)], lines=3).play(300)


@pytest.mark.parametrize(("state", "event", "actions", "after"), BUGS)
def test_planted_bugs_in_the_cache_table_are_caught(
    state: str, event: str, actions: list[str], after: str
) -> None:
    """One wrong cell, in one of three agents, is seen by a judge within a few short runs."""
    row = CoherenceRow((), tuple(tuple(action.split()) for action in actions), after)
    assert RA_TABLE[state, event] != (row,)
    table = {**RA_TABLE, (state, event): (row,)}
    with pytest.raises((InvariantError, AssertionError)):
        play_with(table)


def test_planted_bug_in_the_home_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that does not snoop is seen at once."""
    table = {
        cell: tuple(
            row._replace(actions=(), next="DO") if cell[0] == "IDLE" and row.next == "SNP" else row
            for row in rows
        )
        for cell, rows in HA_TABLE.items()
    }
    monkeypatch.setattr("hsl.agents.home.HA_TABLE", table)
    with pytest.raises(InvariantError):
        Network(Random(1), [agent(FIRST), agent(FIRST + 1)], lines=2).play(300)
