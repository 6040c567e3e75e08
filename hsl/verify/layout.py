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
    "MANAGER",
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
MANAGER: Final = CPU_NIDS - 1  # request agent of the software that moves ranges; it runs nothing else
GPU_NIDS: Final = 4  # of a GPU node that has more than a cache: cache, home, memory target, I/O agent
GPU_HOME: Final = 1
GPU_TARGET: Final = 2
GPU_IO: Final = 3
POISON_LINES: Final = 4
LATE_LINES: Final = 3
MOVING_RANGES: Final = 2  # at least; there is one at each place
MOVING_LINES: Final = 2  # of each range that moves: one for writes, one for atomics
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
        self.has_io = bool({"ncr", "translation", "moves"} & set(config.having))

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
                kinds.append((SamType.HDM_H, 1 + gpu, HOME, nids[GPU_TARGET]))
            if place in ("device", "interleaved"):
                kinds.append((SamType.HDM_D, 1 + gpu, nids[GPU_HOME], 0))
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
        return [*(part.entry for part in self.parts), *frames, *self.registers.values(), *self.moving]

    # ---- ranges that move
    @cached_property
    def places(self) -> list[Part]:
        """Where a range that moves can be: the CPU node, a target and two homes of GPU nodes."""
        if "moves" not in self.config.having:
            return []
        found = [Part(0, HOME, SamEntry(0, PAGE_BYTES - 1))]
        if self.config.gpu:
            target = self.gpu_nids(0)[GPU_TARGET]
            found.append(Part(1, target, SamEntry(0, PAGE_BYTES - 1, SamType.HDM_H, HOME, mt=target)))
        for gpu in sorted({0, self.config.gpu - 1} & set(range(self.config.gpu))):
            home = self.gpu_nids(gpu)[GPU_HOME]
            found.append(Part(1 + gpu, home, SamEntry(0, PAGE_BYTES - 1, SamType.HDM_D, home)))
        return found

    @cached_property
    def moving(self) -> list[SamEntry]:
        """The ranges that move, a page each, at their first places; a target needs one of its own there."""
        if not self.places:
            return []
        behind = [*self.registers.values()]
        base = 1 + behind[-1].last
        count = max(MOVING_RANGES, len(self.places))
        return [
            self.places[index % len(self.places)].entry._replace(base=at, last=at + PAGE_BYTES - 1)
            for index, at in enumerate(range(base, base + count * PAGE_BYTES, PAGE_BYTES))
        ]

    def lines_of(self, entry: SamEntry) -> list[int]:
        """The lines of a range that moves, or of the frames."""
        if self.frames is not None and entry.base == self.frames.base:
            return self.frame_lines
        return [entry.base + at * LINE_BYTES for at in range(MOVING_LINES)]

    @cached_property
    def moving_lines(self) -> list[int]:
        """The lines of all ranges that move."""
        return [line for entry in self.moving for line in self.lines_of(entry)]

    def place_of(self, entry: SamEntry) -> Part | None:
        """The place that an entry of a moving range names; None if it names none."""
        return next((place for place in self.places if place.entry.place == entry.place), None)

    @cached_property
    def movable(self) -> dict[int, SamEntry]:
        """The entries that software quiesces, by index: those that move, and the frames, which do not."""
        if not self.places:
            return {}
        return {
            index: entry
            for index, entry in enumerate(self.entries)
            if entry in self.moving or entry == self.frames
        }
