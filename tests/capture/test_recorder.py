"""The recorder: what a fault did, what a link went through, and what was really delivered."""

import contextlib
import itertools
import re
import time
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.constants import ErrorCode, LinkState, Severity
from hsl.capture import (
    CaptureInfo,
    Clock,
    Packet,
    PacketError,
    Reader,
    Recorder,
    Sink,
    Tapped,
    both_ends,
    one_end,
    wall_offset,
)
from hsl.capture.recorder import MAX_COMMENT, MAX_WAITING
from hsl.link.events import (
    ErrorLogged,
    Event,
    FatalReceived,
    LinkDown,
    LinkUp,
    RetrainAsked,
    StateChanged,
)
from hsl.transport.base import Place
from hsl.transport.faults import Arrival, FaultPlan
from hsl.transport.loopback import Loopback, Wire
from tests.support.ports import PortDevice, port_config

A, B = Place(0), Place(1)
INFO = CaptureInfo(clock=Clock.VIRTUAL, seed=1, view="a")
FLIT = bytes(64)
LIMIT = 10**10  # ns of virtual time


def recorder(path: Path, tapped: list[Tapped] | None = None, **more: Any) -> Recorder:
    return Recorder(Sink(str(path)), INFO, tapped or both_ends(["a", "b"], [(A, B)]), **more)


def read(path: Path) -> tuple[list[Packet], Reader]:
    with path.open("rb") as stream:
        reader = Reader(stream)
        return list(reader), reader


def delivered(packet: Packet) -> list[bytes]:
    """What arrived of a packet, by its comments."""
    faults = [comment for comment in packet.comments if comment.startswith("fault: ")]
    for fault in faults:
        if fault == "fault: dropped":
            return []
        if match := re.search(r"arrives as ([0-9a-f]*)$", fault):
            return [bytes.fromhex(match[1])]
        if match := re.search(r"arrives (\d+) times", fault):
            return [packet.data] * int(match[1])
    return [packet.data]


@pytest.mark.parametrize("seed", range(5))
def test_one_file_has_the_truth(seed: int, tmp_path: Path) -> None:
    """Under every kind of fault the capture has each flit as it was sent, and says what was delivered."""
    plan = FaultPlan.parse("crc:0.05,drop:0.05,truncate:0.05,duplicate:0.02,delay:0.02:500")
    devices = [PortDevice(port_config(guid, tu_exp=6), count=200, expected=200) for guid in (1, 2)]
    got: dict[int, list[bytes]] = {0: [], 1: []}
    for index, device in enumerate(devices):

        def receive(
            port: int, link: int, data: bytes, now: int, error: bool = False, index: int = index
        ) -> None:
            got[index].append(data)
            devices[index].node.ports[port].receive(link, data, now, error)

        device.node.receive = receive  # type: ignore[method-assign]
    sent: list[tuple[int, Place, bytes]] = []
    with recorder(tmp_path / "x") as capture:

        def tap(now: int, place: Place, flit: bytes, arrivals: list[Arrival] | None) -> None:
            sent.append((now, place, flit))
            capture.flit(now, place, flit, arrivals)

        loopback = Loopback(
            devices, [Wire(A, B, faults=(plan, plan))], seed=seed, observe=capture.event, tap=tap
        )
        loopback.run(max_time=LIMIT)
    packets, reader = read(tmp_path / "x")
    assert [(each.time, Place(each.interface), each.data) for each in packets] == sent, f"seed {seed}"
    for index in range(2):
        told = [data for packet in packets if packet.interface == index for data in delivered(packet)]
        flying = len(told) - len(got[1 - index])  # when the run ended
        assert 0 <= flying <= 4, f"seed {seed}"
        assert told[: len(got[1 - index])] == got[1 - index], f"seed {seed}"
    assert {each.errors for each in packets} >= {PacketError.NONE, PacketError.CRC, PacketError.SHORT}
    assert any("-> ACTIVE" in comment for each in packets for comment in each.comments)
    counted = [sum(each.interface == index for each in packets) for index in range(2)]
    assert [reader.statistics[index].received for index in range(2)] == counted


@pytest.mark.parametrize(
    ("arrivals", "comments", "errors"),
    [
        ([Arrival(FLIT)], (), 0),
        ([], ("fault: dropped",), 0),
        ([Arrival(FLIT), Arrival(FLIT)], ("fault: arrives 2 times",), 0),
        ([Arrival(FLIT, 70)], ("fault: delayed by 70 ns",), 0),
        ([Arrival(FLIT[:3], 0, True)], ("fault: truncated, arrives as 000000",), PacketError.SHORT),
        ([Arrival(FLIT, 0, True)], ("fault: arrives with err=1",), PacketError.CRC),
        (
            [Arrival(b"\x05" + FLIT[1:])],
            (f"fault: 2 bits flipped, arrives as 05{FLIT[1:].hex()}",),
            PacketError.CRC,
        ),
    ],
)
def test_each_fate(arrivals: list[Arrival], comments: tuple[str, ...], errors: int, tmp_path: Path) -> None:
    """Each thing that can happen to a flit has its words and its error bits."""
    with recorder(tmp_path / "x", base=5) as capture:
        capture.flit(1, B, FLIT, arrivals)
    assert read(tmp_path / "x")[0] == [Packet(6, 1, 1, FLIT, comments, errors)]  # type: ignore[arg-type]


