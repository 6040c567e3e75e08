"""A device as the boot master finds it: identity, place in the map, what is wrong (HSL 5.15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hsl._generated.constants import GRANULE_BYTES, MAGIC, VERSION, NodeClass, Role, SamType
from hsl.agents.address_map import SamEntry
from hsl.agents.ranges import NodeRange
from hsl.emulator.system_map import named
from hsl.errors import HslError

__all__ = [
    "BootedDevice",
    "Findings",
    "Refused",
    "Visit",
    "check_head",
    "check_roles",
    "class_of",
    "described",
    "granule",
]


class Refused(HslError):
    """A device cannot be used; the text says why and names the clause."""


class Visit(NamedTuple):
    """A session of a port, and the NIDs that its device claims: a boot lasts no longer. HSL 5.15.4."""

    port: int
    session: int
    nids: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The identity of a device as its registers tell it. HSL 5.15.2.

    Attributes:
        nids: the NIDs that it claims
        guid: its GUID
        node_class: kind of node; OTHER where PRODUCT is missing
        vectors: interrupt vectors
        streams: NCR streams that it serves apart
        agents: NID and role of each agent
        ranges: its memory and MMIO

    """

    nids: range
    guid: int
    node_class: NodeClass
    vectors: int
    streams: int
    agents: tuple[tuple[int, Role], ...]
    ranges: tuple[NodeRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootedDevice:
    """A device that is admitted. HSL A.3.

    Attributes:
        port: port of the CPU at which it is
        findings: its identity
        entries: the map entry of each of its ranges, None for one that is left out
        vector: first vector of its interrupts

    """

    port: int
    findings: Findings
    entries: tuple[SamEntry | None, ...]
    vector: int

    @property
    def page(self) -> int | None:
        """Address of its register page (A.4), None where it has none."""
        mmio = (entry for entry in self.entries if entry is not None and entry.type == SamType.MMIO)
        return next((entry.base for entry in mmio), None)

    @property
    def regions(self) -> dict[str, SamEntry]:
        """The memory of the device by name: device0, host0, ..."""
        return named(self.port, self.entries, memory_node=self.page is None or self.is_memory)

    @property
    def is_memory(self) -> bool:
        """True if the device says that it is a memory node, which runs no jobs."""
        return self.findings.node_class == NodeClass.MEMORY


def granule(value: int) -> bytes:
    """Return the bytes of a register."""
    return value.to_bytes(GRANULE_BYTES, "little")


def class_of(code: int) -> NodeClass:
    """Return the kind of a node; a kind that a later edition knows is OTHER."""
    return NodeClass(code) if code in list(NodeClass) else NodeClass.OTHER


def check_head(head: bytes, roles: Role) -> None:
    """Raise Refused unless the register ID is of this profile and has the roles of CAPS."""
    magic, major, said = head[: len(MAGIC)], head[4], head[6]
    if magic != MAGIC or major != VERSION[0] or said != roles:
        raise Refused(
            f"ID has magic {magic!r}, version {major}, roles {said:#x}; expected {MAGIC!r}, {VERSION[0]}, "
            f"and the roles of CAPS, {int(roles):#x} (HSL 5.15.2 [HSL-BOT-010])"
        )


def check_roles(agents: tuple[tuple[int, Role], ...], roles: Role) -> None:
    """Raise Refused unless the agents that are listed have exactly these roles."""
    listed = Role(0)
    for _, role in agents:
        listed |= role
    if listed != roles:
        raise Refused(
            f"AGENT lists the roles {int(listed):#x}; expected those of CAPS, {int(roles):#x} "
            "(HSL 5.15.2 [HSL-BOT-010])"
        )


def described(device: BootedDevice) -> str:
    """Return a line about a device that was admitted."""
    found = device.findings
    memory = ", ".join(
        f"{name} {(entry.last + 1 - entry.base) >> 10} KiB at {entry.base:#x}"
        for name, entry in device.regions.items()
    )
    nids = f"NIDs {found.nids.start}..{found.nids[-1]}, {len(found.agents)} agents"
    return f"{found.node_class.name} admitted: {nids}" + (f"; {memory}" if memory else "")
