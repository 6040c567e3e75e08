"""Nodes with their addresses, caches and links: built in, or from a TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from hsl._generated.constants import (
    LINE_BYTES,
    MAX_LINKS,
    MAX_TU_EXP,
    MAX_WINDOW,
    TU_EXPONENT_SOFTWARE,
    AtomicClass,
    FlitSize,
    Power,
    SamType,
)
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import MEMORY_LIMIT, Memory
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.emulator.timers import TransactionTimers
from hsl.engine.config import MAX_IDLE_TU, NodeConfig
from hsl.engine.node import Node
from hsl.errors import ConfigError
from hsl.files import parse_toml, read_file
from hsl.link.config import PortConfig
from hsl.nearest import expected
from hsl.shown import shown
from hsl.transport.base import Place

__all__ = ["Topology"]

NODE_NIDS = 16  # NIDs of each node: the CPU from 0, then the GPUs, then the memory node
MAX_GPUS = 4
CPU_HOME, CPU_IO, CPU_FIRST_CORE = 0, 1, 2
# The second home of the CPU: its number is the one before that of the first GPU's home, so that the two can
# share a range by turns (5.1).
CPU_SHARED_HOME = NODE_NIDS - 1
# Of a GPU, from its first NID.
GPU_HOME, GPU_IO, GPU_TARGET, GPU_AGENT = range(4)
MEMORY_TARGET = NODE_NIDS * (1 + MAX_GPUS)
GUID = 0x48534C_0000_0001  # of the CPU; the others count up
MMIO = 1 << 40  # the I/O pages lie above any memory: one of the CPU, one of each GPU
DOORBELL, EXIT_DOORBELL, UNITS_REGISTER = 0, 8, 16  # in the page of a GPU
# Device memory, far above host memory: device-homed, host-homed, in a node of its own. The interleaved range
# follows that of the first GPU, so that its home has one piece of memory.
HOMED_BY_DEVICE, HOMED_BY_HOST, HOMED_APART = 1 << 36, 1 << 37, 1 << 38

# Name: least and greatest value, and what it is.
LIMITS = {
    "memory_bytes": (1 << 17, MEMORY_LIMIT),  # the program's own data, to what a Memory holds
    "device_bytes": (1 << 16, MEMORY_LIMIT // 2),  # twice it is one Memory
    "gpus": (1, MAX_GPUS),
    "memory_nodes": (0, 1),
    "cores": (3, CPU_SHARED_HOME - CPU_FIRST_CORE),  # main, poller, at least one that bounces lines
    "core_sets": (1, 1 << 16),
    "core_ways": (1, 64),
    "units": (1, LINE_BYTES // 8 - 1),  # one 8-byte slot of a scratch line each, the first is the CPU's
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

    Devices in order: the CPU, the GPUs, the memory node. Sizes in bytes; `device_bytes` of each kind of
    memory of a GPU; caches as sets x ways of lines, `l2s` of them a GPU, each an agent; `tu` is n of
    TU = 2^n ns; `flit` is the format that is offered; `l1_idle_tu` as in NodeConfig, low power is offered
    where it is not 0. Two settings are the caller's and not a file's: `codec` is the engine under the links,
    `atomics` the AtomicClass bits that every port offers (3.3.2).
    """

    gpus: int = 1
    shape: str = "star"
    memory_nodes: int = 0
    memory_bytes: int = 64 << 20
    device_bytes: int = 16 << 20
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

    def __post_init__(self) -> None:
        for name, (least, greatest) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
                raise ConfigError(f"topology: {name} = {shown(value)}; expected {least}..{greatest}")
        for name, value, legal in (("flit", self.flit, list(SIZES)), ("shape", self.shape, SHAPES)):
            if not isinstance(value, str) or value not in legal:
                raise ConfigError(f"topology: {name} = {shown(value)}; {expected(legal, value)}")
        for name in ("memory_bytes", "device_bytes"):
            if getattr(self, name) % PAGE_BYTES:
                raise ConfigError(
                    f"topology: {name} = {getattr(self, name)}; expected a multiple of {PAGE_BYTES} bytes"
                )

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """The settings in a TOML file. Raises ConfigError when it cannot be read."""
        return parse_toml(read_file(path, MAX_FILE_BYTES), str(path))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Topology:
        """A topology from settings by name. Raises ConfigError for a name that is none."""
        legal = {field.name for field in fields(cls)} - {"codec", "atomics"}
        if unknown := sorted(map(str, values.keys() - legal)):
            raise ConfigError(
                f"topology: unknown setting {', '.join(unknown)}; {expected(sorted(legal), unknown[0])}"
            )
        return cls(**values)

    @property
    def timers(self) -> TransactionTimers:
        """The timers of the transaction layer: those of the profile, but on sockets seconds and not hours."""
        return TransactionTimers(self.tu, self.links)

    # Names that the programs use.

    @property
    def cpu_cores(self) -> range:
        """NIDs of the cores."""
        return range(CPU_FIRST_CORE, CPU_FIRST_CORE + self.cores)

    cpu_io = CPU_IO

    @staticmethod
    def gpu_doorbell(gpu: int) -> int:
        """Address of the doorbell register of a GPU."""
        return gpu_page(gpu) + DOORBELL

    @staticmethod
    def gpu_exit_doorbell(gpu: int) -> int:
        """Address of the register that ends a GPU's programs."""
        return gpu_page(gpu) + EXIT_DOORBELL

    @staticmethod
    def gpu_units_register(gpu: int) -> int:
        """Address of the register with the number of compute units of a GPU."""
        return gpu_page(gpu) + UNITS_REGISTER

    def gpu_agents(self, gpu: int) -> range:
        """NIDs of the L2 caches of a GPU."""
        first = gpu_nids(gpu).start + GPU_AGENT
        return range(first, first + self.l2s)

    def regions(self) -> dict[str, SamEntry]:
        """The memory ranges by name: hostmem, device0.., host0.. (HDM-D, HDM-H), interleaved, memory."""
        size = self.device_bytes
        found = {"hostmem": SamEntry(0, self.memory_bytes - 1, SamType.HOSTMEM, home=CPU_HOME)}
        for gpu in range(self.gpus):
            nid = gpu_nids(gpu).start
            device, host = HOMED_BY_DEVICE + 2 * gpu * size, HOMED_BY_HOST + gpu * size
            found[f"device{gpu}"] = SamEntry(device, device + size - 1, SamType.HDM_D, home=nid + GPU_HOME)
            found[f"host{gpu}"] = SamEntry(
                host, host + size - 1, SamType.HDM_H, home=CPU_HOME, mt=nid + GPU_TARGET
            )
        first = HOMED_BY_DEVICE + size
        found["interleaved"] = SamEntry(
            first, first + size - 1, SamType.HDM_D, home=CPU_SHARED_HOME, ways=1, granule=12
        )
        last = HOMED_APART + size - 1  # in the map of all nodes, whether the memory node is there or not
        found["memory"] = SamEntry(HOMED_APART, last, SamType.HDM_H, home=CPU_HOME, mt=MEMORY_TARGET)
        return found

    def address_map(self) -> AddressMap:
        """The system address map of all nodes."""
        pages = [(MMIO, CPU_IO), *((gpu_page(k), gpu_nids(k).start + GPU_IO) for k in range(self.gpus))]
        mmio = [SamEntry(page, page + PAGE_BYTES - 1, SamType.MMIO, home=nid) for page, nid in pages]
        return AddressMap([*self.regions().values(), *mmio])

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
        """Host memory, its homes, the cores and an I/O agent."""
        address_map = self.address_map()
        shared = self.regions()["interleaved"]
        return self._node(
            0,
            "cpu",
            epoch,
            agents=[self._agent(nid, address_map, self.core_sets, self.core_ways) for nid in self.cpu_cores],
            homes=[
                (self._home(CPU_HOME, address_map), Memory(0, self.memory_bytes)),
                (self._home(CPU_SHARED_HOME, address_map), Memory(shared.base, self.device_bytes)),
            ],
            io=IoConfig(nid=CPU_IO, address_map=address_map, master=CPU_FIRST_CORE),
        )

    def gpu_node(self, epoch: Callable[[], int], gpu: int = 0) -> Node:
        """The L2 caches of all compute units, device memory with a home and a target, an I/O agent."""
        address_map = self.address_map()
        regions, first = self.regions(), gpu_nids(gpu).start
        device = Memory(regions[f"device{gpu}"].base, self.device_bytes * (1 if gpu else 2))
        host = Memory(regions[f"host{gpu}"].base, self.device_bytes)
        return self._node(
            1 + gpu,
            f"gpu{gpu}" if self.gpus > 1 else "gpu",
            epoch,
            agents=[
                self._agent(nid, address_map, self.l2_sets, self.l2_ways) for nid in self.gpu_agents(gpu)
            ],
            homes=[(self._home(first + GPU_HOME, address_map), device)],
            targets=[(TargetConfig(nid=first + GPU_TARGET, address_map=address_map), host)],
            io=IoConfig(nid=first + GPU_IO, address_map=address_map, master=CPU_FIRST_CORE),
        )

    def memory_node(self, epoch: Callable[[], int]) -> Node:
        """A memory target and nothing else."""
        if not self.memory_nodes:
            raise ConfigError("topology: memory_nodes = 0: there is no memory node")
        memory = Memory(HOMED_APART, self.device_bytes)
        config = TargetConfig(nid=MEMORY_TARGET, address_map=self.address_map())
        return self._node(1 + self.gpus, "memory", epoch, targets=[(config, memory)])

    def _node(self, index: int, name: str, epoch: Callable[[], int], **agents: Any) -> Node:
        """A node of these agents, with a port for each wire that ends in it."""
        peers = [
            there.device
            for ends in self.wires()
            for here, there in (ends, ends[::-1])
            if here.device == index
        ]
        roles = NodeConfig(**agents).roles
        port = PortConfig(
            guid=GUID + index,
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
        return Node(
            NodeConfig(
                name=name,
                ports=[port] * len(peers),
                neighbours=[self._nids(peer) for peer in peers],
                l1_idle_tu=self.l1_idle_tu,
                **agents,
            )
        )

    def _nids(self, index: int) -> range:
        """The NIDs of the node `index`: the CPU, the GPUs, the memory node."""
        base = MEMORY_TARGET if index > self.gpus else NODE_NIDS * index
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


def gpu_nids(gpu: int) -> range:
    """The NIDs of a GPU node."""
    return range(NODE_NIDS * (1 + gpu), NODE_NIDS * (2 + gpu))


def gpu_of(nid: int) -> int:
    """The GPU that a NID is of."""
    return nid // NODE_NIDS - 1


def gpu_page(gpu: int) -> int:
    """Address of the register page of a GPU."""
    return MMIO + PAGE_BYTES * (1 + gpu)
