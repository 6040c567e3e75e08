"""The nodes of a run of the random tester, with their agents, homes and memories (HSL 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Final, NamedTuple

from hsl._generated.constants import LINE_BYTES, MAX_TXN, TU_EXPONENT_SOFTWARE, Feature, SamType
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.atc import AtcConfig
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.invariants import InvariantError
from hsl.agents.io import IoConfig
from hsl.agents.iommu import Iommu
from hsl.agents.memory import Memory
from hsl.agents.peers import FEATURES, LOCAL
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.verify.issuer import THREAD_WINDOW
from hsl.verify.layout import CPU_NIDS, HOME, MANAGER, PATIENT_TXNS, Layout
from hsl.verify.stress_config import ALL, NONE, StressConfig

__all__ = ["NEVER", "Parties", "Party"]

NEVER: Final = 1 << 62  # ns: without faults no timer of the transaction layer may help a run along
ENTRIES: Final = 4  # translations that a device keeps: fewer than there are
TU: Final = 1  # ns, where ranges move: a pause after BUSY takes about as long as a few messages


class Party(NamedTuple):
    """One node: its agents, homes and memory targets, the NIDs that it answers for, its features."""

    name: str
    nids: range
    agents: Sequence[RequestConfig]
    homes: Sequence[tuple[HomeConfig, Memory | None]]
    targets: Sequence[tuple[TargetConfig, Memory]]
    io: IoConfig | None
    atc: AtcConfig | None
    features: Feature


class Parties:
    """The nodes of a run. `wires`: pairs of nodes that have a link, all or, in a star, those with node 0.

    `lines`: of plain accesses; `judged`: all that are used.
    """

    def __init__(self, config: StressConfig) -> None:
        self.config = config
        self.layout = layout = Layout(config)
        self.lines = [*layout.lines, *layout.moving_lines]
        self.judged = [*layout.keepers, *layout.frame_lines, *layout.moving_lines]
        self.address_map = AddressMap(layout.entries)  # of all nodes, or of the software that moves ranges
        self.iommu = Iommu() if layout.frames else None
        keepers = {part.keeper for part in (*layout.parts, *layout.places)}
        keepers |= {HOME} if layout.frames else set()
        self._memories = {keeper: self._memory_of(keeper) for keeper in sorted(keepers)}
        self._keepers = layout.keepers | dict.fromkeys(layout.frame_lines, HOME)
        for entry in layout.moving:
            self._keepers |= dict.fromkeys(layout.lines_of(entry), self._keeper(entry))
        rng = Random(f"memory {config.seed}")
        for line in (*layout.keepers, *layout.moving_lines):
            self._memory(line).write_line(line, rng.randbytes(LINE_BYTES))
        self.nodes = [self._node(node) for node in range(1 + config.gpu)]
        mesh = any(home.nid != HOME for node in self.nodes for home, _ in node.homes)
        pairs = combinations(range(1 + config.gpu), 2)
        self.wires = [pair for pair in pairs if mesh or pair[0] == 0]

    def _memory_of(self, keeper: int) -> Memory:
        """A memory from the first to the last byte that a NID keeps."""
        kept = [part.entry for part in self.layout.parts if part.keeper == keeper]
        if keeper == HOME and self.layout.frames:
            kept.append(self.layout.frames)
        if any(place.keeper == keeper for place in self.layout.places):
            kept += self.layout.moving
        return Memory(kept[0].base, kept[-1].last + 1 - kept[0].base)

    def _keeper(self, entry: SamEntry) -> int:
        """The NID that keeps the lines of a range that moves."""
        place = self.layout.place_of(entry)
        assert place is not None
        return place.keeper

    def move(self, index: int, entry: SamEntry) -> None:
        """Put a range at another place, with its data."""
        self.address_map.put(index, entry)
        if entry != self.layout.frames:
            keeper = self._keeper(entry)
            for line in self.layout.lines_of(entry):
                data, poison = self._memory(line).read_line(line)
                self._keepers[line] = keeper
                self._memory(line).write_line(line, data, poison)

    def _memory(self, line: int) -> Memory:
        return self._memories[self._keepers[line]]

    def stored(self, line: int) -> bytes:
        """Return the bytes of a line in memory; zeros for registers."""
        return self._memory(line).read_line(line)[0] if line in self._keepers else bytes(LINE_BYTES)

    def poisoned(self, line: int) -> bool:
        """True if the memory of a line has its mark."""
        return self._memory(line).poisoned(line)

    def write(self, line: int, data: bytes, poison: bool = False) -> None:
        """Set a line before the run."""
        self._memory(line).write_line(line, data, poison)

    def home_of(self, line: int) -> int:
        """The NID of the home of a line."""
        return self.address_map.home(line)

    @property
    def small(self) -> bool:
        """True if the lines of a run do not all find room in a directory."""
        return self.config.directory_lines < len(self.judged)

    def judge_directories(self, homes: Mapping[int, HomeAgent]) -> None:
        """Check that no home lists more lines than its directory has room for (5.2 D10)."""
        limit = self.config.directory_lines
        for home in homes.values():
            listed = sum(1 for line in self.judged if home.directory_of(line).nids)
            if listed > limit:
                raise InvariantError(
                    f"home {home.nid} lists {listed} lines; its directory has {limit} (5.2 D10)"
                )

    def _node(self, node: int) -> Party:
        layout, gpu = self.layout, node - 1
        nids = layout.gpu_nids(gpu) if node else range(CPU_NIDS)
        parts = [*layout.parts, *layout.places]
        homes = {part.entry.home for part in parts} & set(nids)
        homes |= {HOME} if layout.frames and not node else set()
        kept = {part.keeper for part in parts if part.node == node and part.entry.type == SamType.HDM_H}
        own = self.address_map.copy() if layout.moving else self.address_map
        mine = [nid for nid in layout.agents if nid in nids]
        atc = node and layout.frames
        return Party(
            name=f"gpu{gpu}" if node else "cpu",
            nids=nids,
            agents=[self._agent(nid, own) for nid in mine] + self._manager(node, own),
            homes=[(self._home(nid, node, own), self._memories.get(nid)) for nid in sorted(homes)],
            targets=[(TargetConfig(nid=nid, address_map=own), self._memories[nid]) for nid in sorted(kept)],
            io=self._io(node, own) if layout.has_io else None,
            atc=AtcConfig(agent=mine[0], iommu=layout.io_of(0), entries=ENTRIES) if atc else None,
            features=self._features(node),
        )

    def _features(self, node: int) -> Feature:
        """All that the agents have; in a mixed run every second GPU node has no dirty hand-over."""
        chosen = self.config.hand_over
        offered = chosen != NONE and (chosen == ALL or not node or node % 2)
        return FEATURES if offered else FEATURES & ~Feature.HandOver

    def _agent(self, nid: int, address_map: AddressMap) -> RequestConfig:
        config, patient = self.config, nid == self.layout.patient
        walks = config.threads * THREAD_WINDOW if nid in self.layout.devices else 0
        return RequestConfig(
            nid=nid,
            address_map=address_map,
            sets=config.sets,
            ways=config.ways,
            mshrs=config.mshrs,
            pending=config.threads * THREAD_WINDOW + walks,
            max_txn=PATIENT_TXNS if patient else MAX_TXN,
            t_req=self.layout.t_req if patient else NEVER,
            tu=TU if self.layout.moving else 1 << TU_EXPONENT_SOFTWARE,
        )

    def _manager(self, node: int, address_map: AddressMap) -> list[RequestConfig]:
        """The request agent of the software that moves ranges, at the CPU node: it sends NCR only."""
        if node or not self.layout.moving:
            return []
        return [RequestConfig(nid=MANAGER, address_map=address_map, sets=1, ways=1, t_req=NEVER)]

    def _home(self, nid: int, node: int, address_map: AddressMap) -> HomeConfig:
        return HomeConfig(
            nid=nid,
            address_map=address_map,
            tshrs=self.config.tshrs,
            directory_lines=self.config.directory_lines,
            timers=dict.fromkeys(("T_SNP", "T_MEM", "T_CACK"), NEVER),
            negotiated=LOCAL._replace(features=self._features(node)),
        )

    def _io(self, node: int, address_map: AddressMap) -> IoConfig:
        nid = self.layout.io_of(node)
        return IoConfig(nid=nid, address_map=address_map, iommu=None if node else self.iommu)
