"""Captures of the demo, read by python-pcapng and tshark: count, times, interfaces, directions, comments."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, InterfaceStatistics, SectionHeader

from hsl.capture import CaptureInfo, Clock, Reader
from tests.cli.test_demo import TEXT, hsl

FIELDS = [
    "frame.time_epoch",
    "frame.interface_name",
    "frame.packet_flags",
    "frame.comment",
    "frame.len",
    "data.data",
]
EPB_COMMENT, EPB_FLAGS = "opt_comment", "epb_flags"


class Seen(NamedTuple):
    """A packet as any reader sees it."""

    time: int
    interface: str
    flags: int
    comments: tuple[str, ...]
    data: bytes


class Capture(NamedTuple):
    path: Path
    packets: list[Seen]  # ours
    info: CaptureInfo
    report: dict[str, Any]


@pytest.fixture(scope="module", params=["loopback", "tcp"])
def capture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """A demo with faults, captured; over tcp the merged captures of two processes."""
    folder = tmp_path_factory.mktemp("capture")
    (folder / "input").write_bytes(TEXT)
    path = folder / "demo.pcapng"
    done = hsl(
        *("demo", "--input", str(folder / "input"), "--transport", request.param, "--json"),
        *("--faults", "crc:0.02,drop:0.02,delay:0.01", "--seed", "7", "--capture", str(path)),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in folder.iterdir()) == ["demo.pcapng", "input"]
    with path.open("rb") as stream:
        reader = Reader(stream)
        packets = [
            Seen(
                packet.time,
                str(reader.lanes[packet.interface]),
                packet.direction | packet.errors,
                packet.comments,
                packet.data,
            )
            for packet in reader
        ]
    assert reader.info is not None
    return Capture(path, packets, reader.info, json.loads(done.stdout))


def test_it_has_every_flit(capture: Capture) -> None:
    """There is a packet for each flit that either node says it sent, and a fault comment for each fault."""
    for node, peer in (("cpu", "gpu"), ("gpu", "cpu")):
        mine = [packet for packet in capture.packets if packet.interface == f"link0 {node}->{peer}"]
        report = capture.report["nodes"][node]
        # A node that ends says DISABLE after it has made its report.
        assert 0 <= len(mine) - sum(report["link"]["flits_sent"].values()) <= 3
        faults = [comment for packet in mine for comment in packet.comments if comment.startswith("fault: ")]
        assert sum("bits flipped" in fault for fault in faults) == report["injected"]["damaged"]
        assert sum(fault == "fault: dropped" for fault in faults) == report["injected"]["lost"]
        states = [comment for packet in mine for comment in packet.comments if f"{node} at" in comment]
        assert any("-> ACTIVE" in comment for comment in states)


def test_its_header(capture: Capture) -> None:
    """The header names clock, seed and nodes; times are in order, virtual ones begin with the run."""
    virtual = capture.report["transport"] == "loopback"
    assert capture.info.clock is (Clock.VIRTUAL if virtual else Clock.WALL)
    assert (capture.info.seed, capture.info.view, list(capture.info.nodes)) == (7, "cpu", ["cpu", "gpu"])
    times = [packet.time for packet in capture.packets]
    assert times == sorted(times)
    assert (times[0] == 0) is virtual


# It warns of its own table of options.
@pytest.mark.filterwarnings("ignore:Field type should not be:DeprecationWarning")
def test_python_pcapng(capture: Capture) -> None:
    """python-pcapng finds the same packets, and in the statistics the same counts."""
    found, counts, header = [], {}, None
    with capture.path.open("rb") as stream:
        for block in FileScanner(stream):
            match block:
                case EnhancedPacket():
                    assert block.interface.options["if_tsresol"] == b"\x09"
                    found.append(
                        Seen(
                            (block.timestamp_high << 32) + block.timestamp_low,
                            block.interface.options["if_name"],
                            int.from_bytes(block.options.get_raw(EPB_FLAGS), "little"),
                            tuple(block.options.get_all(EPB_COMMENT)) if EPB_COMMENT in block.options else (),
                            block.packet_data,
                        )
                    )
                case InterfaceStatistics():
                    counts[block.interface.options["if_name"]] = block.options["isb_ifrecv"]
                case SectionHeader():
                    header = block.options[EPB_COMMENT]
                case InterfaceDescription():
                    assert block.link_type == 147
    assert found == capture.packets
    assert sum(counts.values()) == len(found)
    assert header is not None
    assert json.loads(header)["seed"] == 7


@pytest.mark.tool("tshark", apt="tshark")
def test_tshark(capture: Capture) -> None:
    """The same packets are found by tshark, which says nothing about them on stderr."""
    fields = [part for field in FIELDS for part in ("-e", field)]
    command = ["tshark", "-n", "-r", str(capture.path), "-T", "fields", "-E", "aggregator=\x1f", *fields]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "Running as user" not in line] == []
    found = []
    for line in done.stdout.splitlines():
        time, interface, flags, comments, size, data = line.split("\t")
        seconds, _, fraction = time.partition(".")
        assert len(fraction) == 9
        assert int(size) == len(data) // 2
        found.append(
            Seen(
                int(seconds) * 10**9 + int(fraction),
                interface,
                int(flags, 16),
                tuple(comments.split("\x1f")) if comments else (),
                bytes.fromhex(data),
            )
        )
    assert found == capture.packets
