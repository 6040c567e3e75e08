"""Events of transports and ports as packets and comments of a capture."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from hsl.capture.pcapng import Packet, PacketError
from hsl.capture.sink import Sink
from hsl.capture.trace import CaptureInfo, Clock, Lane, Writer
from hsl.engine.node import Node
from hsl.errors import CaptureError
from hsl.link.events import (
    ErrorLogged,
    Event,
    FatalReceived,
    LinkDown,
    LinkUp,
    PeerGone,
    RetrainAsked,
    StateChanged,
)
from hsl.transport.base import Place
from hsl.transport.fault_edits import EDITS
from hsl.transport.faults import Arrival

__all__ = [
    "MAX_COMMENT",
    "MAX_WAITING",
    "Recorder",
    "Tapped",
    "both_ends",
    "capture_info",
    "one_end",
    "wall_offset",
]

log = logging.getLogger(__name__)

# Events of a lane that wait for its next flit: a link that retrains for ever without one would fill any list.
MAX_WAITING = 64
# Characters of a comment; the bytes of a B256 flit in hex fit in.
MAX_COMMENT = 1024
READINGS = 9  # of both clocks: one of them is not interrupted


class Tapped(NamedTuple):
    """A lane, and where its flits are seen: as they are sent at one place, or as they arrive at one."""

    lane: Lane
    sender: Place | None = None
    receiver: Place | None = None


def link_name(place: Place) -> str:
    """`link0`, of another port than the first `port1.link0`."""
    return f"port{place.port}.link{place.link}" if place.port else f"link{place.link}"


def both_ends(names: Sequence[str], wires: Iterable[tuple[Place, Place]]) -> list[Tapped]:
    """The lanes of wires whose ends are both here, each seen at its sender; `names` by index of device."""
    return [
        Tapped(Lane(link_name(a), names[source.device], names[target.device]), sender=source)
        for a, b in wires
        for source, target in ((a, b), (b, a))
    ]


def one_end(name: str, peer: str, places: Iterable[Place]) -> list[Tapped]:
    """The lanes of links of which one end is here: what leaves, and what arrives."""
    return [
        tapped
        for place in places
        for tapped in (
            Tapped(Lane(link_name(place), name, peer), sender=place),
            Tapped(Lane(link_name(place), peer, name), receiver=place),
        )
    ]


def capture_info(clock: Clock, seed: int, nodes: Sequence[Node]) -> CaptureInfo:
    """Return the header of a capture of `nodes`, as the first of them sees it."""
    described = {node.name: describe(node) for node in nodes}
    return CaptureInfo(clock=clock, seed=seed, view=nodes[0].name, nodes=described)


def describe(node: Node) -> dict[str, Any]:
    """Return what the header says of a node: identity on each port, agents, address map."""
    agents = {str(nid): role.name for role, nids in node.config.by_role.items() for nid in nids}
    maps = [agent.address_map for agent in node.config.agents]
    return {
        "ports": [
            {
                "guid": f"{port.guid:#018x}",
                "roles": [role.name for role in port.roles],
                "nids": [port.nid_base, port.nid_base + port.nid_count - 1],
            }
            for port in node.config.ports
        ],
        "agents": agents,
        "address_map": [
            {"base": entry.base, "last": entry.last, "type": entry.type.name, "home": entry.home}
            for entry in (maps[0] if maps else ())
        ],
    }


def wall_offset() -> int:
    """Wall clock minus monotonic clock in ns, the same for all processes of a host to a microsecond.

    It is read once: a wall clock that is set during a run changes no time of its capture.
    """

    def reading() -> tuple[int, int]:
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        return after - before, wall - (before + after) // 2

    return min(reading() for _ in range(READINGS))[1]


class Recorder:
    """Takes flits and events as they happen; a context that writes the end of the capture.

    `flit` is the tap of a transport, `event` takes the events of its ports. Each sent flit is recorded
    once, as it was handed to the PAL; what a fault did to it is in a comment and in the error bits of its
    packet; what is lost on the way because its link is cut has none. An event is a comment of the next flit
    that its node sends on that link, or of the lane's statistics when none follows. `base` is added to every
    time. Raises CaptureError when the sink cannot be written.
    """

    def __init__(self, sink: Sink, info: CaptureInfo, tapped: Sequence[Tapped], base: int = 0) -> None:
        self.base = base
        try:
            self.writer = Writer(sink, info, [each.lane for each in tapped])
        except CaptureError:  # no room for the header: the file that has nothing is removed
            sink.close()
            raise
        self._sent = {each.sender: index for index, each in enumerate(tapped) if each.sender}
        self._received = {each.receiver: index for index, each in enumerate(tapped) if each.receiver}
        self._waiting: dict[int, list[str]] = {}
        self._left_out: dict[int, int] = {}
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close({index: self._comments(index) for index in list(self._waiting)})

    def flit(self, now: int, place: Place, data: bytes, arrivals: Sequence[Arrival] | None) -> None:
        """A flit that is sent from `place` and what arrives of it; with None a frame that arrived there."""
        index = self._received[place] if arrivals is None else self._sent[place]
        comments, errors = ([], PacketError.NONE) if arrivals is None else fate(data, arrivals)
        if arrivals is not None and self._waiting:
            comments = self._comments(index) + comments
        direction = self.writer.directions[index]
        self.writer.packet(Packet(now + self.base, index, direction, data, tuple(comments), errors))
        if self.writer.sink.broken and not self._broken:
            self._broken = True
            log.warning("capture %s: its reader has gone; the run goes on", self.writer.sink.name)

    def event(self, place: Place, event: Event) -> None:
        """An event of the port of `place`; it is noted with a flit of the link that it names."""
        index = self._lane(place._replace(link=getattr(event, "link", place.link)))
        if index is None:
            return
        waiting = self._waiting.setdefault(index, [])
        if len(waiting) == MAX_WAITING:
            self._left_out[index] = self._left_out.get(index, 0) + 1
            return
        source = self.writer.lanes[index].source
        waiting.append(f"{source} at {event.now + self.base} ns: {described(event)}"[:MAX_COMMENT])

    def _lane(self, place: Place) -> int | None:
        """Return the lane that leaves at `place`, else the one of the first link of its port."""
        of_port = (index for sender, index in self._sent.items() if sender[:2] == place[:2])
        return self._sent.get(place, next(of_port, None))

    def _comments(self, index: int) -> list[str]:
        comments = self._waiting.pop(index, [])
        if left_out := self._left_out.pop(index, 0):
            comments.append(f"{left_out} more events left out")
        return comments


def fate(data: bytes, arrivals: Sequence[Arrival]) -> tuple[list[str], PacketError]:
    """Return a flit's damage on its way in words and in the format's error bits, or neither."""
    if not arrivals:
        return ["fault: dropped"], PacketError.NONE
    comments, errors = [], PacketError.NONE
    if len(arrivals) > 1:
        comments.append(f"fault: arrives {len(arrivals)} times")
    for arrival in arrivals:
        if arrival.delay_ns:
            how = "overtaken for" if arrival.overtaken else "delayed by"
            comments.append(f"fault: {how} {arrival.delay_ns} ns")
        if len(arrival.data) != len(data):
            errors |= PacketError.SHORT
            comments.append(f"fault: truncated, arrives as {arrival.data.hex()}")
        elif arrival.data != data and arrival.kind in EDITS:
            comments.append(f"fault: {arrival.kind} changed, arrives as {arrival.data.hex()}")
        elif arrival.data != data:
            errors |= PacketError.CRC
            flipped = (int.from_bytes(arrival.data) ^ int.from_bytes(data)).bit_count()
            comments.append(f"fault: {flipped} bits flipped, arrives as {arrival.data.hex()}")
        elif arrival.error:
            errors |= PacketError.CRC
            comments.append("fault: arrives with err=1")
    return comments, errors


def described(event: Event) -> str:
    """An event in words; states, causes and errors by the names of the specification."""
    match event:
        case StateChanged(old=old, new=new, cause=cause):
            return f"state {old.name} -> {new.name} ({cause})"
        case LinkUp():
            return "link up"
        case LinkDown(cause=cause):
            return f"link down ({cause})"
        case PeerGone(proof=proof):
            return f"the lost peer is gone ({proof})"
        case RetrainAsked():
            return "the peer asks for a retrain"
        case ErrorLogged(code=code, severity=severity, text=text):
            return f"error {code.name} ({severity.name}): {text}"
        case FatalReceived(code=code):
            return f"ERR_FATAL from the peer, code {code}"
