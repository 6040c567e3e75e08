"""Who takes part in a run of the random tester, and where its lines live (HSL 5.1).

Node 0 is that of the CPU, the GPU nodes follow. The lines are dealt line by line to the parts of the address
map; each part has one keeper, a home or a memory target, with a memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import Final, NamedTuple

from hsl._generated.constants import LINE_BYTES, SamType
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.request import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.verify.issuer import THREAD_WINDOW
from hsl.verify.stress_config import StressConfig

__all__ = ["Parties", "Party", "agents_of", "lines_of"]

HOME: Final = 0  # of the CPU node
FIRST_CPU: Final = 2
CPU_NIDS: Final = 16  # of the CPU node, from 0; those of the GPU nodes follow
GPU_NIDS: Final = 4  # of a GPU node that has more than a cache: cache, home, memory target
NEVER: Final = 1 << 62  # ns: without faults no timer of the transaction layer may help a run along


class Party(NamedTuple):
    """One node: its agents, homes and memory targets, and the NIDs that it answers for."""

    name: str
    nids: range
    agents: Sequence[RequestConfig]
    homes: Sequence[tuple[HomeConfig, Memory | None]]
    targets: Sequence[tuple[TargetConfig, Memory]]


class Part(NamedTuple):
    """Some of the lines: which node has their memory, which NID keeps it, and their range."""

    node: int
    keeper: int
    entry: SamEntry


def gpu_nids(config: StressConfig, gpu: int) -> range:
    """The NIDs of a GPU node: cache, home, memory target; just the cache where it has nothing else."""
    count = 1 if config.homed == "host" else GPU_NIDS
    return range(CPU_NIDS + gpu * count, CPU_NIDS + (gpu + 1) * count)


def agents_of(config: StressConfig) -> list[int]:
    """The NIDs of all caches, those of the CPU node first."""
    cpus = range(FIRST_CPU, FIRST_CPU + config.cpu)
    return [*cpus, *(gpu_nids(config, gpu)[0] for gpu in range(config.gpu))]


def lines_of(config: StressConfig) -> list[int]:
    """The addresses of the lines that are used."""
    parts = _parts(config)
    dealt = (divmod(index, len(parts)) for index in range(config.lines))
    return [parts[part].entry.base + place * LINE_BYTES for place, part in dealt]


def _parts(config: StressConfig) -> list[Part]:
    """The parts of the address map, each with room for its share of the lines."""
    kinds: list[tuple[SamType, int, int, int]] = []  # type, node, home, memory target
    if config.homed in ("host", "interleaved"):
        kinds.append((SamType.HOSTMEM, 0, HOME, 0))
    for gpu in range(config.gpu):
        if config.homed in ("target", "interleaved"):
            kinds.append((SamType.HDM_H, 1 + gpu, HOME, gpu_nids(config, gpu)[2]))
        if config.homed in ("device", "interleaved"):
            kinds.append((SamType.HDM_D, 1 + gpu, gpu_nids(config, gpu)[1], 0))
    size = -(-config.lines * LINE_BYTES // (PAGE_BYTES * len(kinds))) * PAGE_BYTES
    return [
        Part(node, mt or home, SamEntry(index * size, (index + 1) * size - 1, kind, home, mt=mt))
        for index, (kind, node, home, mt) in enumerate(kinds)
    ]


class Parties:
    """The nodes of a run. `wires`: pairs of nodes that have a link, all or, in a star, those with node 0."""

    def __init__(self, config: StressConfig) -> None:
        self.config = config
        self.lines = lines_of(config)
        parts = _parts(config)
        self.address_map = AddressMap([part.entry for part in parts])
        self._memories = {
            part.keeper: Memory(part.entry.base, part.entry.last + 1 - part.entry.base) for part in parts
        }
        self._keepers = {line: parts[index % len(parts)].keeper for index, line in enumerate(self.lines)}
        rng = Random(f"memory {config.seed}")
        for line in self.lines:
            self._memory(line).write_line(line, rng.randbytes(LINE_BYTES))
        self.nodes = [self._node(node, parts) for node in range(1 + config.gpu)]
        mesh = any(home.nid != HOME for node in self.nodes for home, _ in node.homes)
        pairs = combinations(range(1 + config.gpu), 2)
        self.wires = [pair for pair in pairs if mesh or pair[0] == 0]

    def _memory(self, line: int) -> Memory:
        return self._memories[self._keepers[line]]

    def stored(self, line: int) -> bytes:
        """What the memory of a line holds."""
        return self._memory(line).read_line(line)[0]

    def home_of(self, line: int) -> int:
        """The NID of the home of a line."""
        return self.address_map.home(line)

    def _node(self, node: int, parts: Sequence[Part]) -> Party:
        config, gpu = self.config, node - 1
        nids = gpu_nids(config, gpu) if node else range(CPU_NIDS)
        homes = {part.entry.home for part in parts} & set(nids)
        targets = [part.keeper for part in parts if part.node == node and part.entry.type == SamType.HDM_H]
        return Party(
            name=f"gpu{gpu}" if node else "cpu",
            nids=nids,
            agents=[self._agent(nid) for nid in agents_of(config) if nid in nids],
            homes=[(self._home(nid), self._memories.get(nid)) for nid in sorted(homes)],
            targets=[
                (TargetConfig(nid=nid, address_map=self.address_map), self._memories[nid]) for nid in targets
            ],
        )

    def _agent(self, nid: int) -> RequestConfig:
        config = self.config
        return RequestConfig(
            nid=nid,
            address_map=self.address_map,
            sets=config.sets,
            ways=config.ways,
            mshrs=config.mshrs,
            pending=config.threads * THREAD_WINDOW,
            t_req=NEVER,
        )

    def _home(self, nid: int) -> HomeConfig:
        timers = dict.fromkeys(("T_SNP", "T_MEM", "T_CACK"), NEVER)
        return HomeConfig(nid=nid, address_map=self.address_map, tshrs=self.config.tshrs, timers=timers)
