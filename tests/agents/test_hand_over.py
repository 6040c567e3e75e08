"""Grants from dirty snoop data, rights at the grant, poison of lines whose owner died (HSL 5.4, 5.6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, Right, St
from hsl.agents.access import Access
from hsl.agents.access_list import AccessList, AclEntry
from hsl.agents.peers import LOCAL
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from tests.agents.home_rig import (
    DIRTY,
    LINE,
    MAP,
    MT,
    NEW,
    NO_HAND,
    OLD,
    OTHER,
    SIZE,
    A,
    B,
    C,
    Rig,
    SlowRig,
    shape,
)
from tests.support.coherence import BASE, agent
from tests.support.coherence import HOME as HOME_OF_AGENT

READ_ONLY = Right.R | Right.C


def dirty_at_b(rig: Rig) -> None:
    """B owns LINE and has changed it."""
    (grant,) = rig.send(Op.MakeUnique, B)
    rig.ack(grant)


def moved(rig: Rig, op: Op) -> tuple[list[str], Message]:
    """A asks for the line that is dirty at B: the messages in series until its answer, and the answer."""
    (snoop,) = rig.send(op, A)
    kept = St.S if snoop.op == Op.SnpShared else St.I
    (grant,) = rig.send(Op.SnpRspData, B, txn=snoop.txn, st=kept, data=DIRTY)
    assert grant.data == DIRTY
    return [op.name, Op(snoop.op).name, "SnpRspData", Op(grant.op).name], grant


# ---- the home answers from its snoop buffer
def test_a_dirty_line_of_a_target_is_read_in_four_messages() -> None:
    """ReadShared, SnpShared, SnpRspData, CmpData; the MemWr runs beside them and nothing is read back.

    [HSL-COH-044].
    """
    rig = SlowRig()
    dirty_at_b(rig)
    series, grant = moved(rig, Op.ReadShared)
    assert series == ["ReadShared", "SnpShared", "SnpRspData", "CmpData"]
    assert [Op(message.op).name for message in rig.open] == ["MemWr"]
    assert rig.ack(grant) == rig.memory_done() == []
    assert (rig.open, rig.home.idle, rig.memory.read_line(LINE)) == ([], True, (DIRTY, False))


@pytest.mark.parametrize("op", [Op.ReadUnique, Op.Upgrade])
@pytest.mark.parametrize("negotiated", [LOCAL, NO_HAND], ids=["handed-over", "written"])
def test_a_line_that_is_dirty_elsewhere_is_owned_without_memory(op: Op, negotiated: Negotiated) -> None:
    """With HandOver no MEM message is sent and r is in M; without, one MemWr is sent beside CmpData(E).

    [HSL-COH-044, HSL-COH-045].
    """
    rig = SlowRig(negotiated=negotiated)
    dirty_at_b(rig)
    _, grant = moved(rig, op)
    accesses = [Op(message.op).name for message in rig.open]
    assert (St(grant.st).name, accesses) == (("M", []) if negotiated is LOCAL else ("E", ["MemWr"]))
    rig.ack(grant)
    while rig.open:
        assert rig.memory_done() == []
    assert (rig.home.idle, rig.directory()) == (True, ("X", {A}))
    assert (rig.memory.read_line(LINE)[0] == DIRTY) == (negotiated is NO_HAND)


def test_hand_over_is_agreed_for_each_port() -> None:
    """What one port has agreed to holds for its own nodes only. [HSL-COH-045]."""
    rig = SlowRig()
    rig.home.attach(range(A, A + 1), NO_HAND)
    dirty_at_b(rig)
    assert moved(rig, Op.ReadUnique)[1].st == St.E
    rig = SlowRig()
    rig.home.attach(range(B, B + 1), NO_HAND)
    dirty_at_b(rig)
    assert moved(rig, Op.ReadUnique)[1].st == St.M


@pytest.mark.parametrize("op", [Op.MakeUnique, Op.WriteFull])
def test_data_that_the_request_supersedes_are_not_written(op: Op) -> None:
    """MakeUnique and WriteFull drop the dirty data of the last owner: one MemWr less. HSL 5.6."""
    rig = SlowRig()
    dirty_at_b(rig)
    (snoop,) = rig.send(op, A)
    out = rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY)
    assert [message.data for message in rig.open] == ([NEW] if op == Op.WriteFull else [])
    assert (shape(out)[0][2] if out else "") == ("M" if op == Op.MakeUnique else "")


def test_data_of_a_lost_requester_go_to_memory() -> None:
    """Nothing is owed to a requester that is lost, so not even MakeUnique supersedes dirty data. HSL 5.6."""
    rig = SlowRig()
    dirty_at_b(rig)
    (snoop,) = rig.send(Op.MakeUnique, A)
    rig.home.fence(A, 0)
    assert rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY) == []
    assert [(message.data, message.poison) for message in rig.open] == [(DIRTY, 0)]
    rig.memory_done()
    assert (rig.home.idle, rig.memory.read_line(LINE)) == (True, (DIRTY, False))


def test_both_timers_of_a_granted_line_run() -> None:
    """T_MEM of the MemWr and T_CACK of the grant run at once; the end of one leaves the other. HSL 5.11."""
    timers = {"T_MEM": 700, "T_CACK": 300}
    for ends, left in (("ack", 700), ("memory", 300)):
        rig = SlowRig(timers=timers)
        dirty_at_b(rig)
        _, grant = moved(rig, Op.ReadShared)
        assert rig.home.next_deadline() == 300
        assert (rig.ack(grant) if ends == "ack" else rig.memory_done()) == []
        assert rig.home.next_deadline() == left
        rig.home.tick(left)
        lost = MT if ends == "ack" else A
        assert rig.home.fences == [lost]
        rig.home.fence(lost, left)  # with the proof that it can no longer use its copies
        assert rig.home.idle


# ---- rights at the grant (B1)
def read_only(rig: Rig, src: int) -> None:
    """Let `src` only read, by an access list that no other rig has."""
    access_list = AccessList()
    access_list.put(0, AclEntry(0, SIZE - 1, src=src, rights=READ_ONLY))
    rig.home.config.address_map.access_list = access_list


@pytest.fixture(autouse=True)
def _no_access_list() -> Iterator[None]:
    yield
    MAP.access_list = AccessList()


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("dirty", [False, True])
def test_a_reader_without_w_becomes_a_sharer(slow: bool, dirty: bool) -> None:
    """ReadShared of a line that nobody else keeps: S without the right W, so no WbFull of it counts.

    [HSL-COH-001, HSL-COH-046, HSL-SEC-002].
    """
    rig = SlowRig() if slow else Rig()
    read_only(rig, A)
    if dirty:
        dirty_at_b(rig)
        (snoop,) = rig.send(Op.ReadShared, A)
        out = rig.send(Op.SnpRspData, B, txn=snoop.txn, st=St.I, data=DIRTY)  # B was in MI_A
    else:
        out = rig.send(Op.ReadShared, A)
    while isinstance(rig, SlowRig) and rig.open:
        out += rig.memory_done()
    (grant,) = out
    assert (shape(out), rig.directory()) == ([("CmpData", A, "S", "OK")], ("S", {A}))
    rig.ack(grant)
    assert shape(rig.send(Op.WbFull, A, data=NEW)) == [("Cmp", A, "I", "OK")]
    assert rig.memory.read_line(LINE)[0] == (DIRTY if dirty else OLD)
    assert rig.errors() == [ErrorCode.PROTO]


def test_rights_are_judged_at_the_grant() -> None:
    """A requester that has lost W while its request was served is granted S. [HSL-COH-046]."""
    rig = Rig()
    rig.hold(B)
    (snoop,) = rig.send(Op.ReadShared, A)
    read_only(rig, A)
    assert shape(rig.send(Op.SnpRsp, B, txn=snoop.txn)) == [("CmpData", A, "S", "OK")]


# ---- poison of a line whose owner died
def test_poison_is_written_after_the_write_that_is_outstanding() -> None:
    """The owner dies while the MemWr of the line runs: the poison goes out after its Cmp, and last.

    [HSL-COH-049].
    """
    for err in (Err.OK, Err.DATA):
        rig = SlowRig(negotiated=NO_HAND)
        dirty_at_b(rig)
        moved(rig, Op.ReadUnique)
        rig.home.fence(A, 0)
        assert (rig.home.state_of(LINE), len(rig.open)) == ("WBP", 1)
        assert rig.send(Op.ReadOnce, C) == []
        assert rig.memory_done(err) == []
        assert [(message.op, message.poison) for message in rig.open] == [(Op.MemWr, 1)]
        rig.memory_done()
        (answer,) = rig.memory_done()
        assert (answer.dst, answer.poison, rig.home.idle) == (C, 1, True)


def test_a_poisoned_line_that_cannot_be_written_is_marked_once() -> None:
    """The write of the poison fails: the line is listed, and no other write follows. [HSL-COH-049]."""
    rig = SlowRig()
    dirty_at_b(rig)
    rig.home.fence(B, 0)
    assert rig.sent() == []
    assert rig.memory_done(Err.DATA) == []
    assert (rig.open, rig.home.idle, rig.home._leg.lost) == ([], True, {LINE})
    assert rig.send(Op.ReadOnce, A)[0].poison == 1


def test_owner_and_target_die_together() -> None:
    """The target of the lines of a dead owner is dead too: all are marked, nothing waits. HSL 5.6 M3, M4."""
    for first, second in ((B, MT), (MT, B)):
        rig = SlowRig()
        dirty_at_b(rig)
        rig.home.fence(first, 0)
        rig.home.fence(second, 0)
        assert (rig.home.idle, rig.home._leg.lost) == (True, {LINE})


def test_an_owner_of_many_lines_is_walked_within_the_tshrs() -> None:
    """The poison of a dead owner's lines takes TSHRs in turn; a line is walked before its next event.

    Its next owner keeps what it writes. [HSL-COH-049].
    """
    rig = SlowRig(tshrs=4)
    lines = [LINE + LINE_BYTES * i for i in range(10)]
    for line in lines:
        (grant,) = rig.send(Op.MakeUnique, B, addr=line)
        rig.ack(grant)
    rig.home.fence(B, 0)
    rig.home.readmit(B)
    rig.home.fence(B, 0)  # once more, while lines wait for their walk
    assert rig.sent() == []
    assert (len(rig.open), rig.errors()) == (4, [ErrorCode.DATA_LOST] * 2)
    assert rig.send(Op.WriteFull, A, addr=lines[-1]) == []
    done = []
    while rig.open:
        assert len(rig.open) <= 4
        done += rig.memory_done()
    assert shape(done) == [("Cmp", A, "I", "OK")]
    assert [rig.memory.poisoned(line) for line in lines] == [True] * 9 + [False]
    assert (rig.home.idle, rig.home.next_deadline()) == (True, None)
    assert rig.memory.read_line(OTHER)[0] == bytes(LINE_BYTES)


def test_a_hand_over_that_is_not_agreed_is_refused() -> None:
    """An agent drops CmpData(M) of a home whose port has not agreed to HandOver. HSL 5.5."""
    for features, logged in ((LOCAL.features, []), (NO_HAND.features, [ErrorCode.PROTO])):
        one = agent()
        one.attach(range(HOME_OF_AGENT, HOME_OF_AGENT + 1), LOCAL._replace(features=features))
        one.submit(Access("store", BASE, 8, bytes(8)), 0)
        (request,) = one.outbox
        one.receive(
            Message(Op.CmpData, HOME_OF_AGENT, one.nid, request.txn, 3, data=DIRTY, st=St.M, htxn=1), 0
        )
        assert [code for code, *_ in one.errors] == logged
        assert one.state_of(BASE) == ("IM_D" if logged else "M")
