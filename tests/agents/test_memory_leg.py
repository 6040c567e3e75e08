"""The home's way to its memory target: numbers, time-outs, loss and return, lost lines (HSL 5.6 M1 to M5)."""

from __future__ import annotations

from collections import deque
from itertools import permutations
from typing import Any

import pytest

from hsl._generated.constants import (
    LINE_BYTES,
    LOST_LINES,
    SAM_ENTRIES,
    TIMERS,
    Err,
    ErrorCode,
    Op,
    SamType,
    St,
    Vc,
)
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.memory_leg import MemoryLeg
from hsl.agents.peers import LOCAL
from hsl.codec.message import Message
from hsl.errors import ConfigError
from tests.agents.home_rig import (
    DIRTY,
    FIELDS,
    HOME,
    LINE,
    MT,
    NEW,
    NO_HAND,
    OLD,
    OTHER,
    SIZE,
    A,
    B,
    SlowRig,
    shape,
)

TU = 64
T_MEM = TIMERS["T_MEM"].tu * TU
FULL_BE = (1 << LINE_BYTES) - 1


def own(rig: SlowRig, nid: int = A, addr: int = LINE) -> None:
    """`nid` gets the line, writable."""
    rig.send(Op.ReadUnique, nid, addr=addr)
    rig.ack(rig.memory_done()[0])


def test_messages_to_the_target() -> None:
    """MemRd and MemWr are whole lines, MemWrPtl is as its WritePtl; qos and trace are kept. HSL 5.14."""
    rig = SlowRig()
    rig.send(Op.ReadOnce, A, qos=1, trace=1)
    rig.send(Op.WriteFull, A, addr=OTHER, poison=1)
    rig.send(Op.WritePtl, A, addr=0x80, **FIELDS[Op.WritePtl])
    read, write, partial = rig.open
    assert read == Message(Op.MemRd, HOME, MT, 0, 3, LINE, qos=1, trace=1)
    assert write == Message(Op.MemWr, HOME, MT, 1, 3, OTHER, data=NEW, poison=1)
    assert partial == Message(Op.MemWrPtl, HOME, MT, 2, 0, 0x80, be=0x0F, data=NEW[:8])


def test_one_access_per_line() -> None:
    """A line never has two MEM messages outstanding, whatever waits for it. HSL 5.6 M1."""
    rig = SlowRig(negotiated=NO_HAND)
    own(rig)
    rig.send(Op.ReadUnique, B)
    for other in (5, 6, 7):
        rig.send(Op.AtomicStore, other, **FIELDS[Op.AtomicStore])
    snoop_txn = next(iter(rig.home._do.snoops))
    (grant,) = rig.send(Op.SnpRspData, A, txn=snoop_txn, data=DIRTY)
    rig.ack(grant)
    seen = []
    while rig.open:
        assert len(rig.open) == 1
        seen.append(Op(rig.open[0].op).name)
        for snoop in rig.memory_done():
            if snoop.vc == Vc.SNP:
                rig.send(Op.SnpRsp, snoop.dst, txn=snoop.txn)
    assert seen == ["MemWr", *["MemRd", "MemWr"] * 3]
    assert rig.home.idle


def test_numbers_of_the_target_are_not_exceeded() -> None:
    """MEM messages beyond the negotiated number wait for a TXN, and are all sent in the end. HSL 5.4 T15."""
    rig = SlowRig()
    rig.home.attach(range(MT, MT + 1), LOCAL._replace(max_txn=2))
    for index in range(5):
        rig.send(Op.ReadOnce, A, addr=index * LINE_BYTES)
    assert [(m.txn, m.addr) for m in rig.open] == [(0, 0), (1, LINE_BYTES)]
    answers = []
    while rig.open:
        assert {m.txn for m in rig.open} <= {0, 1}
        answers += rig.memory_done()
    assert [m.op for m in answers] == [Op.CmpData] * 5
    assert rig.home.idle


