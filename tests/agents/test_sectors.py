"""Snapshots of half a line, and partial writes without byte enables (HSL 5.12)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, St
from hsl.agents.access import Access
from hsl.agents.invariants import InvariantError, ReferenceMemory
from hsl.codec.message import Message
from tests.agents.home_rig import DIRTY, LINE, NEW, OLD, A, B, Rig, SlowRig, shape
from tests.support.agents import A as HELD
from tests.support.agents import complete, drain
from tests.support.coherence import FIRST, HOME, agent

SECTOR = 32
PARTS = [(3, 0), (2, 0), (2, SECTOR)]  # LEN and place in the line


def asked(message: Message) -> tuple[int, int, int]:
    """Op, address and LEN of a request."""
    return message.op, message.addr, message.len


# ---- ReadOnce


@pytest.mark.parametrize(("code", "at"), PARTS)
def test_a_snapshot_has_the_length_asked_for(code: int, at: int) -> None:
    """The CmpData of a ReadOnce has its LEN and the bytes from its ADDR on. [HSL-TXN-013]."""
    (answer,) = Rig().send(Op.ReadOnce, A, addr=LINE + at, len=code)
    data = OLD[at : at + (8 << code)]
    assert (shape([answer]), answer.len, answer.data) == ([("CmpData", A, "I", "OK")], code, data)


@pytest.mark.parametrize(("kept", "op"), [(St.M, Op.SnpRspData), (St.I, Op.SnpRspData), (St.E, Op.SnpRsp)])
@pytest.mark.parametrize("at", [0, SECTOR])
def test_a_sector_is_snooped_and_listed_as_its_line(at: int, kept: St, op: Op) -> None:
    """A ReadOnce of a sector snoops the whole line, and the directory keeps the line. [HSL-TXN-014]."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadOnce, A, addr=LINE + at, len=2)
    assert asked(snoop) == (Op.SnpCur, LINE, 3)
    data = DIRTY if op == Op.SnpRspData else OLD
    (answer,) = rig.send(op, B, txn=snoop.txn, st=kept, len=3, data=data if op == Op.SnpRspData else b"")
    assert (answer.op, answer.len, answer.data) == (Op.CmpData, 2, data[at : at + SECTOR])
    assert rig.directory() == ("X", {B})


def test_a_sector_is_read_from_memory_as_its_line() -> None:
    """The MemRd for a sector is of the line, and a request for the other sector waits. [HSL-TXN-014]."""
    rig = SlowRig()
    assert rig.send(Op.ReadOnce, A, addr=LINE + SECTOR, len=2) == []
    assert rig.send(Op.ReadOnce, B, addr=LINE, len=2) == []
    assert [asked(message) for message in rig.open] == [(Op.MemRd, LINE, 3)]
    (first,) = rig.memory_done()
    (second,) = rig.memory_done()
    assert (first.dst, first.data) == (A, OLD[SECTOR:])
    assert (second.dst, second.data) == (B, OLD[:SECTOR])


@pytest.mark.parametrize(("code", "at"), [(0, 0), (1, 0), (2, 16), (3, SECTOR), (3, 8)])
def test_another_part_of_a_line_is_refused(code: int, at: int) -> None:
    """A ReadOnce of fewer than 32 bytes, or one that is not aligned to its data, is PROTO. [HSL-TXN-012]."""
    rig = Rig()
    assert shape(rig.send(Op.ReadOnce, A, addr=LINE + at, len=code)) == [("Cmp", A, "I", "PROTO")]
    assert rig.home.counters["refused"] == 1


@pytest.mark.parametrize(
    ("at", "size", "code"),
    [(0, 8, 2), (5, 3, 2), (0, 32, 2), (33, 31, 2), (24, 16, 3), (0, 33, 3), (0, 64, 3)],
)
def test_an_access_within_a_sector_asks_for_the_sector(at: int, size: int, code: int) -> None:
    """A request agent asks for the sector that has all bytes of the access, else for the line. HSL 5.12.

    CmpData with the LEN of the other is PROTO and ends nothing [HSL-SEC-013].
    """
    one = agent()
    once = one.submit(Access("read_once", HELD + at, size), 0)
    (request,) = drain(one)
    start = at - at % (8 << code)
    assert asked(request) == (Op.ReadOnce, HELD + start, code)
    for length in (5 - code, code):
        assert not once.done
        data = OLD[start:].ljust(LINE_BYTES, b"\0")[: 8 << length]
        one.receive(Message(Op.CmpData, HOME, FIRST, request.txn, len=length, data=data), 0)
    assert once.result() == OLD[at : at + size]
    assert [code for code, _, _ in one.errors] == [ErrorCode.PROTO]


