"""Who is connected to whom, with which addresses, caches and links: built in, or from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hsl._generated.constants import (
    LINE_BYTES,
    MAX_WINDOW,
    TIMERS,
    TU_EXPONENT_SOFTWARE,
    FlitSize,
    Power,
    Role,
    SamType,
)
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.request import RequestConfig
from hsl.engine.config import MAX_IDLE_TU, NodeConfig
from hsl.engine.node import Node
from hsl.errors import ConfigError
from hsl.link.config import PortConfig

__all__ = ["Topology"]

CPU_NIDS, GPU_NIDS = range(16), range(16, 32)
CPU_HOME, CPU_IO, CPU_FIRST_CORE = CPU_NIDS[0], CPU_NIDS[1], CPU_NIDS[2]
GPU_AGENT, GPU_IO = GPU_NIDS[0], GPU_NIDS[1]
CPU_GUID, GPU_GUID = 0x48534C_0000_0001, 0x48534C_0000_0002
LONGEST_NS = 5_000_000_000  # T_SNP and T_CACK on sockets; the link itself gives up a silent peer after 4.6 s
REQUEST_PATIENCE = 6  # T_REQ must outlast T_SNP, three T_MEM and T_CACK (HSL 5.11)
MMIO = 1 << 40  # the I/O pages lie above any host memory
CPU_MMIO, GPU_MMIO = MMIO, MMIO + PAGE_BYTES
DOORBELL, EXIT_DOORBELL, UNITS_REGISTER = GPU_MMIO, GPU_MMIO + 8, GPU_MMIO + 16

# Name: least and greatest value, and what it is.
LIMITS = {
    "memory_bytes": (1 << 17, 1 << 32),  # the program's own data, to what a bytearray should hold
    "cores": (3, len(CPU_NIDS) - CPU_FIRST_CORE),  # main, poller, at least one that bounces lines
    "core_sets": (1, 1 << 16),
    "core_ways": (1, 64),
    "units": (1, LINE_BYTES // 8 - 1),  # one 8-byte slot of a scratch line each, the first is the CPU's
    "l2_sets": (1, 1 << 16),
    "l2_ways": (1, 64),
    "outstanding": (1, 256),
    "window": (1, MAX_WINDOW),
    "tu": (0, 30),
    "l1_idle_tu": (0, MAX_IDLE_TU),
}
# What a port offers for `flit`: L64 always.
SIZES = {size.name: FlitSize.L64 | size for size in FlitSize}


@dataclass(frozen=True, kw_only=True)
class Topology:
    """One CPU node and one GPU node on one port. Every number has limits; ConfigError names them.

    Sizes in bytes; caches as sets x ways of lines; `tu` is n of TU = 2^n ns; `flit` is the format that is
    offered; `l1_idle_tu` as in NodeConfig, low power is offered where it is not 0.
    """

    memory_bytes: int = 64 << 20
    cores: int = 4
    core_sets: int = 16
    core_ways: int = 4
    units: int = 4
    l2_sets: int = 64
    l2_ways: int = 4
    outstanding: int = 64
    window: int = 64
    tu: int = TU_EXPONENT_SOFTWARE
    flit: str = "L64"
    l1_idle_tu: int = 0

    def __post_init__(self) -> None:
        for name, (least, greatest) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
                raise ConfigError(f"topology: {name} = {value!r}; legal is {least}..{greatest}")
        if self.flit not in SIZES:
            raise ConfigError(f"topology: flit = {self.flit!r}; legal is {', '.join(map(str, SIZES))}")
        if self.memory_bytes % PAGE_BYTES:
            raise ConfigError(
                f"topology: memory_bytes = {self.memory_bytes} is no multiple of a page of {PAGE_BYTES} bytes"
            )

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """The settings in a TOML file. Raises ConfigError when it cannot be read."""
        try:
            return tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def of(cls, values: dict[str, Any]) -> Topology:
        """A topology from settings by name. Raises ConfigError for a name that is none."""
        legal = {field.name for field in fields(cls)}
        if unknown := sorted(values.keys() - legal):
            raise ConfigError(
                f"topology: no such setting: {', '.join(unknown)}; there are {', '.join(sorted(legal))}"
            )
        return cls(**values)

    # Timers of the transaction layer: those of the profile in TU, but on sockets seconds and not hours.

    @property
    def home_timers(self) -> dict[str, int]:
        """T_SNP, T_MEM and T_CACK in ns."""
        return {name: min(TIMERS[name].tu << self.tu, LONGEST_NS) for name in ("T_SNP", "T_MEM", "T_CACK")}

    @property
    def request_timeout_ns(self) -> int:
        """T_REQ in ns."""
        return min(TIMERS["T_REQ"].tu << self.tu, REQUEST_PATIENCE * LONGEST_NS)

    # Names that the programs use.

    @property
    def cpu_cores(self) -> range:
        """NIDs of the cores."""
        return range(CPU_FIRST_CORE, CPU_FIRST_CORE + self.cores)

    cpu_io = CPU_IO
    gpu_agent = GPU_AGENT
    gpu_doorbell = DOORBELL
    gpu_exit_doorbell = EXIT_DOORBELL
    gpu_units_register = UNITS_REGISTER

    def address_map(self) -> AddressMap:
        """The system address map of both nodes."""
        return AddressMap(
            [
                SamEntry(0, self.memory_bytes - 1, SamType.HOSTMEM, home=CPU_HOME),
                SamEntry(CPU_MMIO, CPU_MMIO + PAGE_BYTES - 1, SamType.MMIO, home=CPU_IO),
                SamEntry(GPU_MMIO, GPU_MMIO + PAGE_BYTES - 1, SamType.MMIO, home=GPU_IO),
            ]
        )

    # The nodes. `epoch` gives a new EPOCH (32 bits) whenever a port starts a session of its own.

    def cpu_node(self, epoch: Callable[[], int]) -> Node:
        """Host memory, its home, the cores and an I/O agent, behind one port."""
        address_map = self.address_map()
        return Node(
            NodeConfig(
                name="cpu",
                ports=[self._port(CPU_GUID, CPU_NIDS, Role.RA | Role.HA | Role.IOA, epoch)],
                agents=[
                    self._agent(nid, address_map, self.core_sets, self.core_ways) for nid in self.cpu_cores
                ],
                homes=[
                    (
                        HomeConfig(
                            nid=CPU_HOME, address_map=address_map, tu=1 << self.tu, timers=self.home_timers
                        ),
                        Memory(0, self.memory_bytes),
                    )
                ],
                io=IoConfig(nid=CPU_IO, address_map=address_map),
                l1_idle_tu=self.l1_idle_tu,
            )
        )

    def gpu_node(self, epoch: Callable[[], int]) -> Node:
        """One request agent, the L2 of all compute units, and an I/O agent, behind one port."""
        address_map = self.address_map()
        return Node(
            NodeConfig(
                name="gpu",
                ports=[self._port(GPU_GUID, GPU_NIDS, Role.RA | Role.IOA, epoch)],
                agents=[self._agent(GPU_AGENT, address_map, self.l2_sets, self.l2_ways)],
                io=IoConfig(nid=GPU_IO, address_map=address_map),
                l1_idle_tu=self.l1_idle_tu,
            )
        )

    def _port(self, guid: int, nids: range, roles: Role, epoch: Callable[[], int]) -> PortConfig:
        return PortConfig(
            guid=guid,
            roles=roles,
            nid_base=nids.start,
            nid_count=len(nids),
            epoch=epoch,
            window=self.window,
            tu_exp=self.tu,
            flit_sizes=SIZES[self.flit],
            power=int(Power.L1) if self.l1_idle_tu else 0,
        )

    def _agent(self, nid: int, address_map: AddressMap, sets: int, ways: int) -> RequestConfig:
        return RequestConfig(
            nid=nid,
            address_map=address_map,
            sets=sets,
            ways=ways,
            mshrs=self.outstanding,
            tu=1 << self.tu,
            t_req=self.request_timeout_ns,
        )
