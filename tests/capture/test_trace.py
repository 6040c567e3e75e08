"""Captures of links: header, lanes, rotation, pipes, and merging both ends."""

import errno
import io
import json
import os
import threading
from pathlib import Path

import pytest

from hsl._generated.constants import PROFILE_NAME
from hsl.capture import CaptureInfo, Clock, Direction, Lane, Packet, Reader, Section, Sink, Writer, merge
from hsl.capture.pcapng import Interface, Statistics, encode
from hsl.capture.trace import SCHEMA
from hsl.errors import CaptureError, CaptureTruncated
from tests.capture.blocks import interface, option, section

INFO = CaptureInfo(clock=Clock.VIRTUAL, seed=7, view="a", nodes={"a": {"guid": 1}})
LANES = [Lane("link0", "a", "b"), Lane("link0", "b", "a")]
FLIT = bytes(range(64))
LONGEST = 132  # bytes of a block of `packets`


def packets(count: int, first: int = 0) -> list[Packet]:
    """Packets of both lanes in turn, of different lengths."""
    ways = (Direction.OUTBOUND, Direction.INBOUND)
    return [
        Packet(10 * n, n % 2, ways[n % 2], FLIT[n % 7 :], ("note",) * (n % 3)) for n in range(first, count)
    ]


def write(path: Path, content: list[Packet], *, limit: int | None = None, info: CaptureInfo = INFO) -> None:
    writer = Writer(Sink(str(path), limit), info, LANES)
    for packet in content:
        writer.packet(packet)
    writer.close({1: ("bye",)})


def read(path: Path) -> tuple[list[Packet], Reader]:
    with path.open("rb") as stream:
        reader = Reader(stream)
        return list(reader), reader


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Packets, header, lanes, counts and last words come back; the header names the profile."""
    write(tmp_path / "x", packets(9))
    found, reader = read(tmp_path / "x")
    assert found == packets(9)
    assert reader.info == INFO
    assert reader.info.profile.startswith(PROFILE_NAME)
    assert reader.lanes == LANES
    assert [(each.received, each.comments, each.time) for each in reader.statistics.values()] == [
        (5, (), 80),
        (4, ("bye",), 80),
    ]


def test_statistics_are_those_of_the_section() -> None:
    """A section without statistics has none, whatever the section before it had."""
    head = [encode(INFO.section(0)), *(encode(Interface(str(lane), "")) for lane in LANES)]
    first = [*head, encode(packets(1)[0]), encode(Statistics(5, 0, 1, ()))]
    reader = Reader(io.BytesIO(b"".join([*first, *head, encode(packets(2)[1])])))
    seen = [dict(reader.statistics) for _ in reader]
    assert seen == [{}, {}], "statistics of a section that is over"
    assert reader.statistics == {}
    assert len(reader.lanes) == len(LANES)


@pytest.mark.parametrize("limit", [1000, 1500, 4000, 10**6])
def test_rotation(limit: int, tmp_path: Path) -> None:
    """Files are as full as the limit allows, each complete in itself; together they have each packet once."""
    write(tmp_path / "x", packets(100), limit=limit)
    names = ["x", *(f"x.{n}" for n in range(1, len(list(tmp_path.iterdir()))))]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert len(names) == 1 if limit == 10**6 else len(names) > 1
    together = []
    for part, name in enumerate(names):
        found, reader = read(tmp_path / name)
        size = (tmp_path / name).stat().st_size
        assert size <= limit
        assert size > limit - LONGEST or name == names[-1]
        assert reader.info is not None
        assert (reader.info.part, reader.lanes) == (part, LANES)
        counts = [sum(packet.interface == index for packet in found) for index in range(2)]
        assert [reader.statistics[index].received for index in range(2)] == counts
        together += found
    assert together == packets(100)


def test_a_limit_below_one_packet(tmp_path: Path) -> None:
    """A packet that fits no file has one for itself: nothing is left out, nothing loops."""
    write(tmp_path / "x", packets(3), limit=1)
    assert [read(tmp_path / name)[0] for name in ("x", "x.1", "x.2")] == [[each] for each in packets(3)]


@pytest.mark.parametrize(("view", "ways"), [("a", [2, 1]), ("b", [1, 2]), ("c", [0, 0])])
def test_directions(view: str, ways: list[int], tmp_path: Path) -> None:
    """What the node of the view sends is outbound, what comes to it is inbound."""
    info = CaptureInfo(clock=Clock.WALL, seed=0, view=view)
    writer = Writer(Sink(str(tmp_path / "x")), info, LANES)
    assert writer.directions == ways
    writer.close({})


def test_a_file_is_whole_at_any_time(tmp_path: Path) -> None:
    """Every packet is in the file as soon as it is written: what kills the process loses none."""
    writer = Writer(Sink(str(tmp_path / "x")), INFO, LANES)
    for count, packet in enumerate(packets(5), 1):
        writer.packet(packet)
        assert read(tmp_path / "x")[0] == packets(5)[:count]
    writer.close({})


# ---- headers


def header(**changes: object) -> bytes:
    document = {
        "schema": SCHEMA,
        "clock": "wall",
        "seed": 1,
        "view": "a",
        "nodes": {},
        "part": 0,
        "profile": "p",
    }
    return encode(Section((json.dumps(document | changes),)))


@pytest.mark.parametrize(
    "changes", [{"clock": "sun"}, {"clock": 1}, {"seed": "x"}, {"view": None}, {"nodes": []}, {"part": "0"}]
)
def test_a_wrong_header_is_refused(changes: dict[str, object]) -> None:
    """A header that says it is ours, and is not, is an error that names the field."""
    with pytest.raises(CaptureError, match=next(iter(changes))):
        list(Reader(io.BytesIO(header(**changes))))


@pytest.mark.parametrize("comment", ["", "hello", "[1]", '{"schema": "other"}', "[" * 60_000, "9" * 5000])
def test_a_foreign_header_is_none(comment: str) -> None:
    """A capture of somebody else has no info; nothing in its comment is an error."""
    reader = Reader(io.BytesIO(encode(Section((comment,)))))
    assert list(reader) == []
    assert reader.info is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (interface("<", linktype=1), "linktype 1; flits have 147"),
        (interface("<", option("<", 2, b"eth0")), "'eth0'"),
    ],
)
def test_other_captures_are_refused(data: bytes, says: str) -> None:
    """Interfaces that have no flits, or whose names are no lanes, are refused."""
    with pytest.raises(CaptureError, match=says):
        list(Reader(io.BytesIO(section("<") + data)))


# ---- sinks


def test_a_pipe(tmp_path: Path) -> None:
    """A FIFO gets the capture while it is written; more than fits a pipe passes through it."""
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=write, args=(tmp_path / "pipe", packets(3000)))
    thread.start()
    assert read(tmp_path / "pipe")[0] == packets(3000)
    thread.join()


def test_a_broken_pipe_is_no_error(tmp_path: Path) -> None:
    """When the reader goes the sink says so, and takes the rest in silence."""
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = Sink(str(tmp_path / "pipe"))
    os.close(end)
    for _ in range(3):
        sink.write(b"x")
        assert sink.broken
    sink.close()


def test_a_write_that_takes_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system did not take at once is written after it."""
    write_all = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write_all(fd, data[:7]))
    write(tmp_path / "x", packets(9))
    assert read(tmp_path / "x")[0] == packets(9)