def one_txn(accesses: int) -> SlowRig:
    """A home whose target takes one TXN, with reads of as many lines."""
    rig = SlowRig()
    rig.home.attach(range(MT, MT + 1), LOCAL._replace(max_txn=1))
    for index in range(accesses):
        rig.send(Op.ReadOnce, A + index % 4, addr=index * LINE_BYTES)
    return rig


def test_a_target_that_is_just_in_time_is_not_so_for_who_waits() -> None:
    """T_MEM runs while an access waits for a TXN: no request waits longer for the target [HSL-TXN-017]."""
    rig = one_txn(3)
    rig.now = T_MEM * 9 // 10
    assert [m.addr for m in rig.memory_done()] == [0]
    assert rig.home.next_deadline() == T_MEM, "HSL-TXN-017: from the begin of the access"
    rig.home.tick(T_MEM)
    assert rig.home.fences == [MT]
    assert [m.err for m in rig.sent()] == [Err.UNREACH] * 2


def test_a_quick_target_of_one_txn_is_kept() -> None:
    """All TSHRs wait for one TXN; each access takes its share of T_MEM, and nobody is lost [HSL-TXN-017]."""
    tshrs = HomeConfig(nid=0, address_map=AddressMap([])).tshrs
    rig = one_txn(2 * tshrs)  # as many wait for a TSHR
    for _ in range(2 * tshrs):
        rig.now += T_MEM // tshrs - 1
        rig.home.tick(rig.now)
        (answer,) = rig.memory_done()
        assert answer.err == Err.OK
    assert (rig.home.fences, rig.home.idle, rig.home.next_deadline()) == ([], True, None)


ENDS = {
    Op.ReadShared: "UNREACH",
    Op.ReadUnique: "UNREACH",
    Op.Upgrade: "UNREACH",
    Op.ReadOnce: "UNREACH",
    Op.WriteFull: "UNREACH",
    Op.WritePtl: "UNREACH",
    Op.AtomicLoad: "UNREACH",
    Op.AtomicStore: "UNREACH",
}


@pytest.mark.parametrize("op", ENDS)
@pytest.mark.parametrize("how", ["timer", "loss"])
def test_target_is_lost(op: Op, how: str) -> None:
    """T_MEM and a loss end what is open with UNREACH at once, what comes later too; late answers are dropped.

    HSL 5.6 M4, 5.11.
    """
    rig = SlowRig()
    rig.send(op, A, **FIELDS.get(op, {}))
    late = rig.memory_answer()
    if how == "timer":
        assert rig.home.next_deadline() == T_MEM
        rig.home.tick(T_MEM - 1)
        assert rig.sent() == []
        rig.home.tick(T_MEM)
        assert rig.home.fences == [MT]
        assert rig.errors() == [ErrorCode.TIMEOUT, ErrorCode.FENCED]
    else:
        rig.home.fence(MT, 0)
    assert shape(rig.sent()) == [("Cmp", A, "I", ENDS[op])]
    assert rig.directory() == ("I", set())
    rig.home.receive(late, 0)
    assert rig.home.counters["late"] == 1
    assert shape(rig.send(op, A, **FIELDS.get(op, {}))) == [("Cmp", A, "I", "UNREACH")]
    assert (rig.open, rig.errors(), rig.home.idle) == ([], [], True)
    assert rig.home.next_deadline() is None


def test_copies_outlive_the_target() -> None:
    """Copies of a lost target stay usable; grants without memory go on; a writeback is lost. HSL 5.6 M4."""
    rig = SlowRig()
    own(rig)
    rig.home.fence(MT, 0)
    assert rig.directory() == ("X", {A})
    (snoop,) = rig.send(Op.MakeUnique, B)
    (grant,) = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    assert shape([grant]) == [("Cmp", B, "M", "OK")]
    rig.ack(grant)
    assert shape(rig.send(Op.WbFull, B, data=DIRTY)) == [("Cmp", B, "I", "UNREACH")]
    rig.home.readmit(MT)
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    assert rig.open == []


