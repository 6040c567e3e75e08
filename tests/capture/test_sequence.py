"""The ladder of a capture: every message of the run, where it landed, and what the link repaired."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hsl._generated.constants import Err, Op
from hsl.agents.access import Access
from hsl.capture import Clock, Reader, Sink, Writer
from hsl.capture import sequence as module
from hsl.capture.ladder import MAX_STEPS, Arrow, Divider, Fate, Kind, Ladder, Lifeline, Note, to_svg
from hsl.capture.messages import carried
from hsl.capture.sequence import sequence
from hsl.codec.message import Message
from hsl.emulator.system_map import CPU_MMIO
from hsl.errors import CaptureError, ConfigError, PoisonError
from hsl.system import System

LINE = 0x1000
HELLO = b"hello"


def share(system: System) -> None:
    """The GPU stores, and the CPU reads it."""
    system.gpu.store(LINE, HELLO)
    assert system.cpu.load(LINE, len(HELLO)) == HELLO


def run(folder: Path, program: Any = share, **settings: Any) -> tuple[Path, dict[str, Any]]:
    """The capture of a program, and the system's own count of what happened."""
    capture = folder / "run.pcapng"
    with System(seed=3, capture=capture, **settings) as system:
        program(system)
    return capture, system.report()


def ladder(capture: Path, **settings: Any) -> Ladder:
    with capture.open("rb") as stream:
        return sequence(stream, title="a run", **settings)


def arrows(found: Ladder) -> list[Arrow]:
    return [step for step in found.steps if isinstance(step, Arrow)]


def after_boot(found: list[Arrow]) -> list[Arrow]:
    """The arrows behind the last access of the boot, NcWrite of NOTIFY, and its completion (HSL A.3)."""
    last = next(index for index, arrow in enumerate(found) if arrow.label.startswith("NcWrite"))
    return found[last + 2 :]


def names(found: list[Arrow]) -> list[str]:
    return [re.split(r"\W", arrow.label)[0] for arrow in found]


def random_program(seed: int) -> Any:
    """Loads, stores, atomics and flushes of both sides on a few lines."""

    def program(system: System) -> None:
        rng = Random(seed)
        for _ in range(40):
            agent = rng.choice((*system.cpus, *system.gpus))
            addr = LINE + 64 * rng.randrange(4)
            match rng.randrange(4):
                case 0:
                    agent.load(addr, 8)
                case 1:
                    agent.store(addr, rng.randbytes(8))
                case 2:
                    agent.atomic("add", addr, 1)
                case 3:
                    agent.flush(addr)

    return program


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "settings", [{}, {"faults": "crc:0.05,drop:0.05"}, {"flit": "B256"}, {"gpus": 2}], ids=str
)
def test_every_message_is_an_arrow(tmp_path: Path, seed: int, settings: dict[str, Any]) -> None:
    """As many arrows of each opcode arrive as the ports sent messages, from and to the right node."""
    capture, report = run(tmp_path, random_program(seed), **settings)
    found = arrows(ladder(capture))
    arrived = [arrow for arrow in found if arrow.fate == Fate.ARRIVED and arrow.kind != Kind.LINK]
    for node, counts in report["nodes"].items():
        sent = [arrow for arrow in arrived if arrow.source == node]
        assert Counter(names(sent)) == Counter(counts["messages_sent"])
    assert len(arrived) == report["messages"] > 20


def test_the_messages_of_a_line(tmp_path: Path) -> None:
    """With a line only its messages are shown, answers too: the lines together are the run."""
    capture, _ = run(tmp_path, random_program(1))
    whole = Counter(names(after_boot(arrows(ladder(capture)))))
    parts = [Counter(names(arrows(ladder(capture, line=LINE + 64 * at + 5)))) for at in range(4)]
    assert sum(parts, Counter()) == whole
    assert all(part.total() > 5 for part in parts)
    assert arrows(ladder(capture, line=0x9000)) == []


def test_a_story(tmp_path: Path) -> None:
    """A store and a load are told in the order of the protocol, with states and data (HSL 5.5)."""
    capture, _ = run(tmp_path)
    found = arrows(ladder(capture, line=LINE))
    assert [(arrow.source, arrow.label, arrow.kind, arrow.detail) for arrow in found] == [
        ("gpu", "ReadUnique", Kind.REQUEST, ""),
        ("cpu", "CmpData(E)", Kind.DATA, ""),
        ("gpu", "CmpAck", Kind.RESPONSE, ""),
        ("cpu", "SnpShared", Kind.SNOOP, ""),
        ("gpu", "SnpRspData(S)", Kind.DATA, '"hello"'),
    ]


