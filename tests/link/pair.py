"""Two ports joined in virtual time, as h11's ConnectionPair: everything a test does passes both ends."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hsl._generated.constants import CtlOp, ErrorCode, FlitType, LinkState, Op, Role
from hsl.codec.ctl import Ctl, decode_ctl, encode_ctl
from hsl.codec.flit import Flit, flit_type
from hsl.codec.message import Message
from hsl.codec.reference import decode_flit, encode_flit
from hsl.link import ErrorLogged, Event, LinkDown, LinkUp, Port, PortConfig, StateChanged

LATENCY = 100  # ns, one way
FLIT_NS = 10  # ns that a flit occupies the line: several are under way at once
TU = 64  # ns

# A hook sees each flit that enters the line: what comes out, in order, with the PAL's verdict; [] is lost.
Hook = Callable[[bytes], list[tuple[bytes, bool]]]


def whole(data: bytes) -> list[tuple[bytes, bool]]:
    return [(data, False)]


def damage(data: bytes) -> bytes:
    return data[:20] + bytes([data[20] ^ 0x10]) + data[21:]


class Faults:
    """A hook: the flits for which `when` holds are lost or damaged, the first `count` of them."""

    def __init__(self, when: Callable[[bytes], bool], kind: str = "drop", count: int = 1) -> None:
        self.when = when
        self.kind = kind
        self.left = count
        self.hit: list[bytes] = []

    def __call__(self, data: bytes) -> list[tuple[bytes, bool]]:
        if self.left and self.when(data):
            self.left -= 1
            self.hit.append(data)
            return [] if self.kind == "drop" else [(damage(data), False)]
        return whole(data)


def is_type(ft: FlitType) -> Callable[[bytes], bool]:
    return lambda data: flit_type(data) == ft


def is_ctl(op: CtlOp) -> Callable[[bytes], bool]:
    return lambda data: flit_type(data) == FlitType.CTL and data[8 if len(data) == 256 else 4] == op


def decode(data: bytes) -> Flit:
    """The flit in the format of its size."""
    return decode_flit(data, "B256" if len(data) == 256 else "L64")


def always(data: bytes) -> bool:
    return True


class Lossy:
    """A hook: drops, damages and marks flits at random, half of them PROT or not."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        self.rng = rng
        self.rate = rate
        self.lost = self.damaged = 0  # PROT
        self.all_damaged = 0
        self.on = True

    def __call__(self, data: bytes) -> list[tuple[bytes, bool]]:
        if not self.on or self.rng.random() >= self.rate:
            return [(data, False)]
        prot = flit_type(data) == FlitType.PROT
        kind = self.rng.choice(("drop", "bits", "mark", "short"))
        if kind == "drop":
            self.lost += prot
            return []
        self.damaged += prot
        self.all_damaged += 1
        if kind == "mark":
            return [(data, True)]
        if kind == "short":
            return [(data[: self.rng.randrange(len(data))], False)]
        at = self.rng.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        return [(bytes(flipped), False)]


def epochs(start: int) -> Callable[[], int]:
    counter = itertools.count(start)
    return lambda: next(counter)


def config(guid: int, **changes: Any) -> PortConfig:
    """Both ends have all roles but the switch, NIDs of their own, and a TU of 64 ns."""
    roles = Role.RA | Role.HA | Role.MT | Role.IOA
    base = PortConfig(
        guid=guid, roles=roles, nid_base=16 * (guid - 1), nid_count=16, epoch=epochs(1000 * guid), tu_exp=6
    )
    return replace(base, **changes)


def message(op: Op = Op.CmpData, txn: int = 0) -> Message:
    """A well-formed message of an opcode, told from others by its TXN; an NcWrite fills an L64."""
    data = {Op.CmpData: bytes(range(64)), Op.WbFull: bytes(64), Op.MemWr: bytes(64)}.get(op, b"")
    if op == Op.NcWrite:
        return Message(op, src=1, dst=17, txn=txn, len=2, addr=0x1000, be=0xFFFFFFFF, data=bytes(32))
    length = 3 if op not in (Op.Cmp, Op.CmpAck, Op.SnpRsp) else 0
    return Message(
        op, src=1, dst=17, txn=txn, len=length, addr=0x40 if op >> 5 not in (4, 5) else 0, data=data
    )