def test_several_accesses_open_when_the_target_is_lost() -> None:
    """All accesses of all lines end, also those that wait for a TXN, by TXN; a new session begins at 0."""
    rig = SlowRig()
    rig.home.attach(range(MT, MT + 1), LOCAL._replace(max_txn=2))
    for index in range(4):
        rig.send(Op.ReadOnce, A + index, addr=index * LINE_BYTES)
    rig.home.fence(MT, 0)
    assert shape(rig.sent()) == [("Cmp", A + index, "I", "UNREACH") for index in range(4)]
    rig.open.clear()
    rig.home.readmit(MT)
    rig.send(Op.ReadOnce, A)
    assert rig.open[0].txn == 0
    assert rig.memory_done()[0].data == OLD


@pytest.mark.parametrize("op", [Op.WriteFull, Op.WritePtl, Op.AtomicStore, Op.WbFull, Op.Flush])
def test_failed_write_is_on_the_lost_list(op: Op) -> None:
    """After a failed MemWr reads give POISON without MemRd until a whole line is written. [HSL-COH-040]."""
    rig = SlowRig()
    if op in (Op.WbFull, Op.Flush):
        own(rig)
    if op == Op.Flush:
        (snoop,) = rig.send(op, B)
        rig.send(Op.SnpRspData, A, txn=snoop.txn, data=DIRTY)
    else:
        rig.send(op, A, **FIELDS.get(op, {}))
    if op == Op.AtomicStore:
        rig.memory_done()
    assert shape(rig.memory_done(err=Err.DATA))[0][3] == "DATA"
    for reader in (Op.ReadOnce, Op.ReadShared):
        answer = rig.send(reader, B)[0]
        assert (answer.op, answer.poison, answer.err, rig.open) == (Op.CmpData, 1, Err.OK, [])
    rig.ack(answer)
    rig.send(Op.Evict, B)
    assert shape(rig.send(Op.AtomicLoad, A, **FIELDS[Op.AtomicLoad])) == [("Cmp", A, "I", "DATA")]
    rig.send(Op.WritePtl, A, **FIELDS[Op.WritePtl])
    assert rig.open[0].op == Op.MemWrPtl
    rig.memory_done()
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    rig.send(Op.WriteFull, A)
    assert shape(rig.memory_done(err=Err.DATA)) == [("Cmp", A, "I", "DATA")]
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    rig.send(Op.WriteFull, A)
    rig.memory_done()
    rig.send(Op.ReadOnce, A)
    assert (rig.memory_done()[0].data, rig.open) == (NEW, [])


def test_whole_line_by_byte_enables_is_a_whole_line_write() -> None:
    """A WritePtl with all 64 BE brings a lost line back, as WriteFull does. HSL 5.12, 6.1."""
    rig = SlowRig()
    rig.send(Op.WriteFull, A)
    rig.memory_done(err=Err.DATA)
    rig.send(Op.WritePtl, A, be=FULL_BE, data=DIRTY)
    rig.memory_done()
    rig.send(Op.ReadOnce, A)
    (answer,) = rig.memory_done()
    assert (answer.data, answer.poison) == (DIRTY, 0)


def test_owner_of_a_line_of_a_target_is_lost() -> None:
    """The line of a lost owner is poisoned in the target, a shared one is good. HSL 5.6 M3 [HSL-RAS-003]."""
    rig = SlowRig()
    own(rig)
    own(rig, B, OTHER)
    (snoop,) = rig.send(Op.ReadShared, 5, addr=OTHER)
    rig.send(Op.SnpRsp, B, txn=snoop.txn, st=St.S)
    rig.ack(rig.memory_done()[0])
    rig.home.fence(A, 0)
    rig.home.fence(B, 0)
    assert (rig.sent(), rig.directory(OTHER)) == ([], ("S", {5}))
    assert [(message.op, message.addr, message.poison) for message in rig.open] == [(Op.MemWr, LINE, 1)]
    assert rig.send(Op.ReadOnce, 6) == []
    rig.memory_done()
    assert (rig.memory_done()[0].poison, rig.home._leg.lost) == (1, set())
    rig.send(Op.ReadOnce, 6, addr=OTHER)
    assert rig.memory_done()[0].poison == 0