FATES = {
    "drop@PROT:x1:nth=2:from=cpu": (Fate.LOST, "is lost"),
    "crc@PROT:x1:nth=2:from=cpu": (Fate.DAMAGED, "CRC error"),
    "truncate@PROT:x1:nth=2:from=cpu": (Fate.DAMAGED, "CRC error"),
    "drop@PROT:x1:nth=1:from=cpu": (Fate.IGNORED, "after a gap"),
    "seq@PROT:x1:nth=2:from=cpu": (Fate.IGNORED, "after a gap"),
}


@pytest.mark.parametrize("faults", FATES)
def test_what_a_fault_did(tmp_path: Path, faults: str) -> None:
    """A grant that a fault stops is shown with its fate, then the NAK, then the grant again."""
    capture, _ = run(tmp_path, faults=faults)
    request, first, nak, again, *_ = arrows(ladder(capture, line=LINE))
    fate, words = FATES[faults]
    assert (request.label, request.fate) == ("ReadUnique", Fate.ARRIVED)
    assert (first.label, first.fate) == ("CmpData(E)", fate)
    assert words in first.detail
    assert (nak.label, nak.kind, nak.source) == ("NAK", Kind.LINK, "gpu")
    assert (again.label, again.fate) == ("CmpData(E)", Fate.ARRIVED)
    assert again.detail.endswith("again")


def test_a_flit_that_comes_twice(tmp_path: Path) -> None:
    """A message whose flit is repeated although it had arrived is shown as one that the receiver ignores."""
    capture, _ = run(tmp_path, faults="drop@NOP:1:from=gpu,drop@PROT:x1:nth=2:from=gpu")
    ignored = [arrow.detail for arrow in arrows(ladder(capture)) if arrow.fate == Fate.IGNORED]
    assert ignored
    assert all(re.search(r"flit \d+ is a duplicate$", detail) for detail in ignored)


def test_a_nak_belongs_to_a_line(tmp_path: Path) -> None:
    """A NAK is shown in the story of the line whose flit it asks for, and in no other."""

    def program(system: System) -> None:
        share(system)
        system.gpu.load(LINE + 64)

    capture, _ = run(tmp_path, program, faults="drop@PROT:x1:nth=2:from=cpu")
    assert [names(arrows(ladder(capture, line=LINE + at))).count("NAK") for at in (0, 64, 128)] == [1, 0, 0]


def test_notes_come_before_arrows_of_their_time(tmp_path: Path) -> None:
    """A note that has the time of an arrow stands above it."""
    capture, _ = run(tmp_path)
    first = arrows(ladder(capture))[0]
    found = ladder(capture, notes=[Note(time=first.time, lifeline="gpu", text="asks")])
    assert [type(step) for step in found.steps[:2]] == [Note, Arrow]


def test_poison_and_addresses_in_labels(tmp_path: Path) -> None:
    """A label has the poison of a message, and without a line the address of a request."""

    def program(system: System) -> None:
        with pytest.raises(PoisonError):
            system.gpu.load(LINE)
        system.gpu.store(LINE, HELLO)
        system.gpu.flush(LINE)

    capture, _ = run(tmp_path, program, faults="poison:x1:from=cpu")
    labels = [arrow.label for arrow in after_boot(arrows(ladder(capture)))]
    assert labels[0] == "ReadShared 0x1000"
    assert "WbFull POISON 0x1000" in labels
    completion = Message(Op.Cmp, err=Err.DECODE)
    assert module._label(completion, with_address=True) == "Cmp(I) ERR=DECODE"


def test_registers_and_memory_targets(tmp_path: Path) -> None:
    """Accesses of registers and of a memory target are requests of their line."""
    register = CPU_MMIO + 0x800

    def program(system: System) -> None:
        system.wait(system.gpu.submit(Access("ncread", register, 8)))
        system.cpu.load(system.memory_map["host0"].base)

    capture, _ = run(tmp_path, program)
    found = arrows(ladder(capture, line=register))
    assert [(arrow.label, arrow.kind) for arrow in found] == [
        ("NcRead", Kind.REQUEST),
        ("CmpData(I)", Kind.DATA),
    ]
    found = after_boot(arrows(ladder(capture)))
    requests = [arrow.label for arrow in found if arrow.kind == Kind.REQUEST]
    assert requests == ["NcRead", "MemRd 0x1001000000"]


