"""hsl.System: captures, and what a seed repeats."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hsl
from hsl.capture import Clock
from hsl.emulator import in_process
from hsl.emulator.arguments import MAX_SEED

FAULTS = "crc:2e-2,drop:2e-2"


def capture(path: Path, seed: int) -> bytes:
    """The capture of a short run."""
    with hsl.System(seed=seed, faults="crc:2e-2", capture=path, memory_bytes=1 << 17) as s:
        s.gpu.store_many(s.host_memory.lines[:200], np.ones((200, 64), np.uint8))
        s.cpu.load_many(s.host_memory.lines[:200])
    return path.read_bytes()


def hits(path: Path) -> list[int]:
    """The numbers of the flits that a fault has hit."""
    with path.open("rb") as stream:
        return [i for i, packet in enumerate(hsl.Reader(stream)) if "fault" in "".join(packet.comments)]


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """The same calls with the same seed make the same capture to the byte; another seed hits other flits."""
    assert capture(tmp_path / "a.pcapng", 7) == capture(tmp_path / "b.pcapng", 7)
    capture(tmp_path / "c.pcapng", 8)
    assert hits(tmp_path / "a.pcapng") != hits(tmp_path / "c.pcapng")


def test_capture_is_read_back(tmp_path: Path) -> None:
    """The capture of a whole run has every flit of the report, the seed, and the faults as comments."""
    path = tmp_path / "run.pcapng"
    with hsl.System(seed=7, faults="crc:5e-2", capture=path) as s:
        s.gpu.store_many(s.host_memory.lines[:100], np.ones((100, 64), np.uint8))
    report = s.report()
    with path.open("rb") as stream:
        reader = hsl.Reader(stream)
        packets = list(reader)
    assert reader.info is not None
    assert (reader.info.seed, reader.info.view, reader.info.clock) == (7, "cpu", Clock.VIRTUAL)
    assert [str(lane) for lane in reader.lanes] == ["link0 cpu->gpu", "link0 gpu->cpu"]
    assert len(packets) == report["flits"]
    assert sum(each.received for each in reader.statistics.values()) == len(packets)
    hit = sum(any("bits flipped" in comment for comment in packet.comments) for packet in packets)
    assert hit == report["injected"]["crc"] > 0


def fail_while_captured(path: Path, began: list[int]) -> None:
    """A block that captures its last access and ends by an exception."""
    with hsl.System() as s:
        s.gpu.store(0x40, b"x")
        began.append(s.now)
        s.capture(path)
        s.cpu.load(0x40)
        began.append(s.now)
        raise ZeroDivisionError


def test_capture_from_the_call_on(tmp_path: Path) -> None:
    """capture() records from the call to the end of the system, also when the block ends by an exception."""
    path, began = tmp_path / "run.pcapng", list[int]()
    with pytest.raises(ZeroDivisionError):
        fail_while_captured(path, began)
    with path.open("rb") as stream:
        times = [packet.time for packet in hsl.Reader(stream)]
    assert began[0] <= min(times) <= max(times) <= began[1]  # an exception lets no more time pass


def test_two_captures_of_one_file(s: hsl.System, tmp_path: Path) -> None:
    """A file that is captured to is not opened again, by whatever spelling of its path."""
    s.capture(tmp_path / "a.pcapng")
    with pytest.raises(hsl.CaptureError, match="this system writes it already"):
        s.capture(f"{tmp_path}/./a.pcapng")
    s.capture(tmp_path / "b.pcapng")
    s.gpu.load(0x40)
    s.close()
    assert (tmp_path / "a.pcapng").read_bytes() == (tmp_path / "b.pcapng").read_bytes()


def test_capture_that_cannot_be_written(tmp_path: Path) -> None:
    """A capture that cannot be opened is a CaptureError of the constructor."""
    with pytest.raises(hsl.CaptureError, match="No such file"):
        hsl.System(capture=tmp_path / "no" / "x.pcapng")


def test_seed_decides_the_epochs(tmp_path: Path) -> None:
    """Without faults too, another seed gives other EPOCH values, of 32 bits; the greatest seed is one."""
    sent = list[list[bytes]]()
    for seed in (1, 1, MAX_SEED):
        path = tmp_path / f"{len(sent)}.pcapng"
        with hsl.System(seed=seed, capture=path, memory_bytes=1 << 17):
            pass
        with path.open("rb") as stream:
            sent.append([packet.data for packet in hsl.Reader(stream)])
    assert sent[0] == sent[1] != sent[2]
    draw = in_process.epochs(1)
    assert max(draw() for _ in range(64)) >> 31 == 1


def test_capture_has_events(tmp_path: Path) -> None:
    """A capture has the events of the ports as comments: each side's way up."""
    path = tmp_path / "run.pcapng"
    with hsl.System(capture=path) as s:
        s.gpu.load(0x40)
    with path.open("rb") as stream:
        comments = [comment for packet in hsl.Reader(stream) for comment in packet.comments]
    for node in ("cpu", "gpu"):
        assert any(re.match(rf"{node} at \d+ ns: link up", comment) for comment in comments)
