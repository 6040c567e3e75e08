"""A trivial wire between nodes, for tests: every flit arrives at once, in order, undamaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from hsl._generated.constants import Role, SamType
from hsl.agents.access import Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.request_config import RequestConfig
from hsl.codec.message import Message
from hsl.engine.node import Node, NodeConfig
from hsl.link.config import PortConfig
from hsl.link.events import LinkDown
from hsl.link.port import Port

PAGE = 1 << 12
HOST, DEVICE = 0, 1 << 20  # memory of node 0 and of node 1
MMIO = 1 << 40
SIZE = 16 * PAGE
TU_EXPONENT = 6


def epochs() -> Callable[[], int]:
    """A source of EPOCH values: 1, 2, ..."""
    numbers = count(1)
    return lambda: next(numbers)


MAP = AddressMap(
    [
        SamEntry(HOST, HOST + SIZE - 1, SamType.HOSTMEM, home=0),
        SamEntry(DEVICE, DEVICE + SIZE - 1, SamType.HDM_D, home=16),
        SamEntry(MMIO, MMIO + PAGE - 1, SamType.MMIO, home=1),
        SamEntry(MMIO + PAGE, MMIO + 2 * PAGE - 1, SamType.MMIO, home=17),
    ]
)


def port(base: int, **changes: object) -> PortConfig:
    """The port of the node whose NIDs begin at `base`."""
    values: dict[str, object] = {
        "guid": base + 100,
        "roles": Role.RA | Role.HA | Role.IOA,
        "nid_base": base,
        "nid_count": 16,
        "epoch": epochs(),
        "tu_exp": TU_EXPONENT,
    }
    return PortConfig(**(values | changes))  # type: ignore[arg-type]


def node(base: int, cores: int = 2, timers: dict[str, int] | None = None, **changes: object) -> Node:
    """A node with home `base`, I/O agent `base` + 1 and request agents from `base` + 2."""
    agents = [
        RequestConfig(nid=base + 2 + i, address_map=MAP, sets=4, ways=2, tu=1 << TU_EXPONENT)
        for i in range(cores)
    ]
    return Node(
        NodeConfig(
            name=f"node{base}",
            ports=[port(base, **changes)],
            agents=agents,
            homes=[
                (
                    HomeConfig(nid=base, address_map=MAP, tu=1 << TU_EXPONENT, timers=timers or {}),
                    Memory(HOST if base == 0 else DEVICE, SIZE),
                )
            ],
            io=IoConfig(nid=base + 1, address_map=MAP),
        )
    )


class Peer:
    """A bare port that says what a test tells it: `messages` came; their credits go back if `releases`."""

    def __init__(self, base: int = 16, **changes: object) -> None:
        self.ports = [Port(port(base, **changes))]
        self.port = self.ports[0]
        self.messages: list[Message] = []
        self.releases = True
        self.held: list[int] = []

    def start(self, now: int) -> None:
        """Enable the port."""
        self.port.enable(now)

    def pal_up(self, port: int, link: int, now: int) -> None:
        """PAL_UP."""
        self.port.pal_up(link, now)

    def receive(self, port: int, link: int, data: bytes, now: int) -> None:
        """One frame."""
        self.port.receive(link, data, now)

    def tick(self, now: int) -> None:
        """Timers."""
        self.port.tick(now)

    def next_deadline(self) -> int | None:
        """The next timer."""
        return self.port.next_deadline()

    def advance(self, now: int) -> None:
        """Take what came; a LINK_DOWN is confirmed at once."""
        for event in self.port.events():
            if isinstance(event, LinkDown):
                self.held.clear()
                self.port.link_down_done(now)
        came = self.port.messages()
        self.messages += came
        self.held += [message.vc for message in came]
        if self.releases:
            self.release()

    def release(self) -> None:
        """Give back the credits of all that came."""
        for vc in self.held:
            self.port.release(vc)
        self.held.clear()

    def transmit(self, now: int, ready: Callable[[int, int], bool]) -> Iterator[tuple[int, int, bytes]]:
        """Flits."""
        for link, data in self.port.transmit(now, lambda link: ready(0, link)):
            yield 0, link, data

    def send(self, op: int, src: int = 18, dst: int = 0, **fields: Any) -> None:
        """One message."""
        self.port.send(Message(op, src, dst, **fields))

    def took(self, op: int) -> list[Message]:
        """The messages of `op` since the last look, and they are forgotten."""
        found = [message for message in self.messages if message.op == op]
        self.messages = [message for message in self.messages if message.op != op]
        return found

    @property
    def connected(self) -> bool:
        """The port is up."""
        return self.port.up

    @property
    def quiesced(self) -> bool:
        """Nothing is under way at the port."""
        return self.port.quiesced


class Wire:
    """Port 0 of `left` to port 0 of `right`; time moves to the next deadline when nothing is under way."""

    def __init__(self, left: Node, right: Node | Peer) -> None:
        self.nodes: tuple[Node | Peer, ...] = (left, right)
        self.now = 0
        self.cut = False
        self.drop: Callable[[int, bytes], bool] = lambda side, flit: False

    def connect(self) -> None:
        """Enable both ports, PAL up, and run until both are up."""
        for each in self.nodes:
            each.start(self.now)
            each.pal_up(0, 0, self.now)
        self.run(self.connected)

    def connected(self) -> bool:
        """Both ends know each other."""
        return all(each.connected for each in self.nodes)

    def step(self) -> bool:
        """Everything that happens at this instant; True when a flit went over."""
        for each in self.nodes:
            each.tick(self.now)
            each.advance(self.now)
        moved = False
        for side, each in enumerate(self.nodes):
            flits = list(each.transmit(self.now, self._ready()))
            for _, _, flit in flits:
                if not self.cut and not self.drop(side, flit):
                    self.nodes[1 - side].receive(0, 0, flit, self.now)
            moved |= bool(flits)
        return moved

    @staticmethod
    def _ready() -> Callable[[int, int], bool]:
        left = count()
        return lambda port, link: next(left) < 32

    def run(self, until: Callable[[], bool], limit: int = 20000) -> None:
        """Step until `until()`; AssertionError after `limit` steps."""
        for _ in range(limit):
            moved = self.step()
            if until():
                return
            if not moved:
                deadlines = [d for d in (each.next_deadline() for each in self.nodes) if d is not None]
                self.now = max(self.now + 1, min(deadlines, default=self.now + 1))
        raise AssertionError(f"not reached in {limit} steps, at {self.now} ns")

    def finish(self, *tickets: Ticket) -> None:
        """Run until all these accesses ended."""
        self.run(lambda: all(ticket.done for ticket in tickets))

    def quiesce(self) -> None:
        """Run until nothing is under way."""
        self.run(lambda: all(each.quiesced for each in self.nodes))
