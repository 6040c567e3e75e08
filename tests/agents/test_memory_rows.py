"""Every row of the home table that a memory target can reach: each access fails, or its requester is lost."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from hsl._generated.constants import Err, Op, St
from hsl.agents.peers import LOCAL
from hsl.codec.message import Message
from tests.agents.home_rig import DIRTY, FIELDS, LINE, MT, NO_HAND, OLD, A, B, SlowRig, shape


class Case(NamedTuple):
    """A request at a line that nobody holds: the accesses it makes, its completion and the state granted."""

    accesses: tuple[Op, ...]
    end: tuple[str, str]


READS, WRITES = (Op.MemRd,), (Op.MemWr,)
CASES = {
    Op.ReadShared: Case(READS, ("CmpData", "E")),
    Op.ReadUnique: Case(READS, ("CmpData", "E")),
    Op.Upgrade: Case(READS, ("CmpData", "E")),
    Op.MakeUnique: Case((), ("Cmp", "M")),
    Op.ReadOnce: Case(READS, ("CmpData", "I")),
    Op.Flush: Case((), ("Cmp", "I")),
    Op.WriteFull: Case(WRITES, ("Cmp", "I")),
    Op.WritePtl: Case((Op.MemWrPtl,), ("Cmp", "I")),
    Op.AtomicLoad: Case(READS + WRITES, ("CmpData", "I")),
    Op.AtomicStore: Case(READS + WRITES, ("Cmp", "I")),
}
ATOMICS = (Op.AtomicLoad, Op.AtomicStore)
ALL = [(op, owned) for op in CASES for owned in (False, True)]
KEPT = {"SnpShared": St.S, "SnpCur": St.M, "SnpInv": St.I}


# The accesses where the owner has given dirty data: they are written first, unless the requester gets them in
# M or writes the whole line itself. A ReadOnce leaves them with the owner.
WRITTEN: dict[Op, tuple[Op, ...]] = {
    Op.ReadShared: WRITES,
    Op.Flush: WRITES,
    Op.WriteFull: WRITES,
    Op.WritePtl: (Op.MemWr, Op.MemWrPtl),
    Op.AtomicLoad: (Op.MemWr, Op.MemRd, Op.MemWr),
    Op.AtomicStore: (Op.MemWr, Op.MemRd, Op.MemWr),
}
HANDED = (Op.ReadUnique, Op.Upgrade)


def begin(op: Op, owned: bool, hand: bool = True) -> tuple[SlowRig, list[Message], tuple[Op, ...]]:
    """Send the request, to a line that B owns dirty if `owned`: what came of it, and the accesses to come."""
    rig = SlowRig(negotiated=LOCAL if hand else NO_HAND)
    if owned:
        rig.send(Op.ReadUnique, B)
        rig.ack(rig.memory_done()[0])
    out = rig.send(op, A, **FIELDS.get(op, {}))
    if not owned:
        return rig, out, CASES[op].accesses
    (snoop,) = out
    answered = rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY, st=KEPT[Op(snoop.op).name])
    return rig, answered, WRITES if op in HANDED and not hand else WRITTEN.get(op, ())


def expected_end(op: Op, owned: bool, hand: bool, failing: int | None) -> tuple[str, int, str, str]:
    """An error of its own access ends a request; that of the writeback a Flush, and an atomic by POISON."""
    name, state = CASES[op].end
    writeback = owned and failing == 0 and op != Op.WriteFull
    if owned and op == Op.ReadShared:
        state = "S"
    if owned and hand and op in HANDED:
        state = "M"
    if failing is not None and (not writeback or op in (Op.Flush, *ATOMICS)):
        return "Cmp", A, "I", "DATA"
    return name, A, state, "OK"


def expected_directory(op: Op, owned: bool, granted: str) -> tuple[str, set[int]]:
    """Who is listed afterwards."""
    if granted != "I":
        return ("S", {A, B}) if granted == "S" else ("X", {A})
    after_snoop = {Op.ReadOnce: ("X", {B}), Op.ReadShared: ("S", {B})}
    return after_snoop.get(op, ("I", set())) if owned else ("I", set())


@pytest.mark.parametrize(("op", "owned"), ALL)
@pytest.mark.parametrize("hand", [False, True])
def test_each_access_may_fail(op: Op, owned: bool, hand: bool) -> None:
    """Each MEM access of each request fails in turn: completion, directory, lost line as 5.6 and 5.13 say.

    Dirty data are granted before their write ends, or without one. [HSL-COH-039, HSL-COH-040, HSL-COH-044,
    HSL-COH-045].
    """
    accesses = begin(op, owned, hand)[2]
    for failing in (None, *range(len(accesses))):
        rig, out, _ = begin(op, owned, hand)
        assert bool(out) == (not accesses or (owned and op in (Op.ReadShared, *HANDED)))
        for index, access in enumerate(accesses):
            if not rig.open:
                break  # the line is lost, so the read that was to come needs no access
            assert [message.op for message in rig.open] == [access]
            out += rig.memory_done(Err.DATA if index == failing else Err.OK)
        assert shape(out) == [expected_end(op, owned, hand, failing)]
        if out[0].st:
            rig.ack(out[0])
        assert rig.errors() == []
        failed_write = failing is not None and accesses[failing] != Op.MemRd
        assert (LINE in rig.home._leg.lost) == failed_write
        assert rig.directory() == expected_directory(op, owned, shape(out)[0][2])
        assert rig.home.idle


@pytest.mark.parametrize(("op", "owned"), ALL)
@pytest.mark.parametrize("err", [Err.OK, Err.DATA])
def test_requester_is_lost_at_each_access(op: Op, owned: bool, err: Err) -> None:
    """The access that is open ends, nothing is sent or granted; a begun write is done. HSL 5.6, 5.7."""
    for at in range(len(begin(op, owned)[2])):
        rig, _, accesses = begin(op, owned)
        for _ in range(at):
            assert rig.memory_done() == []
        before = rig.memory.read_line(LINE)
        rig.home.fence(A, 0)
        assert rig.sent() == []
        assert rig.memory_done(err) == []
        assert (rig.open, rig.home.idle) == ([], True)
        assert A not in rig.directory()[1]
        writes = accesses[at] != Op.MemRd
        assert (LINE in rig.home._leg.lost) == (err != Err.OK and writes)
        assert (rig.memory.read_line(LINE) != before) == (err == Err.OK and writes)


@pytest.mark.parametrize("op", [Op.WbFull, Op.SnpRspData, Op.WriteFull, Op.WritePtl])
def test_poison_reaches_the_target_with_every_write(op: Op) -> None:
    """POISON of a writeback, snoop answer or write is stored in the target and read back. [HSL-RAS-001]."""
    rig = SlowRig()
    if op in (Op.WbFull, Op.SnpRspData):
        rig.send(Op.ReadUnique, A)
        rig.ack(rig.memory_done()[0])
    if op == Op.SnpRspData:
        (snoop,) = rig.send(Op.Flush, B)
        rig.send(op, A, txn=snoop.txn, poison=1)
    else:
        rig.send(op, A, **FIELDS.get(op, {}), poison=1)
    assert [(message.dst, message.poison) for message in rig.open] == [(MT, 1)]
    assert rig.memory_done()[0].err == Err.OK
    assert rig.memory.poisoned(LINE)
    rig.send(Op.ReadOnce, B)
    assert rig.memory_done()[0].poison == 1
    rig.send(Op.WriteFull, B)
    rig.memory_done()
    rig.send(Op.ReadOnce, B)
    assert rig.memory_done()[0].poison == 0


def test_poisoned_operand_is_not_performed() -> None:
    """An atomic with a poisoned operand ends with DATA, and nothing is written. HSL 6.1 [HSL-COH-041]."""
    rig = SlowRig()
    rig.send(Op.AtomicStore, A, **FIELDS[Op.AtomicStore], poison=1)
    assert shape(rig.memory_done()) == [("Cmp", A, "I", "DATA")]
    assert rig.open == []
    assert rig.memory.read_line(LINE) == (OLD, False)
