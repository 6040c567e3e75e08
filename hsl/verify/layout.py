"""Layout of a run of the random tester: node ids, lines, registers, frames (HSL 5.1).

Node 0 is that of the CPU, the GPU nodes follow. The lines are dealt line by line to the parts of the address
map; each part has one keeper, a home or a memory target, with a memory of its own. First come the lines of
plain accesses, then those that kinds of operations have for themselves. Behind the parts are the frames of
translated pages, in the memory of the CPU node, and the registers of each node.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple

from hsl._generated.constants import LINE_BYTES, MAX_NID, SamType
from hsl.agents.address_map import PAGE_BYTES, SamEntry
from hsl.verify.stress_config import StressConfig

__all__ = [
    "CPU_NIDS",
    "FRAMES",
    "FRAME_LINES",
    "HOME",
    "LARGE_PAGES",
    "PATIENT_TXNS",
    "SILENT",
    "SPACES",
    "Layout",
    "Part",
]

HOME: Final = 0  # of the CPU node
CPU_IO: Final = 1  # I/O agent of the CPU node
FIRST_CPU: Final = 2
CPU_NIDS: Final = 16  # of the CPU node, from 0; those of the GPU nodes follow
GPU_NIDS: Final = 4  # of a GPU node that has more than a cache: cache, home, memory target, I/O agent
GPU_IO: Final = 3
POISON_LINES: Final = 4
LATE_LINES: Final = 3
LARGE_PAGES: Final = 4  # of a large mapping
FRAMES: Final = 3 * LARGE_PAGES
FRAME_LINES: Final = 2  # lines of a frame that are used
SPACES: Final = 3  # of each device: PASID 1, PASID 2, shared
PATIENT_TXNS: Final = 8  # of the agent whose NCR are not answered: so few can be taken all
SILENT: Final = range(MAX_NID + 1 - PATIENT_TXNS, MAX_NID + 1)  # targets that do not answer, one for each
REGISTER_BYTES: Final = LINE_BYTES  # of each thread, in the registers of each node


class Part(NamedTuple):
    """Some of the lines: which node has their memory, which NID keeps it, and their range."""

    node: int
    keeper: int
    entry: SamEntry


class Layout:
    """The places of a configuration."""

    def __init__(self, config: StressConfig) -> None:
        self.config = config
        self.has_io = bool({"ncr", "translation"} & set(config.having))

    def gpu_nids(self, gpu: int) -> range:
        """The NIDs of a GPU node: cache, home, memory target, I/O agent; just the cache if that is all."""
        count = 1 if self.config.home == "hostmem" and not self.has_io else GPU_NIDS
        return range(CPU_NIDS + gpu * count, CPU_NIDS + (gpu + 1) * count)

    @cached_property
    def agents(self) -> list[int]:
        """The NIDs of all caches, those of the CPU node first."""
        cpus = range(FIRST_CPU, FIRST_CPU + self.config.cpu)
        return [*cpus, *(self.gpu_nids(gpu)[0] for gpu in range(self.config.gpu))]

    @property
    def devices(self) -> list[int]:
        """The caches of the GPU nodes, if they have translations."""
        return self.agents[self.config.cpu :] if "translation" in self.config.having else []

    @property
    def software(self) -> int:
        """The cache whose programs change page tables."""
        return self.agents[0]

    @property
    def patient(self) -> int | None:
        """The cache whose requests may be answered late or never, if there is one."""
        return self.agents[self.config.cpu - 1] if "timeouts" in self.config.having else None

    @property
    def t_req(self) -> int:
        """T_REQ of the patient cache in ns: longer than all requests of all caches take, one by one."""
        return 512 * len(self.agents) * self.config.mshrs

    def io_of(self, node: int) -> int:
        """The NID of the I/O agent of a node."""
        return self.gpu_nids(node - 1)[GPU_IO] if node else CPU_IO

    def node_of(self, nid: int) -> int:
        """The node of a NID."""
        return 0 if nid < CPU_NIDS else 1 + (nid - CPU_NIDS) // len(self.gpu_nids(0))

    # ---- lines
    @property
    def lines(self) -> list[int]:
        """The addresses of the lines of plain accesses."""
        return self._dealt[: self.config.lines]

    @property
    def poison_lines(self) -> list[int]:
        """The lines that can be poisoned."""
        return self._dealt[self.config.lines :][: self._poison_lines]

    @property
    def late_lines(self) -> list[int]:
        """The lines whose requests may be answered late."""
        return self._dealt[self.config.lines + self._poison_lines :]

    @property
    def _poison_lines(self) -> int:
        return POISON_LINES if "poison" in self.config.having else 0

    @property
    def _all_lines(self) -> int:
        late = LATE_LINES if "timeouts" in self.config.having else 0
        return self.config.lines + self._poison_lines + late

    @cached_property
    def _dealt(self) -> list[int]:
        dealt = (divmod(index, len(self.parts)) for index in range(self._all_lines))
        return [self.parts[part].entry.base + place * LINE_BYTES for place, part in dealt]

    @cached_property
    def keepers(self) -> dict[int, int]:
        """The NID of the home or memory target that keeps each line; lines of frames are left out."""
        return {line: self.parts[index % len(self.parts)].keeper for index, line in enumerate(self._dealt)}

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the address map, each with room for its share of the lines."""
        config = self.config
        place = config.home
        kinds: list[tuple[SamType, int, int, int]] = []  # type, node, home, memory target
        if place in ("hostmem", "interleaved"):
            kinds.append((SamType.HOSTMEM, 0, HOME, 0))
        for gpu in range(config.gpu):
            nids = self.gpu_nids(gpu)
            if place in ("host", "interleaved"):
                kinds.append((SamType.HDM_H, 1 + gpu, HOME, nids[2]))
            if place in ("device", "interleaved"):
                kinds.append((SamType.HDM_D, 1 + gpu, nids[1], 0))
        size = -(-self._all_lines * LINE_BYTES // (PAGE_BYTES * len(kinds))) * PAGE_BYTES
        return [
            Part(node, mt or home, SamEntry(index * size, (index + 1) * size - 1, kind, home, mt=mt))
            for index, (kind, node, home, mt) in enumerate(kinds)
        ]

    # ---- frames and registers
    @cached_property
    def frames(self) -> SamEntry | None:
        """The frames of translated pages, aligned to large ones."""
        if "translation" not in self.config.having:
            return None
        large = LARGE_PAGES * PAGE_BYTES
        base = -(-(self.parts[-1].entry.last + 1) // large) * large
        return SamEntry(base, base + FRAMES * PAGE_BYTES - 1, SamType.HOSTMEM, HOME)

    def frame(self, number: int) -> int:
        """The address of a frame."""
        assert self.frames is not None
        return self.frames.base + number * PAGE_BYTES

    @cached_property
    def frame_lines(self) -> list[int]:
        """The lines of all frames."""
        if self.frames is None:
            return []
        return [self.frame(f) + at * LINE_BYTES for f in range(FRAMES) for at in range(FRAME_LINES)]

    @cached_property
    def registers(self) -> dict[int, SamEntry]:
        """The registers of each I/O agent: a line for each thread, and one that all share."""
        if not self.has_io:
            return {}
        threads = len(self.agents) * self.config.threads
        size = -(-(threads + 1) * REGISTER_BYTES // PAGE_BYTES) * PAGE_BYTES
        base = 1 + (self.frames or self.parts[-1].entry).last
        nids = [self.io_of(node) for node in range(1 + self.config.gpu)]
        entries = ((nid, base + index * size) for index, nid in enumerate(nids))
        return {nid: SamEntry(at, at + size - 1, SamType.MMIO, nid) for nid, at in entries}

    def registers_of(self, nid: int, thread: int) -> int:
        """The address of the registers of a thread at an I/O agent."""
        return self.registers[nid].base + (1 + thread) * REGISTER_BYTES

    def targets_of(self, agent: int) -> list[int]:
        """The I/O agents that an agent reaches: all those of a CPU, the own and that of the CPU of a GPU."""
        node = self.node_of(agent)
        return list(self.registers) if node == 0 else [self.io_of(0), self.io_of(node)]

    @property
    def entries(self) -> list[SamEntry]:
        """The address map."""
        frames = [self.frames] if self.frames else []
        return [*(part.entry for part in self.parts), *frames, *self.registers.values()]
