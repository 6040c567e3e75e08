"""What a capture of links shows of the order of memory, and what it cannot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hsl._generated.constants import Aop, FlitType, Op, St
from hsl.capture import CaptureInfo, Clock, Lane, Sink, Writer
from hsl.capture.pcapng import Direction, Packet
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.codec.reference import Packer, encode_flit
from hsl.errors import ConfigError
from hsl.verify.capture_operations import CACHED, PARTIAL, TWICE, UNSEEN, Seen, _unwritten, operations_of
from hsl.verify.checker import CONSISTENT, VIOLATION, check

LANES = [Lane("link", "gpu", "cpu"), Lane("link", "cpu", "gpu")]
GPU, CPU = 16, 0


def capture(path: Path, messages: Sequence[Message], repeat: bool = False) -> Seen:
    """A capture with a flit for each message (more for a long one), and what it shows."""
    writer = Writer(Sink(str(path)), CaptureInfo(clock=Clock.VIRTUAL, seed=0, view="gpu"), LANES)
    packers, seq, time = [Packer(), Packer()], [0, 0], 0
    for message in messages:
        lane = int(message.src == CPU)
        queue = [message]
        while queue or packers[lane].unfinished:
            payload, _ = packers[lane].fill(lambda q=queue: q.pop() if q else None, "L64")  # type: ignore[misc]
            data = encode_flit(Flit("L64", FlitType.PROT, seq=seq[lane], payload=payload))
            seq[lane] += 1
            for _ in range(1 + repeat):
                time += 10
                writer.packet(Packet(time, lane, Direction.UNKNOWN, data))
    writer.close({})
    with path.open("rb") as stream:
        return operations_of(stream)


def line(value: int) -> bytes:
    return b"".join((value * 8 + at).to_bytes(8, "little") for at in range(8))


def write(txn: int, addr: int, value: int) -> list[Message]:
    return [
        Message(Op.WriteFull, GPU, CPU, txn, 3, addr, data=line(value)),
        Message(Op.Cmp, CPU, GPU, txn),
    ]


def read(txn: int, addr: int, value: int) -> list[Message]:
    return [
        Message(Op.ReadOnce, GPU, CPU, txn, 3, addr),
        Message(Op.CmpData, CPU, GPU, txn, 3, data=line(value)),
    ]


def test_reads_and_writes_of_words(tmp_path: Path) -> None:
    """Each exchange is an access of eight words, with its flits; a repeated flit counts once."""
    messages = [*read(0, 0, 9), *write(1, 0, 1), *read(2, 0, 1)]
    for repeat in (False, True):
        seen = capture(tmp_path / "x", messages, repeat)
        assert (seen.words, seen.unjudged, len(seen.trace.operations)) == (8, {}, 24)
        assert check(seen.trace, "hsl", global_clock=True).verdict == CONSISTENT
    assert seen.trace.initial[8] == 9 * 8 + 1


def test_the_initial_value_of_many_writes_is_found_at_once() -> None:
    """The value that a word had before a hundred thousand writes is the lowest that none of them wrote."""
    assert _unwritten([2, 0, 1, 4]) == 3
    values = list(range(100_000))
    began = time.process_time()
    assert _unwritten(values) == 100_000
    assert time.process_time() - began < 1  # a search of the list for each value takes a minute


def test_the_words_of_a_capture_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture of more words than memory should hold is refused: they take 20 times its size."""
    monkeypatch.setattr("hsl.verify.capture_operations.MAX_WORDS", 16)
    reads = [Message(Op.ReadShared, GPU, CPU, line, 0, line * 64) for line in range(3)]
    assert capture(tmp_path / "x", reads[:2]).unjudged == {CACHED: 16}
    with pytest.raises(ConfigError, match="capture: more than 16 words; give it in parts"):
        capture(tmp_path / "x", reads)


def test_a_comment_that_is_cut_off_says_nothing(tmp_path: Path) -> None:
    """Half a byte of hex in the comment of a fault is no flit, and no error."""
    path = tmp_path / "x"
    writer = Writer(Sink(str(path)), CaptureInfo(clock=Clock.VIRTUAL, seed=0, view="gpu"), LANES)
    flit = encode_flit(Flit("L64", FlitType.NOP))
    writer.packet(Packet(1, 0, Direction.UNKNOWN, flit, ("fault: 1 bit flipped, arrives as 051",)))
    writer.close({})
    with path.open("rb") as stream:
        assert operations_of(stream).words == 0


def test_violation_has_flit_numbers(tmp_path: Path) -> None:
    """A read that goes back to an older value is a violation, with the flits that show it."""
    seen = capture(tmp_path / "x", [*write(0, 0, 1), *write(1, 0, 2), *read(2, 0, 1)])
    finding = check(seen.trace, "hsl")
    assert finding.verdict == VIOLATION
    assert len(finding.flits) > 1


def test_atomic_and_partial_write(tmp_path: Path) -> None:
    """An atomic of 8 bytes reads and writes; a write of whole words is one, a part of a word is set aside."""
    ptl = Message(Op.WritePtl, GPU, CPU, 1, 1, 0, be=0x0FFF, data=line(3)[:16])
    add = Message(Op.AtomicLoad, GPU, CPU, 2, 0, 0, data=(5).to_bytes(8, "little"), aop=Aop.ADD, x=1)
    old = Message(Op.CmpData, CPU, GPU, 2, 0, data=(24).to_bytes(8, "little"))
    seen = capture(tmp_path / "x", [ptl, Message(Op.Cmp, CPU, GPU, 1), add, old])
    assert [(each.kind, each.read, each.value) for each in seen.trace.operations] == [
        ("store", None, 24), ("atomic", 24, 29)
    ]  # fmt: skip
    assert seen.unjudged == {PARTIAL: 1}


def test_what_cannot_be_judged(tmp_path: Path) -> None:
    """Lines that caches held, values from elsewhere and values written twice are told, not judged."""
    cached = [
        Message(Op.ReadUnique, GPU, CPU, 0, 3, 64),
        Message(Op.CmpData, CPU, GPU, 0, 3, data=line(1), st=St.E),
    ]
    elsewhere = [*read(1, 128, 1), *read(2, 128, 2)]
    twice = [*write(3, 192, 1), *write(4, 192, 1)]
    seen = capture(tmp_path / "x", [*cached, *elsewhere, *twice])
    assert seen.unjudged == {CACHED: 8, UNSEEN: 8, TWICE: 8}
    assert not seen.trace.operations