EVENTS: list[tuple[Event, str]] = [
    (
        StateChanged(link=0, old=LinkState.INIT, new=LinkState.ACTIVE, cause="why", now=9),
        "state INIT -> ACTIVE (why)",
    ),
    (LinkUp(now=9), "link up"),
    (LinkDown(cause="PAL_DOWN", now=9), "link down (PAL_DOWN)"),
    (RetrainAsked(link=0, now=9), "the peer asks for a retrain"),
    (
        ErrorLogged(link=0, code=ErrorCode.CRC, severity=Severity.non_fatal, text="bad", now=9),
        "error CRC (non_fatal): bad",
    ),
    (FatalReceived(link=0, code=9, now=9), "ERR_FATAL from the peer, code 9"),
]


def test_every_event_has_words(tmp_path: Path) -> None:
    """Events go with the next flit of their node, in front; those after the last one with its statistics."""
    with recorder(tmp_path / "x", base=100) as capture:
        for event, _ in EVENTS:
            capture.event(A, event)
        capture.flit(10, B, FLIT, [Arrival(FLIT)])
        capture.flit(11, A, FLIT, [])
        capture.event(A, LinkUp(now=12))
    packets, reader = read(tmp_path / "x")
    words = tuple(f"a at 109 ns: {text}" for _, text in EVENTS)
    assert [packet.comments for packet in packets] == [(), (*words, "fault: dropped")]
    assert [reader.statistics[index].comments for index in range(2)] == [("a at 112 ns: link up",), ()]


def test_events_that_wait_have_a_cap(tmp_path: Path) -> None:
    """Of events without a flit the first are kept, the rest is counted; a long text is cut."""
    long = ErrorLogged(link=0, code=ErrorCode.CRC, severity=Severity.link_fatal, text="x" * 10**5, now=0)
    with recorder(tmp_path / "x") as capture:
        for _ in range(MAX_WAITING + 3):
            capture.event(A, long)
        capture.flit(0, A, FLIT, [Arrival(FLIT)])
        capture.flit(1, A, FLIT, [Arrival(FLIT)])
    (first, second), _ = read(tmp_path / "x")
    assert len(first.comments) == MAX_WAITING + 1
    assert first.comments[-1] == "3 more events left out"
    assert {len(comment) for comment in first.comments[:-1]} == {MAX_COMMENT}
    assert second.comments == ()


def test_lanes_of_several_links(tmp_path: Path) -> None:
    """Each direction of a link has its interface; an event of no link goes with the first of its port."""
    wires = [(Place(0, port, link), Place(1, port, link)) for port in (0, 1) for link in (0, 1)]
    with recorder(tmp_path / "x", both_ends(["a", "b"], wires)) as capture:
        capture.event(Place(1, 1), LinkUp(now=1))
        capture.event(Place(0, 0), RetrainAsked(link=1, now=2))
        for index, (a, b) in enumerate(wires):
            capture.flit(index, b, FLIT, [Arrival(FLIT)])
            capture.flit(index, a, FLIT, [Arrival(FLIT)])
    packets, reader = read(tmp_path / "x")
    names = ["link0", "link1", "port1.link0", "port1.link1"]
    assert [str(lane) for lane in reader.lanes] == [
        f"{name} {way}" for name in names for way in ("a->b", "b->a")
    ]
    noted = {str(reader.lanes[each.interface]): each.comments for each in packets if each.comments}
    assert noted == {
        "port1.link0 b->a": ("b at 1 ns: link up",),
        "link1 a->b": ("a at 2 ns: the peer asks for a retrain",),
    }


def test_one_end_sees_both_ways(tmp_path: Path) -> None:
    """The capture of one end has what it sent and what reached it, as it was then."""
    with recorder(tmp_path / "x", one_end("a", "b", [A])) as capture:
        capture.flit(1, A, FLIT, [])
        capture.flit(2, A, b"\xff", None)
    packets, reader = read(tmp_path / "x")
    assert [(str(reader.lanes[each.interface]), each.direction, each.data) for each in packets] == [
        ("link0 a->b", 2, FLIT),
        ("link0 b->a", 1, b"\xff"),
    ]


def test_the_end_is_written_when_the_run_fails(tmp_path: Path) -> None:
    """An error inside does not leave a capture without its end."""
    with contextlib.suppress(KeyError), recorder(tmp_path / "x") as capture:
        capture.flit(1, A, FLIT, [])
        raise KeyError
    packets, reader = read(tmp_path / "x")
    assert len(packets) == reader.statistics[0].received == 1


def test_an_interrupted_reading_of_the_clocks_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset is that of the quickest reading: one that was interrupted between the clocks is far off."""
    # Both clocks, 1 ns a look; in all readings but the fifth a millisecond is lost before the wall clock.
    ticks = itertools.count()
    lost = itertools.accumulate(0 if reading == 4 else 1_000_000 for reading in itertools.count())
    away = [0]

    def wall() -> int:
        away[0] = next(lost)
        return 10**18 + next(ticks) + away[0]

    monkeypatch.setattr(time, "monotonic_ns", lambda: next(ticks) + away[0])
    monkeypatch.setattr(time, "time_ns", wall)
    assert wall_offset() == 10**18