def test_a_full_disk_is_an_error() -> None:
    """What cannot be written is a CaptureError that says why."""
    with pytest.raises(CaptureError, match=os.strerror(errno.ENOSPC)):
        Writer(Sink("/dev/full"), INFO, LANES)


@pytest.mark.parametrize(("name", "limit"), [("folder", None), ("none/x", None), ("pipe", 100)])
def test_bad_targets(name: str, limit: int | None, tmp_path: Path) -> None:
    """A directory, a path that leads nowhere, a pipe with a limit: refused, and the target is named."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CaptureError, match=name):
        Sink(str(tmp_path / name), limit)


# ---- merging


def side(tmp_path: Path, view: str, times: list[int]) -> Path:
    """The capture of one end: its own flits as lane 0 or 1, each followed by one that reached it."""
    path = tmp_path / view
    own = 0 if view == "a" else 1
    content = [
        Packet(t + n, own ^ n, Direction.UNKNOWN, view.encode(), ("sent",)) for t in times for n in (0, 1)
    ]
    write(path, content, info=CaptureInfo(clock=Clock.WALL, seed=3, view=view, nodes={view: {"id": view}}))
    return path


def merged(tmp_path: Path, *paths: Path) -> tuple[list[Packet], Reader]:
    streams = [path.open("rb") for path in paths]
    try:
        count = merge(streams, Sink(str(tmp_path / "both")))
    finally:
        for stream in streams:
            stream.close()
    found = read(tmp_path / "both")
    assert len(found[0]) == count
    return found


def test_merge(tmp_path: Path) -> None:
    """Each flit once, from its sender, by time, as the first node sees it; headers and last words stay."""
    found, reader = merged(tmp_path, side(tmp_path, "a", [10, 30, 31]), side(tmp_path, "b", [20, 30]))
    assert [(packet.time, packet.interface, packet.direction, packet.data) for packet in found] == [
        (10, 0, Direction.OUTBOUND, b"a"),
        (20, 1, Direction.INBOUND, b"b"),
        (30, 0, Direction.OUTBOUND, b"a"),
        (30, 1, Direction.INBOUND, b"b"),
        (31, 0, Direction.OUTBOUND, b"a"),
    ]
    assert {packet.comments for packet in found} == {("sent",)}
    assert reader.lanes == LANES
    assert reader.info == CaptureInfo(
        clock=Clock.WALL, seed=3, view="a", nodes={"a": {"id": "a"}, "b": {"id": "b"}}
    )
    assert [reader.statistics[index].comments for index in range(2)] == [(), ("bye",)]


def test_merge_of_what_is_left(tmp_path: Path) -> None:
    """A side that is cut off gives its whole packets; one that is empty gives nothing."""
    a, b = side(tmp_path, "a", [10, 30]), side(tmp_path, "b", [20])
    with a.open("rb") as stream:
        ends = [a.stat().st_size]
        full = stream.read()
    ends = [full.rindex(b"sent") - 4]
    a.write_bytes(full[: ends[0]])
    with pytest.raises(CaptureTruncated):
        read(a)
    assert [packet.time for packet in merged(tmp_path, a, b)[0]] == [10, 20, 30]
    b.write_bytes(b"")
    assert [packet.time for packet in merged(tmp_path, a, b)[0]] == [10, 30]


def test_merge_of_nothing(tmp_path: Path) -> None:
    """Nodes that never came to write anything leave no file."""
    (tmp_path / "a").write_bytes(b"")
    with (tmp_path / "a").open("rb") as stream:
        assert merge([stream], Sink(str(tmp_path / "both"))) == 0
    assert not (tmp_path / "both").exists()
