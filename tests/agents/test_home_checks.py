"""What a home refuses at arrival, and what it does with data (HSL 5.4 T15, 5.12, 6.1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Aop, Err, ErrorCode, Op, Right, SamType, St
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from tests.agents.home_rig import (
    DIRTY,
    FIELDS,
    FULL_BE,
    HOME,
    LINE,
    MERGED,
    NEW,
    OLD,
    ONE,
    OTHER,
    SIZE,
    A,
    B,
    Rig,
    shape,
)


# ---- checks at arrival (5.4 T15)
def refused(rig: Rig, op: int, err: Err, **fields: object) -> None:
    """The request ends with `err` at once and leaves no trace."""
    before = rig.directory(), rig.memory.read(0, SIZE)
    assert shape(rig.send(op, A, **fields)) == [("Cmp", A, "I", err.name)]
    assert (rig.directory(), rig.memory.read(0, SIZE)) == before
    assert rig.home.idle
    assert len(rig.home.taken) == 1


def test_address_that_is_not_homed_here() -> None:
    """DECODE outside the map, at another home and in MMIO, before any other check. [HSL-TXN-004]."""
    amap = AddressMap(
        [
            SamEntry(0, SIZE - 1, home=HOME - 1, ways=1, granule=12),
            SamEntry(SIZE, 2 * SIZE - 1, SamType.MMIO, home=HOME),
        ]
    )
    rig = Rig()
    rig.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), rig.memory)
    for addr in (0, SIZE, 1 << 40):
        rig.home.taken.clear()
        refused(rig, Op.ReadShared, Err.DECODE, addr=addr, len=1)  # LEN would be PROTO
    assert shape(rig.send(Op.ReadShared, A, addr=0x1000)) == [("CmpData", A, "E", "OK")]


@pytest.mark.parametrize(
    ("op", "fields", "err"),
    [
        (Op.ReadShared, {"len": 2}, Err.PROTO),
        (Op.ReadShared, {"addr": LINE + 8}, Err.PROTO),
        (Op.WbFull, {"be": FULL_BE}, Err.PROTO),
        (Op.WritePtl, {"len": 0, "data": NEW[:8], "be": 0x1FF}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 3, "data": ONE}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 1, "aop": 12, "data": ONE}, Err.UNSUP),
        (Op.AtomicStore, {"len": 0, "x": 1, "aop": Aop.SWAP, "data": ONE}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 1, "addr": LINE + 4, "data": ONE}, Err.PROTO),
        (Op.AtomicStore, {"len": 0, "x": 1, "aop": Aop.FADD32, "data": ONE}, Err.PROTO),
        # The first that applies.
        (Op.AtomicStore, {"len": 0, "x": 3, "aop": 12, "be": 1, "data": ONE}, Err.PROTO),
        (Op.AtomicStore, {"len": 3, "x": 0, "aop": 20, "addr": LINE + 1}, Err.UNSUP),
        (Op.AtomicStore, {"len": 1, "x": 4, "aop": 12, "data": ONE * 2}, Err.PROTO),
        (0x3F, {}, Err.UNSUP),
        (0x5F, {"data": NEW}, Err.UNSUP),
    ],
)
def test_format_errors(op: int, fields: dict[str, object], err: Err) -> None:
    """A request that breaks 5.12 ends with PROTO or UNSUP and has no effect. [HSL-TXN-005]."""
    refused(Rig(), op, err, **fields)


def test_atomic_class_that_was_not_negotiated() -> None:
    """An atomic of a class that was not negotiated ends with UNSUP, that of a local agent is done.

    HSL 5.12.
    """
    rig = Rig()
    rig.home.attach(range(A, A + 1), Negotiated(0, 0, 256, 52))
    refused(rig, Op.AtomicStore, Err.UNSUP, **FIELDS[Op.AtomicStore])
    rig.home.taken.clear()
    refused(rig, Op.AtomicStore, Err.PROTO, **FIELDS[Op.AtomicStore] | {"addr": LINE + 2})  # comes first
    assert shape(rig.send(Op.AtomicStore, B, **FIELDS[Op.AtomicStore])) == [("Cmp", B, "I", "OK")]


def allowing(rights: Right) -> Rig:
    """A home whose lines give all nodes these rights."""
    rig = Rig()
    amap = AddressMap([SamEntry(0, SIZE - 1, home=HOME, rights=rights)])
    rig.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), rig.memory)
    return rig


@pytest.mark.parametrize(
    ("op", "right"),
    [
        (Op.ReadShared, Right.R),
        (Op.ReadShared, Right.C),
        (Op.ReadUnique, Right.R),
        (Op.ReadUnique, Right.W),
        (Op.ReadUnique, Right.C),
        (Op.Upgrade, Right.R),
        (Op.Upgrade, Right.W),
        (Op.Upgrade, Right.C),
        (Op.MakeUnique, Right.W),
        (Op.MakeUnique, Right.C),
        (Op.ReadOnce, Right.R),
        (Op.WriteFull, Right.W),
        (Op.Flush, Right.W),
        (Op.AtomicLoad, Right.A),
    ],
)
def test_missing_right(op: Op, right: Right) -> None:
    """A request without a right that it needs ends with ACCESS; Evict and WbFull never do.

    A request that may bring data needs R, also ReadUnique and Upgrade, which want to write.
    [HSL-SEC-002, HSL-SEC-009, HSL-COH-034].
    """
    rig = allowing(~right & (Right.C | Right.R | Right.W | Right.A))
    refused(rig, op, Err.ACCESS, **FIELDS.get(op, {}))
    for never in (Op.Evict, Op.WbFull):
        assert shape(rig.send(never, A)) == [("Cmp", A, "I", "OK")]


@pytest.mark.parametrize(
    ("op", "rights", "answer"),
    [
        (Op.ReadShared, Right.R | Right.C, "CmpData"),
        (Op.ReadUnique, Right.R | Right.W | Right.C, "CmpData"),
        (Op.Upgrade, Right.R | Right.W | Right.C, "CmpData"),
        (Op.MakeUnique, Right.W | Right.C, "Cmp"),
        (Op.ReadOnce, Right.R, "CmpData"),
        (Op.WriteFull, Right.W, "Cmp"),
        (Op.AtomicLoad, Right.A, "CmpData"),
        (Op.AtomicStore, Right.A, "Cmp"),
    ],
)
def test_right_that_is_enough(op: Op, rights: Right, answer: str) -> None:
    """A request with the rights of 6.3 is done; A alone reads and writes the operand. [HSL-SEC-010]."""
    (done,) = allowing(rights).send(op, A, **FIELDS.get(op, {}))
    assert (Op(done.op).name, Err(done.err)) == (answer, Err.OK)


def test_viral_port() -> None:
    """From a VIRAL port requests end with DATA, but Evict, WbFull and answers go on, data poisoned.

    [HSL-RAS-005].
    """
    rig = Rig()
    rig.put("X")

    def viral(op: Op, src: int, **fields: object) -> list[Message]:
        base: dict[str, object] = {"dst": HOME, "len": 3, "addr": LINE, "txn": 200}
        rig.home.receive(Message(op, src=src, **(base | fields)), 0, viral=True)  # type: ignore[arg-type]
        return rig.sent()

    assert shape(viral(Op.ReadShared, A)) == [("Cmp", A, "I", "DATA")]
    assert shape(viral(Op.WbFull, B, data=NEW)) == [("Cmp", B, "I", "OK")]
    assert rig.memory.read_line(LINE) == (NEW, True)
    rig.hold(B)
    (snoop,) = rig.send(Op.ReadUnique, A)
    (grant,) = viral(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY)
    assert (grant.data, grant.poison) == (DIRTY, 1)
    viral(Op.CmpAck, A, txn=grant.htxn)
    assert shape(viral(Op.Evict, A)) == [("Cmp", A, "I", "OK")]
    assert rig.home.idle


def test_txn_in_use_or_too_large_is_dropped() -> None:
    """A TXN that is outstanding or not below the negotiated number: dropped, PROTO, no completion.

    HSL 5.4 T15.
    """
    rig = Rig()
    rig.home.attach(range(B, B + 1), Negotiated(1, 0, 16, 52))
    (grant,) = rig.send(Op.ReadUnique, A, txn=5)
    assert rig.send(Op.ReadOnce, B, txn=7) == []
    assert rig.send(Op.ReadOnce, B, txn=7, addr=OTHER) == []
    assert rig.send(Op.ReadOnce, B, txn=16, addr=OTHER) == []
    assert rig.errors() == [ErrorCode.PROTO] * 2
    # A new request may overtake the CmpAck: its TXN is free since the completion.
    assert shape(rig.send(Op.ReadOnce, A, txn=5, addr=OTHER)) == [("CmpData", A, "I", "OK")]
    assert len(rig.home.taken) == 4
    rig.ack(grant)


def test_completions_copy_what_they_answer() -> None:
    """SRC and DST swapped, TXN, QOS and TRACE of the request; snoops too, without DOM.

    HSL 2.6 [HSL-TXN-003].
    """
    rig = Rig()
    rig.hold(B)
    (snoop,) = rig.send(Op.ReadUnique, A, txn=77, qos=2, trace=1, dom=5)
    assert snoop == Message(Op.SnpInv, HOME, B, snoop.txn, 3, LINE, qos=2, trace=1)
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert grant == Message(Op.CmpData, HOME, A, 77, 3, data=OLD, htxn=grant.htxn, st=St.E, qos=2, trace=1)


def test_numbers_are_the_lowest_free() -> None:
    """HTXNs and snoop TXNs are the lowest free of their space. HSL 2.6."""
    rig = Rig()
    grants = [rig.send(Op.ReadUnique, A, addr=LINE + 64 * i)[0] for i in range(3)]
    assert [grant.htxn for grant in grants] == [0, 1, 2]
    rig.ack(grants[2])
    rig.ack(grants[1])
    assert [rig.send(Op.ReadUnique, A, addr=LINE + 64 * i)[0].htxn for i in (3, 4, 5)] == [1, 2, 3]


# ---- data
def test_poison_is_kept_and_cleared() -> None:
    """Poison travels with data, partial writes keep it, whole lines clear it, atomics refuse it.

    [HSL-RAS-001].
    """
    rig = Rig()
    rig.send(Op.WritePtl, A, **FIELDS[Op.WritePtl], poison=1)
    assert rig.memory.poisoned(LINE)
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    assert shape(rig.send(Op.AtomicStore, A, **FIELDS[Op.AtomicStore])) == [("Cmp", A, "I", "DATA")]
    rig.send(Op.WritePtl, A, **FIELDS[Op.WritePtl])
    assert rig.memory.read_line(LINE) == (MERGED, True)  # the atomic was not performed [HSL-COH-041]
    rig.send(Op.WritePtl, A, be=FULL_BE, data=NEW)
    assert rig.memory.read_line(LINE) == (NEW, False)
    rig.send(Op.WriteFull, A, poison=1, data=OLD)
    assert rig.memory.read_line(LINE) == (OLD, True)
    rig.send(Op.WriteFull, A)
    assert rig.memory.read_line(LINE) == (NEW, False)


def test_atomic_with_poisoned_operand() -> None:
    """A poisoned operand: DATA, the line unchanged. HSL 5.12 [HSL-COH-041]."""
    rig = Rig()
    assert shape(rig.send(Op.AtomicLoad, A, **FIELDS[Op.AtomicLoad], poison=1)) == [("Cmp", A, "I", "DATA")]
    assert rig.memory.read_line(LINE) == (OLD, False)


def test_four_byte_atomic_is_placed() -> None:
    """A 4-byte atomic works on its bytes of the granule and returns them there, the rest 0.

    HSL 5.12 [HSL-COH-016].
    """
    rig = Rig()
    (done,) = rig.send(Op.AtomicLoad, A, addr=LINE + 0x14, len=0, x=0, data=bytes(4) + b"\xff\xff\xff\xff")
    assert (done.len, done.data) == (0, bytes(4) + OLD[0x14:0x18])
    assert rig.memory.read(LINE + 0x14, 4) == bytes([0x13, 0x15, 0x16, 0x17])


def test_cas_of_sixteen_bytes() -> None:
    """A CAS that fails leaves the line, one that holds swaps; both return the old value.

    HSL 5.12 [HSL-COH-017].
    """
    rig = Rig()
    fields = {"addr": LINE + 16, "len": 2, "x": 2, "aop": Aop.CAS}
    (done,) = rig.send(Op.AtomicLoad, A, **fields, data=NEW[:16] + DIRTY[:16])
    assert (done.len, done.data, rig.memory.read_line(LINE)[0]) == (1, OLD[16:32], OLD)
    (done,) = rig.send(Op.AtomicLoad, A, **fields, data=OLD[16:32] + DIRTY[:16])
    assert (done.data, rig.memory.read(LINE + 16, 16)) == (OLD[16:32], DIRTY[:16])


def test_empty_byte_enable_still_invalidates() -> None:
    """WritePtl with BE all 0 changes no byte and invalidates the holders all the same. HSL 5.12."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.WritePtl, A, len=0, be=0, data=NEW[:8])
    assert shape(rig.send(Op.SnpRsp, B, txn=snoop.txn)) == [("Cmp", A, "I", "OK")]
    assert (rig.directory(), rig.memory.read_line(LINE)) == (("I", set()), (OLD, False))