def test_lost_list_is_full() -> None:
    """One line more than the list holds puts its target out of reach until it is lifted; all else goes on.

    HSL 5.6 M3 [HSL-COH-047].
    """
    rig = SlowRig(lost_lines=LOST_LINES)
    for index in range(LOST_LINES):
        rig.send(Op.WriteFull, A, addr=index * LINE_BYTES)
        rig.memory_done(err=Err.DATA)
    rig.send(Op.WriteFull, A, addr=0)
    rig.memory_done(err=Err.DATA)
    assert (rig.errors(), rig.home.overflow) == ([], False)
    last = SIZE - LINE_BYTES
    rig.send(Op.WriteFull, A, addr=last)
    rig.memory_done(err=Err.DATA)
    assert (rig.errors(), rig.home.overflow) == ([ErrorCode.DATA_LOST], True)
    for addr in (last, last - LINE_BYTES):
        assert shape(rig.send(Op.ReadOnce, A, addr=addr)) == [("Cmp", A, "I", "UNREACH")]
    assert rig.home.lift(MT)
    assert not rig.home.overflow
    for addr in (0, last):
        rig.send(Op.ReadOnce, A, addr=addr)
        assert (rig.memory_done()[0].poison, rig.open) == (0, [])
    with pytest.raises(ConfigError, match="lost list"):
        SlowRig(lost_lines=LOST_LINES - 1)


def test_target_comes_back() -> None:
    """With its memory only the lost list is bad; without, all is UNREACH until it is lifted. HSL 5.6 M5."""
    rig = SlowRig()
    own(rig)
    rig.home.fence(MT, 0)
    rig.send(Op.WbFull, A, data=DIRTY)
    rig.home.readmit(MT)
    rig.send(Op.ReadOnce, A, addr=OTHER)
    assert rig.memory_done()[0].err == Err.OK
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    half = SIZE // 2
    assert rig.home.content_lost(MT, 0, half - 1)
    assert shape(rig.send(Op.ReadOnce, A, addr=OTHER)) == [("Cmp", A, "I", "UNREACH")]
    rig.send(Op.ReadOnce, A, addr=half)
    assert rig.memory_done()[0].err == Err.OK
    rig.home.fence(MT, 0)
    rig.home.readmit(MT)
    assert shape(rig.send(Op.ReadOnce, A, addr=OTHER)) == [("Cmp", A, "I", "UNREACH")]
    assert rig.home.lift(MT)
    rig.send(Op.ReadOnce, A)
    (answer,) = rig.memory_done()
    assert (answer.data, answer.poison) == (OLD, 0)
    assert not rig.home.content_lost(A, 0, 1)
    assert not rig.home.lift(A)


@pytest.mark.parametrize("order", list(permutations((2, 5, 8))))
def test_each_lost_range_is_out_of_reach(order: tuple[int, ...]) -> None:
    """After several CONTENT_LOST, in whichever order, no byte of a lost range is served until it is lifted.

    What lies between them is served. HSL 5.6 M5.
    """
    rig = SlowRig()
    for page in order[:2]:
        assert rig.home.content_lost(MT, page * 0x400, page * 0x400 + 0x3FF)
    for addr in range(0, SIZE, 0x200):
        answers = rig.send(Op.ReadOnce, A, addr=addr) or rig.memory_done()
        expected = Err.UNREACH if addr // 0x400 in order[:2] else Err.OK
        assert [m.err for m in answers] == [expected], f"5.6 M5: {addr:#x}, lost {order[:2]}"
    assert rig.home.lift(MT)
    for page in order:
        rig.send(Op.ReadOnce, A, addr=page * 0x400)
        assert rig.memory_done()[0].err == Err.OK