def test_two_sectors_of_a_line_are_one_request_after_the_other() -> None:
    """A line has one MSHR: a snapshot of its other sector waits for the first. [HSL-TXN-014]."""
    one = agent()
    tickets = [one.submit(Access("read_once", HELD + at, 8), 0) for at in (SECTOR, 0)]
    (first,) = drain(one)
    assert asked(first) == (Op.ReadOnce, HELD + SECTOR, 2)
    (second,) = complete(one, first, St.I)
    assert asked(second) == (Op.ReadOnce, HELD, 2)
    complete(one, second, St.I)
    assert [ticket.result() for ticket in tickets] == [OLD[SECTOR : SECTOR + 8], OLD[:8]]


def test_a_sector_is_judged_by_its_length_and_its_bytes() -> None:
    """The judge of a run refuses a snapshot of another LEN, and one of the other half of the line."""
    judge = ReferenceMemory(lambda line: OLD)
    request = Message(Op.ReadOnce, A, HOME, 7, 2, LINE + SECTOR)
    answer = Message(Op.CmpData, HOME, A, 7, 2, data=OLD[SECTOR:])
    for good in (answer, Message(Op.Cmp, HOME, A, 7, err=Err.ACCESS)):
        judge.sent(request)
        judge.answered(good)
    judge.sent(request)
    with pytest.raises(InvariantError, match="LEN 3"):
        judge.answered(answer._replace(len=3, data=OLD))


# ---- WritePtl


@pytest.mark.parametrize("code", range(4))
@pytest.mark.parametrize("slow", [False, True])
def test_without_byte_enables_all_bytes_are_written(code: int, slow: bool) -> None:
    """A WritePtl without BE writes 8 << LEN bytes, also as MemWrPtl; one of BE 0 none. [HSL-TXN-015]."""
    rig = SlowRig() if slow else Rig()
    size = 8 << code
    at = LINE_BYTES - size
    for be, data in ((0, OLD), (None, OLD[:at] + NEW[:size])):
        out = rig.send(Op.WritePtl, A, addr=LINE + at, len=code, be=be, data=NEW[:size])
        if isinstance(rig, SlowRig):
            (mem,) = rig.open
            assert (mem.op, mem.addr, mem.len, mem.be) == (Op.MemWrPtl, LINE + at, code, be)
            out = rig.memory_done()
        assert shape(out) == [("Cmp", A, "I", "OK")]
        assert rig.memory.read_line(LINE) == (data, False)


def test_a_whole_line_without_byte_enables_is_good_again() -> None:
    """LEN 3 without BE clears poison, as 64 enabled bytes do; 32 bytes without BE do not. [HSL-TXN-016]."""
    rig = Rig()
    rig.memory.write_line(LINE, OLD, poison=True)
    rig.send(Op.WritePtl, A, len=2, data=NEW[:SECTOR])
    assert rig.memory.read_line(LINE) == (NEW[:SECTOR] + OLD[SECTOR:], True)
    rig.send(Op.WritePtl, A, data=DIRTY)
    assert rig.memory.read_line(LINE) == (DIRTY, False)


def test_a_lost_line_without_byte_enables_is_off_the_list() -> None:
    """LEN 3 without BE takes a line off the lost list and clears its poison in the target. [HSL-TXN-016]."""
    rig = SlowRig()
    rig.send(Op.WriteFull, A)
    rig.memory_done(Err.DATA)
    rig.memory.poison(LINE)
    for code, lost in ((2, 1), (3, 0)):
        rig.send(Op.WritePtl, A, len=code, data=NEW[: 8 << code])
        rig.memory_done()
        (answer,) = rig.send(Op.ReadOnce, B) or rig.memory_done()
        assert answer.poison == lost
    assert answer.data == NEW


@pytest.mark.parametrize(
    ("access", "be"),
    [
        (Access("write_ptl", HELD + 8, 8, NEW[:8]), None),
        (Access("write_ptl", HELD, LINE_BYTES, NEW), None),
        (Access("write_ptl", HELD + 16, 16, NEW[:16], be=0xFFFF), None),
        (Access("write_ptl", HELD + 16, 16, NEW[:16], be=0x7FFF), 0x7FFF),
        (Access("write_ptl", HELD, 8, NEW[:8], be=0), 0),
        (Access("write_ptl", HELD + 12, 4, NEW[:4]), 0xF0),
    ],
)
def test_enables_travel_only_where_a_byte_is_left_out(access: Access, be: int | None) -> None:
    """A request agent sends a WritePtl of all its bytes without the granule of byte enables. HSL 5.12."""
    one = agent()
    one.submit(access, 0)
    (request,) = drain(one)
    assert (request.op, request.be, request.addr) == (Op.WritePtl, be, access.addr & ~7)
