"""The configuration of a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from operator import or_

from hsl._generated.constants import HOME_TU_ABOVE, Role
from hsl.agents.atc import AtcConfig
from hsl.agents.home import HomeConfig
from hsl.agents.identity import Identity
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.ranges import NodeRange, Ranges
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig
from hsl.errors import ConfigError
from hsl.link.config import PortConfig

__all__ = ["MAX_IDLE_TU", "Boot", "NodeConfig"]

MAX_IDLE_TU = 1 << 20  # 18 minutes of the software TU: who waits longer does not want low power


class Boot(Enum):
    """The part of a node in a boot. HSL 5.15.1."""

    HOST = "host"  # READY from reset: a node of a system that nobody boots
    MASTER = "master"  # boots the devices behind its ports
    DEVICE = "device"  # begins when a boot master has written READY


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The parts of a node: its agents, each with a NID of its own, and one port per neighbour. HSL 5.1.

    Attributes:
        name: name of the node in logs, reports and captures
        ports: one PortConfig per neighbour, in the order of the port numbers
        agents: a RequestConfig per request agent
        homes: (HomeConfig, Memory) per home; None instead of a Memory for a home of HDM-H ranges only
        targets: (TargetConfig, Memory) per memory target
        io: the IoConfig of its I/O agent, or None
        atc: the AtcConfig of the translation cache of one agent, or None; needs `io`
        l1_idle_tu: TU for which a port must be idle before low power is permitted on it (3.7); 0 is never
        boot: its part in a boot
        ranges: a NodeRange per memory and MMIO range that the map gives an address at boot
        neighbours: the NIDs that may be behind each port, a range per port; empty permits any NID that is
            neither here nor of another port, whose NIDs are those of its last session

    Every NID must lie in the NID range of every port, and the roles of each port must be those of the agents.
    With a home, all ports offer the same SLOW_EXP; several ports take no greater one. Raises ConfigError
    otherwise.

    """

    name: str = "node"
    ports: Sequence[PortConfig] = ()
    agents: Sequence[RequestConfig] = ()
    homes: Sequence[tuple[HomeConfig, Memory | None]] = field(default=(), repr=False)
    targets: Sequence[tuple[TargetConfig, Memory]] = field(default=(), repr=False)
    io: IoConfig | None = None
    atc: AtcConfig | None = None
    l1_idle_tu: int = 0
    boot: Boot = Boot.HOST
    ranges: Sequence[NodeRange] = field(default=(), repr=False)
    neighbours: Sequence[range] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.l1_idle_tu, int) or not 0 <= self.l1_idle_tu <= MAX_IDLE_TU:
            raise ConfigError(
                f"node {self.name}: l1_idle_tu is {self.l1_idle_tu!r}; expected 0..{MAX_IDLE_TU}"
            )
        if self.neighbours and len(self.neighbours) != len(self.ports):
            raise ConfigError(
                f"node {self.name}: {len(self.neighbours)} neighbours of {len(self.ports)} ports"
            )
        nids = self.nids
        if len(set(nids)) != len(nids):
            raise ConfigError(f"node {self.name}: NIDs {sorted(nids)}; each agent needs its own")
        if self.atc is not None and (self.io is None or self.atc.agent not in {a.nid for a in self.agents}):
            raise ConfigError(
                f"node {self.name}: the ATC needs an I/O agent and a request agent {self.atc.agent}"
            )
        if self.boot is not Boot.HOST and self.io is None:
            raise ConfigError(f"node {self.name}: a {self.boot.value} needs an I/O agent (HSL 5.15.1)")
        strapped = self.io is not None and self.io.master is not None
        if self.boot is Boot.DEVICE and len(self.ports) > 1 and not strapped:
            raise ConfigError(
                f"node {self.name}: a device with several ports needs the NID of its boot master "
                "(HSL 5.15.1 [HSL-BOT-001])"
            )
        for index, (port, legal) in enumerate(zip(self.ports, self.claims, strict=True)):
            if outside := [nid for nid in nids if nid not in legal]:
                raise ConfigError(f"node {self.name}: NIDs {outside} are not in {legal} of port {index}")
            if port.roles != self.roles:
                raise ConfigError(
                    f"node {self.name}: port {index} names {port.roles!r}, its agents are {self.roles!r}"
                )
        if self.homes and len({port.slowest for port in self.ports}) > 1:
            raise ConfigError(
                f"node {self.name}: its ports offer SLOW_EXP {[port.slowest for port in self.ports]};"
                " a node with a home offers the same at each port (HSL 3.3.2)"
            )
        for index, port in enumerate(self.ports):
            if port.tu_exp_limit is not None and port.tu_exp_limit > self.tu_limit(port):
                raise ConfigError(
                    f"node {self.name}: tu_exp_limit of port {index} is {port.tu_exp_limit}; a node with a"
                    f" home and several ports takes at most what it offers, {self.tu_limit(port)} (HSL 3.3.2)"
                )

    def tu_limit(self, port: PortConfig) -> int:
        """The limit of a port for both exponents. HSL 3.3.2 [HSL-LNK-060]."""
        several = self.homes and len(self.ports) > 1
        return port.slowest + HOME_TU_ABOVE if several else port.tu_limit

    @property
    def limited_ports(self) -> list[PortConfig]:
        """The ports, each with its limit."""
        return [replace(port, tu_exp_limit=self.tu_limit(port)) for port in self.ports]

    @property
    def claims(self) -> list[range]:
        """The NIDs that each port claims in CAPS."""
        return [range(port.nid_base, port.nid_base + port.nid_count) for port in self.ports]

    def refusal(self, port: int, nids: range, others: set[int]) -> str:
        """Return why a peer may not have its NIDs, or ""; `others`: NIDs behind other ports. HSL 6.3."""
        if clash := sorted(others.union(self.nids, *self.claims).intersection(nids)):
            return (
                f"the peer claims the NIDs {nids.start}..{nids[-1]}; {len(clash)} of them are here or of "
                "another port: it needs others (HSL 6.3, 5.15.1)"
            )
        legal = self.neighbours[port] if self.neighbours else nids
        fits = set(nids) <= set(legal)
        return "" if fits else f"the peer claims {nids} as its NIDs; at this port are {legal}"

    @property
    def nids(self) -> tuple[int, ...]:
        """The NIDs of all agents."""
        return tuple(nid for nids in self.by_role.values() for nid in nids)

    @property
    def by_role(self) -> dict[Role, tuple[int, ...]]:
        """The NIDs of the agents of each role."""
        return {
            Role.HA: tuple(home.nid for home, _ in self.homes),
            Role.MT: tuple(target.nid for target, _ in self.targets),
            Role.IOA: () if self.io is None else (self.io.nid,),
            Role.RA: tuple(agent.nid for agent in self.agents),
        }

    @property
    def identity(self) -> Identity:
        """The registers that tell a boot master about this node. HSL 5.15.2."""
        assert self.io is not None
        port = self.ports[0] if self.ports else None
        return Identity(
            guid=port.guid if port else 0,
            roles=self.roles,
            vectors=self.io.vectors,
            product=self.io.product,
            agents=sorted((nid, role) for role, nids in self.by_role.items() for nid in nids),
            first=port.nid_base if port else 0,
            ranges=Ranges(self.ranges, frozenset(self.nids)),
            ready=self.boot is not Boot.DEVICE,
        )

    @property
    def roles(self) -> Role:
        """The roles of all agents."""
        return reduce(or_, (role for role, nids in self.by_role.items() if nids), Role(0))
