"""Nodes with their addresses, caches and links: built in, or from a TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from hsl._generated.constants import (
    DEFAULT_UNITS,
    MAX_DEVICES,
    MAX_LINKS,
    MAX_NID,
    MAX_TU_EXP,
    MAX_WINDOW,
    TU_EXPONENT_SOFTWARE,
    AtomicClass,
    FlitSize,
    NodeClass,
    Power,
    SamType,
    SystemNid,
)
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.identity import Product
from hsl.agents.io import IoConfig
from hsl.agents.memory import MEMORY_LIMIT, Memory
from hsl.agents.ranges import NodeRange
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.emulator.system_map import cpu_entries, named, placed
from hsl.emulator.timers import TransactionTimers
from hsl.engine.config import MAX_IDLE_TU, Boot, NodeConfig
from hsl.engine.node import Node
from hsl.errors import ConfigError
from hsl.files import parse_toml, read_file
from hsl.link.config import PortConfig
from hsl.nearest import expected
from hsl.shown import shown
from hsl.transport.base import Place

__all__ = ["Topology"]

NODE_NIDS = 16  # NIDs of each node: the CPU from 0, then the devices
# Of a GPU, from its first NID; of a memory node.
GPU_HOME, GPU_IO, GPU_TARGET, GPU_AGENT = range(4)
MEMORY_TARGET, MEMORY_IO = range(2)
# An EUI-64 that no registry assigned has bit 57 set (HSL 5.15.1); the first NID of the node follows.
GUID = 0x0248534C_00000001
LAST = ("interleaved", "memory")  # of the ranges by name: those of no single GPU
SHARED_WAYS = 1  # log2 of the homes that share a range by turns

# Name: least and greatest value, and what it is.
LIMITS = {
    "memory_bytes": (1 << 17, MEMORY_LIMIT),  # the program's own data, to what a Memory holds
    "device_bytes": (1 << 16, MEMORY_LIMIT // 2),  # twice it is one Memory
    "gpus": (1, MAX_DEVICES),
    "memory_nodes": (0, 1),
    "cores": (3, SystemNid.SHARED_HOME - SystemNid.MASTER),  # main, poller, at least one that bounces lines
    "core_sets": (1, 1 << 16),
    "core_ways": (1, 64),
    "units": (1, DEFAULT_UNITS),  # one 8-byte slot of a scratch line each, the first is the CPU's
    "l2s": (1, NODE_NIDS - GPU_AGENT),
    "l2_sets": (1, 1 << 16),
    "l2_ways": (1, 64),
    "outstanding": (1, 256),
    "window": (1, MAX_WINDOW),
    "links": (1, MAX_LINKS),
    "tu": (0, MAX_TU_EXP),
    "l1_idle_tu": (0, MAX_IDLE_TU),
}
MAX_FILE_BYTES = 1 << 16  # a topology with every setting and a comment behind each has a tenth of it
SHAPES = ("star", "mesh")  # GPUs with a port to the CPU only; or with one to each other GPU too
# What a port offers for `flit`: L64 always.
SIZES = {size.name: FlitSize.L64 | size for size in FlitSize}


@dataclass(frozen=True, kw_only=True)
class Topology:
    """One CPU node, GPU nodes, perhaps a memory node. Every number has limits; ConfigError names them.

    Nodes in order: the CPU, the GPUs, the memory node; all but the CPU are devices that it boots (HSL 5.15,
    annex A). Sizes in bytes; `device_bytes` of each kind of memory of a device, `sizes` of each device in
    order where they differ; `nids` the first NID of each device where it is not 16, 32, ...; caches as
    sets x ways of lines, `l2s` of them a GPU, each an agent; `tu` is n of TU = 2^n ns; `flit` is the format
    that is offered; `l1_idle_tu` as in NodeConfig, low power is offered where it is not 0. Three settings
    are the caller's and not a file's: `codec` is the engine under the links, `atomics` the AtomicClass bits
    that every port offers (3.3.2), `given_timers` are names and ns of the transaction timers that a user has
    chosen (5.11).
    """

    gpus: int = 1
    shape: str = "star"
    memory_nodes: int = 0
    memory_bytes: int = 64 << 20
    device_bytes: int = 16 << 20
    sizes: tuple[int, ...] = ()
    nids: tuple[int, ...] = ()
    cores: int = 4
    core_sets: int = 16
    core_ways: int = 4
    units: int = 4
    l2s: int = 1
    l2_sets: int = 64
    l2_ways: int = 4
    outstanding: int = 64
    window: int = 64
    links: int = 1
    tu: int = TU_EXPONENT_SOFTWARE
    flit: str = "L64"
    l1_idle_tu: int = 0
    codec: str = "native"
    atomics: AtomicClass = AtomicClass.INT
    given_timers: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name, (least, greatest) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
                raise ConfigError(f"topology: {name} = {shown(value)}; expected {least}..{greatest}")
        for name, value, legal in (("flit", self.flit, list(SIZES)), ("shape", self.shape, SHAPES)):
            if not isinstance(value, str) or value not in legal:
                raise ConfigError(f"topology: {name} = {shown(value)}; {expected(legal, value)}")
        self._check_devices()

    def _check_devices(self) -> None:
        """Raise ConfigError for sizes that are no pages, and for NIDs that overlap."""
        for name, size in (("memory_bytes", self.memory_bytes), ("device_bytes", self.device_bytes)):
            if size % PAGE_BYTES:
                raise ConfigError(f"topology: {name} = {size}; expected a multiple of {PAGE_BYTES} bytes")
        if self.gpus + self.memory_nodes > MAX_DEVICES:
            raise ConfigError(
                f"topology: {self.gpus} GPUs and {self.memory_nodes} memory node; "
                f"a CPU has {MAX_DEVICES} ports"
            )
        least, greatest = LIMITS["device_bytes"]
        check_numbers("sizes", self.sizes, range(least, greatest + 1, PAGE_BYTES))
        check_numbers("nids", self.nids, range(NODE_NIDS, MAX_NID - NODE_NIDS + 2))
        claimed = sorted(self._nids(index).start for index in range(1 + self.gpus + self.memory_nodes))
        if any(b - a < NODE_NIDS for a, b in pairwise(claimed)):
            raise ConfigError(f"topology: nids = {list(self.nids)}; each device needs {NODE_NIDS} of its own")

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """The settings in a TOML file. Raises ConfigError when it cannot be read."""
        return parse_toml(read_file(path, MAX_FILE_BYTES), str(path))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Topology:
        """A topology from settings by name. Raises ConfigError for a name that is none."""
        legal = {field.name for field in fields(cls)} - {"codec", "atomics", "given_timers"}
        if unknown := sorted(map(str, values.keys() - legal)):
            raise ConfigError(
                f"topology: unknown setting {', '.join(unknown)}; {expected(sorted(legal), unknown[0])}"
            )
        given = dict(values)
        for name in ("sizes", "nids"):
            if name in values:
                if not isinstance(values[name], list):
                    raise ConfigError(f"topology: {name} = {shown(values[name])}; expected a list of numbers")
                given[name] = tuple(values[name])
        return cls(**given)

    @property
    def timers(self) -> TransactionTimers:
        """The timers of the transaction layer: those of the profile, but on sockets seconds and not hours."""
        return TransactionTimers(self.tu, self.links, given=dict(self.given_timers))

    # Names that the programs use.

    @property
    def cpu_cores(self) -> range:
        """NIDs of the cores."""
        return range(SystemNid.MASTER, SystemNid.MASTER + self.cores)

    def gpu_agents(self, gpu: int) -> range:
        """NIDs of the L2 caches of a GPU."""
        first = self._nids(1 + gpu).start + GPU_AGENT
        return range(first, first + self.l2s)

    def regions(self) -> dict[str, SamEntry]:
        """The memory ranges by name: hostmem, device0.., host0.. (HDM-D, HDM-H), interleaved, memory."""
        found = {"hostmem": cpu_entries(self.memory_bytes)[0]}
        for port in range(self.gpus + self.memory_nodes):
            found |= named(port, self._entries(port), memory_node=port >= self.gpus)
        return {name: found[name] for name in sorted(found, key=lambda name: name in LAST)}

    def page(self, port: int) -> int:
        """Address of the register page of the device at `port`."""
        mmio = (e for e in self._entries(port) if e is not None and e.type == SamType.MMIO)
        return next(entry.base for entry in mmio)

    def _entries(self, port: int) -> list[SamEntry | None]:
        """Return the map entries that the device at `port` is going to get."""
        return placed(port, self._ranges(1 + port), self.device_bytes)

    def address_map(self) -> AddressMap:
        """The map of the CPU before it has booted a device."""
        return AddressMap(cpu_entries(self.memory_bytes))

    def wires(self) -> list[tuple[Place, Place]]:
        """Both ends of each wire: the CPU to each other node in order, then in a mesh GPU to GPU."""
        last = self.gpus + self.memory_nodes
        ends = [(0, node) for node in range(1, last + 1)]
        if self.shape == "mesh":
            ends += combinations(range(1, self.gpus + 1), 2)
        used: Counter[int] = Counter()
        wires = []
        for pair in ends:
            wires.append((Place(pair[0], used[pair[0]]), Place(pair[1], used[pair[1]])))
            used.update(pair)
        return wires

    # The nodes. `epoch` gives a new EPOCH (32 bits) whenever a port starts a session of its own.

    def cpu_node(self, epoch: Callable[[], int]) -> Node:
        """Host memory, its homes, the cores and an I/O agent: the boot master."""
        address_map = self.address_map()
        shared = Memory(None, self.device_bytes)
        half = NodeRange(
            size=self.device_bytes,
            types=frozenset({SamType.HDM_D}),
            home=SystemNid.SHARED_HOME,
            ways=SHARED_WAYS,
            place=shared.place,
        )
        return self._node(
            0,
            "cpu",
            epoch,
            boot=Boot.MASTER,
            ranges=[half],
            agents=[self._agent(nid, address_map, self.core_sets, self.core_ways) for nid in self.cpu_cores],
            homes=[
                (self._home(SystemNid.HOME, address_map), Memory(0, self.memory_bytes)),
                (self._home(SystemNid.SHARED_HOME, address_map), shared),
            ],
            io=self._io(SystemNid.IO, address_map, NodeClass.CPU),
        )

    def gpu_node(self, epoch: Callable[[], int], gpu: int = 0) -> Node:
        """The L2 caches of all compute units, device memory with a home and a target, an I/O agent."""
        address_map, first, size = AddressMap([]), self._nids(1 + gpu).start, self._size(1 + gpu)
        device, host = Memory(None, size * len(self._homed(1 + gpu))), Memory(None, size)
        return self._node(
            1 + gpu,
            f"gpu{gpu}" if self.gpus > 1 else "gpu",
            epoch,
            boot=Boot.DEVICE,
            ranges=self._ranges(1 + gpu, device, host),
            agents=[
                self._agent(nid, address_map, self.l2_sets, self.l2_ways) for nid in self.gpu_agents(gpu)
            ],
            homes=[(self._home(first + GPU_HOME, address_map), device)],
            targets=[(TargetConfig(nid=first + GPU_TARGET, address_map=address_map), host)],
            io=self._io(first + GPU_IO, address_map, NodeClass.GPU),
        )

    def memory_node(self, epoch: Callable[[], int]) -> Node:
        """A memory target and the I/O agent that tells of it."""
        if not self.memory_nodes:
            raise ConfigError("topology: memory_nodes = 0: there is no memory node")
        index = 1 + self.gpus
        address_map, first, memory = AddressMap([]), self._nids(index).start, Memory(None, self._size(index))
        return self._node(
            index,
            "memory",
            epoch,
            boot=Boot.DEVICE,
            ranges=self._ranges(index, host=memory),
            targets=[(TargetConfig(nid=first + MEMORY_TARGET, address_map=address_map), memory)],
            io=self._io(first + MEMORY_IO, address_map, NodeClass.MEMORY),
        )

    def _ranges(
        self, index: int, device: Memory | None = None, host: Memory | None = None
    ) -> list[NodeRange]:
        """Return the ranges of a device (HSL A.1); `device` and `host` are the memory that they need."""
        first, size = self._nids(index).start, self._size(index)
        target = MEMORY_TARGET if self._class(index) == NodeClass.MEMORY else GPU_TARGET
        by_host = NodeRange(
            size=size, types=frozenset({SamType.HDM_H}), mt=first + target, place=place_of(host)
        )
        if self._class(index) == NodeClass.MEMORY:
            return [by_host]
        own, *shared = (
            NodeRange(
                size=size,
                types=frozenset({SamType.HDM_D}),
                home=first + GPU_HOME,
                ways=ways,
                place=place_of(device),
            )
            for ways in self._homed(index)
        )
        page = NodeRange(size=PAGE_BYTES, types=frozenset({SamType.MMIO}), home=first + GPU_IO)
        return [own, by_host, *shared, page]

    def _homed(self, index: int) -> tuple[int, ...]:
        """Return the WAYS of each range that a GPU is the home of; one that may be shared has NID 16."""
        shares = self._nids(index).start + GPU_HOME == SystemNid.SHARED_HOME + 1
        return (0, SHARED_WAYS) if shares else (0,)

    def _size(self, index: int) -> int:
        return self.sizes[index - 1] if index <= len(self.sizes) else self.device_bytes

    def _class(self, index: int) -> NodeClass:
        return NodeClass.MEMORY if index > self.gpus else NodeClass.GPU

    @staticmethod
    def _io(nid: int, address_map: AddressMap, node_class: NodeClass) -> IoConfig:
        product = Product(node_class=node_class)
        return IoConfig(nid=nid, address_map=address_map, master=SystemNid.MASTER, product=product)

    def _node(self, index: int, name: str, epoch: Callable[[], int], **parts: Any) -> Node:
        """A node of these parts, with a port for each wire that ends in it."""
        ports = sum(place.device == index for wire in self.wires() for place in wire)
        roles = NodeConfig(**parts).roles
        port = PortConfig(
            guid=GUID + self._nids(index).start,
            roles=roles,
            nid_base=self._nids(index).start,
            nid_count=NODE_NIDS,
            epoch=epoch,
            window=self.window,
            links=self.links,
            tu_exp=self.tu,
            flit_sizes=SIZES[self.flit],
            power=int(Power.L1) if self.l1_idle_tu else 0,
            codec=self.codec,
            atomics=self.atomics,
        )
        node = Node(NodeConfig(name=name, ports=[port] * ports, l1_idle_tu=self.l1_idle_tu, **parts))
        for target in node.targets.values():
            target.lose_content()  # it has never had any: what comes back has lost it (HSL 5.6 M5)
        return node

    def _nids(self, index: int) -> range:
        """The NIDs of the node `index`: the CPU, the GPUs, the memory node."""
        base = NODE_NIDS * (1 + MAX_DEVICES if index > self.gpus else index)
        if 0 < index <= len(self.nids):
            base = self.nids[index - 1]
        return range(base, base + NODE_NIDS)

    def _home(self, nid: int, address_map: AddressMap) -> HomeConfig:
        return HomeConfig(nid=nid, address_map=address_map, tu=1 << self.tu, timers=self.timers.home)

    def _agent(self, nid: int, address_map: AddressMap, sets: int, ways: int) -> RequestConfig:
        return RequestConfig(
            nid=nid,
            address_map=address_map,
            sets=sets,
            ways=ways,
            mshrs=self.outstanding,
            tu=1 << self.tu,
            t_req=self.timers.request,
            t_transaction=self.timers.transaction,
        )


def place_of(memory: Memory | None) -> Callable[[int, int], None]:
    """Return what gives a range of a memory its address; without a memory nothing does."""
    return (lambda base, size: None) if memory is None else memory.place


def check_numbers(name: str, values: tuple[int, ...], legal: range) -> None:
    """Raise ConfigError unless each of at most MAX_DEVICES values is in `legal`."""
    good = all(isinstance(each, int) and not isinstance(each, bool) and each in legal for each in values)
    if not good or len(values) > MAX_DEVICES:
        text = f"multiples of {legal.step}, " if legal.step > 1 else ""
        raise ConfigError(
            f"topology: {name} = {shown(list(values))}; expected at most {MAX_DEVICES} numbers, "
            f"{text}{legal.start}..{legal[-1]}"
        )
