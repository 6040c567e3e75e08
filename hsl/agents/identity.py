"""The identity of a node: what its read-only registers tell the boot master (HSL 5.15.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hsl._generated.constants import GRANULE_BYTES, MAGIC, VERSION, NodeClass, Register, Role
from hsl._generated.layouts import (
    AGENT_BASE,
    AGENT_COUNT,
    AGENT_ENTRY,
    AGENT_STRIDE,
    PRODUCT_D0,
    RANGE_BASE,
    RANGE_COUNT,
    RANGE_STRIDE,
    STREAMS_D0,
    VECTORS_D0,
)
from hsl.agents.access import STREAMS
from hsl.agents.ranges import Ranges, encode_range
from hsl.errors import ConfigError

__all__ = ["Identity", "Product"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Vendor id of the PCI-SIG (0: none), device and revision of that vendor, and the kind of node."""

    vendor: int = 0
    device: int = 0
    revision: int = 0
    node_class: NodeClass = NodeClass.OTHER

    def encode(self) -> bytes:
        """The granule of the register PRODUCT."""
        fields = {"vendor": self.vendor, "device": self.device, "revision": self.revision}
        return bytes(PRODUCT_D0.build(fields | {"kind": self.node_class}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The read-only registers of a node, and READY at reset.

    Attributes:
        guid: GUID of its first port
        roles: roles of its agents
        vectors: interrupt vectors of its I/O agent
        product: vendor, device, revision and class
        agents: NID and role of each agent
        first: first NID of its port, from which AGENT and RANGE count
        ranges: its memory and MMIO
        ready: True if it may send requests from reset on (HSL 5.15.1)

    ConfigError for more agents than AGENT has room for.

    """

    guid: int = 0
    roles: int = 0
    vectors: int = 0
    product: Product = field(default_factory=Product)
    agents: Sequence[tuple[int, Role]] = ()
    first: int = 0
    ranges: Ranges = field(default_factory=lambda: Ranges(()))
    ready: bool = True

    def __post_init__(self) -> None:
        if len(self.agents) > AGENT_COUNT:
            raise ConfigError(f"{len(self.agents)} agents; AGENT has room for {AGENT_COUNT} (HSL 5.15.2)")

    def registers(self) -> dict[int, int]:
        """The values of the registers at reset, by offset."""
        return {
            Register.ID: int.from_bytes(MAGIC + bytes([*VERSION, self.roles]), "little"),
            Register.GUID: self.guid,
            Register.VECTORS: _number(VECTORS_D0.build({"count": self.vectors})),
            Register.PRODUCT: _number(self.product.encode()),
            Register.STREAMS: _number(STREAMS_D0.build({"count": STREAMS})),
            Register.READY: int(self.ready),
        }

    def tables(self) -> Mapping[int, bytes]:
        """The contents of the tables AGENT and RANGE, by the offset of each."""
        entries = ({"valid": 1, "role": role, "offset": nid - self.first} for nid, role in self.agents)
        agents = b"".join(AGENT_ENTRY.build({"d0": entry}) for entry in entries)
        ranges = b"".join(encode_range(one, self.first) for one in self.ranges.ranges)
        return {
            AGENT_BASE: agents.ljust(AGENT_COUNT * AGENT_STRIDE, b"\0"),
            RANGE_BASE: ranges.ljust(RANGE_COUNT * RANGE_STRIDE, b"\0"),
        }


def _number(granule: bytes) -> int:
    assert len(granule) == GRANULE_BYTES
    return int.from_bytes(granule, "little")
