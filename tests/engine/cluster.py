"""Several nodes on the loopback: a CPU with two homes, devices with a home, a memory target and caches.

`STAR`: a port of the CPU to each device; `MESH`: a port per pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

from hsl._generated.constants import Op, Role, SamType
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.engine.node import Node, NodeConfig
from hsl.link.config import PortConfig
from hsl.transport.base import Place
from hsl.transport.loopback import LATENCY_NS, Loopback, Wire
from tests.engine.wires import PAGE, epochs

STAR, MESH = "star", "mesh"
SIZE = 4 * PAGE
HOST, SHARED = 0, 1 << 20  # host memory; memory whose pages the second home of the CPU and device 0 share
NIDS = 16  # of a node; node 0 is the CPU
MAX_NS = 1 << 33
TU_EXPONENT = 6


def homed(device: int) -> int:
    """Memory whose home is the device (HDM-D)."""
    return (2 + 2 * device) << 20


def hosted(device: int) -> int:
    """Memory of the device whose home is the CPU (HDM-H)."""
    return (3 + 2 * device) << 20


def base(node: int) -> int:
    """First NID of a node: a home; at 1 the memory target (CPU: I/O agent); request agents from 2."""
    return NIDS * node


def amap(devices: int) -> AddressMap:
    """The address map of a CPU and so many devices."""
    entries = [
        SamEntry(HOST, HOST + SIZE - 1, home=0),
        SamEntry(SHARED, SHARED + SIZE - 1, SamType.HDM_D, home=NIDS - 1, ways=1, granule=8),
    ]
    for device in range(devices):
        first = base(device + 1)
        d, h = homed(device), hosted(device)
        entries.append(SamEntry(d, d + SIZE - 1, SamType.HDM_D, home=first))
        entries.append(SamEntry(h, h + SIZE - 1, SamType.HDM_H, home=0, mt=first + 1))
    return AddressMap(entries)


def build(node: int, devices: int, ports: int, mshrs: int, timers: Mapping[str, int]) -> Node:
    """One node with so many ports, so many MSHRs for each of its two caches, and these timers of homes."""
    first, sam = base(node), amap(devices)
    config = {"address_map": sam, "tu": 1 << TU_EXPONENT, "timers": timers}
    if node == 0:
        homes = [
            (HomeConfig(nid=0, **config), Memory(HOST, SIZE)),  # type: ignore[arg-type]
            (HomeConfig(nid=NIDS - 1, **config), Memory(SHARED, SIZE)),  # type: ignore[arg-type]
        ]
    else:
        memory = Memory(SHARED, homed(node - 1) + SIZE - SHARED)
        homes = [(HomeConfig(nid=first, **config), memory)]  # type: ignore[arg-type]
    targets = [(TargetConfig(nid=first + 1, address_map=sam), Memory(hosted(node - 1), SIZE))] if node else []
    roles = Role.RA | Role.HA | (Role.MT if node else Role.IOA)
    port = [
        PortConfig(
            guid=100 + node, roles=roles, nid_base=first, nid_count=NIDS, epoch=epochs(), tu_exp=TU_EXPONENT
        )
        for _ in range(ports)
    ]
    agents = [
        RequestConfig(nid=first + 2 + i, address_map=sam, sets=4, ways=2, mshrs=mshrs, tu=1 << TU_EXPONENT)
        for i in range(2)
    ]
    io = None if node else IoConfig(nid=1, address_map=sam)
    return Node(
        NodeConfig(name=f"node{node}", ports=port, agents=agents, homes=homes, targets=targets, io=io)
    )


class Seat:
    """A node on the loopback without programs."""

    started = finished = True
    quiescing = False

    def __init__(self, node: Node) -> None:
        self.node = node

    def advance(self, now: int) -> None:
        """Messages only."""
        self.node.advance(now)
        self.node.completions()

    def next_deadline(self) -> int | None:
        """Timers only."""
        return self.node.next_deadline()


class Cluster:
    """Node 0 is the CPU; agents are named by node and index; `last_ns`: latency of the last wire."""

    def __init__(
        self,
        devices: int,
        topology: str = STAR,
        *,
        seed: int = 1,
        mshrs: int = 16,
        last_ns: int = LATENCY_NS,
        timers: Mapping[str, int] | None = None,
    ) -> None:
        ends = [(0, device + 1) for device in range(devices)]
        if topology == MESH:
            ends += combinations(range(1, devices + 1), 2)
        counts = [sum(node in pair for pair in ends) for node in range(devices + 1)]
        self.nodes = [build(node, devices, count, mshrs, timers or {}) for node, count in enumerate(counts)]
        used = [0] * (devices + 1)
        wires = []
        for a, b in ends:
            latency = last_ns if (a, b) == ends[-1] else LATENCY_NS
            wires.append(Wire(Place(a, used[a]), Place(b, used[b]), latency))
            used[a] += 1
            used[b] += 1
        self.loopback = Loopback([Seat(node) for node in self.nodes], wires, seed=seed)
        self.loopback.run(max_time=MAX_NS, until=lambda: all(node.connected for node in self.nodes))

    def submit(self, node: int, access: Access, agent: int = 0) -> Ticket:
        """Begin an access of an agent of a node, now."""
        tickets: list[Ticket] = []
        place = Place(node)

        def begin() -> None:
            tickets.append(self.nodes[node].submit(base(node) + 2 + agent, access, self.loopback.now))

        self.loopback.call(self.loopback.now, place, begin)
        self.run(lambda: bool(tickets))
        return tickets[0]

    def do(self, node: int, access: Access, agent: int = 0) -> Ticket:
        """An access, to its end."""
        ticket = self.submit(node, access, agent)
        self.run(lambda: ticket.done)
        return ticket

    def load(self, node: int, addr: int, agent: int = 0) -> bytes:
        """Eight bytes."""
        return self.do(node, Access("load", addr, 8), agent).result()

    def store(self, node: int, addr: int, data: bytes, agent: int = 0) -> None:
        """Any bytes of a line."""
        self.do(node, Access("store", addr, len(data), data), agent).result()

    def run(self, until: Callable[[], bool]) -> None:
        """Run until it holds."""
        self.loopback.run(max_time=MAX_NS, until=until)

    def reconnect(self) -> None:
        """Mend wire 0, whose links have died of it."""
        for place in self.loopback.wires[0][:2]:
            port = self.nodes[place.device].ports[place.port]
            self.loopback.call(self.loopback.now, place, partial(port.enable, self.loopback.now))
        self.loopback.set_wire(0, up=True, at=self.loopback.now + 1)

    def quiesce(self) -> None:
        """Run until nothing is under way."""
        self.run(lambda: all(node.quiesced for node in self.nodes))

    def sent(self, node: int) -> dict[str, int]:
        """Messages that a node has sent by its ports, by opcode."""
        counts: dict[str, int] = {}
        for port in self.nodes[node].ports:
            for op, count in port.messages_sent.items():
                if count:
                    counts[Op(op).name] = counts.get(Op(op).name, 0) + count
        return counts

    def everywhere(self) -> Sequence[int]:
        """One address in each kind of memory that all nodes of a mesh reach."""
        devices = len(self.nodes) - 1
        spots = [HOST, SHARED, SHARED + 256]
        return [*spots, *(at(device) for device in range(devices) for at in (homed, hosted))]