def test_transactions_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture whose transactions never end is refused before they fill the memory."""
    capture, _ = run(tmp_path, lambda system: system.gpu.load_many(range(0, 640, 64)))
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    with pytest.raises(ConfigError, match="more than 2 transactions"):
        ladder(capture)


@pytest.mark.parametrize(
    ("comments", "fate"),
    [
        (("fault: arrives with err=1",), Fate.DAMAGED),
        (("cpu at 5 ns: link up", "fault: dropped"), Fate.LOST),
        (("fault: delayed by 5 ns",), Fate.ARRIVED),
    ],
)
def test_comments_of_a_flit(tmp_path: Path, comments: tuple[str, ...], fate: Fate) -> None:
    """The comment about the way of a flit decides its fate, before or after other comments."""
    capture, _ = run(tmp_path)
    with capture.open("rb") as stream:
        reader = Reader(stream)
        packets = list(reader)
        stream.seek(0)
        (number, *_) = [each.number for each in carried(Reader(stream)) if each.messages]
    assert reader.info is not None
    packets[number] = packets[number]._replace(comments=comments)
    other = tmp_path / "other.pcapng"
    writer = Writer(Sink(str(other)), reader.info, reader.lanes)
    for packet in packets:
        writer.packet(packet)
    writer.close({})
    assert arrows(ladder(other))[0].fate == fate


def test_notes_and_heads(tmp_path: Path) -> None:
    """Notes stand between the arrows by time, and a node is shown under the name that it is given."""
    capture, _ = run(tmp_path)
    with capture.open("rb") as stream:
        times = [packet.time for packet in Reader(stream)]
    note = Note(time=times[-1] // 2, lifeline="gpu", text="half of the time")
    found = ladder(capture, notes=[note], heads={"gpu": Lifeline("GPU"), "cpu": Lifeline("CPU", "host")})
    assert [lifeline.name for lifeline in found.lifelines] == ["GPU", "CPU"]
    assert [step.time for step in found.steps] == sorted(step.time for step in found.steps)
    assert [step.lifeline for step in found.steps if isinstance(step, Note)] == ["GPU"]
    assert "half of the time" in to_svg(found)


def test_a_long_run(tmp_path: Path) -> None:
    """A picture has the first messages and says that more follow; a line is found after SEQ has wrapped."""
    last = 64 * MAX_STEPS

    def program(system: System) -> None:
        system.gpu.load_many(list(range(0, last + 1, 64)))

    capture, _ = run(tmp_path, program)
    found = ladder(capture)
    assert len(found.steps) == MAX_STEPS
    assert isinstance(found.steps[-1], Divider)
    late = arrows(ladder(capture, line=last))
    assert [(arrow.label, arrow.fate) for arrow in late] == [
        ("ReadShared", Fate.ARRIVED),
        ("CmpData(E)", Fate.ARRIVED),
        ("CmpAck", Fate.ARRIVED),
    ]


def test_wall_clock(tmp_path: Path) -> None:
    """Times of a capture with a wall clock count from its first flit, not from 1970."""
    capture, _ = run(tmp_path)
    with capture.open("rb") as stream:
        reader = Reader(stream)
        packets = list(reader)
    assert reader.info is not None
    wall = tmp_path / "wall.pcapng"
    base = 1_800_000_000 * 10**9
    writer = Writer(Sink(str(wall)), replace(reader.info, clock=Clock.WALL), reader.lanes)
    for packet in packets:
        writer.packet(packet._replace(time=base + packet.time))
    writer.close({})
    shifted = [step.time + packets[0].time for step in ladder(wall).steps]
    assert shifted == [step.time for step in ladder(capture).steps]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"hello", '"hello"'),
        (b"four", '"four"'),
        (b"two", "74776f"),
        (b"X", "58"),
        (b"a\tb\n", "6109620a"),
        (bytes(3) + b"\x12\x34", "1234"),
        (b"m" * 16, f'"{"m" * 16}"'),
        (b"m" * 20, f'"{"m" * 16}..."'),
    ],
)
def test_data(tmp_path: Path, data: bytes, shown: str) -> None:
    """Data are shown as text if they are one, else as hex in wire order, without the zeros around them."""

    def program(system: System) -> None:
        system.gpu.store(LINE, data)
        system.cpu.load(LINE, 1)

    capture, _ = run(tmp_path, program)
    assert arrows(ladder(capture))[-1].detail == shown


def test_several_links_are_refused(tmp_path: Path) -> None:
    """Messages of a bonded port are spread over its links: no ladder is better than a wrong one."""
    capture, _ = run(tmp_path, links=2)
    with pytest.raises(ConfigError, match="several links"):
        ladder(capture)


def test_no_capture(tmp_path: Path) -> None:
    """A file that is no capture is refused as the reader refuses it."""
    file = tmp_path / "run.pcapng"
    file.write_bytes(b"not a capture")
    with pytest.raises(CaptureError):
        ladder(file)
