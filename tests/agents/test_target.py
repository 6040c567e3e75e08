"""The memory target: MEM requests of one home, and of anybody else (HSL 5.6 M2, 5.12, 6.1)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from hsl._generated.constants import LINE_BYTES, SAM_ENTRIES, Err, ErrorCode, Op, SamType, St
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from hsl.agents.target import MemoryTarget, TargetConfig
from hsl.codec.message import Message
from hsl.errors import ConfigError

HOME, OTHER_HOME, NID, OTHER_TARGET = 1, 2, 9, 10
BASE, SIZE = 0x10000, 0x4000
LINE = BASE + 0x100
OLD, NEW = bytes(range(64)), b"\xa5" * 64
MAP = AddressMap(
    [
        SamEntry(0, BASE - 1, home=HOME),
        SamEntry(BASE, BASE + SIZE - 1, SamType.HDM_H, home=HOME, mt=NID),
        SamEntry(BASE + SIZE, BASE + 2 * SIZE - 1, SamType.HDM_H, home=OTHER_HOME, mt=OTHER_TARGET),
    ]
)
FULL_BE = (1 << LINE_BYTES) - 1


@pytest.fixture
def target() -> MemoryTarget:
    memory = Memory(BASE, 2 * SIZE)
    memory.write_line(LINE, OLD)
    return MemoryTarget(TargetConfig(nid=NID, address_map=MAP), memory)


def ask(target: MemoryTarget, op: int, viral: bool = False, **fields: Any) -> Message:
    """One request; every one has one answer, and its buffer is free."""
    request = Message(op, **({"src": HOME, "dst": NID, "txn": 7, "addr": LINE, "len": 3} | fields))
    target.receive(request, 0, viral)
    assert target.taken == [request]
    target.taken.clear()
    (answer,) = target.outbox
    target.outbox.clear()
    assert (answer.src, answer.dst, answer.txn) == (NID, request.src, 7)
    assert (answer.st, answer.htxn) == (St.I, 0)
    return answer


def told(target: MemoryTarget) -> list[tuple[int, int, int]]:
    """Take what a target sends: DST, TXN and first address of each CONTENT_LOST."""
    found = [(m.dst, m.txn, int.from_bytes(m.data[8:16], "little")) for m in target.outbox]
    target.outbox.clear()
    return found


def known(txn: int, home: int = HOME) -> Message:
    """The answer of a home that has taken a CONTENT_LOST."""
    return Message(Op.CmpData, home, NID, txn, 3, data=bytes(LINE_BYTES))


def test_read_and_write(target: MemoryTarget) -> None:
    """MemRd gives the line; after the Cmp of MemWr it gives what was written. [HSL-COH-032]."""
    answer = ask(target, Op.MemRd, qos=1, trace=1)
    assert (answer.op, answer.len, answer.data, answer.poison) == (Op.CmpData, 3, OLD, 0)
    assert (answer.qos, answer.trace) == (1, 1)
    answer = ask(target, Op.MemWr, data=NEW)
    assert (answer.op, answer.err, answer.data) == (Op.Cmp, Err.OK, b"")
    assert ask(target, Op.MemRd).data == NEW


@pytest.mark.parametrize("seed", range(4))
def test_partial_writes_against_a_flat_memory(seed: int) -> None:
    """MemWrPtl changes the bytes whose BE is 1 and no other, at every LEN and place. [HSL-COH-032]."""
    rng = Random(seed)
    target = MemoryTarget(TargetConfig(nid=NID, address_map=MAP), Memory(BASE, 2 * SIZE))
    flat = bytearray(SIZE)
    for _ in range(300):
        code = rng.randrange(4)
        size = 8 << code
        at = rng.randrange(4 * LINE_BYTES // size) * size
        be, data = rng.getrandbits(size), rng.randbytes(size)
        answer = ask(target, Op.MemWrPtl, addr=BASE + at, len=code, be=be, data=data)
        assert (answer.op, answer.err) == (Op.Cmp, Err.OK)
        for index in range(size):
            if be >> index & 1:
                flat[at + index] = data[index]
    for line in range(0, 4 * LINE_BYTES, LINE_BYTES):
        assert ask(target, Op.MemRd, addr=BASE + line).data == flat[line : line + LINE_BYTES]


def test_poison(target: MemoryTarget) -> None:
    """POISON comes with a write and stays until the whole line is written. HSL 6.1 [HSL-RAS-001]."""
    eight: dict[str, Any] = {"len": 0, "be": 0xFF, "data": NEW[:8]}
    assert ask(target, Op.MemWr, data=NEW, poison=1).err == Err.OK
    assert ask(target, Op.MemRd).poison == 1
    ask(target, Op.MemWrPtl, **eight)
    assert ask(target, Op.MemRd).poison == 1
    ask(target, Op.MemWrPtl, be=FULL_BE, data=OLD)
    assert (ask(target, Op.MemRd).poison, ask(target, Op.MemRd).data) == (0, OLD)
    ask(target, Op.MemWrPtl, poison=1, **eight)
    assert ask(target, Op.MemRd).poison == 1
    ask(target, Op.MemWr, data=OLD)
    assert ask(target, Op.MemRd).poison == 0


def test_data_that_cannot_be_corrected(target: MemoryTarget) -> None:
    """Bad data are POISON and no error; a line that cannot be read at all is an error. HSL 5.6 M2."""
    target.memory.poison(LINE)
    answer = ask(target, Op.MemRd)
    assert (answer.op, answer.poison, answer.err) == (Op.CmpData, 1, Err.OK)
    target.memory.fail(LINE)
    for op, fields in ((Op.MemRd, {}), (Op.MemWr, {"data": NEW}), (Op.MemWrPtl, {"be": 1, "data": NEW})):
        answer = ask(target, op, **fields)
        assert (answer.op, answer.err) == (Op.Cmp, Err.DATA)
    assert ask(target, Op.MemRd, addr=LINE + LINE_BYTES).err == Err.OK


def test_writes_of_a_viral_port(target: MemoryTarget) -> None:
    """What a VIRAL port writes is taken as poisoned; its reads go on. [HSL-RAS-005, HSL-RAS-013]."""
    for op, fields in ((Op.MemWr, {}), (Op.MemWrPtl, {"be": 1})):
        target.memory.write_line(LINE, OLD)
        assert ask(target, op, viral=True, data=NEW, **fields).err == Err.OK
        answer = ask(target, Op.MemRd, viral=True)
        assert (answer.data[:1], answer.poison) == (NEW[:1], 1)


REFUSED: list[tuple[Err, int, dict[str, Any]]] = [
    (Err.UNSUP, 0xC3, {"addr": 0}),
    (Err.DECODE, Op.MemRd, {"addr": 0, "len": 0}),
    (Err.DECODE, Op.MemRd, {"addr": BASE + SIZE, "src": OTHER_HOME}),
    (Err.DECODE, Op.MemRd, {"addr": 1 << 51}),
    (Err.PROTO, Op.MemRd, {"addr": LINE + 8}),
    (Err.PROTO, Op.MemRd, {"len": 2}),
    (Err.PROTO, Op.MemWr, {"be": FULL_BE, "data": NEW}),
    (Err.PROTO, Op.MemWrPtl, {"len": 0, "be": 1 << 8, "data": NEW[:8]}),
    (Err.PROTO, Op.MemWr, {"src": OTHER_HOME, "len": 0, "data": NEW[:8]}),
    (Err.ACCESS, Op.MemRd, {"src": OTHER_HOME}),
    (Err.ACCESS, Op.MemWr, {"src": OTHER_HOME, "data": NEW}),
]


@pytest.mark.parametrize(("err", "op", "fields"), REFUSED)
def test_refused(target: MemoryTarget, err: Err, op: int, fields: dict[str, Any]) -> None:
    """The first check that fails is the answer; nothing is read or written. HSL 5.4 T15, 5.14."""
    answer = ask(target, op, **fields)
    assert (answer.op, answer.err, answer.data) == (Op.Cmp, err, b"")
    assert target.memory.read_line(LINE) == (OLD, False)
    assert target.counters["refused"] == 1


def test_content_that_is_lost(target: MemoryTarget) -> None:
    """A target whose content is gone gives nothing until its home knows. HSL 5.6 M5."""
    target.lose_content()
    assert ask(target, Op.MemRd).err == Err.UNREACH
    target.begin()
    assert told(target) == [(HOME, 0, BASE)]
    assert ask(target, Op.MemRd).err == Err.UNREACH
    target.answered(known(0))
    assert ask(target, Op.MemRd).data == OLD


def test_configurations_that_are_refused() -> None:
    """A target serves one home, and only memory that it has."""
    two = AddressMap([SamEntry(BASE, BASE + SIZE - 1, SamType.HDM_H, home=HOME, ways=1, mt=NID)])
    for amap, size in ((two, SIZE), (MAP, SIZE // 2)):
        with pytest.raises(ConfigError, match=f"memory target {NID}"):
            MemoryTarget(TargetConfig(nid=NID, address_map=amap), Memory(BASE, size))


def test_only_a_whole_answer_ends_the_loss_of_content(target: MemoryTarget) -> None:
    """The answer to CONTENT_LOST counts from the home only, and only as a CmpData of its LEN. HSL 5.4 T16.

    [HSL-SEC-012, HSL-SEC-013].
    """
    target.lose_content()
    target.begin()
    good = known(0)
    short = good._replace(len=1, data=bytes(16))
    for bad in (
        good._replace(src=OTHER_HOME),
        good._replace(txn=1),
        short,
        good._replace(op=Op.Cmp, data=b""),
    ):
        target.answered(bad)
        assert target.blank
    assert [code for code, *_ in target.errors] == [ErrorCode.PROTO] * 4
    target.answered(good)
    assert not target.blank
    target.answered(good)
    assert len(target.errors) == 5, "it has been answered"


@pytest.mark.parametrize("answer", [{"op": Op.Cmp, "err": Err.BUSY, "data": b""}, {"poison": 1}])
def test_an_error_leaves_lost_content_unserved(target: MemoryTarget, answer: dict[str, Any]) -> None:
    """CONTENT_LOST that ended with an error is no news to the home; it is told again. HSL 5.6 M5."""
    target.lose_content()
    target.begin()
    assert told(target) == [(HOME, 0, BASE)]
    target.answered(known(0)._replace(**answer))
    assert not target.errors
    target.answered(known(0))
    assert [code for code, *_ in target.errors] == [ErrorCode.PROTO], "it has been answered"
    assert target.blank
    target.begin()
    assert told(target) == [(HOME, 0, BASE)]
    target.answered(known(0))
    assert not target.blank


def test_content_is_told_once_in_a_session(target: MemoryTarget) -> None:
    """Whoever writes READY again is told nothing new; the next session begins anew. HSL 5.6 M5, 2.6."""
    target.lose_content()
    for again in (False, True, True):
        target.begin()
        assert told(target) == ([] if again else [(HOME, 0, BASE)])
    target.attach(range(HOME, HOME + 1), LOCAL)
    assert told(target) == [], "its node may not be READY yet (5.15.3)"
    for _ in range(2):  # one that has not left counts for the session that begins
        target.begin()
        target.attach(range(HOME, HOME + 1), LOCAL)
    target.begin()
    assert told(target) == [(HOME, 0, BASE)]
    target.attach(range(50, 60), LOCAL)  # another port: its homes are not of this target
    target.begin()
    assert told(target) == []


def target_of(*ranges: SamEntry) -> tuple[MemoryTarget, AddressMap]:
    """A target whose content is lost, and its map, which may change."""
    amap = AddressMap(list(ranges))
    target = MemoryTarget(TargetConfig(nid=NID, address_map=amap), Memory(BASE, 2 * SIZE))
    target.lose_content()
    return target, amap


def owned(home: int, number: int = 0) -> SamEntry:
    """The first or second range of a target, with this home."""
    return SamEntry(BASE + SIZE * number, BASE + SIZE * (number + 1) - 1, SamType.HDM_H, home=home, mt=NID)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_lost_content_is_served_when_its_home_knows_of_the_range(order: tuple[int, ...]) -> None:
    """A target of two ranges answers UNREACH in each until its CONTENT_LOST is answered OK. HSL 5.6 M5."""
    target, _ = target_of(owned(HOME), owned(HOME, 1))
    target.begin()
    assert told(target) == [(HOME, 0, BASE), (HOME, 1, BASE + SIZE)]
    for number in order:
        assert target.blank
        assert ask(target, Op.MemRd, addr=BASE + SIZE * number).err == Err.UNREACH
        target.answered(known(number))
        assert ask(target, Op.MemRd, addr=BASE + SIZE * number).err == Err.OK
    assert not target.blank


def test_a_home_that_changes_is_told_under_another_txn() -> None:
    """A TXN that is outstanding names one CONTENT_LOST, and there are no more than ranges. [HSL-TXN-002]."""
    target, amap = target_of()
    target.begin()
    assert told(target) == []
    sent = []
    for home in range(20, 30 + SAM_ENTRIES):
        amap.put(0, owned(home))
        target.begin()
        sent += told(target)
    assert sent == [(20 + n, n, BASE) for n in range(SAM_ENTRIES)]


def test_the_home_of_today_must_know() -> None:
    """The answer of a home that has lost the range counts for nothing, and is no fault. HSL 5.6 M5."""
    target, amap = target_of(owned(20))
    for home in (20, 21, 20):
        amap.put(0, owned(home))
        target.begin()
    assert told(target) == [(20, 0, BASE), (21, 1, BASE)]
    target.answered(known(1, home=21))
    assert ask(target, Op.MemRd, src=20).err == Err.UNREACH
    amap.put(0, owned(21))
    target.answered(known(0, home=20))
    target.begin()
    assert told(target) == [(21, 0, BASE)], "its answer came while it had no range"
    target.answered(known(0, home=21))
    assert ask(target, Op.MemRd, src=21).err == Err.OK
    assert not target.errors


def test_an_entry_that_changes_is_the_same_range() -> None:
    """QUIESCED, rights and bounds of an entry say nothing of what the home knows. HSL 5.6 M5, 5.1.4."""
    target, amap = target_of(owned(HOME))
    target.begin()
    amap.put(0, owned(HOME)._replace(quiesced=True))
    target.begin()
    target.answered(known(0))
    assert told(target) == [(HOME, 0, BASE)]
    assert ask(target, Op.MemRd).err == Err.OK
    for entry in (owned(HOME), owned(HOME)._replace(last=BASE + PAGE_BYTES - 1)):
        amap.put(0, entry)
        target.begin()
        assert told(target) == []
        assert ask(target, Op.MemRd).err == Err.OK
    amap.put(0, owned(HOME)._replace(last=BASE + 2 * SIZE - 1))
    target.begin()
    assert told(target) == [(HOME, 0, BASE + SIZE)], "the part of which no home knows"


def test_an_answer_to_an_earlier_loss_counts_for_nothing() -> None:
    """Content that is lost again is told again, also to a home of the same node. HSL 5.6 M5."""
    target, _ = target_of(owned(HOME))
    target.begin()
    target.lose_content()
    target.answered(known(0))
    assert not target.errors
    target.outbox.clear()
    assert ask(target, Op.MemRd).err == Err.UNREACH
    target.begin()
    assert told(target) == [(HOME, 0, BASE)]
    target.answered(known(0))
    assert ask(target, Op.MemRd).err == Err.OK


def test_a_range_that_is_mapped_later_is_told_too() -> None:
    """A home that knows of one range does not know of the next one. HSL 5.6 M5."""
    target, amap = target_of(owned(HOME))
    target.begin()
    target.answered(known(0))
    assert told(target) == [(HOME, 0, BASE)]
    amap.put(1, owned(HOME, 1))
    assert ask(target, Op.MemRd, addr=BASE + SIZE).err == Err.UNREACH
    assert ask(target, Op.MemRd).err == Err.OK, "its content is that of its home"
    target.begin()
    assert told(target) == [(HOME, 0, BASE + SIZE)]
    target.answered(known(0))
    assert ask(target, Op.MemRd, addr=BASE + SIZE).err == Err.OK


def test_what_a_home_knows_is_known_in_the_next_session(target: MemoryTarget) -> None:
    """Content that was told and then written is kept: it is not lost a second time. HSL 5.6 M5."""
    target.lose_content()
    target.begin()
    target.answered(known(0))
    target.outbox.clear()
    assert ask(target, Op.MemWr, data=NEW).err == Err.OK
    target.attach(range(HOME, HOME + 1), LOCAL)
    target.begin()
    assert told(target) == []
    assert ask(target, Op.MemRd).data == NEW
    target.lose_content()
    assert ask(target, Op.MemRd).err == Err.UNREACH
