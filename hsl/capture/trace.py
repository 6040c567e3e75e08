"""A capture of links: what its header says, an interface for each direction of a link, a flit in a packet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, NamedTuple

from hsl import __version__
from hsl._generated.constants import PROFILE_NAME, VERSION
from hsl.capture.pcapng import (
    LINKTYPE_USER0,
    Direction,
    Interface,
    Packet,
    Section,
    Statistics,
    encode,
    read_records,
)
from hsl.capture.sink import Sink
from hsl.errors import CaptureError
from hsl.nearest import expected
from hsl.shown import TYPES, shown

__all__ = ["SCHEMA", "CaptureInfo", "Clock", "Lane", "Reader", "Writer"]

SCHEMA = "hsl.capture/1"
PROFILE = f"{PROFILE_NAME} {VERSION[0]}.{VERSION[1]}"
NAME = re.compile(r"(\S+) (\S+)->(\S+)")


class Clock(StrEnum):
    """The clock that the times of a capture are read from."""

    WALL = "wall"  # ns since 1970
    VIRTUAL = "virtual"  # ns of modelled time since the start of the run


class Lane(NamedTuple):
    """One direction of a link, by the names of its nodes."""

    link: str
    source: str
    target: str

    def __str__(self) -> str:
        """The name of its interface."""
        return f"{self.link} {self.source}->{self.target}"

    @classmethod
    def parse(cls, name: str) -> Lane:
        """Read the name of an interface. Raises CaptureError."""
        match = NAME.fullmatch(name)
        if match is None:
            raise CaptureError(f"interface {name!r}; expected LINK SOURCE->TARGET")
        return cls(*match.groups())


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureInfo:
    """The description of a capture, kept as JSON in the comment of its section header.

    `view` names the node whose sent flits are outbound; `nodes` describes each by name; `part` counts the
    files of one capture from 0.
    """

    clock: Clock
    seed: int
    view: str
    nodes: Mapping[str, Any] = field(default_factory=dict)
    part: int = 0
    profile: str = PROFILE

    def section(self, part: int) -> Section:
        """The header of one file."""
        document = {"schema": SCHEMA} | asdict(self) | {"part": part}
        return Section((json.dumps(document),), f"hsl {__version__}")

    @classmethod
    def of(cls, section: Section) -> CaptureInfo | None:
        """Read a header back; None where no comment is one of ours. Raises CaptureError for a wrong one."""
        for comment in section.comments:
            try:
                document = json.loads(comment)
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict) and document.pop("schema", None) == SCHEMA:
                return cls._checked(document)
        return None

    @classmethod
    def _checked(cls, document: dict[str, Any]) -> CaptureInfo:
        kinds = {"clock": str, "seed": int, "view": str, "nodes": dict, "part": int, "profile": str}
        for name, kind in kinds.items():
            if not isinstance(document.get(name), kind):
                raise CaptureError(f"section: {name} = {shown(document.get(name))}; expected {TYPES[kind]}")
        if document["clock"] not in tuple(Clock):
            raise CaptureError(f"section: clock {shown(document['clock'])}; {expected(Clock)}")
        known = {name: document[name] for name in kinds}
        return cls(**known | {"clock": Clock(document["clock"])})


class Writer:
    """Packets of a fixed list of lanes into a sink, file after file; every file is complete in itself.

    Raises CaptureError when the sink cannot be written.
    """

    def __init__(self, sink: Sink, info: CaptureInfo, lanes: Sequence[Lane]) -> None:
        self.sink = sink
        self.info = info
        self.lanes = list(lanes)
        self.packets = 0  # in all files
        self.last = 0  # the greatest time
        self.directions = [self._direction(lane) for lane in self.lanes]  # as `view` sees them
        self._received = [0] * len(self.lanes)  # in the present file
        self._end_size = len(self._end())
        self._begin()

    def _direction(self, lane: Lane) -> Direction:
        ends = {lane.target: Direction.INBOUND, lane.source: Direction.OUTBOUND}
        return ends.get(self.info.view, Direction.UNKNOWN)

    def packet(self, packet: Packet) -> None:
        """Write a packet, into the next file if this one is full."""
        data = encode(packet)
        if any(self._received) and not self.sink.fits(len(data) + self._end_size):
            self._next()
        self.packets += 1
        self.last = max(self.last, packet.time)
        self._received[packet.interface] += 1
        self.sink.write(data)

    def close(self, comments: Mapping[int, Sequence[str]]) -> None:
        """End the capture; `comments` by lane had no packet to go with."""
        try:
            if any(self._received) and not self.sink.fits(len(self._end(comments))):
                self._next()
            self.sink.write(self._end(comments))
        finally:
            self.sink.close()

    def _begin(self) -> None:
        blocks = [encode(self.info.section(self.sink.part))]
        blocks += [
            encode(Interface(str(lane), f"flits from {lane.source} to {lane.target}")) for lane in self.lanes
        ]
        self.sink.write(b"".join(blocks))

    def _end(self, comments: Mapping[int, Sequence[str]] | None = None) -> bytes:
        return b"".join(
            encode(Statistics(self.last, index, count, tuple((comments or {}).get(index, ()))))
            for index, count in enumerate(self._received)
        )

    def _next(self) -> None:
        self.sink.write(self._end())
        self.sink.next()
        self._received = [0] * len(self.lanes)
        self._begin()


class Reader:
    """The packets of a capture, one at a time, from a file or a pipe.

    `info` (None for a capture that is not ours), `lanes` by index of interface, and `statistics` are those
    of the section that is being read. Raises CaptureError for bytes that are no capture of flits,
    CaptureTruncated at the end of one that was cut off, after all whole packets before it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.info: CaptureInfo | None = None
        self.lanes: list[Lane] = []
        self.statistics: dict[int, Statistics] = {}
        self._stream = stream

    def __iter__(self) -> Iterator[Packet]:
        for record in read_records(self._stream):
            match record:
                case Packet():
                    yield record
                case Interface(name=name, linktype=linktype):
                    if linktype != LINKTYPE_USER0:
                        raise CaptureError(
                            f"interface {name!r}: linktype {linktype}; flits have {LINKTYPE_USER0}"
                        )
                    self.lanes.append(Lane.parse(name))
                case Section():
                    self.info = CaptureInfo.of(record)
                    self.lanes, self.statistics = [], {}
                case Statistics():
                    self.statistics[record.interface] = record
