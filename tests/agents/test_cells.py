"""Every cell of the coherence tables that can be reached, by messages to real agents (HSL 5.5, 5.6).

Conforming nodes first, at random and, where randomness is slow, by hand; then what only a hostile node
reaches, as listed in hsl/verify/coherence_coverage.py. `hsl coverage coherence` is made of these.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hsl._generated.constants import Err, ErrorCode, Op, St
from hsl._generated.tables import HA_TABLE, RA_TABLE
from hsl.codec.message import Message
from hsl.verify.coherence_coverage import CELLS, HOSTILE, UNREACHABLE
from tests.agents.fabric import Fabric
from tests.agents.home_rig import DIRTY, FIELDS, HOME, LINE, MT, OLD, A, B, C, SlowRig
from tests.agents.test_home_races import go_to, settle
from tests.agents.test_request_table import (
    IN_FLIGHT,
    LOCAL,
    STABLE,
    T_REQ,
    access,
    completed,
    fire,
    in_state,
    in_state_for_local,
)
from tests.agents.test_request_table import LINE as CACHED

STALE, PROTO = ErrorCode.STALE, ErrorCode.PROTO
ROOT = Path(__file__).parents[2]
STEPS = 1500
TRANSIENT = ("IS_D", "IM_D", "IM_A", "SM_A", "MI_A", "II_A", "IN_A", "IN_D")
WAITING = ("SNP", "WB", "RD", "WR", "ACK", "WACK", "WBP")
ASKED = [op for op in Op if op.name in {event for _, event in HA_TABLE} and op >> 5 in (1, 2)]


@pytest.mark.conforming
@pytest.mark.parametrize("seed", range(12))
def test_fabric_that_loses_nodes(seed: int) -> None:
    """Recalls, late answers, refusals, dead cells, nodes that go and come back: nobody sees anything odd."""
    fabric = Fabric(seed, target=bool(seed % 2), dead=seed % 4 < 2)
    for _ in range(STEPS):
        fabric.happen()
    fabric.rest()
    assert fabric.home.counters["completions"] > STEPS // 20


@pytest.mark.conforming
@pytest.mark.parametrize("state", TRANSIENT)
@pytest.mark.parametrize("event", LOCAL)
def test_access_after_a_late_answer(state: str, event: str) -> None:
    """When T_REQ has ended an access, the next one at its line waits for the answer. HSL 5.11."""
    one = in_state_for_local(state)
    ticket = one.submit(access(event), T_REQ)
    assert ticket.done == (event == "evict")
    assert (one.state_of(CACHED), one.outbox, one.errors) == (state, [], [])


SNOOPED = {
    ("E", "SnpCur"): St.E,
    ("M", "SnpCur"): St.M,
    ("MI_A", "SnpCur"): St.M,
    ("MI_A", "SnpShared"): St.I,
    ("II_A", "SnpCur"): St.I,
    ("II_A", "SnpShared"): St.I,
    ("II_A", "SnpInv"): St.I,
}


@pytest.mark.conforming
@pytest.mark.parametrize(("state", "event"), SNOOPED)
def test_snoop_of_a_listed_node(state: str, event: str) -> None:
    """A snoop that meets an owner, an Evict or a WbFull is answered with what is kept. HSL 5.7."""
    one = in_state(state)
    fire(one, event)
    (answered,) = one.outbox
    assert (answered.op, answered.st) == (
        Op.SnpRspData if state in ("M", "MI_A") else Op.SnpRsp,
        SNOOPED[state, event],
    )
    assert (one.counters.odd, one.counters.proto) == (0, 0)


@pytest.mark.conforming
@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize("op", ASKED, ids=lambda op: op.name)
def test_request_at_a_busy_line(state: str, op: Op) -> None:
    """A request at a busy line waits and is served in its turn, an Evict of a copy that is gone too."""
    rig = SlowRig()
    rig.send(Op.ReadShared, C)
    rig.ack(rig.memory_done()[0])
    rig.send(Op.Evict, C, txn=201)
    go_to(rig, state)
    assert rig.home.state_of(LINE) == state
    assert rig.send(op, C, **FIELDS.get(op, {})) == []
    assert rig.coverage[state, op.name] == 1
    settle(rig)
    assert rig.home.idle
    assert rig.home.counters[op.name] >= 1
    assert rig.home.counters["PROTO"] == 0


@pytest.mark.conforming
@pytest.mark.parametrize("state", IN_FLIGHT)
def test_request_at_a_quiesced_range(state: str) -> None:
    """A request that ends with BUSY leaves what was there before it; nothing is reported. HSL 5.4 T4."""
    one = in_state(state)
    fire(one, "Cmp_BUSY")
    assert (one.state_of(CACHED), one.errors) == ("S" if state == "SM_A" else "I", [])
    assert one.counters.retries == 1


@pytest.mark.conforming
@pytest.mark.parametrize("state", IN_FLIGHT)
def test_request_that_is_refused(state: str) -> None:
    """A refused request leaves the line as it was; its agent reports the error to the program. HSL 5.5."""
    one = in_state(state)
    fire(one, "Cmp_ERR")
    assert (one.state_of(CACHED), one.errors) == ("S" if state == "SM_A" else "I", [])
    assert [ticket.err for ticket in one.completions()] == [Err.DECODE]


@pytest.mark.conforming
def test_node_that_is_lost_twice_while_its_poison_is_written() -> None:
    """A node that came back and is lost again changes nothing at the line that its first loss poisons."""
    rig = SlowRig()
    go_to(rig, "WBP")
    rig.home.fence(A, 0)
    assert (rig.home.state_of(LINE), rig.coverage["WBP", "lost"]) == ("WBP", 1)
    settle(rig)
    assert (rig.home.idle, rig.memory.poisoned(LINE)) == (True, True)


def hostile(agent: str) -> list[tuple[str, str]]:
    """The listed cells of an agent."""
    cells = (name.split() for name in HOSTILE)
    return [(state, event) for who, state, event in cells if who == agent]


@pytest.mark.parametrize(("state", "event"), hostile("ra"))
def test_hostile_home(state: str, event: str) -> None:
    """A message that no conforming home sends: logged, counted, no access ends well, the copy stays."""
    second = state in STABLE and event.startswith("Cmp")
    one = completed(state) if second else in_state(state)
    one.errors.clear()
    copy, before = one.peek(CACHED), Counter(one.coverage)
    fire(one, event)
    assert one.coverage - before == Counter({(state, event): 1})
    if f"ra {state} {event}" in REFUSED:
        assert one.state_of(CACHED) == "I"
        assert [code for code, *_ in one.errors] == [PROTO if state == "II_A" else ErrorCode.DATA_LOST]
        return
    assert [code for code, *_ in one.errors] == [STALE if event.startswith("Snp") else PROTO]
    assert one.peek(CACHED) == copy


ANSWERS = {"SnpRsp": Op.SnpRsp, "SnpRspData": Op.SnpRspData, "CmpAck": Op.CmpAck}
MEMORY = {"MemData": Op.CmpData, "MemDone": Op.Cmp}


def answer(rig: SlowRig, event: str) -> Message:
    """The message of an event: from the node that the line waits for, or from anybody."""
    kind, _, word = event.partition("_")
    if kind in MEMORY:
        op = MEMORY[kind]
        txn = rig.open[0].txn if rig.open else 7
        err = Err.DATA if word == "ERR" else Err.OK
        return Message(op, MT, HOME, txn, len=3, data=OLD if op == Op.CmpData else b"", err=err)
    busy = rig.home._busy.get(LINE)
    txn = 7 if busy is None or busy.snoop_txn is None else busy.snoop_txn
    data = DIRTY if kind == "SnpRspData" else b""
    return Message(ANSWERS[kind], B, HOME, txn, len=3 if data else 0, data=data, st=St[word] if word else 0)


@pytest.mark.parametrize(("state", "event"), hostile("ha"))
def test_hostile_node(state: str, event: str) -> None:
    """An answer that no conforming node sends: logged as PROTO, and the line comes to rest all the same."""
    rig = SlowRig()
    go_to(rig, state)
    rig.errors()
    rig.home.receive(answer(rig, event), 0)
    assert rig.coverage[state, event] == 1
    assert rig.errors() == [PROTO]
    settle(rig)
    assert rig.home.idle


# The home refuses what it may not (T14): no row says proto or odd, since nothing is lost or it is reported.
REFUSED = {"ra II_A Cmp_ERR", "ra II_A Cmp_BUSY", "ra MI_A Cmp_BUSY"}


def test_lists_follow_from_the_tables() -> None:
    """A cell of the cache is listed just when its row says proto or odd; no cell is listed twice."""
    said = {
        f"ra {state} {event}"
        for (state, event), (row,) in RA_TABLE.items()
        if {"proto", "odd"} & {action[0] for action in row.actions}
    }
    assert {name for name in HOSTILE if name.startswith("ra ")} == said | REFUSED
    assert not HOSTILE.keys() & UNREACHABLE.keys()
    assert HOSTILE.keys() | UNREACHABLE.keys() < set(CELLS)
    assert len(CELLS) == 300 + 252
    for listed in HOSTILE.values():
        path, _, name = listed.test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()