def test_more_lost_ranges_than_a_map_has_are_all_memory() -> None:
    """A target that tells of more and more costs its home no more room: all its memory is lost. 5.6 M5."""
    rig = SlowRig()
    for page in (*range(SAM_ENTRIES), 0):
        assert rig.home.content_lost(MT, SIZE + page * 0x1000, SIZE + page * 0x1000 + 0xFFF)
    assert rig.send(Op.ReadOnce, A, addr=0) == []
    assert rig.memory_done()[0].err == Err.OK
    assert rig.home.content_lost(MT, 1 << 40, (1 << 40) + 0xFFF)
    assert [answer.err for answer in rig.send(Op.ReadOnce, A, addr=0)] == [Err.UNREACH]
    assert rig.home.blank() == [MT]
    assert rig.home.lift(MT)
    assert rig.send(Op.ReadOnce, A, addr=0) == []


def test_a_line_of_a_range_that_is_known_is_lost_like_any_other() -> None:
    """A lost line between two lost ranges is listed, and no lift of them renews it. HSL 5.6 M3, M5."""
    rig = SlowRig()
    for page in (0, 2):
        assert rig.home.content_lost(MT, page * 0x400, page * 0x400 + 0x3FF)
    rig.home._leg.lose(0x400)
    assert rig.home.lift(MT)
    assert rig.home._leg.lost == {0x400}


def test_a_lift_renews_no_line_of_another_target() -> None:
    """A lost line stays poisoned when the memory on both sides of it has been initialised. HSL 5.6 M3, M5.

    Two ranges of one target lie around one of another target, whose line is on the lost list.
    """
    page, other = 0x1000, MT + 1
    amap = AddressMap(
        [
            SamEntry(i * page, (i + 1) * page - 1, SamType.HDM_H, home=HOME, mt=mt)
            for i, mt in enumerate((MT, other, MT))
        ]
    )
    home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), None)
    home.receive(Message(Op.ReadUnique, A, HOME, 0, 3, page), 0)
    read = home.outbox.popleft()
    assert (read.op, read.dst) == (Op.MemRd, other)
    home.receive(Message(Op.CmpData, other, HOME, read.txn, 3, data=OLD), 0)
    home.receive(Message(Op.CmpAck, A, HOME, home.outbox.popleft().htxn), 0)
    home.receive(Message(Op.WbFull, A, HOME, 1, 3, page, data=NEW), 0)
    home.receive(Message(Op.Cmp, other, HOME, home.outbox.pop().txn, err=Err.DATA), 0)
    home.outbox.clear()
    for first in (0, 2 * page):
        assert home.content_lost(MT, first, first + page - 1)
    assert home.lift(MT)
    home.receive(Message(Op.ReadOnce, B, HOME, 0, 3, page), 0)
    (answer,) = home.outbox
    assert (answer.op, answer.poison) == (Op.CmpData, 1), "5.6 M3: its current data are gone"


@pytest.mark.parametrize("op", [Op.ReadUnique, Op.ReadOnce, Op.AtomicLoad])
def test_poison_of_the_target(op: Op) -> None:
    """POISON of the target reaches the cache and the snapshot; an atomic ends with DATA. [HSL-RAS-001]."""
    rig = SlowRig()
    rig.memory.poison(LINE)
    rig.send(op, A, **FIELDS.get(op, {}))
    (answer,) = rig.memory_done()
    if op == Op.AtomicLoad:
        assert shape([answer]) == [("Cmp", A, "I", "DATA")]
        return
    assert (answer.poison, answer.err) == (1, Err.OK)
    if answer.st == St.E:
        rig.ack(answer)
        assert rig.send(Op.WbFull, A, poison=1) == []
        assert rig.open[0].poison == 1
        rig.memory_done()
        assert rig.memory.read_line(LINE) == (NEW, True)


def test_answers_of_agents_that_are_no_target() -> None:
    """A completion from a node that is no target of this home ends nothing, whatever its TXN. HSL 5.4 T3."""
    rig = SlowRig()
    rig.send(Op.ReadOnce, A)
    rig.home.receive(rig.memory_answer()._replace(src=B), 0)
    assert (rig.sent(), rig.errors()) == ([], [ErrorCode.PROTO])
    assert rig.home.state_of(LINE) == "RD"


