"""A star of three nodes on the loopback, for tests: a CPU with two ports, a device behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from hsl._generated.constants import Err, Role, SamType
from hsl._generated.layouts import SAM_BASE
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import AddressMap, SamEntry, encode_entry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.peers import FEATURES
from hsl.agents.request_config import RequestConfig
from hsl.engine.node import Node, NodeConfig
from hsl.link.config import PortConfig
from hsl.transport.base import Core, Place
from hsl.transport.loopback import Loopback, Wire

PAGE = 1 << 12
SIZE = 16 * PAGE
MMIO = 1 << 40
CPU_HOME, CPU_IO, CPU_CORES = 0, 1, (2, 3)
GPUS = {"a": 16, "b": 32}  # first NID: the cache; the next is the I/O agent
TU_EXPONENT = 6
TIMERS = {"T_SNP": 50_000, "T_CACK": 100_000}
T_REQ = 2_000_000  # more than T_SNP, T_CACK and 2 T_LOSS together (5.11)
STEPS = 400_000
MAP = AddressMap(
    [
        SamEntry(0, SIZE - 1, home=CPU_HOME),
        *(
            SamEntry(MMIO + nid * PAGE, MMIO + (nid + 1) * PAGE - 1, SamType.MMIO, home=nid)
            for nid in (1, 17, 33)
        ),
    ]
)
_epochs = count(1)  # of every port that is ever made, so no incarnation repeats one


class Holder:
    """A device of the loopback that has no program: tests submit by hand."""

    started = True
    quiescing = False
    finished = True

    def __init__(self, core: Any) -> None:
        self.node: Core = core

    def advance(self, now: int) -> None:
        """Move messages."""
        self.node.advance(now)  # type: ignore[attr-defined]

    def next_deadline(self) -> int | None:
        """The next timer."""
        deadline: int | None = self.node.next_deadline()  # type: ignore[attr-defined]
        return deadline


class Dead:
    """A node without power."""

    ports: tuple[()] = ()
    quiesced = True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: iter(()) if name == "transmit" else [] if name == "events" else None


def port(base: int, roles: Role, **changes: Any) -> PortConfig:
    values: dict[str, Any] = {
        "guid": base + 100,
        "roles": roles,
        "nid_base": base,
        "nid_count": 16,
        "epoch": lambda: next(_epochs),
        "tu_exp": TU_EXPONENT,
        "features": int(FEATURES),
    }
    return PortConfig(**(values | changes))


def cpu(**io: Any) -> Node:
    """Home 0, I/O agent 1, cores 2 and 3, a port to each device."""
    roles = Role.RA | Role.HA | Role.IOA
    agents = [RequestConfig(nid=nid, address_map=MAP, sets=4, ways=2, t_req=T_REQ) for nid in CPU_CORES]
    home = HomeConfig(nid=CPU_HOME, address_map=MAP, timers=TIMERS)
    return Node(
        NodeConfig(
            name="cpu",
            ports=[port(0, roles), port(0, roles)],
            agents=agents,
            homes=[(home, Memory(0, SIZE))],
            io=IoConfig(nid=CPU_IO, address_map=MAP, **io),
        )
    )


def gpu(name: str) -> Node:
    """A cache and an I/O agent behind one port."""
    base = GPUS[name]
    return Node(
        NodeConfig(
            name=name,
            ports=[port(base, Role.RA | Role.IOA)],
            agents=[RequestConfig(nid=base, address_map=MAP, sets=16, ways=4, t_req=T_REQ)],
            io=IoConfig(nid=base + 1, address_map=MAP),
        )
    )


class Star:
    """The three nodes; `kill` and `revive` take a device away and bring a new one."""

    def __init__(self, second: Any = None, **io: Any) -> None:
        self.cpu = cpu(**io)
        self.gpus: dict[str, Node] = {"a": gpu("a")}
        other = second if second is not None else gpu("b")
        if isinstance(other, Node):
            self.gpus["b"] = other
        self.holders = [Holder(self.cpu), Holder(self.gpus["a"]), Holder(other)]
        wires = [Wire(Place(0, i), Place(i + 1)) for i in range(2)]
        self.net = Loopback(self.holders, wires)
        self.net.start()
        self.run(lambda: self.cpu.connected and all(node.connected for node in self.gpus.values()))

    @property
    def now(self) -> int:
        return self.net.now

    @property
    def home(self) -> HomeAgent:
        return self.cpu.homes[CPU_HOME]

    def node(self, nid: int) -> Node:
        return self.cpu if nid < 16 else self.gpus["a" if nid < 32 else "b"]

    def touch(self, node: Core) -> None:
        """Let the loopback look at a node at the next instant: time goes on, however often it is asked."""
        index = next(i for i, holder in enumerate(self.holders) if holder.node is node)
        self.net.call(self.now + 1, Place(index), lambda: None)

    def submit(self, nid: int, access: Access) -> Ticket:
        node = self.node(nid)
        ticket = node.submit(nid, access, self.now)
        self.touch(node)
        return ticket

    def run(self, until: Callable[[], bool]) -> None:
        for _ in range(STEPS):
            if until():
                return
            assert self.net.step(), "nothing is to come"
        raise AssertionError(f"not reached at {self.now} ns")

    def finish(self, tickets: Iterable[Ticket]) -> None:
        waiting = list(tickets)
        self.run(lambda: all(ticket.done for ticket in waiting))

    def do(self, nid: int, access: Access) -> Ticket:
        ticket = self.submit(nid, access)
        self.finish([ticket])
        return ticket

    def store(self, nid: int, addr: int, value: int) -> Ticket:
        data = value.to_bytes(8, "little")
        return self.do(nid, Access("store", addr, 8, data))

    def load(self, nid: int, addr: int) -> Ticket:
        return self.do(nid, Access("load", addr, 8))

    def kill(self, name: str) -> None:
        """Cut the power of a device, and with it its wire."""
        index = 1 + list(GPUS).index(name)
        self.holders[index].node = Dead()
        self.net.set_wire(index - 1, up=False)

    def revive(self, name: str) -> None:
        """A new device with nothing in it, on the same wire."""
        index = 1 + list(GPUS).index(name)
        self.gpus[name] = gpu(name)
        self.holders[index].node = self.gpus[name]
        self.gpus[name].start(self.now)
        self.cpu.ports[index - 1].enable(self.now)  # software's decision: a lost link stays down until told
        self.net.set_wire(index - 1, up=True)
        self.run(lambda: self.cpu.connected and self.gpus[name].connected)


def word(value: int) -> bytes:
    """The data of one register."""
    return value.to_bytes(8, "little")


def configure(star: Star, offset: int, data: bytes, *, src: int = CPU_CORES[0], dst: int = CPU_IO) -> Err:
    """CfgWrite."""
    return star.do(src, Access("cfg_write", offset, len(data), data, dst=dst)).err


def configured(star: Star, offset: int) -> int:
    """CfgRead of 8 bytes."""
    ticket = star.do(CPU_CORES[0], Access("cfg_read", offset, 8, dst=CPU_IO))
    return int.from_bytes(ticket.result(), "little")


def quiesce(star: Star, on: bool, **fields: Any) -> Err:
    """Write the first entry of the CPU's map, QUIESCED or not, with other fields."""
    entry = star.home.config.address_map.entries[0]
    assert entry is not None
    return configure(star, SAM_BASE, encode_entry(entry._replace(quiesced=on, **fields)))