# A message of each VC.
OF_VC = {1: Op.ReadShared, 2: Op.WbFull, 3: Op.SnpInv, 4: Op.Cmp, 5: Op.CmpData, 6: Op.MemWr, 7: Op.NcWrite}


class Wire:
    """One direction of a link."""

    def __init__(self) -> None:
        self.hook: Hook = whole
        self.line: deque[tuple[int, bytes, bool]] = deque()  # time of delivery at the other end
        self.free = 0  # when the line takes the next flit
        self.latency = LATENCY
        self.sent: list[tuple[int, bytes]] = []  # all flits that entered the line


class Side:
    """One end: its port, what it was told and sent, and the wires that lead away from it, one a link."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.wires = [Wire() for _ in port.links]
        self.sent: list[tuple[int, bytes]] = []  # all flits that entered a wire
        self.events: list[Event] = []
        self.got: list[Message] = []
        self.waiting: deque[Message] = deque()  # sent to the port when it is up and has room
        self.releasing = True  # gives credits back at once
        self.finishing = True  # answers LINK_DOWN with link_down_done at once

    @property
    def line(self) -> deque[tuple[int, bytes, bool]]:
        return self.wires[0].line

    @property
    def hook(self) -> Hook:
        return self.wires[0].hook

    @hook.setter
    def hook(self, hook: Hook) -> None:
        for wire in self.wires:
            wire.hook = hook

    @property
    def link(self) -> Any:
        return self.port.links[0]

    @property
    def counters(self) -> Any:
        return self.port.links[0].counters

    def state(self, link: int = 0) -> LinkState:
        return self.port.state(link)

    def of_type(self, ft: FlitType) -> list[tuple[int, Flit]]:
        return [(now, decode(data)) for now, data in self.sent if flit_type(data) == ft]

    def ctl(self, op: CtlOp) -> list[tuple[int, Ctl]]:
        found = [(now, decode_ctl(flit.payload)) for now, flit in self.of_type(FlitType.CTL)]
        return [(now, ctl) for now, ctl in found if ctl.op == op]

    def states(self) -> list[LinkState]:
        return [event.new for event in self.events if isinstance(event, StateChanged)]

    def errors(self) -> list[ErrorCode]:
        return [event.code for event in self.events if isinstance(event, ErrorLogged)]

    def ups(self) -> int:
        return sum(isinstance(event, LinkUp) for event in self.events)

    def downs(self) -> list[str]:
        return [event.cause for event in self.events if isinstance(event, LinkDown)]


class Pair:
    """Sides `a` and `b`; `run` moves the time from event to event in the order of 3.1."""

    def __init__(self, a: PortConfig | None = None, b: PortConfig | None = None) -> None:
        self.a = Side(Port(a or config(1)))
        self.b = Side(Port(b or config(2)))
        self.now = 0
        self.wired = False

    @property
    def sides(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        return (self.a, self.b), (self.b, self.a)

    def start(self) -> Pair:
        """PAL up and enabled on both sides."""
        for side, _ in self.sides:
            side.port.enable(self.now)
        self.plug()
        return self

    def up(self) -> Pair:
        """Started, and run until both sides are up and quiet."""
        self.start().run(40 * TU)
        assert self.a.port.up
        assert self.b.port.up
        return self

    def plug(self) -> None:
        self.wired = True
        for side, _ in self.sides:
            for link in side.port.links:
                side.port.pal_up(link.index, self.now)

    def unplug(self) -> None:
        """PAL_DOWN on both sides; what is under way is lost."""
        self.wired = False
        for link in self.a.port.links:
            self.cut(link.index)

    def cut(self, link: int) -> None:
        """PAL_DOWN of one link on both sides."""
        for side, _ in self.sides:
            side.wires[link].line.clear()
            side.port.pal_down(link, self.now)

    def inject(self, side: Side, data: bytes, error: bool = False, link: int = 0) -> None:
        """A frame for `side` that the other side has not sent."""
        side.port.receive(link, data, self.now, error)

    def restart(self, side: Side) -> None:
        """Power loss of one side: a new port, nothing kept but the run of EPOCH values."""
        side.port = Port(side.port.config)
        side.waiting.clear()
        side.port.enable(self.now)
        for index, wire in enumerate(side.wires):
            wire.line.clear()
            if self.wired:
                side.port.pal_up(index, self.now)

    def run(self, duration: int, until: Callable[[], bool] | None = None) -> bool:
        """Run for `duration` ns, or until `until` holds after an instant; whether it did."""
        end = self.now + duration
        self._instant()
        while until is None or not until():
            times = [time for side, _ in self.sides if (time := self._next(side)) is not None]
            if not times or min(times) > end:
                self.now = end
                return False
            self.now = max(self.now, min(times))
            self._instant()
        return True

    def settle(self, limit: int = 10**8) -> None:
        """Run until nothing is under way and both ports are quiesced."""
        assert self.run(limit, until=self.quiesced), f"not quiesced after {limit} ns"

    def quiesced(self) -> bool:
        return not any(
            side.waiting
            or not side.port.quiesced
            or any(wire.line for wire in side.wires)
            or any(link.tx.replaying for link in side.port.links)
            for side, _ in self.sides
        )

    def _next(self, side: Side) -> int | None:
        times = [deadline] if (deadline := side.port.next_deadline()) is not None else []
        for wire in side.wires:
            if wire.line:
                times.append(wire.line[0][0])
            if wire.free > self.now:
                times.append(wire.free)
        return min(times, default=None)

    def _instant(self) -> None:
        for side, other in self.sides:
            for link, wire in enumerate(side.wires):
                while wire.line and wire.line[0][0] <= self.now:
                    _, data, error = wire.line.popleft()
                    other.port.receive(link, data, self.now, error)
        for side, _ in self.sides:
            side.port.tick(self.now)
        for side, _ in self.sides:
            self._owner(side)
        for side, _ in self.sides:
            self._transmit(side)

    def _owner(self, side: Side) -> None:
        """What a node does between receiving and transmitting."""
        for received in side.port.messages():
            side.got.append(received)
            if side.releasing:
                side.port.release(received.vc)
        for event in side.port.events():
            side.events.append(event)
            if isinstance(event, LinkDown) and side.finishing:
                side.port.link_down_done(self.now)
        while side.waiting and side.port.up and side.port.room(side.waiting[0].vc):
            side.port.send(side.waiting.popleft())

    def _transmit(self, side: Side) -> None:
        for link, data in side.port.transmit(self.now, lambda link: side.wires[link].free <= self.now):
            wire = side.wires[link]
            wire.free = self.now + FLIT_NS
            wire.sent.append((self.now, data))
            side.sent.append((self.now, data))
            for arrived, error in wire.hook(data):
                wire.line.append((self.now + wire.latency, arrived, error))


def ctl_from(side: Side, op: int, body: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A CTL flit as `side` would send it now: its pair, RP and ACK, unless `changes` say otherwise."""
    link = side.link
    ctl = Ctl(
        op,
        changes.pop("seen", False),
        changes.pop("epoch", link.epoch),
        changes.pop("peer", link.peer),
        body or {},
    )
    flit = Flit("L64", FlitType.CTL, 0, link.tx.rp, link.rx.ack, payload=encode_ctl(ctl))
    return encode_flit(flit._replace(**changes))


def flit_from(side: Side, ft: FlitType, **changes: Any) -> bytes:
    """A NOP or PROT as `side` would send it now; a PROT is an empty one unless `payload` is given."""
    link = side.link
    return encode_flit(Flit("L64", ft, 0, link.tx.rp, link.rx.ack)._replace(**changes))


def burst(pair: Pair, count: int) -> None:
    """Queue `count` messages at `a`, each of one flit, so that flits can be told by TXN."""
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(count))