def test_targets_are_fenced_apart() -> None:
    """The loss of one target leaves lines of another, and of own memory, as they are. HSL 5.6 M4."""
    half = SIZE // 4
    amap = AddressMap(
        [
            SamEntry(0, half - 1, SamType.HDM_H, home=HOME, mt=MT),
            SamEntry(half, 2 * half - 1, SamType.HDM_H, home=HOME, mt=MT + 1),
            SamEntry(2 * half, 4 * half - 1, home=HOME),
        ]
    )
    home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), Memory(2 * half, 2 * half))
    home.fence(MT, 0)

    def read(txn: int, addr: int) -> list[Any]:
        home.receive(Message(Op.ReadOnce, A, HOME, txn, 3, addr), 0)
        out = [(Op(m.op).name, m.dst, m.err) for m in home.outbox]
        home.outbox.clear()
        return out

    assert read(0, 0) == [("Cmp", A, Err.UNREACH)]
    assert read(1, half) == [("MemRd", MT + 1, 0)]
    assert read(2, 2 * half) == [("CmpData", A, Err.OK)]
    with pytest.raises(ConfigError, match="its memory is none"):
        HomeAgent(HomeConfig(nid=HOME, address_map=amap), None)


def test_a_target_that_fills_the_lost_list_pays_for_it() -> None:
    """Of two targets the one with most lines on the list is put out of reach. HSL 5.6.3 [HSL-COH-047]."""
    half = SIZE // 2
    entries = [
        SamEntry(0, half - 1, SamType.HDM_H, home=HOME, mt=MT),
        SamEntry(half, SIZE - 1, SamType.HDM_H, home=HOME, mt=MT + 1),
    ]
    rig = SlowRig(lost_lines=LOST_LINES)
    config = HomeConfig(nid=HOME, address_map=AddressMap(entries), lost_lines=LOST_LINES)
    rig.home = HomeAgent(config, None)
    for index in range(LOST_LINES):
        rig.send(Op.WriteFull, A, addr=index * LINE_BYTES)
        rig.memory_done(err=Err.DATA)
    rig.send(Op.WriteFull, A, addr=half)
    rig.send(Op.Cmp, MT + 1, txn=rig.open.pop().txn, err=Err.DATA)
    assert (rig.errors(), rig.home.overflow) == ([ErrorCode.DATA_LOST], True)
    assert shape(rig.send(Op.ReadOnce, A, addr=half - LINE_BYTES)) == [("Cmp", A, "I", "UNREACH")]
    rig.send(Op.ReadOnce, A, addr=half + LINE_BYTES)
    assert [asked.dst for asked in rig.open] == [MT + 1], "5.6.3: the other target is asked"
    assert rig.send(Op.ReadOnce, A, addr=half)[0].poison == 1, "5.6.3: its line is on the list"
    assert rig.home.lift(MT)
    assert not rig.home.overflow


def test_a_line_of_a_target_out_of_reach_needs_no_room_on_the_list() -> None:
    """It is UNREACH, not POISON, and puts no other target out of reach. HSL 5.6 M3 [HSL-COH-047]."""
    half, near, far = 1 << 20, 9, 10
    ranges = [
        SamEntry(0, half - 1, SamType.HDM_H, home=1, mt=near),
        SamEntry(half, 2 * half - 1, SamType.HDM_H, home=1, mt=far),
    ]
    outbox: deque[Message] = deque()
    leg = MemoryLeg(1, AddressMap(ranges), None, outbox, LOST_LINES)
    for line in range(LOST_LINES + 1):
        leg.lose(line * 64)
    assert leg.lost == set()
    for line in range(LOST_LINES // 2 + 1):
        leg.lose(half + line * 64)
    for line in range(LOST_LINES):
        leg.lose(line * 64)
    assert (leg._targets[near].unmarked, leg._targets[far].unmarked) == (True, False)
    assert not any(line < half for line in leg.lost)
